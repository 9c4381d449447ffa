package cutover

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pgumbra/pgumbra/plans"
)

// protocol is a cutover, or a rollback, in one database or to another: the steps in
// their order, what undoes each, what the dry run tells of it, and what of the stall it is
// counted to. [attempt.run] goes through them. via: the [transport] does it, in one
// database otherwise than to another.
//
// What is undone by ROLLBACK is undone by whoever ends the sessions: we, the server, a
// crash. The rest is undone by [Cutover.back], from the last row to the first, in the
// process that did it or in the next one.
var protocol = []step{
	// Nobody waits and nobody notices. What is made is made again by the next attempt.
	{"prepare", ahead, whenever, via(transport.prepare), (*retreat).dropFence, telling(transport.prepared), uncounted},
	{"open sessions", ahead, whenever, via(transport.open), byRollback, untold, uncounted},
	{"look", ahead, whenever, via(transport.look), byRollback, untold, uncounted},
	{"warm up", ahead, whenever, via(transport.warmUp), byRollback, untold, uncounted},

	// The shadow is kept still, then clients are: each step has a budget of its own.
	{"begin", holding, whenever, via(transport.begin), byRollback, telling(transport.begun), uncounted},
	{"keep REFRESH off the materialized views", holding, whenever, (*attempt).holdViews, byRollback, untold, uncounted},
	{"see that the shadow is closed", holding, whenever, (*attempt).shadowClosed, byRollback, untold, uncounted},
	{"approach", holding, whenever, (*attempt).approach, byRollback, untold, uncounted},
	{"meet the others before the fence", holding, whenever, (*attempt).meetBeforeFence, byRollback, untold, uncounted},
	{"hold clients", holding, whenever, via(transport.hold), (*retreat).letGo, untold, uncounted},
	{"fence", holding, whenever, (*attempt).fence, byRollback, (*attempt).tellFence, partFence},

	// Behind the fence, within what is left of max_stall.
	{"compare the tables behind the fence", stalling, whenever, (*attempt).compare, byRollback, untold, partDrain},
	{"drain", stalling, whenever, (*attempt).drain, byRollback, untold, partDrain},
	{"fill materialized views", stalling, whenever, (*attempt).fillMade, byRollback, untold, partDrain},
	{"mark the drain", stalling, complete, via(transport.markDrain), byRollback, untold, partDrain},
	{"read sequences", stalling, whenever, (*attempt).readSequences, byRollback, untold, partSequences},
	{"wait for old snapshots", stalling, complete, via(transport.outwait), byRollback, untold, partSnapshots},
	{"keep readers out", stalling, whenever, (*attempt).blockReaders, byRollback, (*attempt).tellReaders, partSnapshots},
	{"swap", stalling, whenever, via(transport.swap), byRollback, telling(transport.swapped), partSwap},
	{"list the foreign keys to validate", stalling, migrating, (*attempt).listUnvalidated, byRollback, untold, partBehind},
	{"mark the swap", stalling, migrating, via(transport.markSwap), byRollback, untold, partBehind},
	{"run the migrations", stalling, migrating, (*attempt).migrate, byRollback, untold, partBehind},
	{"wait for snapshots from before", stalling, migrating, via(transport.outwait), byRollback, untold, partBehind},
	{"guard", stalling, migrating, via(transport.guard), byRollback, telling(transport.guarded), partBehind},
	{"record the swap", stalling, whenever, via(transport.record), byRollback, untold, partLook},
	{"meet the others behind the fence", stalling, whenever, (*attempt).meetBehindFence, byRollback, untold, partOthers},
	{"look again", stalling, whenever, (*attempt).lookAgain, byRollback, untold, partLook},
	{"refuse writes to production", stalling, whenever, via(transport.refuseWrites), (*retreat).openFence, telling(transport.refused), partClients},
	{"redirect clients", stalling, whenever, via(transport.redirect), withTheirRelease, untold, partClients},
	{"look at the last", stalling, whenever, via(transport.lookAtTheLast), byRollback, untold, partLook},
	{"note the decision", stalling, whenever, via(transport.noteDecision), byRollback, untold, partLook},

	{"meet the others before the commit", stalling, whenever, (*attempt).meetBeforeCommit, byRollback, untold, partOthers},

	// It happened, or it did not. Nothing is undone from here on.
	{"commit", decided, whenever, (*attempt).commit, byNobody, untold, partCommit},
	{"release", decided, whenever, via(transport.release), byNobody, untold, uncounted},
}

// step of the protocol.
type step struct {
	name string
	part part
	when when
	do   action
	undo undo
	tell func(*attempt) []stage
	of   string // the stall's part that its time is counted to
}

type action = func(*attempt, context.Context) error

// part of the protocol, which says what a step's failure means.
type part int

const (
	ahead    part = iota // a failure undoes nothing: what is made waits for the next attempt, or is replaced by it
	holding              // all is
	stalling             // likewise, and the time is over at the attempt's deadline
	decided              // nobody may undo anything
)

// when a step is taken.
type when int

const (
	whenever  when = iota
	complete       // the shadow is what the migrations make
	migrating      // migrations run behind the fence
)

func (w when) holds(plan *plans.Plan) bool {
	return w == whenever || (w == migrating) == (plan.Behind != nil)
}

// transport is what a cutover does otherwise in one database ([local]) than to another
// one ([remote]), where it is locked, recorded and undone on two servers. What one of
// them need not do its method says.
type transport interface {
	readiness
	clients
	snapshots
	swapping
	told
}

// readiness: what comes before the fence.
type readiness interface {
	prepare(ctx context.Context) error // what needs no session of the attempt's
	open(ctx context.Context) error    // the attempt's sessions
	look(ctx context.Context) error    // at the catalogs
	warmUp(ctx context.Context) error  // asks what will be asked behind the fence
	begin(ctx context.Context) error   // the transactions
}

// clients of a pool.
type clients interface {
	hold(ctx context.Context) error
	redirect(ctx context.Context) error
	answered() // by the server, to COMMIT
	release(ctx context.Context) error
	taken() time.Duration // from them, by this attempt
}

// snapshots from before the swap, which would see the new tables without what the
// drain wrote.
type snapshots interface {
	markDrain(ctx context.Context) error
	markSwap(ctx context.Context) error
	outwait(ctx context.Context) error
	guard(ctx context.Context) error
}

// swapping: the swap and what makes it the only one.
type swapping interface {
	swap(ctx context.Context) error
	record(ctx context.Context) error
	refuseWrites(ctx context.Context) error
	lookAtTheLast(ctx context.Context) error
	noteDecision(ctx context.Context) error
	undo(ctx context.Context, cause error) error
}

// told are the texts that steps send, by parts, for the dry run.
type told interface {
	prepared() []stage
	begun() []stage
	swapped() []stage
	guarded() []stage
	refused() []stage
}

// via is a step of the transport's.
func via(do func(transport, context.Context) error) action {
	return func(a *attempt, ctx context.Context) error { return do(a.via, ctx) }
}

// telling are texts of the transport's.
func telling(texts func(transport) []stage) func(*attempt) []stage {
	return func(a *attempt) []stage { return texts(a.via) }
}

// untold: the step changes nothing on a server that a dry run would show, or what others
// tell of.
func untold(*attempt) []stage { return nil }

// run goes through the protocol. After a failure all is undone, unless nothing was done
// yet, or the swap has happened: what is left then is for whoever leads next.
func (a *attempt) run(ctx context.Context) error {
	var left error
	for _, s := range protocol {
		if !s.when.holds(a.plan) {
			continue
		}
		if s.part != ahead && a.started.IsZero() {
			a.started = time.Now()
		}
		err := a.take(ctx, s)
		if err != nil && !a.out.Swapped {
			a.tellLeft(err)
		}
		switch {
		case a.out.Swapped:
			left = errors.Join(left, err)
		case err != nil && s.part == ahead:
			return err
		case err != nil:
			return a.via.undo(ctx, err)
		}
	}
	return left
}

// take takes one step. Behind the fence it has what is left of max_stall.
func (a *attempt) take(ctx context.Context, s step) error {
	began := time.Now()
	if s.part == ahead || s.part == decided {
		err := a.c.hooked(ctx, a, s)
		a.spend(s, began)
		return err
	}
	if s.part == stalling {
		stall, cancel := context.WithDeadline(ctx, a.deadline)
		defer cancel()
		ctx = stall
	}
	a.waitedOn = nil
	if err := a.c.hooked(ctx, a, s); err != nil {
		return a.classify(ctx, s.name, began, err)
	}
	a.spend(s, began)
	a.c.Log.Debug("step of the cutover", "step", s.name, "took", time.Since(began))
	if s.part == stalling && time.Now().After(a.deadline) {
		return refuse(Blocker{Code: "over-budget", Message: fmt.Sprintf("cutover.max_stall was over when the step %q was done", s.name),
			Fix: "try when production is quieter, or raise cutover.max_stall"})
	}
	return nil
}

// hooked does a step, with a test's failures before and after it.
func (c *Cutover) hooked(ctx context.Context, a *attempt, s step) error {
	if c.hook == nil {
		return s.do(a, ctx)
	}
	if err := c.hook("before " + s.name); err != nil {
		return err
	}
	if err := s.do(a, ctx); err != nil {
		return err
	}
	return c.hook("after " + s.name)
}
