package cutover

import (
	"context"
	"fmt"
	"time"

	"github.com/pgumbra/pgumbra/internal/control"
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
// of them together may.
func (c *Cutover) checkTotal(ctx context.Context) ([]Blocker, error) {
	attempts, held, err := control.Attempts(ctx, c.Sides.Record(), c.Upgrade)
	if err != nil {
		return nil, err
	}
	total := c.settings().Total()
	if held+c.settings().MaxStall <= total {
		return nil, nil
	}
	return []Blocker{{Code: "total-stall", Lasting: true,
		Message: fmt.Sprintf("%d attempts have held clients for %s in all; with another one of cutover.max_stall %s that might be more than %s",
			attempts, held.Round(time.Millisecond), c.settings().MaxStall, total),
		Fix: "see in the log what stood in their way, then raise cutover.max_total_stall"}}, nil
}
