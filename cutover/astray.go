package cutover

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/cutover/traffic"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
)

// askPatience is how long each side is asked who leads.
const askPatience = time.Second

// MayLead tells whether this process still leads the run: the guard of whatever
// leads clients. Production says it, or, where that cannot be reached, the
// shadow, which each leader tells as well. When neither can be asked it may: who
// writes the same PgBouncer's file is on the same machine, and asks in vain too.
//
// Returns [control.ErrDeposed] otherwise. Letting clients go is refused a deposed
// process only while a cutover is under way, whose leader does it in the end.
func (c *Cutover) MayLead(ctx context.Context, d traffic.Deed) error {
	idle, err := c.asked(ctx, c.Sides.Production)
	if idle && d == traffic.Free {
		return nil
	}
	if err != nil && !errors.Is(err, control.ErrDeposed) {
		_, err = c.asked(ctx, c.Sides.Shadow)
	}
	if err == nil || errors.Is(err, control.ErrDeposed) {
		return err
	}
	return ctx.Err()
}

// asked compares the epoch. idle: production knows of no cutover under way. An
// error other than [control.ErrDeposed] is no answer. A record that is gone was
// taken away by whoever came after.
func (c *Cutover) asked(ctx context.Context, db pg.Querier) (idle bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	var epoch int64
	err = onceReachable(ctx, func() error {
		return db.QueryRow(ctx, `SELECT epoch, switch IS NULL FROM pgumbra.run WHERE id = $1`, c.Upgrade.ID).Scan(&epoch, &idle)
	})
	if errors.Is(err, pgx.ErrNoRows) || pg.State(err) == pg.UndefinedTable {
		return true, control.ErrDeposed
	}
	if err == nil && epoch != c.Upgrade.Epoch {
		err = control.ErrDeposed
	}
	return idle, err
}

// Recall leads clients back who are led to the shadow of a run that follows: by a
// process that stood still in a cutover, between its last look at who leads and
// what it did then, or by a hand. Until then the gate refuses their writes. Also
// those of a PgBouncer that did not answer when a cutover was undone. To be called
// now and then by the leader; what cannot be done is logged, and done by a later
// call.
func (c *Cutover) Recall(ctx context.Context) error {
	if !c.Sides.Apart() || c.Traffic == nil {
		return nil
	}
	p, err := c.underWay(ctx, c.Sides.Production)
	if err != nil {
		return err
	}
	astray, known := c.whereabouts(ctx)
	if !astray && (p == nil || !known) {
		return nil
	}
	if p == nil {
		c.Log.Error("clients are led to the shadow, which has not taken over; leading them back")
		p = &progress{Step: undoing, Place: placeOf(c.ShadowDSN)}
	}
	return c.unlessAstray(c.back(ctx, p))
}

// unlessAstray only logs that some clients are not led back yet.
func (c *Cutover) unlessAstray(err error) error {
	if !errors.Is(err, errAstray) {
		return err
	}
	c.Log.Error("the cutover is undone, but for clients", "error", err)
	return nil
}

// whereabouts of clients; known: every pool answered.
func (c *Cutover) whereabouts(ctx context.Context) (astray, known bool) {
	astray, err := c.Traffic.Astray(ctx)
	if err != nil {
		c.Log.Debug("where clients are led is not known", "error", err)
	}
	return astray, err == nil
}
