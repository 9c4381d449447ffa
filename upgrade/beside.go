package upgrade

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"
)

// beside runs f and, at once and then every so often until f ends, something
// beside it, whose failure ends f's context.
func beside(ctx context.Context, every time.Duration, often, f func(context.Context) error) error {
	group, ctx := errgroup.WithContext(ctx)
	done := make(chan struct{})
	group.Go(func() error {
		defer close(done)
		return f(ctx)
	})
	group.Go(func() error {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			if err := often(ctx); err != nil && ctx.Err() == nil {
				return err
			}
			select {
			case <-done:
				return nil
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
		}
	})
	return group.Wait()
}
