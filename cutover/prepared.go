package cutover

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// checkPrepared gives those that it finds the time that locks may take: where a
// transaction manager is at work there is always one, each over in milliseconds.
// Those that came meanwhile are the fence's to wait for.
func (c *Cutover) checkPrepared(ctx context.Context, db pg.Querier) ([]Blocker, error) {
	found, err := preparedTransactions(ctx, db, c.settings().MaxStall)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	until := time.After(min(c.settings().LockTimeout, time.Second))
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for len(found) > 0 && !slices.ContainsFunc(found, func(b Blocker) bool { return b.Lasting }) {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-until:
			return found, nil
		case <-again.C:
		}
		now, err := preparedTransactions(ctx, db, c.settings().MaxStall)
		if err != nil {
			return nil, err
		}
		found = slices.DeleteFunc(now, func(b Blocker) bool {
			return !slices.ContainsFunc(found, func(first Blocker) bool { return first.Fix == b.Fix })
		})
	}
	return found, nil
}

// preparedTransactions names those of this database: one holds locks and
// changes, and no session stands behind it that could be waited for or ended.
// Where a transaction manager is at work it is over in milliseconds; one that is
// older than patience was forgotten, or its manager is gone.
func preparedTransactions(ctx context.Context, db pg.Querier, patience time.Duration) ([]Blocker, error) {
	rows, err := db.Query(ctx, `SELECT pg_catalog.quote_literal(gid), owner::text, extract(epoch FROM pg_catalog.clock_timestamp() - prepared)::float8
		FROM pg_catalog.pg_prepared_xacts WHERE database = pg_catalog.current_database() ORDER BY prepared, gid`)
	if err != nil {
		return nil, fmt.Errorf("look for prepared transactions: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (Blocker, error) {
		var gid, owner string
		var age float64
		err := row.Scan(&gid, &owner, &age)
		return Blocker{
			Code:    "prepared-transaction",
			Message: fmt.Sprintf("prepared transaction %s (%s, prepared %.1f s ago) may hold locks and changes, and no session will end it", gid, owner, age),
			Fix:     fmt.Sprintf("COMMIT PREPARED %s, or ROLLBACK PREPARED %[1]s, as whoever prepared it decides", gid),
			Lasting: age > patience.Seconds(),
		}, err
	})
}

// forgotten is the age past which a prepared transaction that holds a lock ends
// the series of attempts: no transaction manager takes so long while it lives.
const forgotten = 5 * time.Second

// preparedInWay names prepared transactions if one of them, rather than a
// session, blocks a backend. A young one ends the attempt, not the series.
func preparedInWay(ctx context.Context, db pg.Querier, pid uint32, patience time.Duration) ([]Blocker, error) {
	var blocked bool
	err := db.QueryRow(ctx, `SELECT 0 = ANY (pg_catalog.pg_blocking_pids($1))`, pid).Scan(&blocked)
	if err != nil || !blocked {
		return nil, err
	}
	return preparedTransactions(ctx, db, patience)
}
