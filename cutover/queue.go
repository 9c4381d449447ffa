package cutover

import (
	"context"
	_ "embed"
	"time"
)

//go:embed sql/queue.sql
var queueSQL string

// queueLook is how often the drain's sessions are looked after.
const queueLook = 15 * time.Millisecond

// queued ends an attempt whose drain waits behind a client that waits for the fence:
// a TRUNCATE, say, wants a table for itself, PostgreSQL lets nobody pass it who comes
// later, and it would wait for us. Neither of us is blocked by a lock that the other
// has, as a deadlock's detector wants it, so the whole of max_stall would go by.
func (a *attempt) queued(ctx context.Context, drained <-chan struct{}) error {
	pids, _ := a.c.own().Columns()
	for {
		select {
		case <-drained:
			return nil
		case <-ctx.Done():
			return nil
		case <-time.After(queueLook):
		}
		found, err := sessions(ctx, a.observer, queueSQL, pids)
		if err != nil || ctx.Err() != nil {
			return ignoreCancel(err)
		}
		if len(found) == 0 {
			continue
		}
		var all []Blocker
		for _, s := range found {
			all = append(all, Blocker{Code: "lock-queue", Message: s.String() + " waits to lock a table for itself, and the drain would wait behind it",
				Fix: "it goes on now; if such statements never pause, hold them back for the cutover"})
		}
		return refuse(all...)
	}
}
