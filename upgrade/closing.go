package upgrade

import (
	"context"
	"strings"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/shadow"
)

// closeShadow makes sure, for each new leader, that nobody but us reaches the
// shadow: an older pgumbra left it open.
func (w *worker) closeShadow(ctx context.Context) error {
	switch w.run.Phase {
	case control.Capturing, control.Copying, control.Following:
	default: // not built yet, or no shadow any more
		return nil
	}
	if err := shadow.Seal(ctx, w.sides, w.run); err != nil {
		return err
	}
	return w.newCutover().CloseShadow(ctx)
}

// recopyOpened copies tables again whose write block somebody took off: what was
// written meanwhile is in no journal.
func (w *worker) recopyOpened(ctx context.Context) error {
	opened, err := control.Opened(ctx, w.sides.Shadow, w.run)
	if err != nil || len(opened) == 0 {
		return err
	}
	roots := map[pg.Name]bool{}
	var names []string
	for _, t := range opened {
		roots[t.Root] = true
		names = append(names, t.Table.String())
	}
	w.log.Warn("somebody took the write block off tables of the shadow; copying them again", "tables", strings.Join(names, ", "))
	for i := range w.run.Plan.Tables {
		t := &w.run.Plan.Tables[i]
		if !roots[t.Shadow] || t.Feed == plans.Skipped || t.Feed == plans.Version { // emptied, or written before each attempt
			continue
		}
		// Noted before the write block is put back: then it looks as if nothing had been.
		d := control.Doubt{N: t.N, Why: "it was open to writes of others", Recopy: true}
		if err := control.ClearProof(ctx, w.sides, w.run, d); err != nil {
			return err
		}
	}
	if err := w.newCutover().Reclose(ctx, opened); err != nil {
		return err
	}
	return w.recopyDoubted(ctx)
}
