package cutover

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgumbra/pgumbra/cutover/traffic"
	"github.com/pgumbra/pgumbra/internal/control"
)

// askPatience is how long each side is asked who leads.
const askPatience = time.Second

// MayLead tells whether this process still leads the run: the guard of whatever
// leads clients. Production says it, or, where that cannot be reached, the
// shadow, which each leader tells as well. When neither can be asked it may: who
// writes the same PgBouncer's file is on the same machine, and asks in vain too.
//
// Returns [control.ErrFencedOff] otherwise. Letting clients go is refused a deposed
// process only while a cutover is under way, whose leader does it in the end.
func (c *Cutover) MayLead(ctx context.Context, d traffic.Action) error {
	told := func(err error) bool { return err == nil || errors.Is(err, control.ErrFencedOff) }
	idle, err := c.asked(ctx, c.Sides.Production)
	if idle && d == traffic.Resume {
		return nil
	}
	if c.backwards() && !errors.Is(err, control.ErrFencedOff) { // a new leader is told of on the record's side first
		if _, recorded := c.asked(ctx, c.Sides.Record()); told(recorded) {
			return recorded
		}
	}
	if !told(err) {
		_, err = c.asked(ctx, c.Sides.Shadow)
	}
	if told(err) {
		return err
	}
	return ctx.Err()
}

var errSideAway = errors.New("this side is away")

// asked compares the epoch. idle: production knows of no cutover under way. An
// error other than [control.ErrFencedOff] is no answer. A record that is gone was
// taken away by whoever came after.
func (c *Cutover) asked(ctx context.Context, db *pgxpool.Pool) (idle bool, err error) {
	if db == nil {
		return false, errSideAway
	}
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	err = onceReachable(ctx, func() (err error) {
		idle, err = control.Idle(ctx, db, c.Upgrade)
		return err
	})
	return idle, err
}

// Reroute leads clients back who are led to the shadow of a run that follows, or to the
// old side of one that watches: by a process that stood still in a cutover, between its
// last look at who leads and what it did then, or by a hand. Until then their writes are
// refused. Also
// those of a PgBouncer that did not answer when a cutover was undone. To be called
// now and then by the leader; what cannot be done is logged, and done by a later
// call.
func (c *Cutover) Reroute(ctx context.Context) error {
	if !c.Sides.Remote() || c.Traffic == nil {
		return nil
	}
	p, err := c.underWay(ctx, c.Sides.Production)
	if err != nil {
		return err
	}
	misrouted, known := c.whereabouts(ctx)
	if !misrouted && (p == nil || !known) {
		return nil
	}
	if p == nil {
		c.Log.Error("clients are led to a server that is not production; leading them back", "led_to", placeOf(c.ShadowDSN))
		p = &progress{Step: undoing, Place: placeOf(c.ShadowDSN)}
	}
	return c.unlessMisrouted(c.back(ctx, p))
}

// unlessMisrouted only logs that some clients are not led back yet.
func (c *Cutover) unlessMisrouted(err error) error {
	if !errors.Is(err, errMisrouted) {
		return err
	}
	c.Log.Error("the cutover is undone, but for clients", "error", err)
	return nil
}

// whereabouts of clients; known: every pool answered.
func (c *Cutover) whereabouts(ctx context.Context) (misrouted, known bool) {
	misrouted, err := c.Traffic.Misrouted(ctx, c.to())
	if err != nil {
		c.Log.Debug("where clients are led is not known", "error", err)
	}
	return misrouted, err == nil
}
