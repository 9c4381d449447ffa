package cutover

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
)

// remote is an attempt at a swap between two databases: production is fenced
// here, and the swap is a transaction of the shadow's own. A rollback is the same with
// the ends exchanged: the new side is what is fenced, and the old one's COMMIT decides. No two commits on two
// servers are one, so the shadow's decides: it is sent when production refuses
// writes for certain and clients are redirected, still held.
//
// Snapshots from before the drain need no guard here: who has one on production
// reads production, which stays as it is, and the fence refuses his writes at
// any isolation level. Nobody has one on the shadow, where no client belongs
// before this.
type remote struct {
	*attempt
	activation []string // statements that lead names to them
	progress   progress
}

var _ transport = (*remote)(nil)

//go:embed sql/open.sql
var openSQL string

// prepare prepares both sides, unless an earlier cutover is not undone.
func (a *remote) prepare(ctx context.Context) error {
	if left, err := a.c.underWay(ctx, a.c.Sides.Production); err != nil || left != nil {
		return cmp.Or(err, refuse(Blocker{Code: "traffic", Message: "an earlier cutover is not undone at each PgBouncer", Fix: "see that each answers"}))
	}
	return a.c.prepareRemote(ctx)
}

// prepared are the fence's function, still open, and golang-migrate's row in the shadow.
func (a *remote) prepared() []stage {
	return []stage{{"ready", append(functionsTold(opened(fenceName(a.c.Upgrade)), fenceName(a.c.Upgrade)), versionAhead(a.plan)...)}}
}

// open opens sessions on both sides.
func (a *remote) open(ctx context.Context) (err error) {
	if a.pair, err = openPair(ctx, a.c.DSN); err != nil {
		return err
	}
	a.c.trying = a.backends
	if a.shadow, err = openPair(ctx, a.c.ShadowDSN); err != nil {
		return fmt.Errorf("the shadow: %w", err)
	}
	a.yieldOnDeadlock(ctx, a.c.settings().LockTimeout, a.c.Log)
	a.shadow.yieldOnDeadlock(ctx, a.c.settings().LockTimeout, a.c.Log)
	return nil
}

// look gathers the facts of both sides.
func (a *remote) look(ctx context.Context) error {
	production, shadow := a.plan.SchemaNames()
	a.facts = new(facts)
	var err error
	if a.facts.production, err = relations(ctx, a.observer, production); err != nil {
		return err
	}
	if a.facts.sequences, err = continuing(ctx, a.observer, a.plan, nil); err != nil {
		return err
	}
	if v := a.plan.VersionTable; v != nil && v.Exists && !v.Moves { // against migrations meanwhile
		a.facts.outside = []pg.Name{v.Name}
	}
	if a.facts.shadow, err = relations(ctx, a.shadow.observer, shadow); err != nil {
		return err
	}
	if a.plan.Reversible() && !a.plan.Backwards() {
		if err := a.facts.gatherTaken(ctx, a.observer, a.plan); err != nil {
			return err
		}
	}
	if err := a.lookForDraws(ctx); err != nil {
		return err
	}
	if err := a.readTaken(ctx, a.shadow.observer); err != nil || a.plan.Backwards() { // the old names lead to the old side as it is
		return err
	}
	a.activation, err = a.c.activations(ctx, a.shadow.observer, &a.facts.taken)
	return err
}

func (a *remote) warmUp(ctx context.Context) error {
	if err := a.attempt.warmUp(ctx); err != nil {
		return err
	}
	return lookBefore(ctx, a.lookAgain, a.lookAtTheLast)
}

// begin begins both transactions, which outlive the wait for clients.
func (a *remote) begin(ctx context.Context) error {
	s := a.c.settings()
	idle := s.MaxStall + a.c.pausePatience() + time.Second
	if err := a.pair.begin(ctx, s.LockTimeout, idle, nil); err != nil {
		return err
	}
	if err := a.shadow.begin(ctx, s.LockTimeout, idle, a.facts.shadow); err != nil {
		a.waitedOn = a.shadow.waitedOn
		return err
	}
	return nil
}

// hold holds clients: what they have begun ends, what comes waits. Clients that
// do not end their transactions in time are named, and all go on.
func (a *remote) hold(ctx context.Context) error {
	unfinished, err := a.c.unfinished(ctx, a.observer)
	if err != nil {
		return err
	}
	if len(unfinished) > 0 {
		return refuse(unfinished...)
	}
	if err := a.c.note(ctx, a.c.Sides.Production, &a.progress, pausing); err != nil {
		return err
	}
	if a.c.Traffic != nil {
		a.held = time.Now()
		if err := a.c.hold(ctx); err != nil {
			return a.whyNotHeld(ctx, a.held, err)
		}
	}
	err = a.c.note(ctx, a.c.Sides.Production, &a.progress, fencing)
	if err != nil && a.c.Traffic != nil { // a successor may have looked before they were held, and undo then leaves all to it
		err = errors.Join(err, a.c.Traffic.Resume(ctx))
	}
	return err
}

func (a *remote) whyNotHeld(ctx context.Context, since time.Time, cause error) error {
	if ctx.Err() != nil || errors.Is(cause, control.ErrFencedOff) {
		return cause
	}
	pids, started := a.c.own().Columns()
	found, err := sessions(ctx, a.observer, openSQL, time.Since(since).Seconds(), pids, started)
	if err != nil {
		return fmt.Errorf("look who keeps clients from being held: %w", err)
	}
	if len(found) == 0 || !errors.Is(cause, context.DeadlineExceeded) {
		return refuse(trafficBlocker(cause))
	}
	return refuse(blockersOf("transaction", found)...)
}

func trafficBlocker(cause error) Blocker {
	return Blocker{Code: "traffic", Message: cause.Error(), Fix: "see that clients can be redirected: pgumbra plan checks it"}
}

// markDrain marks nothing, as nothing is waited for: no snapshot is on the shadow.
func (a *remote) markDrain(context.Context) error { return nil }

// markSwap marks nothing, likewise.
func (a *remote) markSwap(context.Context) error { return nil }

// outwait waits for nobody, likewise.
func (a *remote) outwait(context.Context) error { return nil }

// guard guards nothing, likewise.
func (a *remote) guard(context.Context) error { return nil }

func (a *remote) guarded() []stage { return nil }

// refuseWrites fences production for good: until then the locks do it. Capture
// goes on, so that there is no gap in it should this be undone; nothing comes.
func (a *remote) refuseWrites(ctx context.Context) error {
	if err := a.play(ctx, a.pair, a.refusal()); err != nil {
		return err
	}
	a.progress.FenceBackend = a.pid
	if err := a.locker.QueryRow(ctx, `SELECT pg_current_xact_id()::text`).Scan(&a.progress.Fence); err != nil {
		return err
	}
	if err := a.c.note(ctx, a.locker, &a.progress, switching); err != nil {
		return err
	}
	err := sendCommit(ctx, a.locker)
	if errors.Is(err, errNoAnswer) { // whatever became of it, the shadow is not committed
		return refuse(Blocker{Code: "connection-lost", Message: "the connection to production was lost: " + err.Error(),
			Fix: "nothing changed; it is tried again"})
	}
	return err
}

// refusal closes the fence and production's sequences.
func (a *remote) refusal() []stage {
	run := a.c.Upgrade
	return []stage{
		{"fence", append([]string{closedFence(run, a.progress.Place, control.Ours(run))}, remoteFence(run, a.facts.production)...)},
		{"sequences", a.closeSequences()},
	}
}

func (a *remote) refused() []stage {
	var all []string
	for _, s := range a.refusal() {
		all = append(all, s.sql...)
	}
	return []stage{{"old side", all}}
}

// closeSequences lets production's sequences hand out nothing more, and notes
// what opens them again. The condition lets that be repeated: once opened, one
// may be in use.
func (a *remote) closeSequences() []string {
	var all []string
	a.progress.Sequences = nil
	for _, s := range a.sequences {
		name := s.plan.Production.Quoted()
		all = append(all, s.close(name)...)
		a.progress.Sequences = append(a.progress.Sequences, s.reopen(name))
	}
	return all
}

// redirect leads clients over, who wait on.
func (a *remote) redirect(ctx context.Context) error {
	if a.c.Traffic != nil {
		err := a.c.Traffic.Switch(ctx, a.c.to())
		if err != nil && ctx.Err() == nil && !errors.Is(err, control.ErrFencedOff) {
			err = refuse(trafficBlocker(err))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// noteDecision tells whoever comes after a crash to ask the shadow. Nothing is
// done between it and the COMMIT.
func (a *remote) noteDecision(ctx context.Context) error {
	if err := a.stillFenced(ctx); err != nil {
		return err
	}
	return a.c.note(ctx, a.c.Sides.Production, &a.progress, deciding)
}

// stillFenced asks whether production, as new sessions reach it, has what the
// fence's transaction noted: a standby that was promoted a moment ago may lack
// it, and takes writes.
func (a *remote) stillFenced(ctx context.Context) error {
	p, err := a.c.underWay(ctx, a.c.Sides.Production)
	if err != nil || p != nil && p.Fence == a.progress.Fence && p.Decision == a.decides {
		return err
	}
	return refuse(Blocker{Code: "fence-lost", Message: "production lost its fence: it failed over to a standby that was behind, or was restored",
		Fix: "see which server production.dsn leads to; nothing is swapped"})
}

// lookAtTheLast looks once more at both sides, since leading clients over takes
// its time. By then production's tables have the fence's triggers, so that
// capture's signature is another one.
func (a *remote) lookAtTheLast(ctx context.Context) error {
	group, both := errgroup.WithContext(ctx)
	group.Go(func() error { return a.lookTwice(both, a.c.checkConditions, a.c.Parts.SchemasChanged) })
	group.Go(func() error { return a.shadow.lookTwice(both, a.c.checkShadowConditions, nil) })
	return group.Wait()
}

// answered: clients wait until they are let go.
func (a *remote) answered() {}

// release ends the stall: clients go on at the shadow.
func (a *remote) release(ctx context.Context) error {
	defer a.tellLate(context.WithoutCancel(ctx))
	return a.c.forward(ctx, &a.progress, func() []byte {
		a.out.Stall = time.Since(a.began)
		if !a.held.IsZero() {
			a.out.Held = a.c.held + time.Since(a.held)
		}
		return a.report(a.out.Stall)
	})
}

// tellLate names what the database that was production got of its own between the last
// look and the COMMIT: no lock keeps that out, and nobody brings it over.
func (a *remote) tellLate(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, notePatience)
	defer cancel()
	found, err := a.c.checkConditions(ctx, a.observer)
	if err != nil {
		a.c.Log.Debug("what came in the last moment is not known", "error", err)
	}
	for _, b := range found {
		if b.Code == databaseChanged {
			a.c.Log.Warn("it came in the last moment before the swap, and was left behind", "what", b.Message)
		}
	}
}

// databaseChanged is the code of the condition that compares what a database has of its own.
const databaseChanged = "database-changed"

// taken is the stall, or how long the attempt tried.
func (a *remote) taken() time.Duration {
	if a.out.Stall != 0 || a.started.IsZero() {
		return a.out.Stall
	}
	return time.Since(a.started)
}

// undo ends the sessions, which undoes the swap and whatever locks are left, and then
// undoes what was committed in production or told to clients. Where it is not known
// whether the shadow committed, or another process leads, clients are held and
// production is fenced: whoever learns more decides.
func (a *remote) undo(ctx context.Context, cause error) error {
	if errors.Is(cause, ErrUnknown) || errors.Is(cause, control.ErrFencedOff) {
		return cause
	}
	a.end(ctx)
	undone := a.c.back(ctx, &a.progress)
	a.countHeld()
	if errors.Is(undone, errMisrouted) {
		return refuse(trafficBlocker(cause), Blocker{Code: "traffic", Message: undone.Error(), Fix: "see to that PgBouncer; it is looked after every few seconds"})
	}
	if undone != nil {
		return fmt.Errorf("undo the cutover, given up because of %q: %w", cause.Error(), undone) // not the refusal that it was
	}
	return cause
}
