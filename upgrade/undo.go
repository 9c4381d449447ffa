package upgrade

import (
	"context"
	"errors"
	"log/slog"

	"github.com/pgumbra/pgumbra/capture"
	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/plans/planner"
	"github.com/pgumbra/pgumbra/shadow"
	"github.com/pgumbra/pgumbra/upgrade/lease"
)

// Leftovers says what is done with the control schema at the end of a run.
type Leftovers int

// What is left of a run.
const (
	KeepRecord Leftovers = iota // the run's rows stay
	Purge                       // they go, with those of earlier runs of its name, and the control schema if no other run needs it
)

// Abort undoes a run before its cutover: triggers and journals first, so that
// production is free at once, then shadow and scratch. It may be repeated, and
// deposes a leader that still lives: its sessions are ended and whatever it had
// under way fails its epoch's check.
func Abort(ctx context.Context, file *planfile.File, leftovers Leftovers, log *slog.Logger) (Aborted, error) {
	var a Aborted
	err := freeFirst(ctx, file, log)
	if gone(err) {
		return a, abortAlone(ctx, file, log, err)
	}
	if err != nil {
		return a, err
	}
	if err := endLive(ctx, file); err != nil { // before the lead is asked for: a process that plans has a session of its own
		return a, err
	}
	l, err := depose(ctx, file, func(error) error { return endLive(ctx, file) })
	if err != nil {
		return a, err
	}
	defer l.Release(ctx)
	run, err := control.Find(ctx, l.Conn, file.Name)
	if errors.Is(err, control.ErrNoRun) {
		if err := planner.DropScratch(ctx, file); err != nil {
			return a, err
		}
		if a.Others, err = underWay(ctx, l.Conn); err != nil {
			return a, err
		}
		return a, purge(ctx, l, nil, leftovers)
	}
	if err != nil {
		return a, err
	}
	a.Existed = true
	if run.Phase.Swapped() { // meanwhile
		return a, notIn(run.Phase, "abort is for before the cutover")
	}
	if run.Phase != control.Aborted {
		abort := func(w *worker, ctx context.Context) error { return w.abort(ctx, &a) }
		if err := withWorker(ctx, l, run, file, Options{Log: log}, ifThere, abort); err != nil {
			return a, err
		}
	}
	if err := planner.DropScratch(ctx, file); err != nil {
		return a, err
	}
	return a, purge(ctx, l, run, leftovers)
}

// Aborted is what [Abort] found.
type Aborted struct {
	Existed bool // there was a run
	// Others are the runs that are under way where there was none of that name.
	Others []string
	// Looked is how many captured tables were compared with what they were when
	// the run began; Remains is what others changed there meanwhile.
	Looked  int
	Remains []capture.Remain
}

// deposeTries is how often a lead is taken from a process that takes it back before we
// have it, or that plans a run which has no row yet.
const deposeTries = 5

// depose takes the lead, from a process that has it, too, once end has ended that one's
// sessions. Standbys are held back meanwhile.
func depose(ctx context.Context, file *planfile.File, end func(led error) error) (*lease.Lease, error) {
	for tries := 0; ; tries++ {
		l, err := lease.Take(ctx, file.Production.DSN, file.Name)
		var led *lease.ErrLed
		if !errors.As(err, &led) || tries == deposeTries {
			return l, err
		}
		release, err := lease.HoldBack(ctx, file.Production.DSN, file.Name)
		if err != nil {
			return nil, err
		}
		defer release()
		if err := end(led); err != nil {
			return nil, err
		}
	}
}

// endLive ends the sessions of a leader, dead or alive. A live process finds its
// connections gone and, once they are, its run aborted, and stops.
func endLive(ctx context.Context, file *planfile.File) error {
	conn, err := connect(ctx, file, "abort")
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	run, err := control.Find(ctx, conn, file.Name)
	if err != nil && !errors.Is(err, control.ErrNoRun) {
		return err
	}
	if err == nil && !run.Phase.Over() {
		if err := Belongs(run, file); err != nil {
			return err
		}
	}
	if err == nil && (run.Phase.Swapped() || run.Phase == control.RolledBack) {
		return notIn(run.Phase, "abort is for before the cutover")
	}
	if err == nil && !run.Phase.Over() {
		if _, err := control.FenceOff(ctx, conn, run); err != nil {
			return err
		}
	}
	return lease.EndLeader(ctx, conn, file.Name)
}

func (w *worker) abort(ctx context.Context, a *Aborted) (err error) {
	if w.run.Phase.Swapped() { // it was under way, and turned out to be done
		return notIn(w.run.Phase, "abort is for before the cutover")
	}
	if err := w.followAgain(ctx); err != nil { // a rollback that did not come to its end left a fence on production's tables
		return err
	}
	if err := w.newCutover().Clear(ctx); err != nil {
		return err
	}
	if a.Remains, a.Looked, err = capture.Remains(ctx, w.sides.Production, w.run); err != nil {
		w.log.Warn("whether others changed captured tables meanwhile is not known", "error", err) // that keeps nobody from being freed
	}
	if err := w.removeCapture(ctx); err != nil {
		return err
	}
	if err := w.dropShadow(ctx); err != nil {
		return err
	}
	if err := w.newCutover().Forget(ctx); err != nil {
		return err
	}
	return w.enter(ctx, control.Aborted)
}

// dropShadow leaves nothing of the run in the shadow's database, and in
// production nothing of the shadow. A server that is away cannot keep production
// from being freed: what stands there is named.
func (w *worker) dropShadow(ctx context.Context) error {
	if w.sides.Shadow == nil {
		for _, s := range w.run.Plan.Schemas {
			w.log.Warn("the shadow cannot be reached, and is left as it is; drop it there when it is back",
				"type", "DROP SCHEMA IF EXISTS "+pg.Ident(s.Shadow)+", pgumbra CASCADE")
		}
		return shadow.DropSkeleton(ctx, w.sides, w.run)
	}
	if err := shadow.Drop(ctx, w.sides, w.run); err != nil {
		return err
	}
	return w.forgetOnShadow(ctx)
}

// forgetOnShadow removes the run's record from the shadow's own database: it is
// kept in production's control schema.
func (w *worker) forgetOnShadow(ctx context.Context) error {
	if !w.sides.Remote() {
		return nil
	}
	conn, err := w.sides.Shadow.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	return control.Purge(ctx, conn.Conn(), w.run)
}

// Finish ends the watch. The old side is dropped only when told. Where the old
// server is gone, what is production now is freed all the same.
func Finish(ctx context.Context, file *planfile.File, old cutover.OldSide, leftovers Leftovers, log *slog.Logger) error {
	l, err := depose(ctx, file, func(led error) error { return endWatch(ctx, file, led) })
	if gone(err) {
		return finishAlone(ctx, file, leftovers, log, err)
	}
	if err != nil {
		return err
	}
	defer l.Release(ctx)
	run, err := control.Find(ctx, l.Conn, file.Name)
	if errors.Is(err, control.ErrNoRun) {
		l.Release(ctx) // an alias may have been moved: then it is the shadow's own
		return finishAlone(ctx, file, leftovers, log, err)
	}
	if err != nil {
		return err
	}
	if run.Phase == control.RolledBack {
		if err := finishRolledBack(ctx, l, run, file, old, log); err != nil {
			return err
		}
		return purge(ctx, l, run, leftovers)
	}
	if err := mayFinish(run); err != nil {
		return err
	}
	err = withWorker(ctx, l, run, file, Options{Log: log}, once, func(w *worker, ctx context.Context) error {
		if err := mayFinish(w.run); err != nil { // a rollback was under way, and turned out to be done: the old side is production
			return err
		}
		if err := w.newCutover().After(ctx); err != nil {
			return err
		}
		if err := w.newCutover().Finish(ctx, old); err != nil {
			return err
		}
		return errors.Join(w.forgetOnShadow(ctx), w.traffic.Finish())
	})
	if err != nil {
		return err
	}
	return purge(ctx, l, run, leftovers)
}

func mayFinish(run *control.Run) error {
	if run.Phase.Swapped() {
		return nil
	}
	return notIn(run.Phase, "finish is for after the cutover")
}

// endWatch ends the sessions of the leader of a run that watches: it finds them gone, then
// its run finished, and ends as it should. [*lease.ErrLed] where the run is in another
// phase: its leader is let be.
func endWatch(ctx context.Context, file *planfile.File, led error) error {
	conn, err := connect(ctx, file, "finish")
	if err != nil {
		return errors.Join(err, led)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	run, err := control.Find(ctx, conn, file.Name)
	if err == nil {
		err = Belongs(run, file)
	}
	if err != nil {
		return errors.Join(err, led)
	}
	if err := mayFinish(run); err != nil && run.Phase != control.RolledBack { // whoever leads it
		return err
	}
	watched, err := control.FenceOff(ctx, conn, run, control.Watching)
	if err != nil || !watched {
		return errors.Join(err, led)
	}
	if err := lease.EndLeader(ctx, conn, file.Name); err != nil {
		return errors.Join(err, led)
	}
	return nil
}

// purge removes the run's record (nil: there is none) and those of earlier runs of its
// name, and the control schema with the last one.
func purge(ctx context.Context, l *lease.Lease, run *control.Run, leftovers Leftovers) error {
	if leftovers == KeepRecord {
		return nil
	}
	if run != nil {
		if err := control.ForgetEarlier(ctx, l.Conn, run); err != nil {
			return err
		}
	}
	return control.Purge(ctx, l.Conn, run)
}
