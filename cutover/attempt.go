package cutover

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// attempt is one try. It holds the fence in production; the swap is in the same
// transaction, or in the shadow's own database.
type attempt struct {
	*pair // in production
	c     *Cutover
	plan  *plans.Plan
	out   *Outcome
	facts *facts

	held     time.Time     // since when a pool's clients are held; zero: they are not
	lost     time.Duration // taken from clients by earlier rounds of the fence
	began    time.Time     // first lock request of this round; zero: nobody waits
	deadline time.Time     // began or, before it, held + max_stall
	guard    string        // the mark, an xid8: see makeMark
	xid      string        // xid8 of the swap

	sequences []succession
	closed    taken               // by the swap before this one
	turned    *control.TurnedRows // of the direction that begins with the swap; nil: none does
}

func (c *Cutover) open(ctx context.Context, out *Outcome) (*attempt, error) {
	a := &attempt{c: c, plan: c.Upgrade.Plan, out: out}
	var err error
	if a.pair, err = openPair(ctx, c.DSN); err != nil {
		return nil, err
	}
	c.trying = a.backends
	if a.facts, err = gather(ctx, a.observer, a.plan); err != nil {
		a.close(ctx)
		return nil, err
	}
	if err = a.readTaken(ctx, a.observer); err != nil {
		a.close(ctx)
		return nil, err
	}
	a.yieldOnDeadlock(ctx, c.settings().LockTimeout, c.Log)
	if err = a.warmUp(ctx); err != nil {
		a.close(ctx)
		return nil, err
	}
	return a, nil
}

// warmUp is [Cutover.warmUp], and asks for old snapshots, which nothing waits
// for in another database.
func (a *attempt) warmUp(ctx context.Context) error {
	const anyTransaction = "3"
	pids, started := a.c.own().Columns()
	if _, err := sessions(ctx, a.observer, blockingSessionsSQL, anyTransaction, a.pid, pids, started); err != nil {
		return fmt.Errorf("look for old snapshots: %w", err)
	}
	if err := lookBefore(ctx, a.lookAgain); err != nil {
		return err
	}
	return a.c.warmUp(ctx, a.pair, a.pair)
}

// warmUp asks what will be asked behind the fence, while nobody waits yet: a
// new session loads catalogs and code when it first needs them, and that took as
// long as the swap itself.
func (c *Cutover) warmUp(ctx context.Context, production, shadow *pair) error {
	schemas, _ := schemaNames(c.Upgrade.Plan)
	if _, err := relations(ctx, production.locker, schemas); err != nil {
		return err
	}
	for _, check := range c.reverseCheck() {
		if err := pg.ExecScript(ctx, shadow.locker, check); err != nil {
			return fmt.Errorf("look at the reverse capture: %w", err)
		}
	}
	return nil
}

// reverseCheck fails the swap if the reverse capture is not whole.
func (c *Cutover) reverseCheck() []string {
	if check := c.Parts.ReverseTriggers(); check != "" && c.Upgrade.Plan.Reversible() {
		return []string{check}
	}
	return nil
}

// lockAgainstVacuum begins the transaction.
func (a *attempt) lockAgainstVacuum(ctx context.Context) error {
	return a.begin(ctx, a.c.settings().LockTimeout, a.c.settings().MaxStall+time.Second, a.facts.shadow)
}

// blockReaders keeps readers out too, where tables are moved one by one. It comes after
// the drain, which reads production on other sessions. A client that has read
// within its transaction and waits to write cannot be waited for: then we are
// the deadlock's victim or out of budget, and the attempt is repeated.
func (a *attempt) blockReaders(ctx context.Context) error {
	if !a.facts.objectByObject() {
		return nil
	}
	return a.watched(ctx, fmt.Sprintf("SET LOCAL statement_timeout = %d;\n%s",
		max(min(a.c.settings().LockTimeout.Milliseconds(), a.left()), 1), strings.Join(a.lockStatement("ACCESS EXCLUSIVE"), "")))
}

func (a *attempt) lockStatement(mode string) []string {
	names := slices.Clone(a.facts.outside)
	for _, r := range a.facts.production {
		names = append(names, r.name)
	}
	if len(names) == 0 {
		return nil
	}
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = "ONLY " + n.Quoted()
	}
	return []string{"LOCK TABLE " + strings.Join(quoted, ", ") + " IN " + mode + " MODE"}
}

func (f *facts) objectByObject() bool {
	return slices.ContainsFunc(f.moves, func(m move) bool { return m.method == objectByObject })
}

func only(relations []relation) string {
	quoted := make([]string, len(relations))
	for i, r := range relations {
		quoted[i] = "ONLY " + r.name.Quoted()
	}
	return strings.Join(quoted, ", ")
}

// step is a part of an attempt that takes of its time.
type step struct {
	name string
	do   func(context.Context) error
}

// behindFence does what has to be done while writers wait. Each step has what
// is left of max_stall.
func (a *attempt) behindFence(ctx context.Context) error {
	if a.plan.Behind != nil {
		return a.steps(ctx, a.stepsWithMigrations())
	}
	return a.steps(ctx, []step{
		{"compare the tables behind the fence", a.compare},
		{"drain", a.drain},
		{"read sequences", a.readSequences},
		{"wait for old snapshots", a.waitForOldSnapshots},
		{"keep readers out", a.blockReaders},
		{"swap", a.swap},
		{"look again", a.lookAgain},
	})
}

// steps does one after the other, as long as max_stall is not used up.
func (a *attempt) steps(ctx context.Context, all []step) error {
	for _, s := range all {
		a.waitedOn = nil
		began := time.Now()
		if err := a.c.hooked(ctx, s); err != nil {
			return a.classify(ctx, s.name, err)
		}
		a.c.Log.Debug("step of the cutover", "step", s.name, "took", time.Since(began))
		if time.Now().After(a.deadline) {
			return refuse(Blocker{Code: "over-budget", Message: s.name + ": max_stall is used up",
				Fix: "try when production is quieter, or raise cutover.max_stall"})
		}
	}
	return nil
}

// hooked does a step, with a test's failures before and after it.
func (c *Cutover) hooked(ctx context.Context, s step) error {
	if c.hook == nil {
		return s.do(ctx)
	}
	if err := c.hook("before " + s.name); err != nil {
		return err
	}
	if err := s.do(ctx); err != nil {
		return err
	}
	return c.hook("after " + s.name)
}

// readSequences, which nobody draws from until the swap is done or given up.
func (a *attempt) readSequences(ctx context.Context) error { return a.readSequencesOf(ctx, a.pair) }

func (a *attempt) readSequencesOf(ctx context.Context, shadow *pair) (err error) {
	if a.sequences, err = successions(ctx, a.plan, a.locker, shadow.locker); err != nil {
		return err
	}
	for i := range a.sequences {
		s := &a.sequences[i]
		if was, closed := a.closed.before(s.target.OID); closed {
			s.target, s.reopens = was, true
		}
	}
	return nil
}

// compare looks whether tables came or went between the attempt's facts and
// the fence.
func (a *attempt) compare(ctx context.Context) error {
	production, _ := schemaNames(a.plan)
	now, err := relations(ctx, a.locker, production)
	if err != nil {
		return err
	}
	if !slices.Equal(now, a.facts.production) {
		return refuse(Blocker{Code: "structure-changed", Message: "tables were made, dropped or renamed while the fence was put up",
			Fix: "look at the new tables; undo the change, or abort and plan again"})
	}
	sequences, err := continuing(ctx, a.observer, a.plan) // another session: ours sees what it has done itself
	if err == nil && !slices.Equal(sequences, a.facts.sequences) {
		err = refuse(Blocker{Code: "structure-changed", Message: "sequences were made, dropped, renamed or given away while the fence was put up",
			Fix: "look at the new sequences; undo the change, or abort and plan again"})
	}
	return err
}

// drain replays the rest and makes the mark.
func (a *attempt) drain(ctx context.Context) error {
	if err := a.replayRest(ctx); err != nil {
		return err
	}
	if err := a.fillMade(ctx); err != nil {
		return err
	}
	return a.makeMark(ctx)
}

// makeMark decides on the transaction by which snapshots are told apart: who
// does not see it as done may not see all of the new tables. It is committed by
// itself, and after every transaction of the drain's.
func (a *attempt) makeMark(ctx context.Context) error {
	return a.observer.QueryRow(ctx, `SELECT pg_current_xact_id()::text`).Scan(&a.guard)
}

// replayRest replays what the journals still hold, on other sessions, and in the
// meantime asks who is changing what the swap rests on: the swap would wait for
// him, in vain, for as long as writers may be kept waiting.
func (a *attempt) replayRest(ctx context.Context) error {
	group, both := errgroup.WithContext(ctx)
	drained := make(chan struct{})
	group.Go(func() (err error) {
		defer close(drained)
		a.out.Drained, err = a.c.Parts.Drain(both)
		return err
	})
	group.Go(func() error {
		if err := a.lookOnce(both, a.c.checkConditions, nil); err != nil {
			return err
		}
		return a.queued(both, drained)
	})
	return group.Wait()
}

func changedBlockers(changed []string) []Blocker {
	var all []Blocker
	for _, what := range changed {
		all = append(all, Blocker{Code: "structure-changed", Message: what, Fix: "undo the change, or abort and plan again"})
	}
	return all
}
