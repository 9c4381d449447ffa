package upgrade

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/replay"
	"github.com/pgumbra/pgumbra/shadow"
)

// How often a shadow that is away is looked for, and how often production's
// copy of its positions is renewed.
const (
	lookForShadow = time.Second
	mirrorEvery   = time.Second
)

// shadowAway is what status says while there is no shadow to work on.
const shadowAway = "the shadow cannot be reached"

// waiting is how long a shadow that is away is waited for.
type waiting int

const (
	asLongAsItTakes waiting = iota // production goes on, its journals grow, their limit is looked after
	once                           // for commands that somebody waits for
	ifThere                        // for those that can do without
)

// openSides opens the shadow's side, ends what a process left half done (a swap, the phase of
// an attempt) and makes ready what works on both.
func (w *worker) openSides(ctx context.Context, how waiting) error {
	if w.run.Phase == control.RolledBack { // what is left to be done is on the old side
		how = ifThere
	}
	for w.run.Plan.Remote {
		err := w.openShadow(ctx)
		if err == nil {
			break
		}
		if how == ifThere && lostSight(err) {
			w.log.Warn("the shadow is left out", "error", err)
			w.sides.Shadow = nil
			return w.refuseUnfinished(ctx)
		}
		if !pg.Unreachable(err) || how == once {
			return fmt.Errorf("the shadow: %w", err)
		}
		if err := w.waitForTarget(ctx, err); err != nil {
			return err
		}
	}
	if err := w.reunite(ctx); err != nil {
		return err
	}
	w.copier = &shadow.Copier{Sides: w.sides, Run: w.run, Log: w.log, Before: w.awaitNoStrangers}
	w.replayer = &replay.Replayer{Sides: w.sides, Run: w.run, Log: w.log, ApplyWorkers: w.run.Plan.Settings.Copy.Workers,
		RangeRows: w.run.Plan.Settings.Copy.ChunkRows}
	if err := w.resolve(ctx); err != nil {
		return err
	}
	if w.run.Phase == control.Cutover { // left between two attempts: nothing was swapped, or the phase would say so
		if err := w.enter(ctx, control.Following); err != nil {
			return err
		}
	}
	if how == ifThere {
		return nil
	}
	if err := w.checkSides(ctx); err != nil {
		return err
	}
	if untidy, err := w.untidy(ctx); err != nil || untidy { // it has production's names still, and its fence
		return err
	}
	return w.closeShadow(ctx)
}

// resolve ends what a process left half done: a cutover, or a rollback from there.
//
// A rollback from which the new side is followed again leaves the phase that comes before
// a cutover, so that it is asked about first there.
func (w *worker) resolve(ctx context.Context) error {
	wentBackToFollow := w.run.Again && w.run.Phase == control.Following
	if w.sides.Shadow != nil && wentBackToFollow {
		if _, err := w.reversed().newCutover().Resolve(ctx); err != nil {
			return err
		}
	}
	if _, err := w.newCutover().Resolve(ctx); err != nil {
		return err
	}
	if !w.run.GoesBack() || w.sides.Shadow == nil { // no rollback was begun, or only the next look tells
		return nil
	}
	back := w.reversed()
	_, err := back.newCutover().Resolve(ctx)
	w.run.Entered(back.run.Phase)
	if !back.run.GoesBack() { // followed again
		w.run.Turned(back.run.Flow)
		w.run.Plan.FollowAgain()
	}
	return err
}

// lostSight: the shadow is not to be had, or what is there is not the run's.
func lostSight(err error) bool {
	return pg.Unreachable(err) || errors.Is(err, control.ErrOtherShadow) || errors.Is(err, control.ErrOrigin)
}

// checkSides makes sure that each side still has what the other one relies on,
// for as long as that matters: what is swapped is on its own, and a run that is
// undone needs neither.
func (w *worker) checkSides(ctx context.Context) error {
	if !w.sides.Remote() || w.run.Phase.Swapped() || w.run.Phase.Over() {
		return nil
	}
	if err := control.CheckOrigin(ctx, w.sides.Production, w.sides.Shadow, w.run); err != nil {
		return err
	}
	if w.run.Phase == control.Building { // dropped and built again
		return nil
	}
	return control.CheckMirror(ctx, w.sides.Production, w.sides.Shadow, w.run)
}

// refuseUnfinished keeps a run from being undone while a cutover is under way
// whose outcome only the shadow knows.
func (w *worker) refuseUnfinished(ctx context.Context) error {
	note, err := control.Switch(ctx, w.sides.Production, w.run)
	if err == nil && note != nil {
		err = fmt.Errorf("%w: a cutover was left unfinished, and the shadow, which knows, cannot be reached", cutover.ErrUnknown)
	}
	return err
}

// closeSides closes the pool that openSides opened.
func (w *worker) closeSides() {
	if w.sides.Shadow != nil && w.sides.Remote() {
		w.sides.Shadow.Close()
	}
}

// openShadow takes the lead in the shadow's database: what a dead leader left
// there is ended, and the epoch is raised. It must be the database that the run
// began with.
func (w *worker) openShadow(ctx context.Context) error {
	dsn := w.file.Shadow.DSN
	if dsn == "" {
		return errors.New("shadow.dsn is not in the plan file, and run " + w.run.Name + " has its shadow in another database")
	}
	conn, err := pg.Connect(ctx, dsn, pg.Options{Component: "leader"})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if err := control.SettleShadow(ctx, w.sides.Production, conn, w.run); err != nil {
		return err
	}
	if err := control.Migrate(ctx, dsn); err != nil {
		return err
	}
	if err := w.raiseEpoch(ctx, conn); err != nil {
		return err
	}
	if err := w.fenceOffOnShadow(ctx, conn); err != nil {
		return err
	}
	pool, err := w.shadowPool(ctx, dsn, w.sessions(), w.options())
	if err != nil {
		return err
	}
	w.sides.Shadow = pool
	return nil
}

// raiseEpoch raises the epoch past the one that the shadow knows of: a standby
// that was behind when it was promoted has forgotten leaders, and what they left
// on the shadow must not pass for ours.
func (w *worker) raiseEpoch(ctx context.Context, shadow pg.Querier) error {
	if err := control.RaisePast(ctx, w.sides.Production, shadow, w.run); err != nil {
		return err
	}
	w.lead.Raised(w.run.Epoch)
	return nil
}

// fenceOffOnShadow does there what [lease.Lease.FenceOff] does in production.
func (w *worker) fenceOffOnShadow(ctx context.Context, conn *pgx.Conn) error {
	if err := control.EndLeaderSessions(ctx, conn, w.run); err != nil {
		return err
	}
	origin, err := control.ReadOrigin(ctx, w.sides.Production)
	if err != nil {
		return err
	}
	if err := control.Adopt(ctx, conn, w.run, origin); err != nil {
		return err
	}
	return control.ForgetLeaderSessions(ctx, conn, w.run)
}

// shadowPool opens sessions whose pids are noted where they are, for the next
// leader.
func (w *worker) shadowPool(ctx context.Context, dsn string, limit int, o pg.Options) (*pgxpool.Pool, error) {
	return pg.NewPoolWith(ctx, dsn, limit, o, func(c *pgxpool.Config) {
		c.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
			return control.NoteSession(ctx, conn, w.run.ID)
		}
	})
}

// waitForTarget passes a moment in which the shadow is away. Production works on; its
// journals are the only thing that grows.
func (w *worker) waitForTarget(ctx context.Context, cause error) error {
	if !w.away {
		w.away = true
		w.log.Warn("the shadow cannot be reached; waiting for it", "error", cause)
		if err := control.NoteThrottled(ctx, w.sides.Production, w.run, shadowAway); err != nil {
			return err
		}
	}
	if !w.run.Phase.Swapped() { // from the swap on nothing is captured here
		if err := w.guardSize(ctx); err != nil {
			return err
		}
	}
	if err := w.reason(ctx); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(lookForShadow):
		return nil
	}
}

// reunite takes back what waitForTarget said, once the shadow is there again.
func (w *worker) reunite(ctx context.Context) error {
	if !w.away {
		return nil
	}
	w.away = false
	w.log.Info("the shadow is back")
	return control.NoteThrottled(ctx, w.sides.Production, w.run, "")
}

// reason answers who waits for a cutover while the shadow is away. Of one that
// was left half done nobody knows yet that it changed nothing: it is waited for.
func (w *worker) reason(ctx context.Context) error {
	if w.run.Phase == control.Cutover {
		return nil
	}
	if w.once {
		return w.because(cutover.Blocker{Message: shadowAway})
	}
	asked, _, err := control.Requested(ctx, w.sides.Production, w.run)
	if err != nil || !asked {
		return err
	}
	if err := control.Event(ctx, w.sides.Production, w.run, control.CutoverRefused, map[string]any{"reason": shadowAway}); err != nil {
		return err
	}
	return control.Answered(ctx, w.sides.Production, w.run, w.run.Phase)
}

// mirrored runs f while production's copy of the shadow's positions is kept.
func (w *worker) mirrored(ctx context.Context, f func(context.Context) error) error {
	if !w.sides.Remote() {
		return f(ctx)
	}
	return beside(ctx, mirrorEvery, w.mirror, func(ctx context.Context) error {
		err := f(ctx)
		if err != nil && !errors.Is(err, errStop) || w.run.Phase.Over() {
			return err
		}
		return errors.Join(err, w.mirror(ctx)) // a true copy is left behind where work ended as it should
	})
}

// mirror copies the positions once, as long as rows go the way that this worker is for.
func (w *worker) mirror(ctx context.Context) error {
	w.mirrors.Lock()
	defer w.mirrors.Unlock()
	if w.run.GoesBack() != w.run.Plan.Backwards() {
		return nil
	}
	return control.Mirror(ctx, w.sides, w.run)
}

// connect opens a session of its own in production, for one command or look.
func connect(ctx context.Context, file *planfile.File, component string) (*pgx.Conn, error) {
	conn, err := pg.Connect(ctx, file.Production.DSN, pg.Options{Component: component})
	if err != nil {
		return nil, fmt.Errorf("production: %w", err)
	}
	return conn, nil
}
