package replay

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
)

// Drain replays all tables until no journal holds an unread row. Behind the
// fence nothing new comes; without one it may never end but by ctx.
//
// It works in transactions and sessions of its own and reads production with
// ACCESS SHARE: a fence in EXCLUSIVE mode lets it through, one in ACCESS
// EXCLUSIVE mode does not. It holds the run's row FOR SHARE meanwhile, so the
// swap must change that row only after. All tables must be following. A
// thousand tables without changes cost a few queries.
func (r *Replayer) Drain(ctx context.Context) (changes int64, err error) {
	for {
		some, err := r.DrainOnce(ctx)
		changes += some
		if err != nil || some == 0 {
			return changes, err
		}
	}
}

// DrainOnce replays, of all tables, what journals hold now. Returns 0 where
// nothing was unread.
func (r *Replayer) DrainOnce(ctx context.Context) (changes int64, err error) {
	busy, err := r.withEntries(ctx, r.Sides.Production)
	if err == nil {
		busy, err = r.withPending(ctx, r.Sides.Production, busy)
	}
	if err == nil {
		changes, err = r.drain(ctx, busy)
	}
	if err != nil {
		return changes, fmt.Errorf("drain: %w", err)
	}
	return changes, nil
}

func (r *Replayer) drain(ctx context.Context, appliers []*applier) (int64, error) {
	changes := make([]int64, len(appliers))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(r.workers())
	for i, f := range appliers {
		g.Go(func() error {
			f, err := r.applier(ctx, f.t)
			if err != nil {
				return err
			}
			result, err := r.batch(ctx, f, 0)
			changes[i] = result.Changes
			return err
		})
	}
	err := g.Wait()
	var sum int64
	for _, c := range changes {
		sum += c
	}
	return sum, err
}
