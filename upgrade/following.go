package upgrade

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/capture"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/replay"
	"github.com/pgumbra/pgumbra/shadow"
)

const (
	// pause between two rounds in which nothing was to be done.
	idle = 200 * time.Millisecond
	// how often structure, triggers and journal sizes are looked at.
	inspectEvery = 2 * time.Second
	// how often it is made sure that nobody leads clients to the shadow.
	rerouteEvery = 10 * time.Second
)

// follow brings every table in step and keeps it there, until a stop is asked
// for or the swap is done.
func (w *worker) follow(ctx context.Context) error {
	var conflict *shadow.DuplicateError
	var err error
	if w.replayer.Replica, err = shadow.Unchecked(ctx, w.sides, w.run); err != nil {
		return err
	}
	err = w.bringInStep(ctx)
	if errors.Is(err, replay.ErrConflict) || errors.As(err, &conflict) {
		err = w.unlessRecaptured(ctx, err)
	}
	if err != nil {
		return err
	}
	if err := w.beginProving(ctx); err != nil {
		return err
	}
	err = w.besideProver(ctx, w.keepInStep)
	if w.run.Again && errors.Is(err, replay.ErrConflict) { // met by a proof, or on the way to the cutover
		if err := w.unlessAgain(ctx, w.tableOf(err), err); err != nil {
			return err
		}
		return errAnew
	}
	return err
}

// keepInStep replays round after round, until the cutover is done.
func (w *worker) keepInStep(ctx context.Context) error {
	return w.rounds(ctx, w.act, &chore{every: inspectEvery, do: w.inspect},
		&chore{every: rerouteEvery, do: func(ctx context.Context) error { return w.newCutover().Reroute(ctx) }})
}

// chore is what is done between two rounds, every so often.
type chore struct {
	every time.Duration
	do    func(context.Context) error
	done  time.Time
}

// rounds replays round after round, with what act has time for after each, until
// that says that all is done. At once while there are changes, else after a pause.
func (w *worker) rounds(ctx context.Context, act func(context.Context) (bool, error), chores ...*chore) error {
	for {
		if err := w.standStill(ctx); err != nil {
			return err
		}
		for _, c := range chores {
			if time.Since(c.done) <= c.every {
				continue
			}
			if err := c.do(ctx); err != nil {
				return err
			}
			c.done = time.Now()
		}
		held, err := w.heldBack(ctx)
		if err != nil {
			return err
		}
		if held {
			if err := w.rest(ctx); err != nil {
				return err
			}
			continue
		}
		changes, err := w.round(ctx)
		if err != nil {
			return err
		}
		done, err := act(ctx)
		if err != nil || done {
			return err
		}
		if changes > 0 {
			continue
		}
		if err := w.rest(ctx); err != nil {
			return err
		}
	}
}

// rest waits a moment, or until the prover has something to tell.
func (w *worker) rest(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-w.prover.Signal():
	case <-time.After(idle):
	}
	return nil
}

// bringInStep takes tables from whatever state they are in to following. After
// a first copy that is all of them; after a table had to be copied again, that
// one.
func (w *worker) bringInStep(ctx context.Context) error {
	defer w.pauseProver()()
	return w.guarded(ctx, w.bringAllInStep)
}

func (w *worker) bringAllInStep(ctx context.Context) error {
	if err := w.copier.Copy(ctx); err != nil {
		return err
	}
	workers, err := shadow.Workers(ctx, w.sides, w.run)
	if err != nil {
		return err
	}
	if err := shadow.BuildKeys(ctx, w.sides, w.run, workers, w.replayer.DropJournalled); err != nil {
		return err
	}
	if err := shadow.CompleteIndexes(ctx, w.sides, w.run); err != nil {
		return err
	}
	if err := w.eachTable(ctx, control.CatchingUp, w.catchUp); err != nil {
		return err
	}
	if err := shadow.BuildIndexes(ctx, w.sides, w.run, workers); err != nil {
		return err
	}
	if err := shadow.CompleteIndexes(ctx, w.sides, w.run); err != nil {
		return err
	}
	w.keysTried = time.Time{} // a copy has taken those of its table away
	return w.buildForeignKeys(ctx)
}

func (w *worker) catchUp(ctx context.Context, t *plans.Table) error {
	if err := w.awaitNoStrangers(ctx); err != nil {
		return err
	}
	return w.replayer.CatchUp(ctx, t)
}

// round replays one batch of each table.
func (w *worker) round(ctx context.Context) (int64, error) {
	if w.run.Plan.Backwards() {
		return w.roundBack(ctx)
	}
	changes := make([]int64, len(w.run.Plan.Tables))
	err := w.eachTable(ctx, control.FollowingState, func(ctx context.Context, t *plans.Table) error {
		result, err := w.replayer.Batch(ctx, t)
		changes[t.N] = result.Changes
		return err
	})
	switch {
	case errors.Is(err, replay.ErrRecopy):
		return 1, w.bringInStep(ctx)
	case errors.Is(err, replay.ErrConflict):
		return 1, w.unlessRecaptured(ctx, err)
	}
	var sum int64
	for _, n := range changes {
		sum += n
	}
	return sum, err
}

// eachTable runs f for the tables in a state, several at once.
func (w *worker) eachTable(ctx context.Context, state control.State, f func(context.Context, *plans.Table) error) error {
	states, err := control.States(ctx, w.sides.Shadow, w.run)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(w.run.Plan.Settings.Copy.Workers)
	for i := range w.run.Plan.Tables {
		t := &w.run.Plan.Tables[i]
		if states[t.N] != state {
			continue
		}
		group.Go(func() error { return f(ctx, t) })
	}
	return group.Wait()
}

// inspect looks after production: structure and triggers as they were, journals
// within their limit, drained ones given back.
func (w *worker) inspect(ctx context.Context) error {
	if err := w.guardSize(ctx); err != nil {
		return err
	}
	if err := w.regroup(ctx); err != nil && !errors.Is(err, errLater) {
		return err
	}
	if err := w.inspectSources(ctx); err != nil {
		return err
	}
	if err := w.lookAround(ctx); err != nil {
		return err
	}
	if err := w.recopyLost(ctx); err != nil {
		return err
	}
	if err := w.recopyOpened(ctx); err != nil {
		return err
	}
	if time.Since(w.structure.looked) > compareEvery {
		if err := w.compareStructure(ctx); err != nil {
			return err
		}
	}
	if err := w.giveRoom(ctx); err != nil {
		return err
	}
	if err := capture.Rotate(ctx, w.sides.Production, w.run); err != nil {
		return err
	}
	return w.count(ctx)
}

// unlessRecaptured is the cause, unless capture was interrupted meanwhile
// (DISABLE TRIGGER ALL): then the tables concerned are copied again, and what
// the cause says of them is explained. So it is by partitions that the shadow will
// have in a moment.
func (w *worker) unlessRecaptured(ctx context.Context, cause error) error {
	err := w.regroup(ctx)
	if errors.Is(err, errLater) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(idle):
			return nil
		}
	}
	if err != nil {
		return err
	}
	changed, err := w.changed(ctx, w.sides.Production)
	if err != nil {
		return errors.Join(cause, err)
	}
	if len(changed) == 0 {
		return w.unlessAgain(ctx, w.tableOf(cause), cause)
	}
	w.log.Warn("capture was interrupted, which explains this", "error", cause)
	return w.inspectSources(ctx)
}

// tableOf is the table of the shadow that an error tells of; nil: not known.
func (w *worker) tableOf(err error) *plans.Table {
	var different *Different
	if errors.As(err, &different) {
		return different.Table
	}
	var conflict *replay.Conflict
	if !errors.As(err, &conflict) {
		return nil
	}
	return w.run.Plan.TableOf(conflict.Table)
}

// recopyLost copies unlogged tables again that a crash has emptied.
func (w *worker) recopyLost(ctx context.Context) error {
	lost, err := shadow.Lost(ctx, w.sides, w.run)
	if err != nil || len(lost) == 0 {
		return err
	}
	for _, t := range lost {
		if err := w.recopy(ctx, t, "a crash emptied the unlogged table"); err != nil {
			return err
		}
	}
	return w.bringInStep(ctx)
}

// recopy begins the copy of a table anew, while nobody compares its rows.
func (w *worker) recopy(ctx context.Context, t *plans.Table, reason string) error {
	defer w.pauseProver()()
	w.replayer.Forget(t.N)
	return w.copier.Recopy(ctx, t, reason)
}

// inspectSources looks at structure and triggers, if anything in the catalogs
// is another than at the last clean look.
func (w *worker) inspectSources(ctx context.Context) error {
	changed, err := w.changed(ctx, w.sides.Production)
	if err != nil || len(changed) == 0 {
		return err
	}
	for i := range w.run.Plan.Sources {
		if err := w.inspectSource(ctx, &w.run.Plan.Sources[i]); err != nil {
			return err
		}
	}
	return nil
}

func (w *worker) inspectSource(ctx context.Context, src *plans.Source) error {
	changes, err := capture.Check(ctx, w.sides.Production, w.run, src)
	if err != nil {
		return err
	}
	for _, c := range changes {
		switch c.Kind {
		case capture.Structure:
			return fmt.Errorf("%w: the structure of %s changed: %s", ErrStopped, src.Name, c.Detail)
		case capture.Triggers:
			if err := w.recapture(ctx, src, c.Detail); err != nil {
				return err
			}
		}
	}
	return nil
}

// recapture repairs triggers that were switched off for a while, and copies
// again whatever the source feeds: what was written meanwhile is in no journal.
func (w *worker) recapture(ctx context.Context, src *plans.Source, detail string) error {
	w.log.Warn("capture was interrupted; copying again", "table", src.Name.String(), "detail", detail)
	if err := capture.Repair(ctx, w.sides.Production, w.run, src); err != nil {
		return err
	}
	for i := range w.run.Plan.Tables {
		if t := &w.run.Plan.Tables[i]; t.ReadsFrom(src.N) {
			if err := w.recopy(ctx, t, detail); err != nil {
				return err
			}
		}
	}
	return w.bringInStep(ctx)
}
