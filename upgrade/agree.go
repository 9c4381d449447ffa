package upgrade

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/pgumbra/pgumbra/capture"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/upgrade/lease"
)

// agree compares what is recorded with what the servers say, before a new leader
// goes on: that capture records, each table's structure, triggers and journals, and
// that no position is ahead of production. (Whose database this is, and whether the
// shadow has what production knows of it, was asked when it was opened.) What the run
// repairs by itself is told; what it cannot repair stops it here rather than later.
// Earlier phases are repeated from their beginning and rest on nothing; in the watch
// it is [worker.agreeBack], once what the swap left to do is done.
func (w *worker) agree(ctx context.Context, cause lease.Cause) error {
	switch w.run.Phase {
	case control.Copying, control.Following:
	case control.Watching:
		w.untold = cause
		return nil
	default:
		return w.noteTakeover(ctx, cause, 0)
	}
	if err := w.guardSize(ctx); err != nil {
		return err
	}
	if err := w.tellUnled(ctx); err != nil {
		return err
	}
	for i := range w.run.Plan.Sources {
		if err := w.agreeOn(ctx, &w.run.Plan.Sources[i]); err != nil {
			return err
		}
	}
	if err := w.agreeOnPositions(ctx, ErrStopped); err != nil {
		return err
	}
	return w.noteTakeover(ctx, cause, len(w.run.Plan.Sources))
}

// agreeBack is [worker.agree] before a new leader keeps the old side current, of the
// reversed run: nothing of it can be repaired, so that what does not agree closes the way
// back ([ErrClosed]).
func (w *worker) agreeBack(ctx context.Context, cause lease.Cause) error {
	if err := w.agreeOnPhase(ctx); err != nil {
		return err
	}
	if err := w.recordsAll(ctx); err != nil {
		return err
	}
	if err := w.tellUnled(ctx); err != nil {
		return err
	}
	captured := 0
	for i := range w.run.Plan.Sources {
		src := &w.run.Plan.Sources[i]
		if !w.run.Plan.Feeds(src.N) {
			continue
		}
		if err := w.agreeOnJournals(ctx, src, ErrClosed); err != nil {
			return err
		}
		captured++
	}
	if err := w.agreeOnPositions(ctx, ErrClosed); err != nil {
		return err
	}
	return w.noteTakeover(ctx, cause, captured)
}

// agreeOnPhase: a new server that was put back to before the swap, or to after a
// rollback, knows of another phase than the record.
func (w *worker) agreeOnPhase(ctx context.Context) error {
	there, err := control.CurrentPhase(ctx, w.sides.Production, w.run)
	if err != nil || there == w.run.Phase {
		return err
	}
	return fmt.Errorf("%w: the new side is in phase %s by its own record, and the run is in phase %s", ErrClosed, there, w.run.Phase)
}

// tellUnled says what the triggers recorded while nobody led.
func (w *worker) tellUnled(ctx context.Context) error {
	if w.lead.Unled() < lease.LiveFor {
		return nil
	}
	tables, triggers, err := capture.Standing(ctx, w.sides.Production, w.run)
	if err != nil {
		return err
	}
	size, err := capture.Size(ctx, w.sides.Production, w.run)
	if err != nil {
		return err
	}
	w.log.Warn("nobody led the run; its triggers have recorded each write, which cost it a little more",
		"for", w.lead.Unled().Round(time.Second), "tables", tables, "triggers", triggers, "journals", human.Bytes(size))
	return nil
}

func (w *worker) agreeOn(ctx context.Context, src *plans.Source) error {
	changes, err := capture.Check(ctx, w.sides.Production, w.run, src)
	if errors.Is(err, capture.ErrNotInstalled) {
		return fmt.Errorf("%w: capture of %s is recorded, and is not there: %w", ErrStopped, src.Name, err)
	}
	if err != nil {
		return err
	}
	for _, c := range changes {
		switch c.Kind {
		case capture.Structure:
			return fmt.Errorf("%w: the structure of %s changed: %s", ErrStopped, src.Name, c.Detail)
		case capture.Triggers, capture.Members:
			w.log.Warn("triggers are not as they are recorded; the table will be copied again", "table", src.Name.String(), "detail", c.Detail)
		}
	}
	if src.Frozen {
		return nil
	}
	return w.agreeOnJournals(ctx, src, ErrStopped)
}

// agreeOnJournals makes sure that the journals of a source are there; ends is what it
// means that one is not.
func (w *worker) agreeOnJournals(ctx context.Context, src *plans.Source, ends error) error {
	for _, journal := range capture.JournalOf(w.run, src).Tables() {
		var there bool
		err := w.sides.Production.QueryRow(ctx, `SELECT pg_catalog.to_regclass($1) IS NOT NULL`, journal.Quoted()).Scan(&there)
		if err != nil {
			return fmt.Errorf("look for the journals of %s: %w", src.Name, err)
		}
		if !there {
			return fmt.Errorf("%w: the journal %s of %s is gone, and changes with it", ends, journal, src.Name)
		}
	}
	return nil
}

// agreeOnPositions: a database that was restored elsewhere counts its transactions
// anew, and a position in it would be of the future.
func (w *worker) agreeOnPositions(ctx context.Context, ends error) error {
	table, err := control.AheadOfProduction(ctx, w.sides, w.run)
	if err != nil || table == "" {
		return err
	}
	return fmt.Errorf("%w: the position of %s is ahead of the server that its rows come from, which was restored or exchanged", ends, table)
}

// noteTakeover tells that a standby leads now, and of how many tables it compared the
// record with the servers; 0: the phase rests on none.
func (w *worker) noteTakeover(ctx context.Context, cause lease.Cause, tables int) error {
	if cause == "" {
		return nil
	}
	self := control.Standby{Host: lease.Hostname(), PID: os.Getpid()}
	if err := control.ForgetStandby(ctx, w.sides.Record(), w.run, self, lease.LiveFor); err != nil {
		return err
	}
	says := "leading; the record agrees with the servers"
	if tables == 0 {
		says = "leading"
	}
	w.log.Info(says, //nolint:sloglint // one of two
		"phase", string(w.run.Phase), "captured", tables)
	return control.Event(ctx, w.sides.Record(), w.run, control.TakenOver, map[string]any{"because": string(cause), "captured": tables})
}
