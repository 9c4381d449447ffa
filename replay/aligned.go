package replay

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// Aligned brings several tables to one snapshot of production in one
// transaction and runs work in it: what it reads of these shadow tables is what
// production holds at that snapshot, across tables too, which two batches one
// after the other cannot give. Locks as [Replayer.Batch], for all tables at
// once, in the plan's order; repeated after the same failures, so work must
// only read.
func (r *Replayer) Aligned(ctx context.Context, tables []*plans.Table, work func(pgx.Tx) error) error {
	var err error
	for range attempts {
		if err = r.align(ctx, tables, work); !repeatable(err) {
			return err
		}
	}
	return fmt.Errorf("align %d tables: given up after %d attempts: %w", len(tables), attempts, err)
}

func (r *Replayer) align(ctx context.Context, tables []*plans.Table, work func(pgx.Tx) error) error {
	var feeds []*feed
	var members []uint32
	for _, t := range tables {
		f, err := r.feed(ctx, r.Pool, t)
		if err != nil {
			return err
		}
		if f.kind() != still {
			feeds, members = append(feeds, f), append(members, f.members...)
		}
	}
	before, err := filenodes(ctx, r.Pool, members)
	if err != nil {
		return err
	}
	return pg.RepeatableRead(ctx, r.Pool, func(tx pgx.Tx) error {
		for _, f := range feeds {
			at, err := r.enter(ctx, tx, f)
			if err != nil {
				return err
			}
			if _, err := r.advance(ctx, tx, f, at); err != nil {
				return err
			}
		}
		if err := work(tx); err != nil {
			return err
		}
		return unmoved(ctx, tx, members, before)
	})
}
