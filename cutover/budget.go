package cutover

import (
	"context"
	"fmt"
	"time"
)

// count adds an attempt to what all attempts of the run have taken from clients.
// Not worth failing for: the next one counts on.
func (c *Cutover) count(ctx context.Context, held time.Duration) {
	if held <= 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_, err := c.Sides.Production.Exec(ctx, `UPDATE pgumbra.run SET attempts = attempts + 1, held_ms = held_ms + $2 WHERE id = $1`,
		c.Upgrade.ID, float64(held.Microseconds())/1000)
	if err != nil {
		c.Log.Warn("the time that an attempt took is not counted", "held", held, "error", err)
	}
}

// checkTotal refuses another attempt when it could take more from clients than all
// of them together may.
func (c *Cutover) checkTotal(ctx context.Context) ([]Blocker, error) {
	var ms float64
	var attempts int
	err := c.Sides.Production.QueryRow(ctx, `SELECT held_ms, attempts FROM pgumbra.run WHERE id = $1`, c.Upgrade.ID).Scan(&ms, &attempts)
	if err != nil {
		return nil, fmt.Errorf("read what attempts have taken: %w", err)
	}
	held, total := time.Duration(ms*float64(time.Millisecond)), c.settings().Total()
	if held+c.settings().MaxStall <= total {
		return nil, nil
	}
	return []Blocker{{Code: "total-stall", Lasting: true,
		Message: fmt.Sprintf("%d attempts have held clients for %s in all; with another one of cutover.max_stall %s that might be more than %s",
			attempts, held.Round(time.Millisecond), c.settings().MaxStall, total),
		Fix: "see in the log what stood in their way, then raise cutover.max_total_stall"}}, nil
}
