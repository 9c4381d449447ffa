package main

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/upgrade"
)

// How long a command may say nothing before a line says what it does, and how often
// another one says that it still does.
const (
	silence = 2 * time.Second
	still   = 30 * time.Second
)

// patiently runs f, and says what it is at where that takes longer than a moment.
func (a *app) patiently(ctx context.Context, doing string, f func(context.Context) error) error {
	group, ctx := errgroup.WithContext(ctx)
	done := make(chan struct{})
	group.Go(func() error {
		defer close(done)
		return f(ctx)
	})
	group.Go(func() error {
		began := time.Now()
		wait, text := silence, doing+" …"
		for {
			select {
			case <-done:
				return nil
			case <-time.After(wait):
				a.log.Info(text) //nolint:sloglint // what is under way
			}
			wait, text = still, doing+", for "+spent(time.Since(began)+still)+" …"
		}
	})
	return group.Wait()
}

// tellWaits says for whose locks pgumbra waits in the databases of file, until it is stopped.
func (a *app) tellWaits(ctx context.Context, file *planfile.File) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var group errgroup.Group
	for _, f := range databases(file) {
		group.Go(func() error {
			upgrade.TellWaits(ctx, f, a.log)
			return nil
		})
	}
	return func() {
		cancel()
		_ = group.Wait()
	}
}
