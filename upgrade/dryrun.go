package upgrade

import (
	"context"
	"fmt"
	"slices"

	"github.com/pgumbra/pgumbra/capture"
	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/planner"
	"github.com/pgumbra/pgumbra/shadow"
)

// describe puts into a plan's steps what those tell that will do them. Nobody else
// writes their statements down a second time, so that what is shown is what runs.
func describe(ctx context.Context, dsn string, plan *plans.Plan) error {
	if len(plan.Steps) == 0 {
		return nil
	}
	db, err := pg.Connect(ctx, dsn, pg.Options{Component: "plan"})
	if err != nil {
		return err
	}
	defer func() { _ = db.Close(context.WithoutCancel(ctx)) }()
	capturing, texts, err := told(ctx, db, plan)
	if err != nil && plan.Runnable { // of another a blocker says why: a table without a usable key, say
		return fmt.Errorf("tell what a run does: %w", err)
	}
	fill(plan, texts)
	at := slices.IndexFunc(plan.Steps, func(s plans.Step) bool { return s.Phase != string(control.Building) })
	if at < 0 {
		at = len(plan.Steps)
	}
	plan.Steps = slices.Insert(plan.Steps, at, capturing...)
	return nil
}

// told is what capture does, and what stands in the slots of the other steps.
func told(ctx context.Context, db pg.Querier, plan *plans.Plan) ([]plans.Step, map[planner.Slot][]string, error) {
	swap, err := cutover.Describe(ctx, db, plan, shadow.SwapEntries(plan, nil), capture.DescribeReverseCheck(plan))
	if err != nil {
		return nil, nil, err
	}
	texts := map[planner.Slot][]string{
		planner.SlotSessions: swap.Sessions, planner.SlotWriteBlock: swap.WriteBlock, planner.SlotTrial: swap.Trial, planner.SlotFence: swap.Fence, planner.SlotReady: swap.Ready,
		planner.SlotSequences: swap.Sequences, planner.SlotSuccession: swap.Succession, planner.SlotOpen: swap.Open,
		planner.SlotStructure: swap.Structure, planner.SlotDefaults: swap.Defaults, planner.SlotReverse: swap.Reverse,
		planner.SlotGuards: swap.Guards, planner.SlotOldSide: swap.OldSide, planner.SlotVersion: swap.Version, planner.SlotNames: swap.Names,
		planner.SlotAfter: swap.After, planner.SlotFinish: swap.Finish, planner.SlotDropOld: swap.DropOld,
	}
	if texts[planner.SlotWayBack], texts[planner.SlotNoWayBack], err = capture.DescribeReverse(ctx, db, plan); err != nil {
		return nil, texts, err
	}
	capturing, removal, err := capture.Describe(ctx, db, plan)
	if err != nil {
		return nil, texts, err
	}
	texts[planner.SlotCapture] = removal
	return capturing, texts, nil
}

// fill puts texts in their slots. Steps in which nothing is left to do go.
func fill(plan *plans.Plan, texts map[planner.Slot][]string) {
	for i := range plan.Steps {
		var sql []string
		for _, text := range plan.Steps[i].SQL {
			if of, slot := texts[text]; slot || planner.IsSlot(text) {
				sql = append(sql, of...)
			} else {
				sql = append(sql, text)
			}
		}
		plan.Steps[i].SQL = sql
	}
	plan.Steps = slices.DeleteFunc(plan.Steps, func(s plans.Step) bool { return len(s.SQL) == 0 })
}
