package capture

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// locker runs transactions that need strong locks on tables of the user's. A
// lock that is waited for makes everybody queue behind it, so each attempt
// waits a moment only, for all its locks together, and gives way; there may be
// many attempts.
type locker struct {
	pool *pgxpool.Pool
	log  *slog.Logger
	// wait is the total for all locks of one attempt: what a client may be
	// delayed by. Below any sensible deadlock_timeout, so that no client of
	// theirs ever becomes the victim of a deadlock with us.
	wait time.Duration
	// patience is the total for all attempts.
	patience time.Duration
	// insists: what is done under the locks gets more and more time rather than be
	// given up. For what frees production in the end.
	insists bool
}

// Each attempt's wait, and for how long attempts go on. Transactions that hold
// a table for longer than patience are for a human to end: they are named.
const (
	installWait     = 200 * time.Millisecond
	installPatience = 15 * time.Minute
	removeWait      = 100 * time.Millisecond
	removePatience  = 5 * time.Minute
)

type lockMode string

const (
	shareRowExclusive lockMode = "SHARE ROW EXCLUSIVE"
	accessExclusive   lockMode = "ACCESS EXCLUSIVE"
)

// run calls f in a READ COMMITTED transaction that has all tables locked.
// It repeats it, tables unlocked in between, until the locks were got at once.
//
// Who waits behind us waits for as long as f takes, too: each of its statements has
// as much time as the locks had. Where one takes longer (an event trigger of the
// user's, a slow disk) the attempt gives way, and after a few the caller is told.
func (l locker) run(ctx context.Context, mode lockMode, tables []pg.Name, f func(pgx.Tx) error) error {
	slow := 0
	attempt := func() (struct{}, error) {
		locked := false
		err := pg.ReadCommitted(ctx, l.pool, func(tx pgx.Tx) error {
			if err := l.lock(ctx, tx, mode, tables); err != nil {
				return err
			}
			locked = true
			if err := l.hurry(ctx, tx, tables, slow); err != nil {
				return err
			}
			return f(tx)
		})
		if locked && pg.State(err) == pgerrcode.QueryCanceled && ctx.Err() == nil {
			if slow++; slow == slowAttempts && !l.insists {
				err = backoff.Permanent(fmt.Errorf("%w: %s, for longer than %s, %d times: %w", ErrSlow, names(tables), l.wait, slow, err))
			}
		}
		if err != nil && !gaveWay(ctx, err) {
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	}
	_, err := backoff.Retry(ctx, attempt, backoff.WithBackOff(pauses()),
		backoff.WithMaxElapsedTime(l.patience), backoff.WithNotify(l.notify(ctx, mode, tables)))
	if err != nil && gaveWay(ctx, err) && !errors.Is(err, ErrSlow) {
		return fmt.Errorf("wait for locks on %s: %w; held by: %s", names(tables), err, l.blockingSessions(ctx, mode, tables))
	}
	return err
}

// ErrSlow says that work under locks of the user's tables took longer than clients
// may wait, each time it was tried. Nothing has changed; a human looks what makes it
// slow.
var ErrSlow = errors.New("what is done under a lock takes too long, and clients would wait for it; look for event triggers and slow disks")

// slowAttempts is after how many attempts it is no chance that a statement takes long.
const slowAttempts = 5

// hurry bounds each statement from now on.
func (l locker) hurry(ctx context.Context, tx pgx.Tx, tables []pg.Name, slow int) error {
	if len(tables) == 0 {
		return nil
	}
	limit := l.wait
	if l.insists {
		limit <<= min(slow, 10)
	}
	_, err := tx.Exec(ctx, "SET LOCAL statement_timeout = "+fmt.Sprint(limit.Milliseconds()))
	return err
}

// lockText locks each of the tables alone: on a partitioned one or a parent the
// lock would descend.
func lockText(tables []pg.Name, mode lockMode) string {
	quoted := make([]string, len(tables))
	for i, t := range tables {
		quoted[i] = "ONLY " + t.Quoted()
	}
	return "LOCK TABLE " + strings.Join(quoted, ", ") + " IN " + string(mode) + " MODE"
}

// lock takes all tables' locks by one statement, so that statement_timeout is
// their total budget (lock_timeout counts for each). lock_timeout is for what
// else the transaction may wait for: catalogs, journals.
func (l locker) lock(ctx context.Context, tx pgx.Tx, mode lockMode, tables []pg.Name) error {
	_, err := tx.Exec(ctx, lockSettingsSQL, fmt.Sprintf("%dms", l.wait.Milliseconds()), fmt.Sprintf("%dms", max(l.wait.Milliseconds()/4, 1)))
	if err == nil {
		err = pg.BoundSilence(ctx, tx, pg.Silence)
	}
	if err != nil || len(tables) == 0 {
		return err
	}
	if _, err := tx.Exec(ctx, "SET LOCAL statement_timeout = "+fmt.Sprint(l.wait.Milliseconds())); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, lockText(tables, mode)); err != nil {
		return fmt.Errorf("lock %s: %w", names(tables), err)
	}
	_, err = tx.Exec(ctx, "SET LOCAL statement_timeout = 0")
	return err
}

// A short deadlock_timeout lets an autovacuum give way within our wait: it is
// told to only when that has passed. It takes a right that the role may lack,
// and that could not be granted before 15.
const lockSettingsSQL = `SELECT pg_catalog.set_config('lock_timeout', $1, true),
	CASE WHEN (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)
	THEN pg_catalog.set_config('deadlock_timeout', $2, true) END`

func gaveWay(ctx context.Context, err error) bool {
	if pg.SilentTooLong(err) { // we were stopped, and our server went on without us
		return true
	}
	switch pg.State(err) {
	case pgerrcode.LockNotAvailable, pgerrcode.DeadlockDetected:
		return true
	case pgerrcode.QueryCanceled: // by statement_timeout, unless we were told to stop
		return ctx.Err() == nil
	}
	return false
}

// pauses between attempts, each random by half: two that wait for each other
// must not stay in step.
func pauses() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval = 100 * time.Millisecond
	b.MaxInterval = 5 * time.Second
	return b
}

func (l locker) notify(ctx context.Context, mode lockMode, tables []pg.Name) backoff.Notify {
	return func(_ error, pause time.Duration) {
		l.log.Info("waiting for locks", "tables", names(tables), "pause", pause.Round(time.Millisecond),
			"held_by", l.blockingSessions(ctx, mode, tables))
	}
}

// blockingSessions names the sessions that hold a conflicting lock now. Looked up after
// we gave way, so it may miss one that has just ended.
func (l locker) blockingSessions(ctx context.Context, mode lockMode, tables []pg.Name) string {
	weak := []string{"AccessShareLock", "RowShareLock"} // do not conflict with SHARE ROW EXCLUSIVE
	if mode == accessExclusive {
		weak = nil
	}
	quoted := make([]string, len(tables))
	for i, t := range tables {
		quoted[i] = t.Quoted()
	}
	var text string
	err := l.pool.QueryRow(ctx, `SELECT COALESCE(pg_catalog.string_agg(DISTINCT pg_catalog.format('pid %s %s %s, %s, transaction open for %s s',
			a.pid, a.usename, NULLIF(a.application_name, ''), COALESCE(a.state, a.backend_type),
			pg_catalog.round(pg_catalog.extract('epoch', pg_catalog.clock_timestamp() - a.xact_start)::numeric, 1)), '; '), 'nobody any more')
		FROM pg_catalog.pg_locks k JOIN pg_catalog.pg_stat_activity a ON a.pid = k.pid
		WHERE k.locktype = 'relation' AND k.granted AND a.pid <> pg_catalog.pg_backend_pid()
		  AND k.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
		  AND k.relation IN (SELECT pg_catalog.to_regclass(t)::oid FROM pg_catalog.unnest($1::text[]) t)
		  AND NOT k.mode OPERATOR(pg_catalog.=) ANY ($2::text[])`, quoted, append([]string{}, weak...)).Scan(&text)
	if err != nil {
		return "unknown: " + err.Error()
	}
	return text
}

// names lists tables for people, shortened where there are many.
func names(tables []pg.Name) string {
	const most = 3
	var all []string
	for i, t := range tables {
		if i == most {
			return fmt.Sprintf("%s and %d more", strings.Join(all, ", "), len(tables)-most)
		}
		all = append(all, t.String())
	}
	return strings.Join(all, ", ")
}
