package cutover

import (
	"context"
	"fmt"
	"time"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// count adds an attempt to what all attempts of the run have taken from clients.
// Not worth failing for: the next one counts on.
func (c *Cutover) count(ctx context.Context, held time.Duration) {
	if held <= 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := control.CountAttempt(ctx, c.Sides.Record(), c.Upgrade, held); err != nil {
		c.Log.Warn("the time that an attempt took is not counted", "held", held, "error", err)
	}
}

// checkTotal refuses another attempt when it could take more from clients than all
// of them together may. A rollback is not asked: what the attempts before the swap took
// is no reason to stay on a side that somebody wants to leave, and its own come in one
// series, which ends after cutover.attempts. They are counted all the same.
func (c *Cutover) checkTotal(ctx context.Context, _ pg.Querier) ([]Blocker, error) {
	attempts, held, err := control.Attempts(ctx, c.Sides.Record(), c.Upgrade)
	if err != nil {
		return nil, err
	}
	return OverTotal(attempts, held, c.settings()), nil
}

// OverTotal is what stands against another attempt after so many, which have held clients
// for so long in all; nil: nothing.
func OverTotal(attempts int, held time.Duration, s plans.CutoverSettings) []Blocker {
	total := s.Total()
	if held+s.MaxStall <= total {
		return nil
	}
	return []Blocker{{Code: "total-stall", Lasting: true,
		Message: fmt.Sprintf("%d attempts have held clients for %s in all; with another one of cutover.max_stall %s that might be more than %s",
			attempts, held.Round(time.Millisecond), s.MaxStall, total),
		Fix: "see in the log what stood in their way, then raise cutover.max_total_stall"}}
}
