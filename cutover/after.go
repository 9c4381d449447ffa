package cutover

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
)

// Locks that work after the swap takes: short, and again after a pause, so that
// nobody queues behind us for long.
const (
	lateLock  = 100 * time.Millisecond
	latePause = 50 * time.Millisecond
)

// After does what the swap left: ends idle sessions if the plan says so, drops
// the guard triggers once no snapshot from before the drain is left, removes
// capture from the old tables and validates foreign keys. May be repeated, in
// this process or another, until it returns nil. Takes ACCESS EXCLUSIVE on one
// table at a time for the moment of a DROP TRIGGER, waiting at most 100 ms
// each time. Where the plan has no watch, the run is finished at the end.
func (c *Cutover) After(ctx context.Context) error {
	switch {
	case c.backwards():
		return c.afterBack(ctx)
	case c.Sides.Remote():
		return c.afterRemote(ctx)
	}
	if err := c.unguard(ctx); err != nil {
		return err
	}
	if err := c.dropWriteBlock(ctx); err != nil {
		return err
	}
	err := c.each(ctx, []task{
		{"validate foreign keys that the migrations met", c.validateMigrated},
		{"vacuum what the migrations wrote", c.vacuumMigrated},
		{"remove capture from the old side", c.Parts.StopCapture},
		{"validate foreign keys", c.Parts.PostSwap},
	})
	if err != nil {
		return err
	}
	if !c.Upgrade.Plan.Settings.Watch.Enabled {
		return c.Finish(ctx, KeepOld)
	}
	return nil
}

// unguard drops the guards once no session is left that they are for.
func (c *Cutover) unguard(ctx context.Context) error {
	swapped, err := c.swapped(ctx)
	if err != nil {
		return err
	}
	if c.settings().RecycleSessions == "idle" {
		if err := c.recycle(ctx, swapped.at); err != nil {
			return err
		}
	}
	if err := c.outliveSnapshots(ctx, swapped); err != nil {
		return err
	}
	return dropGuards(ctx, c.Sides.Production, c.Upgrade)
}

// task is left to do after the swap.
type task struct {
	name string
	do   func(context.Context) error
}

// each does one after the other.
func (c *Cutover) each(ctx context.Context, all []task) error {
	for _, t := range all {
		if err := t.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
	}
	return nil
}

// afterRemote: the shadow has no names of production's to drop, and no session
// there is old enough to need a guard or to be recycled. The fence stays.
func (c *Cutover) afterRemote(ctx context.Context) error {
	err := c.each(ctx, []task{
		{"open the write block", c.dropWriteBlock},
		{"validate foreign keys that the migrations met", c.validateMigrated},
		{"vacuum what the migrations wrote", c.vacuumMigrated},
		{"remove capture from the old side", c.Parts.StopCapture},
		{"keep the old side's triggers still", c.quietTriggers},
		{"drop the shadow's structure from production", c.Parts.DropSkeleton},
		{"validate foreign keys", c.Parts.PostSwap},
	})
	if err != nil || c.Upgrade.Plan.Settings.Watch.Enabled {
		return err
	}
	return c.Finish(ctx, KeepOld)
}

// swap as the run's row tells it.
type swapRecord struct {
	at    time.Time
	guard string
}

func (c *Cutover) swapped(ctx context.Context) (swapRecord, error) {
	at, guard, err := control.SwapMoment(ctx, c.Sides.Production, c.Upgrade)
	return swapRecord{at: at, guard: guard}, err
}

// outliveSnapshots waits until no session can have a snapshot from before the
// drain. The attempt has waited for all of them but those that waited for its
// fence, so this is short. Times are the server's: a transaction that began after
// the swap has no older snapshot, however old its xmin looks, unless it imported
// one while a session that has it was still there.
func (c *Cutover) outliveSnapshots(ctx context.Context, s swapRecord) error {
	said := time.Now() // most are gone before it is worth a line
	until := s.at
	for {
		found, err := c.snapshotsBefore(ctx, s.guard, &until, s.at)
		if err != nil || len(found) == 0 {
			return err
		}
		if time.Since(said) > 10*time.Second {
			c.Log.Info("a session has a snapshot from before the swap; until it is gone, what would read through it is refused with 40001", "session", found[0].String())
			said = time.Now()
		}
		if err := pause(ctx, latePause); err != nil {
			return err
		}
	}
}

// snapshotsBefore are the sessions whose transaction began before until and whose
// snapshot may be older than the mark. until moves on as long as one of them
// began before the swap: that one may export its snapshot.
func (c *Cutover) snapshotsBefore(ctx context.Context, mark string, until *time.Time, swapped time.Time) ([]session, error) {
	var found []session
	var now time.Time
	err := pinned(ctx, c.Sides.Production, func(tx pgx.Tx) (err error) {
		pids, started := c.own().Columns()
		if found, err = sessions(ctx, tx, snapshotHoldersSQL, mark, 0, pids, started); err != nil {
			return err
		}
		return tx.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&now)
	})
	if err != nil {
		return nil, fmt.Errorf("look for old snapshots: %w", err)
	}
	begunAfter := func(t time.Time) func(session) bool {
		return func(h session) bool { return h.Began != nil && h.Began.After(t) }
	}
	if !slices.ContainsFunc(found, func(h session) bool { return !begunAfter(swapped)(h) }) {
		return slices.DeleteFunc(found, begunAfter(*until)), nil
	}
	*until = now
	return slices.DeleteFunc(found, begunAfter(now)), nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// dropTriggers drops a trigger of ours wherever it is, each in a transaction of
// its own that a deposed leader's is refused: its successor's fence may bear the
// same name.
func dropTriggers(ctx context.Context, db pg.Beginner, run *control.Run, trigger string, function pg.Name) error {
	var tables []pg.Name
	err := pg.ReadCommitted(ctx, db, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT n.nspname::text, c.relname::text
			FROM pg_catalog.pg_trigger t
			JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
			JOIN pg_catalog.pg_namespace f ON f.oid = p.pronamespace
			JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
			JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
			WHERE t.tgname = $1 AND f.nspname = $2 AND p.proname = $3`, trigger, function.Schema, function.Name)
		if err != nil {
			return err
		}
		tables, err = pgx.CollectRows(rows, pgx.RowToStructByPos[pg.Name])
		return err
	})
	if err != nil {
		return fmt.Errorf("list triggers %s: %w", trigger, err)
	}
	for _, t := range tables {
		err := leading(ctx, db, run, dropTrigger(trigger, t))
		if err != nil {
			return fmt.Errorf("drop trigger %s of %s: %w", trigger, t, err)
		}
	}
	return leading(ctx, db, run, dropFunction(function))
}

func dropTrigger(trigger string, table pg.Name) string {
	return "DROP TRIGGER IF EXISTS " + pg.Ident(trigger) + " ON " + table.Quoted()
}

func dropFunction(name pg.Name) string { return "DROP FUNCTION IF EXISTS " + name.Quoted() + "()" }

// leading is [patiently], unless another process leads the run by then.
func leading(ctx context.Context, db pg.Beginner, run *control.Run, statements ...string) error {
	return briefly(ctx, db, func(tx pgx.Tx) error {
		if err := control.CheckEpoch(ctx, tx, run); err != nil {
			return err
		}
		return execAll(ctx, tx, statements)
	})
}

// patiently runs statements in one transaction whose lock waits are short,
// until the locks could be had.
func patiently(ctx context.Context, db pg.Beginner, statements ...string) error {
	return briefly(ctx, db, func(tx pgx.Tx) error { return execAll(ctx, tx, statements) })
}

func briefly(ctx context.Context, db pg.Beginner, f func(pgx.Tx) error) error {
	return untilLocked(ctx, func() error {
		return pg.ReadCommitted(ctx, db, func(tx pgx.Tx) error {
			if err := waitBriefly(ctx, tx); err != nil {
				return err
			}
			return f(tx)
		})
	})
}

func execAll(ctx context.Context, tx pgx.Tx, statements []string) error {
	for _, s := range statements {
		if _, err := tx.Exec(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// waitBriefly bounds each lock wait of a transaction, and its silence.
func waitBriefly(ctx context.Context, tx pgx.Tx) error {
	if err := pg.BoundSilence(ctx, tx, pg.Silence); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, fmt.Sprintf("SET LOCAL lock_timeout = %d", lateLock.Milliseconds()))
	return err
}

// untilLocked repeats a transaction, after a pause, until it does not end for
// want of a lock.
func untilLocked(ctx context.Context, transaction func() error) error {
	passing := func(err error) bool {
		state := pg.State(err)
		return state == pgerrcode.LockNotAvailable || state == pgerrcode.DeadlockDetected || pg.SilentTooLong(err)
	}
	err := pg.Retry(ctx, pg.Every(latePause), passing, transaction)
	if passing(err) && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// recycle ends the sessions that are idle, outside any transaction, and began
// before the swap, so that pools make new ones without old prepared statements.
// Sessions that this role may not end are left, and logged.
func (c *Cutover) recycle(ctx context.Context, swapped time.Time) error {
	ours, started := c.own().Columns()
	rows, err := c.Sides.Production.Query(ctx, `SELECT pid FROM pg_catalog.pg_stat_activity
		WHERE datname = pg_catalog.current_database() AND backend_type = 'client backend' AND state = 'idle'
		  AND backend_start < $1 AND pid <> pg_catalog.pg_backend_pid()
		  AND NOT EXISTS (SELECT FROM unnest($2::int[], $3::timestamptz[]) AS o (id, started) WHERE o.id = pid AND o.started = backend_start)`,
		swapped, ours, started)
	if err != nil {
		return fmt.Errorf("list idle sessions: %w", err)
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int32])
	if err != nil {
		return fmt.Errorf("list idle sessions: %w", err)
	}
	for _, pid := range pids {
		// Once more in the same statement: it may have begun to work meanwhile.
		_, err := c.Sides.Production.Exec(ctx, `SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
			WHERE pid = $1 AND state = 'idle' AND backend_start < $2`, pid, swapped)
		if pg.State(err) == pgerrcode.InsufficientPrivilege {
			c.Log.Warn("an idle session may not be ended by this role", "pid", pid)
			continue
		}
		if err != nil {
			return fmt.Errorf("end idle session %d: %w", pid, err)
		}
	}
	return nil
}
