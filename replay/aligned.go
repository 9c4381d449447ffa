package replay

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/plans"
)

// Aligned brings several tables to one snapshot of production in one
// transaction and runs work in it: what it reads of these shadow tables is what
// production holds at that snapshot, across tables too, which two batches one
// after the other cannot give. Locks as [Replayer.Batch], for all tables at
// once, in the plan's order; repeated after the same failures, so work must
// only read. Where the shadow is another database, work reads there.
func (r *Replayer) Aligned(ctx context.Context, tables []*plans.Table, work func(pgx.Tx) error) error {
	appliers, followed, err := r.followed(ctx, tables)
	if err != nil {
		return err
	}
	return r.repeat(ctx, appliers, func() error {
		return r.align(ctx, appliers, followed, func(e ends) error { return work(e.shadow) })
	})
}

func (r *Replayer) align(ctx context.Context, appliers []*applier, followed []*plans.Table, work func(ends) error) error {
	var members []uint32
	for _, f := range appliers {
		members = append(members, f.members...)
	}
	before, err := filenodes(ctx, r.Sides.Production, members)
	if err != nil {
		return err
	}
	var committed []byte
	var found []Found
	err = r.begin(ctx, func(e ends) error {
		at, err := r.enter(ctx, e, control.Lock, appliers...)
		if err != nil {
			return err
		}
		for i, f := range appliers {
			at[i].found = &found
			if _, err := r.advance(ctx, e, f, at[i]); err != nil {
				return err
			}
		}
		if err := work(e); err != nil {
			return err
		}
		committed, err = r.leave(ctx, e, before, members, followed...)
		return err
	})
	if err != nil {
		return err
	}
	r.noteFound(found...)
	return r.mirror(ctx, committed, followed...)
}
