package replay

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// Batch brings a table from its position to production as it is now, in one
// snapshot of it, and records the new position in the transaction that writes
// the shadow. Without changes it only looks, and moves the position on now and
// then so that snapshots do not age and journals can be emptied.
//
// Locks: the table's row in the control schema, against other batches of the
// same table; ACCESS SHARE on production where rows are read again. Returns
// [ErrRecopy] for a table that is not copied yet, [ErrConflict],
// control.ErrFencedOff, and control.ErrOrigin. After an error for which
// pg.Unreachable is true the same call again is right: the position says what
// happened.
func (r *Replayer) Batch(ctx context.Context, t *plans.Table) (Result, error) {
	f, err := r.applier(ctx, t)
	if err != nil || f.kind() == static || r.heldBack(t.N) {
		return Result{}, err
	}
	changes, err := r.pendingOf(ctx, f)
	if err != nil || changes == 0 && time.Since(r.lastAdvance(t.N)) < r.idle() {
		return Result{}, err
	}
	return r.batch(ctx, f, changes)
}

// batch of about so many changes.
func (r *Replayer) batch(ctx context.Context, f *applier, changes int64) (Result, error) {
	applyWorkers, release := r.applyWorkersFor(f, control.FollowingState, changes)
	defer release()
	var result Result
	err := r.snapshotIn(ctx, f, applyWorkers, func(e ends, at moment) error {
		n, err := r.advance(ctx, e, f, at)
		result = Result{Changes: n.changes, Position: at.now}
		return err
	})
	if err != nil {
		return Result{}, err
	}
	r.noteAdvance(f.t.N)
	if result.Changes > 0 {
		r.noteChange()
	}
	return result, nil
}

// moment is where a transaction stands: the table's row, locked, and the
// snapshot of production.
type moment struct {
	control.Position
	now          string
	applyWorkers int // in which the transaction may divide its work; 0: it may not
	// found is what the batch proves to differ: told once it has committed.
	found *[]Found
}

// advance applies what is unread and records the transaction's snapshot.
func (r *Replayer) advance(ctx context.Context, e ends, f *applier, at moment) (pending, error) {
	if at.State != control.FollowingState && at.State != control.Indexing {
		return pending{}, fmt.Errorf("%s is %s: %w", f.t.Shadow, at.State, ErrRecopy)
	}
	if at.Snapshot == nil {
		return pending{}, &RecopyError{f.t, "it has no position"}
	}
	n, err := f.readPending(ctx, e.production, *at.Snapshot)
	if err != nil {
		return n, err
	}
	pieces, err := r.divide(ctx, f, n, int64(at.applyWorkers))
	if err != nil {
		return n, err
	}
	if err := r.applyInApplyWorkers(ctx, e, f, divided(*at.Snapshot, pieces, 0, at.applyWorkers), n); err != nil {
		return n, err
	}
	proof := control.ProofStays
	if pieces == 1 { // rows of other workers cannot be seen yet
		if proof, err = r.proveBatch(ctx, e, f, at, n); err != nil {
			return n, err
		}
	}
	return n, control.SetPosition(ctx, e.shadow, r.Run, f.t.N, at.now, n.changes, proof)
}

// snapshot runs work in a REPEATABLE READ transaction that holds the table's
// row and commits only if no production table that feeds it got other storage
// meanwhile: TRUNCATE is not MVCC-safe, a reader with an older snapshot finds
// the table empty. Repeated, a bounded number of times, after that and after
// serialization failures.
func (r *Replayer) snapshot(ctx context.Context, f *applier, work func(ends, moment) error) error {
	return r.snapshotIn(ctx, f, 1, work)
}

// snapshotIn is snapshot for work that may be divided among apply workers. One that
// gave way has it done by the leader alone, which may wait for as long as it takes.
func (r *Replayer) snapshotIn(ctx context.Context, f *applier, applyWorkers int, work func(ends, moment) error) error {
	err := r.repeat(ctx, []*applier{f}, func() error {
		err := r.once(ctx, f, applyWorkers, work)
		if errors.Is(err, errGaveWay) {
			applyWorkers = 1
		}
		return err
	})
	var conflict *Conflict
	if errors.As(err, &conflict) {
		r.locate(ctx, f, conflict)
	}
	return err
}

// repeat does once what may have to be done again. How often it is repeated is
// bounded, but for a position that another process of ours moved on: a leader and
// somebody who verifies beside it take turns, for as long as they both live.
func (r *Replayer) repeat(ctx context.Context, appliers []*applier, once func() error) error {
	for attempt := 0; ; {
		err := once()
		if !Passing(err) {
			return err
		}
		r.Log.Debug("repeat a batch", "table", tableNames(appliers), "attempt", attempt+1, "error", err.Error())
		if errors.Is(err, errTaken) {
			if err := r.settle(ctx, appliers); err != nil {
				return err
			}
			continue
		}
		if attempt++; attempt == attempts {
			return fmt.Errorf("%s: given up after %d attempts: %w", tableNames(appliers), attempts, err)
		}
		if !pause(ctx, time.Duration(attempt-1)*20*time.Millisecond) {
			return ctx.Err()
		}
	}
}

func tableNames(appliers []*applier) string {
	return list(len(appliers), func(i int) string { return appliers[i].t.Shadow.String() })
}

func (r *Replayer) once(ctx context.Context, f *applier, applyWorkers int, work func(ends, moment) error) error {
	lock := control.Lock
	if applyWorkers > 1 {
		if err := r.settle(ctx, []*applier{f}); err != nil {
			return err
		}
		lock = control.Lead
	}
	// Read before the snapshot is taken: a TRUNCATE that commits between the
	// two must be seen as a change.
	before, err := r.before(ctx, f)
	if err != nil {
		return err
	}
	var committed []byte
	var found []Found
	err = r.begin(ctx, func(e ends) error {
		at, err := r.enter(ctx, e, lock, f)
		if err != nil {
			return err
		}
		at[0].applyWorkers, at[0].found = applyWorkers, &found
		if err := work(e, at[0]); err != nil {
			return err
		}
		committed, err = r.leave(ctx, e, before, f.members, f.t)
		return err
	})
	if err != nil {
		if errors.Is(err, errMoved) {
			r.forgetStorage(f.t.N)
		}
		return err
	}
	r.noteFound(found...)
	return r.mirror(ctx, committed, f.t)
}

// before is the storage of the tables that feed f at some moment before now:
// remote, where each question costs a round trip, as it was first seen.
func (r *Replayer) before(ctx context.Context, f *applier) (string, error) {
	r.mu.Lock()
	known := r.storage[f.t.N]
	r.mu.Unlock()
	if known != "" {
		return known, nil
	}
	now, err := filenodes(ctx, r.Sides.Production, f.members)
	if err != nil || !r.Sides.Remote() {
		return now, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.storage == nil {
		r.storage = make(map[int]string)
	}
	r.storage[f.t.N] = now
	return now, nil
}

func (r *Replayer) forgetStorage(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.storage, n)
}

func unmoved(ctx context.Context, tx pgx.Tx, members []uint32, before string) error {
	after, err := filenodes(ctx, tx, members)
	if err == nil && after != before {
		err = errMoved
	}
	return err
}

// filenodes of tables as they are now, whatever the transaction's snapshot
// shows. Reading pg_class on the way makes the session notice the changes of
// others.
func filenodes(ctx context.Context, db pg.Querier, tables []uint32) (string, error) {
	var all string
	err := db.QueryRow(ctx, `SELECT COALESCE(string_agg(c.oid::text || ':' || COALESCE(pg_catalog.pg_relation_filenode(c.oid)::text, ''), ' ' ORDER BY c.oid), '')
		FROM pg_catalog.pg_class AS c WHERE c.oid = ANY ($1)`, tables).Scan(&all)
	if err != nil {
		return "", fmt.Errorf("read filenodes: %w", err)
	}
	return all, nil
}

// Passing reports an error after which the same may be done again: storage of a
// table that changed meanwhile, a serialization failure, an apply worker that gave way.
func Passing(err error) bool {
	if err == nil {
		return false
	}
	state := pg.State(err)
	return errors.Is(err, errMoved) || errors.Is(err, errLeaderless) || errors.Is(err, errGaveWay) || state == pgerrcode.SerializationFailure || state == pgerrcode.DeadlockDetected
}

// pause waits up to twice d, half of it by chance; false: ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d + time.Duration(rand.Int64N(int64(d)+1)))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
