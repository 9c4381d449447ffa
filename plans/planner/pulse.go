package planner

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Nothing is said of a plan that takes no longer than this, and then what is under way, when
// it is another thing than was said; of one thing again after stillEvery.
const (
	pulseEvery = 2 * time.Second
	stillEvery = 10 * time.Second
)

// pulse says what a plan in the making is at. The zero value, and nil, say nothing.
type pulse struct {
	mu     sync.Mutex
	step   string
	detail string
}

// at notes that a step begins.
func (p *pulse) at(step string) { p.note(step, "") }

// within notes how far the step is.
func (p *pulse) within(detail string) {
	if p != nil {
		p.note("", detail)
	}
}

func (p *pulse) note(step, detail string) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if step != "" {
		p.step = step
	}
	p.detail = detail
}

func (p *pulse) now() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.detail == "" {
		return p.step
	}
	return p.step + ": " + p.detail
}

// during runs f, and logs meanwhile what it is at.
func (p *pulse) during(log *slog.Logger, f func() error) error {
	ctx, done := context.WithCancel(context.Background())
	var group errgroup.Group
	group.Go(func() error {
		defer done()
		return f()
	})
	group.Go(func() error {
		tick := time.NewTicker(pulseEvery)
		defer tick.Stop()
		said, last := "", time.Time{}
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
			if now := p.now(); now != said || time.Since(last) >= stillEvery {
				log.Info("planning", "step", now)
				said, last = now, time.Now()
			}
		}
	})
	return group.Wait()
}
