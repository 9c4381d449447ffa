package cutover

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/plans"
)

// A swap that had little of the stall left, or was slow once, is tried again; what takes so
// long by itself for the second time ends the series.
func TestSlowStepEndsASeriesWhenItIsSlowAgain(t *testing.T) {
	t.Parallel()
	c := &Cutover{Upgrade: &control.Run{Plan: &plans.Plan{Settings: plans.Settings{Cutover: plans.CutoverSettings{MaxStall: time.Minute}}}}}
	a := &attempt{c: c, pair: &pair{}}
	for _, s := range []struct {
		step string
		took time.Duration
		ends bool
	}{{"drain", 59 * time.Second, false}, {"swap", time.Second, false}, {"swap", 59 * time.Second, false}, {"swap", time.Second, false}, {"swap", 59 * time.Second, true}} {
		var no *notNow
		err := a.classify(t.Context(), s.step, time.Now().Add(-s.took), context.DeadlineExceeded)
		if !errors.As(err, &no) || no.blockers[0].Code != "over-budget" || no.blockers[0].Lasting != s.ends {
			t.Errorf("%s after %s: %+v, wants an end: %v", s.step, s.took, err, s.ends)
		}
	}
}

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
