package planner

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A plan that takes long says what it is at: each thing once in two seconds, of one that
// lasts that it still does; a short one says nothing.
func TestPulseBreaksSilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var said strings.Builder
		log := slog.New(slog.NewTextHandler(&said, nil))
		p := &pulse{step: "connect"}
		work := func(d time.Duration) error {
			return p.during(log, func() error {
				ctx, cancel := context.WithTimeout(t.Context(), d)
				defer cancel()
				p.at("run")
				p.within("version 12 is done")
				<-ctx.Done()
				return nil
			})
		}
		if err := work(time.Second); err != nil || said.Len() > 0 {
			t.Errorf("a short plan says %q, %v", &said, err)
		}
		if err := work(13 * time.Second); err != nil || strings.Count(said.String(), "run: version 12 is done") != 2 {
			t.Errorf("a long one says %q, %v", &said, err)
		}
	})
}
