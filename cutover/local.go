package cutover

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/plans"
)

// local swaps within one database. All of it is one transaction, on production's tables
// and the shadow's: whoever ends it early has undone it, and its COMMIT decides.
type local struct{ *attempt }

var _ transport = local{}

func (l local) prepare(ctx context.Context) error { return l.c.prepare(ctx) }

// prepared are the functions of guards and fence, and golang-migrate's row in the shadow.
func (l local) prepared() []stage {
	run := l.c.Upgrade
	return []stage{
		{"guard", append(functionsTold(guardFunction(run), guardName(run)), readFunctionTexts(run)...)},
		{"old side", functionsTold(fenceFunction(run, control.Ours(run)), fenceName(run))},
		{"version", versionAhead(l.plan)},
	}
}

// open opens one set of sessions: production's are the shadow's too.
func (l local) open(ctx context.Context) error {
	p, err := openPair(ctx, l.c.DSN)
	if err != nil {
		return err
	}
	l.pair, l.attempt.shadow, l.c.trying = p, p, p.backends
	p.yieldOnDeadlock(ctx, l.c.settings().LockTimeout, l.c.Log)
	return nil
}

func (l local) look(ctx context.Context) (err error) {
	if l.facts, err = gather(ctx, l.observer, l.plan); err != nil {
		return err
	}
	if err = l.lookForDraws(ctx); err != nil {
		return err
	}
	return l.readTaken(ctx, l.observer)
}

// warmUp asks for old snapshots too, which nothing waits for in another database.
func (l local) warmUp(ctx context.Context) error {
	pids, started := l.c.own().Columns()
	if _, err := sessions(ctx, l.observer, snapshotHoldersSQL, anyTransaction, l.pid, pids, started); err != nil {
		return fmt.Errorf("look for old snapshots: %w", err)
	}
	if err := lookBefore(ctx, l.lookAgain); err != nil {
		return err
	}
	return l.attempt.warmUp(ctx)
}

// begin begins the transaction, and keeps autovacuum off the shadow.
func (l local) begin(ctx context.Context) error {
	s := l.c.settings()
	return l.pair.begin(ctx, s.LockTimeout, s.MaxStall+time.Second, l.facts.shadow)
}

// hold holds nobody: clients stay where they are, and the fence's locks make them wait.
func (l local) hold(context.Context) error { return nil }

// redirect redirects nobody: the names lead to the shadow from the COMMIT on.
func (l local) redirect(context.Context) error { return nil }

// answered: with the answer to COMMIT the locks are gone.
func (l local) answered() { l.out.Stall = time.Since(l.began) }

// release has nobody to let go, and notes what the COMMIT has made true.
func (l local) release(ctx context.Context) error {
	run := l.c.Upgrade
	run.Entered(run.Landing())
	if l.turned != nil {
		run.Turned(run.Plan.Flow().Opposite())
	}
	l.remember(ctx)
	return nil
}

// remember corrects the recorded stall, which was measured just before the
// commit. Not worth failing for.
func (l local) remember(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := control.CorrectOutcome(ctx, l.observer, l.c.Upgrade, l.report(l.out.Stall)); err != nil {
		l.c.Log.Warn("the recorded stall lacks the commit", "error", err)
	}
}

// taken is the time in which the fence stood or was asked for.
func (l local) taken() time.Duration {
	taken := l.lost + l.out.Stall
	if l.out.Stall == 0 && !l.began.IsZero() {
		taken += time.Since(l.began)
	}
	return taken
}

// markDrain decides on the transaction by which snapshots are told apart: who
// does not see it as done may not see all of the new tables. It is committed by
// itself, and after every transaction of the drain's.
func (l local) markDrain(ctx context.Context) error {
	return l.observer.QueryRow(ctx, `SELECT pg_current_xact_id()::text`).Scan(&l.mark)
}

// markSwap does so where migrations run behind the fence. What they write is visible
// from the COMMIT on only, so that the mark is the swapping transaction's own number,
// and older snapshots are waited out last.
func (l local) markSwap(ctx context.Context) error {
	return l.locker.QueryRow(ctx, `SELECT pg_catalog.pg_current_xact_id()::text`).Scan(&l.mark)
}

// outwait waits for every session of this database that had a snapshot when the
// mark was made, as CREATE INDEX CONCURRENTLY does: such a snapshot would see the
// new tables without what the drain wrote. The list is made once; snapshots that
// are taken later see all of it, however old their xmin looks.
//
// Sessions that wait for our own fence, or for others that do, would be waited
// for in vain. Most take a new snapshot when they go on; who does not meets a
// guard: see [guards].
func (l local) outwait(ctx context.Context) error {
	first, err := l.blockingSessions(ctx, l.mark)
	if err != nil {
		return err
	}
	left := first
	for wait := 2 * time.Millisecond; ; wait = min(2*wait, 20*time.Millisecond) {
		left = still(left, first)
		if len(left) == 0 {
			return nil
		}
		l.waitedOn = blockersOf("snapshot", left)
		if err := pause(ctx, wait); err != nil {
			return err
		}
		if left, err = l.blockingSessions(ctx, l.mark); err != nil {
			return err
		}
	}
}

// guard guards the tables as the migrations left them, and the materialized
// views, since one that they made shows an older snapshot nothing (one that was
// refreshed shows all).
func (l local) guard(ctx context.Context) error {
	production, _ := l.plan.SchemaNames()
	tables, err := relations(ctx, l.locker, production)
	if err != nil {
		return err
	}
	views, err := relationsOf(ctx, l.locker, production, "m")
	if err != nil {
		return err
	}
	return l.play(ctx, l.pair, l.guardsOf(tables, views))
}

func (l local) guardsOf(tables, views []relation) []stage {
	return []stage{{"guard", append(guards(l.c.Upgrade, tables, l.mark), readGuards(l.c.Upgrade, views, len(tables), l.mark)...)}}
}

// guarded tells of what is known.
func (l local) guarded() []stage {
	others := ToldOfRows
	if l.plan.Behind.Unseen != "" {
		others = ToldUnseen
	}
	return append(l.guardsOf(afterMigrations(l.plan, l.facts.shadow), viewsAfterMigrations(l.plan)), stage{"guard", []string{others}})
}

// swap runs the script, and then lets sequences go on.
func (l local) swap(ctx context.Context) error {
	if err := l.play(ctx, l.pair, l.script()); err != nil {
		return err
	}
	return l.succeed(ctx)
}

// swapped is the script, with sequences by the names that they have then. Migrations
// behind the fence write golang-migrate's row themselves, and a sequence that they drop is
// open again on the old side, see [attempt.standingsBehind].
func (l local) swapped() []stage {
	all := l.script()
	if l.plan.Behind != nil {
		all = append(all, stage{"version", versionsBehind(l.plan)})
	}
	var succession []string
	for _, s := range l.sequences {
		old := l.plan.Old(s.plan.Production).Quoted()
		succession = append(append(succession, s.close(old)...), s.proceed(l.plan.Final(s.plan.Shadow).Quoted())...)
		if l.plan.Behind != nil && slices.Contains(l.plan.Behind.Renamed, plans.Renaming{From: l.plan.Final(s.plan.Shadow)}) {
			succession = append(succession, reopened(s.old).proceed(old)...)
		}
	}
	return append(all, stage{"succession", succession})
}

// script is everything that the swap runs but its own record, in order. Names
// are those that hold when a statement is reached.
func (l local) script() []stage {
	run, names := l.c.Upgrade, stage{"names", names(l.plan, l.facts.moves)}
	switch {
	case l.plan.Backwards(): // the new side is fenced as the old one was, which gets back what it had
		return []stage{
			{"sequences", l.c.ownSequences()},
			{"capture", l.c.reverseCheck()},
			{"guard", guards(run, l.facts.shadow, l.mark)},
			{"new side", oldSide(run, l.facts)},
			{"old side", append(l.facts.taken.restore(l.facts.shadow), opened(oldFenceName(run)))},
			{"version", outsideVersion(l.plan)},
			names,
		}
	case l.plan.Behind != nil: // so that the migrations find all under the true names
		return []stage{
			{"sequences", l.c.ownSequences()},
			{"structure", entryStatements(l.c.Parts.SwapEntries())},
			{"gate", []string{opened(writeBlockName(run))}},
			{"old side", append(l.facts.taken.silence(l.facts.production), oldSide(run, l.facts)...)},
			names,
		}
	}
	return []stage{
		{"sequences", l.c.ownSequences()},
		{"structure", entryStatements(l.c.Parts.SwapEntries())},
		{reverseStage, l.c.reverseCheck()},
		{"gate", []string{opened(writeBlockName(run))}},
		{"guard", guards(run, l.facts.shadow, l.mark)},
		{"old side", append(l.facts.taken.silence(l.facts.production), oldSide(run, l.facts)...)},
		{"version", outsideVersion(l.plan)},
		names,
	}
}

// record notes the swap in its own transaction: phase, outcome, and the transaction's
// number, by which a lost connection finds out how it ended.
func (l local) record(ctx context.Context) error {
	if v := l.plan.VersionTable; v != nil && !v.Moves && !v.Exists && l.plan.ToVersion != nil && l.plan.Behind == nil && !l.plan.Backwards() {
		if err := strip(ctx, l.locker, "TABLE", v.Name.Quoted(), tableACL, v.Name); err != nil {
			return err
		}
	}
	run := l.c.Upgrade
	if l.turned != nil { // rows go the other way from now on
		t, err := l.noteTaken(ctx)
		if err == nil {
			err = control.TurnAround(ctx, l.locker, run, l.turned, t)
		}
		if err != nil {
			return err
		}
	}
	if err := control.Advance(ctx, l.locker, run, run.Landing()); err != nil {
		return err
	}
	var err error
	l.decides, l.out.At, err = control.NoteSwap(ctx, l.locker, run, l.report(time.Since(l.began)))
	return err
}

// refuseWrites refuses none: the old side is fenced by the swap itself, and the locks
// stand until its COMMIT.
func (l local) refuseWrites(context.Context) error { return nil }

func (l local) refused() []stage { return nil }

// lookAtTheLast has looked: nothing came after the last look.
func (l local) lookAtTheLast(context.Context) error { return nil }

// noteDecision notes nothing: one COMMIT decides all there is.
func (l local) noteDecision(context.Context) error { return nil }

// undo has nothing to do: the ROLLBACK at the end of the sessions undoes all.
func (l local) undo(_ context.Context, cause error) error { return cause }
