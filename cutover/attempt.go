package cutover

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgerrcode"
	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// attempt is one try, with what its steps hand on to later ones. It holds the fence in
// production; the swap is in the same transaction, or in the shadow's own database.
type attempt struct {
	*pair        // in production
	shadow *pair // where the shadow is: in one database the same
	via    transport
	c      *Cutover
	plan   *plans.Plan
	out    *Outcome
	facts  *facts

	started  time.Time        // when it began to hold anything up
	held     time.Time        // since when a pool's clients are held; zero: they are not
	lost     time.Duration    // taken from clients by earlier rounds of the fence
	began    time.Time        // first lock request of this round; zero: nobody waits
	deadline time.Time        // began or, before it, held + max_stall
	mark     string           // an xid8: see local.markDrain and markSwap
	decides  control.Decision // the swap's transaction

	sequences []succession
	closed    taken               // by the swap before this one
	landing   []draw              // the columns of the side that becomes production that draw numbers
	drawn     []draw              // those whose numbers came from elsewhere
	feeders   []uint32            // from these sequences, of the other side
	raised    []placement         // where sequences stand behind them
	turned    *control.TurnedRows // of the direction that begins with the swap; nil: none does
}

func (c *Cutover) newAttempt(out *Outcome) *attempt {
	a := &attempt{c: c, plan: c.Upgrade.Plan, out: out}
	a.via = transportOf(a, c.Sides.Remote(), progress{Place: placeOf(c.ShadowDSN), Follow: c.Upgrade.ToFollow})
	return a
}

// transportOf is the one place that says how an attempt is made; p counts to another
// database alone. What else differs there the table of questions, prepare, Trial, After, Finish
// and Resolve ask by themselves.
func transportOf(a *attempt, remotely bool, p progress) transport {
	if remotely {
		return &remote{attempt: a, progress: p}
	}
	return local{a}
}

// end ends the attempt's sessions, and with them what is not committed.
func (a *attempt) end(ctx context.Context) {
	if a.pair != nil {
		a.close(ctx)
	}
	if a.shadow != nil && a.shadow != a.pair {
		a.shadow.close(ctx)
	}
}

// begun keeps VACUUM off the shadow, wherever it is.
func (a *attempt) begun() []stage {
	if len(a.facts.shadow) == 0 {
		return nil
	}
	return []stage{{"fence", []string{againstVacuum(a.facts.shadow)}}}
}

// warmUp asks what will be asked behind the fence, while nobody waits yet: a
// new session loads catalogs and code when it first needs them, and that took as
// long as the swap itself.
func (a *attempt) warmUp(ctx context.Context) error {
	schemas, _ := a.plan.SchemaNames()
	if _, err := relations(ctx, a.locker, schemas); err != nil {
		return err
	}
	for _, check := range a.c.reverseCheck() {
		if err := pg.ExecScript(ctx, a.shadow.locker, check); err != nil {
			return fmt.Errorf("look at the reverse capture: %w", err)
		}
	}
	return nil
}

// shadowClosed: see [Cutover.closedStill].
func (a *attempt) shadowClosed(ctx context.Context) error {
	return a.c.closedStill(ctx, a.shadow.locker)
}

// approach comes last before clients wait: opening sessions and looking at what the
// swap rests on took its time, in which production went on.
func (a *attempt) approach(ctx context.Context) error { return a.c.Parts.Approach(ctx) }

// reverseCheck fails the swap if the reverse capture is not whole.
func (c *Cutover) reverseCheck() []string {
	if check := c.Parts.ReverseTriggers(); check != "" && c.Upgrade.Plan.Reversible() {
		return []string{check}
	}
	return nil
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

// tellReaders tells what an attempt finds out: which extensions can move along.
func (a *attempt) tellReaders() []stage {
	if !a.facts.objectByObject() {
		return nil
	}
	var all []string
	for _, lock := range a.lockStatement("ACCESS EXCLUSIVE") {
		all = append(all, "-- after the drain, where an extension cannot move along\n"+lock)
	}
	return []stage{{"fence", all}}
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

// readSequences, which nobody draws from until the swap is done or given up.
func (a *attempt) readSequences(ctx context.Context) (err error) {
	a.sequences, err = successions(ctx, a.plan, a.locker, a.shadow.locker)
	if pg.State(err) == pgerrcode.UndefinedTable { // since the look before the fence
		return refuse(sequenceGone(err.Error(), "..."))
	}
	if err != nil {
		return err
	}
	for i := range a.sequences {
		s := &a.sequences[i]
		if was, closed := a.closed.before(s.target.OID); closed {
			s.opened = s.target.openedSince(was)
			s.target, s.reopens = was, true
			s.placed = a.closed.placedAt(s.old.OID)
		}
	}
	turned, err := a.closed.turned(ctx, a.locker)
	if err == nil && len(turned) > 0 {
		err = refuse(turned...)
	}
	return err
}

// compare looks whether tables came or went between the attempt's facts and
// the fence, and whether somebody migrated production: the fence has the lock on the
// version table now, too.
func (a *attempt) compare(ctx context.Context) error {
	production, _ := a.plan.SchemaNames()
	now, err := relations(ctx, a.locker, production)
	if err != nil {
		return err
	}
	if !slices.Equal(now, a.facts.production) {
		return refuse(Blocker{Code: "structure-changed", Message: "tables were made, dropped or renamed while the fence was put up",
			Fix: "look at the new tables; undo the change, or abort and plan again"})
	}
	sequences, err := continuing(ctx, a.observer, a.plan, a.feeders) // another session: ours sees what it has done itself
	if err == nil && !slices.Equal(sequences, a.facts.sequences) {
		err = refuse(Blocker{Code: "structure-changed", Message: "sequences were made, dropped, renamed or given away while the fence was put up",
			Fix: "look at the new sequences; undo the change, or abort and plan again"})
	}
	if err != nil {
		return err
	}
	changed, err := a.c.checkVersion(ctx, a.locker)
	if len(changed) > 0 {
		err = refuse(changed...)
	}
	return err
}

// drain replays what the journals still hold, on other sessions, and in the
// meantime asks who is changing what the swap rests on: the swap would wait for
// him, in vain, for as long as writers may be kept waiting.
func (a *attempt) drain(ctx context.Context) error {
	group, both := errgroup.WithContext(ctx)
	drained := make(chan struct{})
	group.Go(func() (err error) {
		defer close(drained)
		a.out.Drained, err = a.c.Parts.Drain(both)
		return err
	})
	group.Go(func() error {
		if err := a.lookTwice(both, a.c.checkConditions, nil); err != nil {
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
