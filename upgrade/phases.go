package upgrade

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/capture"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/shadow"
	"github.com/pgumbra/pgumbra/upgrade/lease"
)

// phase is one step of a run's life. Its work is resumable: after a crash the
// next leader runs it again from the start, and it finds out what is done.
type phase struct {
	in   control.Phase
	work func(*worker, context.Context) error
	next control.Phase // entered when work returns nil
}

// life is a run from its first statement to its last.
//
//	phase      does                                          undone by
//	building   shadow schemas and tables without indexes     dropping them
//	capturing  journals, triggers                            dropping them
//	copying    chunks of production's rows                   dropping the shadow
//	following  key, first catch-up, indexes, then batches    dropping the shadow
//	cutover    fence, drain, sequences, swap                 ROLLBACK; to another database cutover's protocol
//	watching   what is written is taken back to the old side [Rollback]
//
// Every phase before the swap is undone by [Abort].
//
// The cutover is no entry of the list, but a part of following: [worker.cutOver] enters
// its phase before each attempt, and following again after one that came to nothing; where
// the process died in between, [worker.openSides] of the next leader does. The swap itself
// leads to watching. From there [Finish] ends the run, or the swap where no watch is
// wanted; a rollback leads to rolled_back, or to following once more.
var life = []phase{
	{control.Building, (*worker).build, control.Capturing},
	{control.Capturing, (*worker).capture, control.Copying},
	{control.Copying, (*worker).copy, control.Following},
	{control.Following, (*worker).follow, control.Watching},
	{control.Watching, (*worker).watch, control.Finished},
}

// live compares the record with the servers and goes through [life] until one asks to stop ([errStop]), fails, or
// the run is over.
func (w *worker) live(ctx context.Context, cause lease.Cause) error {
	if err := w.agree(ctx, cause); err != nil {
		return err
	}
	err := w.besideWatchdogs(ctx, func(ctx context.Context) error {
		return w.mirrored(ctx, func(ctx context.Context) error {
			return w.besideClients(ctx, func(ctx context.Context) error { return w.besideSamples(ctx, w.phases) })
		})
	})
	if w.run.Phase == control.RolledBack && err == nil { // its process died right after the commit
		return w.tidyUp(ctx)
	}
	if w.run.Phase != control.Finished || err != nil && !errors.Is(err, errStop) {
		return err
	}
	return errors.Join(err, w.forgetOnShadow(ctx), w.traffic.Finish()) // without a watch the cutover was the end
}

func (w *worker) phases(ctx context.Context) error {
	complete := false // the phase after which it was to stop is, since an earlier command
	for _, p := range life {
		if p.in != w.run.Phase {
			complete = complete || w.until == p.in
			continue
		}
		if complete && !w.run.Phase.Swapped() {
			return errStop
		}
		w.log.Info("phase", "phase", p.in)
		if err := p.work(w, ctx); err != nil {
			return err
		}
		if w.run.Phase != p.in { // the swap moves the phase in its own transaction
			continue
		}
		if err := w.enter(ctx, p.next); err != nil {
			return err
		}
		if w.until == p.in {
			return errStop
		}
	}
	return nil
}

// enter moves the phase in a transaction of its own: the work before it is recorded piece by
// piece, and may be done again where this is not reached any more.
func (w *worker) enter(ctx context.Context, to control.Phase) error {
	err := pg.ReadCommitted(ctx, w.sides.Production, func(tx pgx.Tx) error {
		return control.Advance(ctx, tx, w.run, to)
	})
	if err != nil {
		return err
	}
	w.run.Entered(to)
	return nil
}

func (w *worker) build(ctx context.Context) error {
	if err := shadow.Build(ctx, w.sides, w.run); err != nil {
		return err
	}
	return w.newCutover().CloseShadow(ctx)
}

func (w *worker) capture(ctx context.Context) error {
	return capture.Install(ctx, w.sides.Production, w.run, w.log)
}

func (w *worker) copy(ctx context.Context) error {
	return w.guarded(ctx, w.copier.Copy)
}
