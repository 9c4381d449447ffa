package traffic

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/planfile"
)

var (
	// ErrUnknown says that it could not be learned whether clients are held, or
	// where they are led: the message says where to look and what to type. Ask
	// [Traffic.Side] before anything else is done.
	ErrUnknown = errors.New("where clients are led is unknown")
	// ErrNotPaused says that clients are not held, so nothing was changed: a
	// PgBouncer that was started again forgets its PAUSE. Pause, or give up.
	ErrNotPaused = errors.New("clients are not held")
)

// Place is where clients are led.
type Place string

// The places.
const (
	Production Place = "production" // the entry as it was before the switch
	Shadow     Place = "shadow"
	Remote     Place = "elsewhere" // somebody changed the entry
	Mixed      Place = "mixed"     // not all PgBouncers lead to the same
	Unknown    Place = "unknown"   // PgBouncer does not answer, or it is a command that leads
)

// Side is where clients are led now, as PgBouncer's console and its
// configuration file say.
type Side struct {
	Leads  Place // by the console
	File   Place // by the file: after the next RELOAD or restart
	Paused bool  // clients of at least one PgBouncer are held
}

// Traffic is what leads clients. Without PgBouncer and command it does nothing
// and says so by [Traffic.ByHand]. Not for use by several goroutines at once.
type Traffic struct {
	members []member
	patient time.Duration // for a Pause without a deadline
	guard   func(context.Context, Action) error
}

// member leads some of the clients.
type member interface {
	inspect(ctx context.Context) (findings, error)
	steps() []string
	pause(ctx context.Context) error
	lead(ctx context.Context, to Place) error
	resume(ctx context.Context) error
	side(ctx context.Context) (Side, error)
	finish() error
}

type findings = []plans.Finding

// Open reads what the plan file says of traffic. It connects to nothing.
func Open(f *planfile.File, log *slog.Logger) (*Traffic, error) {
	t := &Traffic{patient: f.Cutover.MaxStall}
	if len(f.Traffic.PgBouncer) == 0 && len(f.Traffic.Command) == 0 {
		return t, nil
	}
	from, err := fromDSN(f.Production.DSN)
	if err != nil {
		return nil, fmt.Errorf("production.dsn: %w", err)
	}
	to, err := fromDSN(f.Shadow.DSN)
	if err != nil {
		return nil, fmt.Errorf("shadow.dsn: %w", err)
	}
	files := &sync.Mutex{}
	for _, settings := range f.Traffic.PgBouncer {
		p, err := newPool(f, settings, to, files, log)
		if err != nil {
			return nil, err
		}
		p.may = t.may
		t.members = append(t.members, p)
	}
	if argv := f.Traffic.Command; len(argv) > 0 {
		t.members = append(t.members, &command{run: f.Name, member: f.Member, argv: argv, production: from, shadow: to, may: t.may, log: log})
	}
	return t, nil
}

// ByHand reports that nobody but people can lead the clients over.
func (t *Traffic) ByHand() bool { return len(t.members) == 0 }

// Inspect looks whether the way can be gone: console, rights, pool mode,
// timeouts, configuration file, where the entry leads and where it will.
// Nothing is changed. Whatever is wrong is a finding.
func (t *Traffic) Inspect(ctx context.Context) ([]plans.Finding, error) {
	var all findings
	for _, m := range t.members {
		some, err := m.inspect(ctx)
		if err != nil {
			return all, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// Steps are the exact console commands, rewritten entries and commands of a
// cutover, in order, for the dry run.
func (t *Traffic) Steps() []string {
	var all []string
	for _, m := range t.members {
		all = append(all, m.steps()...)
	}
	return all
}

// Pause holds all clients: each finishes its transaction, then waits. It comes
// back once no transaction is open in any pool. When ctx ends before (without a
// deadline: after max_stall), or any PgBouncer refuses, all clients go on.
// Returns [ErrUnknown] if they perhaps do not. A second Pause does nothing.
//
// PAUSE is no session's: clients stay held when this process dies, until
// [Traffic.Resume] or PgBouncer's query_wait_timeout, which breaks them off.
func (t *Traffic) Pause(ctx context.Context) error {
	if _, limited := ctx.Deadline(); !limited {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t.patient)
		defer cancel()
	}
	return t.all(ctx, member.pause, member.resume)
}

// Switch leads all clients, which must be held, to the shadow, or back to production
// by the entries as they were; they wait on. After an error all are led as before,
// clients are still held and none has reached the other place, unless it is
// [ErrUnknown]. Repeating it does no harm.
func (t *Traffic) Switch(ctx context.Context, to Place) error {
	lead := func(to Place) step {
		return func(m member, ctx context.Context) error { return m.lead(ctx, to) }
	}
	return t.all(ctx, lead(to), lead(to.other()))
}

// other of the two places that clients are led to.
func (p Place) other() Place {
	if p == Shadow {
		return Production
	}
	return Shadow
}

// Settle leads all clients to where a decision says, and lets them go on: each
// PgBouncer as far as it can, whatever becomes of the others. Clients that are
// not held are, where their entry has to be changed, for patience at the most.
// Repeating it does no harm.
func (t *Traffic) Settle(ctx context.Context, to Place, patience time.Duration) error {
	return errors.Join(t.each(ctx, func(m member, ctx context.Context) error {
		err := m.lead(ctx, to)
		if errors.Is(err, ErrNotPaused) {
			if err = holdFor(ctx, m, patience); err == nil {
				err = m.lead(ctx, to)
			}
		}
		return errors.Join(err, m.resume(ctx))
	})...)
}

func holdFor(ctx context.Context, m member, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return m.pause(ctx)
}

// undoLimit is for what is done after a failure, when the caller's time may be
// over.
const undoLimit = 20 * time.Second

// Resume lets all clients go on; those that are not held do already. It tries
// every PgBouncer, for at most ten seconds. Returns [ErrUnknown] for those that
// do not answer.
func (t *Traffic) Resume(ctx context.Context) error {
	return errors.Join(t.each(ctx, member.resume)...)
}

// Side asks PgBouncer's console and reads its file. With an error, the Side
// says what could be learned.
func (t *Traffic) Side(ctx context.Context) (Side, error) {
	sides := make(map[member]Side, len(t.members))
	var lock sync.Mutex
	errs := t.each(ctx, func(m member, ctx context.Context) error {
		side, err := m.side(ctx)
		if side != (Side{}) { // a command cannot know
			lock.Lock()
			defer lock.Unlock()
			sides[m] = side
		}
		return err
	})
	return local(slices.Collect(maps.Values(sides))), errors.Join(errs...)
}

// local is one side of several.
func local(sides []Side) Side {
	if len(sides) == 0 {
		return Side{Leads: Unknown, File: Unknown}
	}
	sum := sides[0]
	for _, s := range sides[1:] {
		sum.Leads, sum.File = both(sum.Leads, s.Leads), both(sum.File, s.File)
		sum.Paused = sum.Paused || s.Paused
	}
	return sum
}

func both(a, b Place) Place {
	if a != b {
		return Mixed
	}
	return a
}

// Finish removes what was kept for the way back. Only after a finished or
// undone run.
func (t *Traffic) Finish() error {
	var errs []error
	for _, m := range t.members {
		errs = append(errs, m.finish())
	}
	return errors.Join(errs...)
}

// step is something done to one member.
type step func(m member, ctx context.Context) error

// all does a step on all members. After a failure it is undone on those that
// had done it; the others have cleared up after themselves. A refusal leaves that
// to somebody else.
func (t *Traffic) all(ctx context.Context, do, undo step) error {
	errs := t.each(ctx, do)
	if err := errors.Join(errs...); err == nil || refused(err) {
		return err
	}
	var done Traffic
	for i, m := range t.members {
		if errs[i] == nil {
			done.members = append(done.members, m)
		}
	}
	undoing, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoLimit)
	defer cancel()
	if err := errors.Join(done.each(undoing, undo)...); err != nil {
		errs = append(errs, fmt.Errorf("%w: undoing it elsewhere: %w", ErrUnknown, err))
	}
	return errors.Join(errs...)
}

// each does a step on all at once and waits for all: one's failure must not
// leave another half done. Errors are in the order of members.
func (t *Traffic) each(ctx context.Context, do step) []error {
	errs := make([]error, len(t.members))
	var running errgroup.Group
	for i, m := range t.members {
		running.Go(func() error {
			errs[i] = do(m, ctx)
			return nil
		})
	}
	_ = running.Wait() // they are in errs
	return errs
}
