package replay

import (
	"context"
	"fmt"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
)

// What a hot table changes is divided by key hash among apply workers that work at once.
// One leads: the transactions that hold the table's row and record its position.
// Each other apply worker has transactions of its own, which read production by the
// leader's snapshot and commit by themselves, all before the leader does.
//
// A leader that fails leaves behind what apply workers have committed: keys that are
// further on than the position says. That is harmless. Each of them has an unread
// entry, so the next batch writes its state again; and as rows of different keys
// cannot be in each other's way, the shadow refuses none of them meanwhile.

// applyWorkersFor is in how many apply workers so many changes of a table are replayed, as far
// as apply workers are free; release gives them back.
func (r *Replayer) applyWorkersFor(f *applier, state control.State, changes int64) (applyWorkers int, release func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	extra := r.ApplyWorkers - 1 - r.busyApplyWorkers
	if !f.divisible(state) || changes < r.hotChanges() || extra <= 0 {
		return 1, func() {}
	}
	r.busyApplyWorkers += extra
	return 1 + extra, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.busyApplyWorkers -= extra
	}
}

// divisible: rows of different keys are not in each other's way. While the table
// catches up no index but the key's is there.
func (f *applier) divisible(state control.State) bool {
	return f.kind() == keyed && (f.t.SoleKey || state == control.CatchingUp)
}

// settle waits until nobody writes the tables any more: what is left of another
// leader's apply workers would write states that are older than those that follow.
func (r *Replayer) settle(ctx context.Context, appliers []*applier) error {
	return pg.ReadCommitted(ctx, r.Sides.Shadow, func(tx pgx.Tx) error {
		for _, f := range appliers {
			if _, err := control.Lock(ctx, tx, r.Run, f.t.N); err != nil {
				return err
			}
		}
		return nil
	})
}

// applyInApplyWorkers applies scopes of the same position at once: the first in the
// leader's transactions, each other in an apply worker's. They have ended when it returns.
func (r *Replayer) applyInApplyWorkers(ctx context.Context, e ends, f *applier, scopes []scope, n pending) error {
	if len(scopes) == 1 {
		return f.apply(ctx, e, scopes[0], n)
	}
	var snapshot string
	if err := e.production.QueryRow(ctx, "SELECT pg_catalog.pg_export_snapshot()").Scan(&snapshot); err != nil {
		return fmt.Errorf("export the snapshot: %w", err)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return f.apply(ctx, e, scopes[0], n) })
	for _, s := range scopes[1:] {
		g.Go(func() error { return r.applyWorker(ctx, f, s, snapshot, n) })
	}
	return g.Wait()
}

// lockPatience is for how long, in milliseconds, an apply worker waits for a lock. A
// client that wants all of a table, for TRUNCATE say, waits for whoever has read it,
// this worker queues behind the client, and the leader, which has read it, waits in this
// process for the worker: a circle that no server sees, in which client and table stood
// still for half an hour. So the worker gives way, and with it the batch.
const lockPatience = 100

// giveWay has a transaction wait for no lock longer than lockPatience.
func giveWay(ctx context.Context, e ends) error {
	_, err := e.production.Exec(ctx, fmt.Sprintf("SET LOCAL lock_timeout = %d", lockPatience))
	if err != nil {
		return fmt.Errorf("bound the wait for locks: %w", err)
	}
	return nil
}

// gaveWay tells by [errGaveWay] that a worker waited for a lock in vain.
func gaveWay(err error) error {
	if pg.State(err) == pgerrcode.LockNotAvailable {
		return fmt.Errorf("%w: %w", errGaveWay, err)
	}
	return err
}

// applyWorker applies a scope in transactions of its own. It need not look whether
// storage moved: the leader does when all is done, and then all is done again. Returns
// [errGaveWay] where a lock is not to be had: the batch is done again, undivided.
func (r *Replayer) applyWorker(ctx context.Context, f *applier, s scope, snapshot string, n pending) error {
	return gaveWay(r.begin(ctx, func(e ends) error {
		if err := importSnapshot(ctx, e.production, snapshot); err != nil {
			return err
		}
		if err := giveWay(ctx, e); err != nil {
			return err
		}
		if _, err := control.Join(ctx, e.shadow, r.Run, f.t.N); err != nil {
			return err
		}
		if _, err := r.look(ctx, e, nil); err != nil {
			return err
		}
		return f.apply(ctx, e, s, n)
	}))
}

// importSnapshot returns [errLeaderless] when the transaction that exported it
// is gone.
func importSnapshot(ctx context.Context, tx pgx.Tx, snapshot string) error {
	_, err := tx.Exec(ctx, "SET TRANSACTION SNAPSHOT "+pg.Literal(snapshot), pgx.QueryExecModeSimpleProtocol)
	switch pg.State(err) {
	case pgerrcode.InvalidParameterValue, pgerrcode.ObjectNotInPrerequisiteState: // its file is gone, or its transaction
		return fmt.Errorf("%w: %w", errLeaderless, err)
	}
	if err != nil {
		return fmt.Errorf("import the snapshot: %w", err)
	}
	return nil
}
