package capture

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
)

// Free gives back the room that the journals of a run take, both directions, as
// far as that is possible at once; [Remove] does the rest. For a run that is
// undone: nothing is recorded any more. It needs no room itself, on a disk that
// is full: the journals are closed by a sequence's value, statements that were
// under way are waited for, a few seconds at most, and dropping a table only
// marks what is in the catalogs. A journal that an open transaction has written
// to stays. Triggers stay as well, and return at once.
func Free(ctx context.Context, pool *pgxpool.Pool, run *control.Run, log *slog.Logger) error {
	for _, d := range []Direction{ToShadow, ToOld} {
		if err := closeJournals(ctx, pool, run, d); err != nil {
			return err
		}
	}
	quiet, err := statementsOver(ctx, pool, run)
	if err != nil {
		return err
	}
	if !quiet {
		log.Warn("statements that write captured tables are still under way; the journals are dropped once they are over")
		return nil
	}
	views, err := journalViews(ctx, pool)
	if err != nil {
		return err
	}
	l := locker{pool: pool, log: log, wait: removeWait}
	for _, v := range views {
		if !ofRun(v, run) {
			continue
		}
		if err := l.once(ctx, dropJournal(ctx, v)); err != nil && !gaveWay(ctx, err) {
			return fmt.Errorf("free the room of %s: %w", v, err)
		}
	}
	return nil
}

func ofRun(view pg.Name, run *control.Run) bool {
	for _, d := range []Direction{ToShadow, ToOld} {
		if strings.HasPrefix(view.Name, Journal{Run: run.ID, Direction: d}.viewPrefix()) {
			return true
		}
	}
	return false
}

// How long statements are waited for that began before the journals were closed.
const (
	statementsPatience = 5 * time.Second
	statementsEvery    = 20 * time.Millisecond
)

// statementsOver waits for the statements that may have found the journals open:
// a trigger that fires in one may be about to write to a journal. Whoever
// begins a statement later finds them closed. A session's state may be hidden
// from our role: then its transaction is waited for.
func statementsOver(ctx context.Context, pool *pgxpool.Pool, run *control.Run) (bool, error) {
	var began time.Time
	if err := pool.QueryRow(ctx, `SELECT pg_catalog.clock_timestamp()`).Scan(&began); err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, statementsPatience)
	defer cancel()
	tick := time.NewTicker(statementsEvery)
	defer tick.Stop()
	for {
		var writing bool
		err := pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_locks k
			JOIN pg_catalog.pg_trigger t ON t.tgrelid = k.relation AND pg_catalog.starts_with(t.tgname::text, $2)
			JOIN pg_catalog.pg_stat_activity a ON a.pid = k.pid
			WHERE k.locktype = 'relation' AND k.granted AND k.mode NOT IN ('AccessShareLock', 'RowShareLock')
			  AND k.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
			  AND k.pid <> pg_catalog.pg_backend_pid()
			  AND (a.state IS NULL AND a.backend_type IS DISTINCT FROM 'autovacuum worker' OR a.state NOT LIKE 'idle%' AND a.query_start <= $1))`,
			began, triggerPrefix(run.ID)).Scan(&writing)
		switch {
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			return false, nil
		case err != nil:
			return false, fmt.Errorf("wait for statements under way: %w", err)
		case !writing:
			return true, nil
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}
