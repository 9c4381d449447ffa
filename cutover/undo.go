package cutover

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/pgumbra/pgumbra/internal/control"
)

// undo takes back what a step did beyond its transaction. It may be done twice, and by
// another process than that which did the step.
type undo = func(*retreat, context.Context) error

// What needs no undoing of its own.
var (
	// byRollback: the ROLLBACK of the attempt's sessions, which comes before all else,
	// has undone the step.
	byRollback undo = (*retreat).leave
	// withTheirRelease: clients are led back where they are let go.
	withTheirRelease undo = (*retreat).leave
	// byNobody: the swap has happened.
	byNobody undo = (*retreat).leave
)

func (*retreat) leave(context.Context) error { return nil }

// errMisrouted says that production takes writes again, and that clients of some
// pool are perhaps held, or led to where they do not belong. The note of it stays, so that they
// are seen to later.
var errMisrouted = errors.New("not all clients go on at production")

// retreat is the undoing of a cutover to another database that did not commit on the
// shadow.
type retreat struct {
	*Cutover
	p   *progress
	led bool // clients may be led to the shadow

	closed    error // production is not known to take writes
	misrouted error // clients are not known to be at production
}

// back undoes a cutover that did not commit on the shadow: production takes
// writes again, captured as before. Clients go on even if production cannot be
// reached from here: the shadow is closed to them for certain. Returns
// [errMisrouted] where only some of them do.
//
// Nobody knows for certain how far a process came that is gone. So everything is
// undone each time, from the protocol's last step to its first, and what was not done
// is undone without harm. [control.ErrFencedOff] ends it: another process leads then,
// which undoes it or has swapped since.
func (c *Cutover) back(ctx context.Context, p *progress) error {
	ctx = context.WithoutCancel(ctx)
	r := &retreat{Cutover: c, p: p, led: p.Step == switching || p.Step == deciding || p.Step == undoing}
	for _, s := range slices.Backward(protocol) {
		if err := s.undo(r, ctx); err != nil {
			return err
		}
	}
	return r.forget(ctx)
}

// openFence lets production be written again. Clients go on in any case.
func (r *retreat) openFence(ctx context.Context) error {
	r.closed = r.Cutover.openFence(ctx, r.p)
	if errors.Is(r.closed, control.ErrFencedOff) {
		return r.closed
	}
	return nil
}

// letGo lets clients go on at production, led back if they were led away. Where they
// were not, a command is not told to undo what it was not told to do.
func (r *retreat) letGo(ctx context.Context) error {
	var err error
	if r.Traffic == nil || r.led {
		err = r.settle(ctx, r.from())
	} else {
		err = r.Traffic.Resume(ctx)
	}
	if r.closed != nil || errors.Is(err, control.ErrFencedOff) {
		return errors.Join(r.closed, err)
	}
	r.misrouted = err
	return nil
}

// dropFence takes the opened fence off production's tables.
func (r *retreat) dropFence(ctx context.Context) error {
	err := r.dropRemoteFence(ctx)
	if errors.Is(err, control.ErrFencedOff) {
		return err
	}
	if err != nil {
		r.Log.Warn("triggers of the fence are left; they let everything pass", "error", err)
	}
	return nil
}

// forget takes away the note of the cutover, unless clients are to be seen to.
func (r *retreat) forget(ctx context.Context) error {
	if r.misrouted != nil {
		return fmt.Errorf("%w: %w", errMisrouted, r.misrouted)
	}
	ctx, cancel := context.WithTimeout(ctx, notePatience)
	defer cancel()
	return control.NoteSwitch(ctx, r.Sides.Production, r.Upgrade, nil)
}
