package cutover

import (
	"context"
	"time"
)

// Companions are the attempts of the other members of a group, which swap at the same
// moment as this one or not at all. Each member is fenced, drained, proved and swapped
// in transactions of its own, up to before COMMIT, and waits there for all. Then one of
// them commits, always the same, and that decides: the others commit once its commit is
// known, and before that undo all as any attempt does that came to nothing.
//
// Whoever is not there in its own max_stall ends the attempt for all.
type Companions interface {
	// Meet returns once all are at a point. Whoever does not come ends it for all.
	Meet(ctx context.Context, at Point) error
	// Decision returns nil at once for the one that decides, and for the others once
	// that one's commit is known.
	Decision(ctx context.Context) error
	// Committed says that this one's commit is known.
	Committed()
	// Left says that this one's attempt came to nothing, and why.
	Left(why string)
}

// Point of an attempt at which a group's members meet.
type Point int

// The points, in order.
const (
	BeforeFence  Point = iota // so that clients of all members wait at one time
	BehindFence               // so that the last look is not long before the commit
	BeforeCommit              // so that all swap or none
	Points                    // how many there are
)

// meetBeforeFence waits, at the most for as long as the transactions that are open by
// then may be idle.
func (a *attempt) meetBeforeFence(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, a.c.settings().MaxStall+time.Second/2)
	defer cancel()
	return a.meet(ctx, BeforeFence)
}

// meetBehindFence and meetBeforeCommit wait within what is left of max_stall.
func (a *attempt) meetBehindFence(ctx context.Context) error { return a.meet(ctx, BehindFence) }

func (a *attempt) meetBeforeCommit(ctx context.Context) error { return a.meet(ctx, BeforeCommit) }

func (a *attempt) meet(ctx context.Context, at Point) error {
	if a.c.With == nil {
		return nil
	}
	return a.c.With.Meet(ctx, at)
}

// decision waits for the commit that decides. The server ends our own transaction in
// time whatever becomes of that one: see [pair.setAlarm].
func (a *attempt) decision(ctx context.Context) error {
	if a.c.With == nil {
		return nil
	}
	ctx, cancel := context.WithDeadline(ctx, a.deadline.Add(time.Second))
	defer cancel()
	return a.c.With.Decision(ctx)
}

// tellCommitted tells the others that they may.
func (a *attempt) tellCommitted() {
	if a.c.With != nil {
		a.c.With.Committed()
	}
}

// tellLeft tells the others at once that they wait in vain.
func (a *attempt) tellLeft(err error) {
	if a.c.With != nil {
		a.c.With.Left(err.Error())
	}
}
