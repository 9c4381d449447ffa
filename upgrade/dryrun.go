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
)

// describe puts into a plan's steps what those tell that will do them. Nobody else
// writes their statements down a second time, so that what is shown is what runs.
func describe(ctx context.Context, dsn string, plan *plans.Plan) error {
	if len(plan.Steps) == 0 || len(plan.Sources) == 0 {
		return nil
	}
	db, err := pg.Connect(ctx, dsn, pg.Options{Component: "plan"})
	if err != nil {
		return err
	}
	defer func() { _ = db.Close(context.WithoutCancel(ctx)) }()
	capturing, err := capture.Describe(ctx, db, plan)
	switch {
	case err != nil && !plan.Runnable: // a blocker says why: a table without a usable key, say
		return nil
	case err != nil:
		return fmt.Errorf("tell what a run does: %w", err)
	}
	at := slices.IndexFunc(plan.Steps, func(s plans.Step) bool { return s.Phase != string(control.Building) })
	if at < 0 {
		at = len(plan.Steps)
	}
	plan.Steps = slices.Insert(plan.Steps, at, capturing...)
	for i := range plan.Steps {
		if s := &plan.Steps[i]; s.Title == planner.GuardTitle {
			s.SQL = append(cutover.DescribeGuards(plan), s.SQL...)
		}
	}
	return nil
}
