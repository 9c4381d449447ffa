package upgrade

import (
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/plans"
)

// TestPausesBetweenAttemptsGrowToMinutes where nobody waits for the cutover; who does
// has all attempts of a series soon.
func TestPausesBetweenAttemptsGrowToMinutes(t *testing.T) {
	t.Parallel()
	settings := plans.DefaultSettings()
	for name, c := range map[string]struct {
		once  bool
		least time.Duration // that twenty attempts take, at the least
		most  time.Duration
	}{"unattended": {false, 10 * time.Minute, 2 * time.Hour}, "by command": {true, 20 * time.Second, 3 * time.Minute}} {
		w := &worker{intent: intent{cutover: true, once: c.once}, run: &control.Run{Plan: &plans.Plan{Settings: settings}}}
		pause, sum, last := w.newPause(w.longestPause()), time.Duration(0), time.Duration(0)
		for range settings.Cutover.Attempts {
			last = pause.NextBackOff()
			sum += last
		}
		if sum < c.least || sum > c.most || !c.once && last < time.Minute {
			t.Errorf("%s: %s in all, the last pause %s", name, sum, last)
		}
	}
}
