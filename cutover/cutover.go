// Package cutover puts the shadow in production's place: it checks that a swap
// may be tried, stops writes with one LOCK TABLE (the fence), lets replay drain
// the journals, waits until nobody holds a snapshot from before the drain,
// and swaps the names, all in one transaction and within max_stall. What the
// swap leaves to do is done after it, and at the end of the watch the rest.
//
// It never waits for a client without a budget, never keeps a client waiting
// beyond max_stall, and never guesses how a transaction ended: what a lost
// connection leaves open is looked up on the server.
//
// With the shadow in another database, clients are held and redirected too, and
// the commit on the shadow decides: see [Cutover.Resolve]. Going back is the same
// with the ends exchanged. protocol.go has all steps in their order.
//
// Order of calls: [Cutover.Resolve] first, [Cutover.Check] at any time, [Cutover.Attempt] until one
// swaps, with pauses that are the caller's, [Cutover.After] again and again
// until it succeeds, [Cutover.Finish] at the end.
//
// It is one package since an attempt, its trial, its dry run, its undoing and its
// resolution by the next leader rest on the same steps and the texts that these send, in
// one database and to another one, there and back. Lists of them that stood in several
// places have drifted apart before. What knows of no run, how clients are redirected, is package
// traffic.
package cutover

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgerrcode"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// ErrUnknown says that the connection was lost at the swap's COMMIT and that the
// server does not tell what became of the transaction. A human must look at the
// row of the run in pgumbra.run; the caller changes nothing.
var ErrUnknown = errors.New("the outcome of the swap is unknown")

// Cutover swaps one run. Not for use by several goroutines at once. Most of its methods
// are checks and works of one step, which the table of steps or the list of checks names;
// what one attempt knows is in [attempt].
type Cutover struct {
	// Sides are pools of sessions that look for names in pg_catalog alone.
	Sides control.Sides
	// DSN and ShadowDSN are for an attempt's own sessions: direct, no pooler
	// between. ShadowDSN counts only where the shadow is another database; host,
	// port and database name of it are told to clients that come too late.
	DSN       string
	ShadowDSN string
	// Traffic leads clients to another database; nil: people do.
	Traffic Traffic
	// Upgrade is the run that is swapped; a reversed one is rolled back.
	Upgrade *control.Run
	// Again, of a rollback, is the run as it goes on afterwards: the new side is
	// followed again. nil: the run is over then.
	Again *control.Run
	Parts Parts
	// With are the attempts that swap at the same moment as the next one; nil: it is alone.
	With Companions
	// Own are this process's sessions in production beside the attempt's, which
	// nobody waits for; nil: none.
	Own func() pg.Backends
	Log *slog.Logger

	attempts  int
	slow      int                // of them, that ended by a step's own work
	trying    pg.Backends        // the attempt's sessions in production
	held      time.Duration      // for how long clients were held, in all attempts
	views     map[pg.Name]filled // by the shadow's name
	keysClean time.Time          // when NewForeignKeys last had nothing to say
	// drawnFirst are sequences, by oid, that clients draw from before they lock a
	// table: see [attempt.fence].
	drawnFirst []uint32
	// beforeCommit lets tests break the connection at the worst moment, hook
	// fail before or after each step of an attempt.
	beforeCommit func(backend uint32)
	hook         func(moment string) error
	lookFor      time.Duration // instead of lookPatience
}

// Blocker is something that stands against a swap now.
type Blocker struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Fix     string `json:"fix"`
	// Lasting: waiting does not help, somebody must act.
	Lasting bool `json:"-"`
	// AcceptLoss: a rollback that accepts loss passes it.
	AcceptLoss bool `json:"-"`
}

func (b Blocker) String() string { return b.Message }

// Reason is the message with what to do about it.
func (b Blocker) Reason() string {
	if b.Fix == "" {
		return b.Message
	}
	return b.Message + " (" + b.Fix + ")"
}

// Outcome of an attempt, or of a series of them.
type Outcome struct {
	Swapped  bool
	Attempts int
	// Blockers are why it was not possible; empty after a swap.
	Blockers []Blocker
	// Reasons are the blockers' messages.
	Reasons  []string
	At       time.Time     // of the swap, by the server's clock
	LockWait time.Duration // from the first lock request until the fence stood
	Drained  int64         // journal rows replayed behind the fence
	Stall    time.Duration // from the first lock request to the commit's answer
	Parts    []PartTime    // what the stall was spent on, in the order of the steps
	Held     time.Duration // for how long a pool's clients were held, in all attempts until then
	Taken    time.Duration // what the attempt took from clients, swapped or not
	// Migrations are those that ran behind the fence.
	Migrations []FileTime

	unvalidated []foreignKey
}

// notNow ends an attempt that changed nothing and may be repeated.
type notNow struct{ blockers []Blocker }

func (n *notNow) Error() string {
	if len(n.blockers) == 0 {
		return "not now"
	}
	return n.blockers[0].Message
}

func refuse(blockers ...Blocker) error { return &notNow{blockers} }

// NotNow is what a part of [Parts] returns to end the attempt for a reason of its
// own: it is rolled back, and may be repeated.
func NotNow(blockers ...Blocker) error { return refuse(blockers...) }

// backwards: the run is a reversed one, whose swap is a rollback.
func (c *Cutover) backwards() bool { return c.Upgrade.Plan.Backwards() }

func (c *Cutover) settings() plans.CutoverSettings { return c.Upgrade.Plan.Settings.Cutover }

// Attempt tries to swap once. From its first lock request production's writers
// wait (in a schema whose tables are moved one by one, readers too), for
// max_stall at the most. When the fence does not stand within lock_timeout,
// the drain or old snapshots take too long, or anything else is in the way,
// everything is rolled back and the Outcome names it. To another database,
// clients are held before that, for max_stall at the most until their open
// transactions end; an error after the swap (Outcome.Swapped) leaves
// the rest to [Cutover.Resolve]. Returns [ErrUnknown]
// when the fate of the commit cannot be learned, [control.ErrFencedOff] when
// another process leads.
func (c *Cutover) Attempt(ctx context.Context) (Outcome, error) {
	c.attempts++
	out := Outcome{Attempts: c.attempts}
	err := c.attempt(ctx, &out)
	c.count(ctx, out.Taken)
	var no *notNow
	if errors.As(err, &no) {
		out.Blockers = no.blockers
		for _, b := range no.blockers {
			out.Reasons = append(out.Reasons, b.Message)
		}
		return out, nil
	}
	return out, err
}

// attempt is one try, from the first step of the protocol to the last. A cutover to
// another database that was left unfinished is ended first.
func (c *Cutover) attempt(ctx context.Context, out *Outcome) error {
	if was, err := c.Resolve(ctx); err != nil || was == WentForward {
		out.Swapped = err == nil
		return err
	}
	a := c.newAttempt(out)
	defer func() {
		a.end(ctx)
		out.Taken = a.via.taken()
	}()
	return a.run(ctx)
}

// ownWork are the steps that take their time by themselves.
var ownWork = []string{"swap", "run the migrations"}

// takesAsLong reports whether the next attempt would come no further: nobody was waited for,
// and a step's own work took more than half of the stall, for the second time. Once may have
// been a busy machine, and what was left for it may have been next to nothing.
func (a *attempt) takesAsLong(step string, took time.Duration) bool {
	if !slices.Contains(ownWork, step) || 2*took < a.c.settings().MaxStall {
		return false
	}
	a.c.slow++
	return a.c.slow > 1
}

// classify turns what a budget, a lock or a deadlock ended into a notNow: the
// transaction is gone and nothing has changed. Other errors pass. began is when the step did.
func (a *attempt) classify(ctx context.Context, step string, began time.Time, err error) error {
	var no *notNow
	if err == nil || errors.As(err, &no) || errors.Is(err, control.ErrFencedOff) {
		return err
	}
	over := errors.Is(err, context.DeadlineExceeded) && !expired(ctx, a.deadline) ||
		pg.Unreachable(err) && !a.deadline.IsZero() && time.Now().After(a.deadline) // the server ended us in time
	switch pg.State(err) {
	case pgerrcode.QueryCanceled, pgerrcode.LockNotAvailable, pgerrcode.DeadlockDetected, pgerrcode.SerializationFailure:
		over = true
	}
	if !over || errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("%s: %w", step, err)
	}
	blockers := a.waitedOn
	if len(blockers) == 0 {
		blockers = []Blocker{{Code: "over-budget", Message: fmt.Sprintf("the step %q took longer than it may: %v", step, err),
			Fix:     "try when production is quieter, or raise cutover.max_stall or cutover.lock_timeout",
			Lasting: a.takesAsLong(step, time.Since(began))}}
	}
	return refuse(blockers...)
}

// expired reports whether ctx itself ended by a deadline of its owner's, other
// than the attempt's.
func expired(ctx context.Context, ours time.Time) bool {
	d, ok := ctx.Deadline()
	return ctx.Err() != nil && ok && !d.Equal(ours)
}
