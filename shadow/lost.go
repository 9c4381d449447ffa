package shadow

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/plans"
)

// A crash empties unlogged tables. The mark that a table was begun is in an
// unlogged table of the control schema, so that a crash takes it along: on the
// shadow's side where the shadow's table is unlogged, in production where what it
// is copied from is.

// readsUnlogged tells whether a crash of production empties what the table is
// copied from.
func readsUnlogged(plan *plans.Plan, t *plans.Table) bool {
	for i := range plan.Sources {
		if s := &plan.Sources[i]; s.Unlogged && t.ReadsFrom(s.N) {
			return true
		}
	}
	return false
}

func markUnlogged(ctx context.Context, e ends, run *control.Run, t *plans.Table) error {
	if err := markIf(ctx, e.shadow, run, t, t.Unlogged); err != nil {
		return err
	}
	return markIf(ctx, e.production, run, t, readsUnlogged(run.Plan, t))
}

func markIf(ctx context.Context, tx pgx.Tx, run *control.Run, t *plans.Table, unlogged bool) error {
	if !unlogged {
		return nil
	}
	return control.NoteUnlogged(ctx, tx, run, t.N)
}

// Lost finds the unlogged tables whose contents a crash took, on either side,
// since they were copied. Journals are logged and survive, and nothing in them
// tells of it: the caller looks after each reconnection and calls
// [Copier.Recopy]. ([Copier.Copy] looks by itself.)
func Lost(ctx context.Context, sides control.Sides, run *control.Run) ([]*plans.Table, error) {
	states, err := control.States(ctx, sides.Shadow, run)
	if err != nil {
		return nil, err
	}
	onShadow, err := control.Unlogged(ctx, sides.Shadow, run)
	if err != nil {
		return nil, err
	}
	inProduction, err := control.Unlogged(ctx, sides.Production, run)
	if err != nil {
		return nil, err
	}
	var lost []*plans.Table
	for i := range run.Plan.Tables {
		t := &run.Plan.Tables[i]
		if state, fed := states[t.N]; !fed || state == control.Waiting {
			continue
		}
		if t.Unlogged && !onShadow[t.N] || readsUnlogged(run.Plan, t) && !inProduction[t.N] {
			lost = append(lost, t)
		}
	}
	return lost, nil
}
