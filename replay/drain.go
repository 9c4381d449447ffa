package replay

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
)

// Drained is what a drain came to.
type Drained struct {
	Changes int64 // journal rows replayed
	Tables  int   // that had any
	// XID is a transaction's (xid8 as text) that began and committed after all
	// of the drain's others: a snapshot that sees it sees all that was drained.
	XID string
}

// Drain replays all tables until no journal holds an unread row. Behind the
// fence nothing new comes; without one it may never end but by ctx.
//
// It works in transactions and sessions of its own and reads production with
// ACCESS SHARE: a fence in EXCLUSIVE mode lets it through, one in ACCESS
// EXCLUSIVE mode does not. It holds the run's row FOR SHARE meanwhile, so the
// swap must change that row only after. All tables must be following. A
// thousand tables without changes cost a few queries.
func (r *Replayer) Drain(ctx context.Context) (Drained, error) {
	var all Drained
	for {
		busy, err := r.withEntries(ctx, r.Pool)
		if err == nil {
			busy, err = r.withNews(ctx, r.Pool, busy)
		}
		if err != nil {
			return all, fmt.Errorf("drain: %w", err)
		}
		if len(busy) == 0 {
			break
		}
		changes, err := r.drain(ctx, busy)
		all.Changes += changes
		all.Tables += len(busy)
		if err != nil {
			return all, fmt.Errorf("drain: %w", err)
		}
	}
	if err := r.Pool.QueryRow(ctx, `SELECT pg_catalog.pg_current_xact_id()::text`).Scan(&all.XID); err != nil {
		return all, fmt.Errorf("drain: note a transaction: %w", err)
	}
	return all, nil
}

func (r *Replayer) drain(ctx context.Context, feeds []*feed) (int64, error) {
	changes := make([]int64, len(feeds))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(r.workers())
	for i, f := range feeds {
		g.Go(func() error {
			result, err := r.batch(ctx, f)
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
