package upgrade

import (
	"context"
	"fmt"

	"github.com/pgumbra/pgumbra/capture"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/shadow"
)

// A rollback is the cutover with its ends exchanged, so that it can leave what the
// cutover leaves: journals of the other direction, positions, and a proof that begins
// anew. Then the run follows as it did before its cutover, and may have a second one.

// followAgain completes a rollback from which the new side is followed again: what
// the watch and the swap left is taken away, and the new side is closed as a shadow
// is. Tables that did not go back are copied again. For whoever leads next; does
// nothing where it is done. May be repeated.
func (w *worker) followAgain(ctx context.Context) error {
	if untidy, err := w.untidy(ctx); err != nil || !untidy {
		return err
	}
	if w.sides.Shadow == nil { // a run that is given up while its new server is away
		return w.reversed().newCutover().FreeOld(ctx)
	}
	w.log.Info("the old side is production again; the new one is followed from here")
	unswap := func(ctx context.Context) error {
		if err := capture.RemoveReverse(ctx, w.sides.Shadow, w.run); err != nil {
			return err
		}
		if err := capture.UnfreezeNewSide(ctx, w.sides.Shadow, w.run); err != nil {
			return err
		}
		if err := w.newCutover().Deactivate(ctx); err != nil {
			return err
		}
		if err := shadow.Unswap(ctx, w.sides, w.run); err != nil {
			return err
		}
		return shadow.Seal(ctx, w.sides, w.run)
	}
	if err := w.reversed().newCutover().AfterToFollow(ctx, w.newCutover(), unswap); err != nil {
		return err
	}
	if err := capture.RecordForward(ctx, w.sides.Production, w.run); err != nil {
		return err
	}
	if err := capture.Install(ctx, w.sides.Production, w.run, w.log); err != nil { // the lock on the structure
		return err
	}
	for i := range w.run.Plan.Tables {
		if t := &w.run.Plan.Tables[i]; !w.run.Plan.ComesForth(t) {
			if err := w.recopy(ctx, t, "its rows did not go back with the rollback"); err != nil {
				return err
			}
		}
	}
	return control.NoteTidied(ctx, w.sides.Production, w.run)
}

// untidy: what a rollback left from which the new side is followed again is there still.
func (w *worker) untidy(ctx context.Context) (bool, error) {
	if !w.run.Again || w.run.Phase != control.Following {
		return false, nil
	}
	_, tidied, err := control.Rollback(ctx, w.sides.Production, w.run)
	return !tidied, err
}

// unlessAgain copies a table again whose rows are others than production makes of
// them, after a rollback: a value that did not come back as it was written, a row
// that the migrations leave out. Once; it is the cause otherwise.
func (w *worker) unlessAgain(ctx context.Context, t *plans.Table, cause error) error {
	if !w.run.Again || t == nil {
		return cause
	}
	rows, err := control.Tables(ctx, w.sides.Production, w.run)
	if err != nil {
		return err
	}
	for _, r := range rows {
		if r.N == t.N && r.Recopied > 0 {
			return cause
		}
	}
	w.log.Warn("the new side holds what the old one could not: copying the table again", "table", t.Final.String(), "found", cause.Error())
	if err := w.recopy(ctx, t, "it held what the old side could not: "+cause.Error()); err != nil {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return w.bringInStep(ctx)
}
