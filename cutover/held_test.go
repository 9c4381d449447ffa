package cutover

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// TestLongTransactionHoldsNobodyUp: while a client of the pool is in a long
// transaction no other is held, however often a cutover is tried; one past the
// pool does not count.
func TestLongTransactionHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	f := remoteShop(t).behindBouncer()
	ctx := context.Background()
	f.settle(400*time.Millisecond, 200*time.Millisecond)
	run(t, f.client(), "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM shop.account")
	config, err := pgx.ParseConfig(f.through)
	if err != nil {
		t.Fatal(err)
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	report, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = report.Close(ctx) })
	run(t, report, "BEGIN")
	run(t, report, "SELECT count(*) FROM shop.account")
	waitFor(t, f.pool, `SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'
		AND xact_start < clock_timestamp() - interval '200 ms' AND pid <> (SELECT max(pid) FROM pg_stat_activity WHERE query ~ 'REPEATABLE READ')`)
	for range 3 {
		out := f.refuses("open-transaction", "is in a transaction that clients would be held for")
		if out.Held > 0 {
			t.Errorf("held for %s", out.Held)
		}
	}
	against, err := f.Check(ctx)
	if err != nil || len(against) != 1 || !strings.Contains(against[0].Message, "would be held for") {
		t.Errorf("check: %+v, %v", against, err)
	}
	run(t, report, "COMMIT")
	f.settle(2*time.Second, 500*time.Millisecond)
	out := f.swaps()
	if out.Held <= 0 || out.Held > 3*time.Second {
		t.Errorf("held for %s", out.Held)
	}
	if ms := get[float64](f, "SELECT (cutover->>'held_ms')::float8 FROM pgumbra.run"); ms <= 0 {
		t.Errorf("held_ms %v", ms)
	}
}
