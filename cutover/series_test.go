package cutover

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Run makes attempts, with a growing and jittered pause between them so that
// production works off what waited, until one succeeds or cutover.attempts are
// used up. An Outcome without Swapped means that nothing changed.
func (c *Cutover) Run(ctx context.Context) (Outcome, error) {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval = max(c.settings().MaxStall/4, 50*time.Millisecond)
	pause.RandomizationFactor = 0.5
	pause.MaxInterval = 15 * time.Second
	for {
		outcome, err := c.Attempt(ctx)
		if err != nil || outcome.Swapped || outcome.Attempts >= max(c.settings().Attempts, 1) {
			return outcome, err
		}
		c.Log.Info("cutover not possible now", "attempt", outcome.Attempts, "reasons", outcome.Reasons)
		select {
		case <-ctx.Done():
			return outcome, ctx.Err()
		case <-time.After(pause.NextBackOff()):
		}
	}
}
