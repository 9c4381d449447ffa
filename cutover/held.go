package cutover

import (
	"context"
	"fmt"
	"time"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// unfinished names clients of the pool whose transaction has been open for so
// long that a PAUSE would hold all the others in vain. It is asked before any
// client is held: a report of minutes then costs nobody anything.
func (c *Cutover) unfinished(ctx context.Context, production pg.Querier) ([]Blocker, error) {
	if c.Traffic == nil {
		return nil, nil
	}
	found, err := c.Traffic.Unfinished(ctx, production, c.settings().MaxStall/4)
	if err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("look for open transactions of the pool's clients: %w", err)
	}
	if err != nil { // the pool's console does not answer: production's own session is another matter
		return []Blocker{trafficBlocker(fmt.Errorf("look for open transactions of the pool's clients: %w", err))}, nil
	}
	var all []Blocker
	for _, s := range found {
		all = append(all, Blocker{Code: "open-transaction", Message: s.String() + " is in a transaction that clients would be held for",
			Fix: fmt.Sprintf("wait for it, or end it: SELECT pg_terminate_backend(%d)", s.PID)})
	}
	return all, nil
}

// countHeld adds up, once clients go on, for how long they were held.
func (a *attempt) countHeld() {
	if a.held.IsZero() {
		return
	}
	now := time.Since(a.held)
	a.c.held += now
	a.out.Held, a.held = a.c.held, time.Time{}
	a.c.Log.Info("clients were held", "for", now.Round(time.Millisecond), "in_all_attempts", a.c.held.Round(time.Millisecond))
}
