package upgrade_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

// updates that are to be caught up with: random rows of two million, in
// transactions of a thousand.
const updates = 1_000_000

// BenchmarkCatchUpElsewhere: a million random updates replayed into another
// database, against logical replication that applies the same ones.
func BenchmarkCatchUpElsewhere(b *testing.B) {
	benchmark(b, func(t *testing.T) {
		ctx := limited(t, 15*time.Minute)
		shadow, subscriber := testcontainers.Database(t), testcontainers.Database(t)
		w := build(t, history{structure: "SELECT 1", schemas: []string{"public"}, remote: shadow,
			migrations: []string{"ALTER TABLE pgbench_accounts ADD COLUMN note text;"}})
		pgbench(t, w.production, "-i", "-q", "-s", "20")
		w.run(ctx, upgrade.Options{Until: control.Following})
		subscribe(t, w.production, subscriber)
		var ours, theirs []float64
		for range 3 {
			touch(t, w.production)
			theirs = append(theirs, applied(ctx, t, w.production, subscriber))
			ours = append(ours, caughtUp(ctx, t, w))
		}
		exec(t, subscriber, "ALTER SUBSCRIPTION bench DISABLE; ALTER SUBSCRIPTION bench SET (slot_name = NONE); DROP SUBSCRIPTION bench")
		exec(t, w.production, "SELECT pg_drop_replication_slot('bench')")
		b.ReportMetric(median(ours)/median(theirs), "ours/logical")
		b.Logf("%d random updates: ours %.1f s, logical replication %.1f s, ratio %.2f (at most 1 wanted)",
			updates, median(ours), median(theirs), median(ours)/median(theirs))
	})
}

// subscribe prepares logical replication of the accounts, disabled.
func subscribe(t *testing.T, from, to string) {
	t.Helper()
	exec(t, from, "CREATE PUBLICATION bench FOR TABLE pgbench_accounts")
	exec(t, from, "SELECT pg_create_logical_replication_slot('bench', 'pgoutput')")
	exec(t, to, "CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84))")
	pipe(t, from, to, "pgbench_accounts")
	exec(t, to, fmt.Sprintf("CREATE SUBSCRIPTION bench CONNECTION '%s' PUBLICATION bench WITH (create_slot = false, slot_name = 'bench', copy_data = false, enabled = false)", from))
}

// touch makes the updates.
func touch(t *testing.T, dsn string) {
	t.Helper()
	exec(t, dsn, fmt.Sprintf(`DO $$ BEGIN FOR i IN 1..%d LOOP
		UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid IN (SELECT (random() * 1999999)::int + 1 FROM generate_series(1, 1000));
		COMMIT; END LOOP; END $$`, updates/1000))
}

// applied is how long the subscriber takes.
func applied(ctx context.Context, t *testing.T, from, to string) float64 {
	t.Helper()
	var end string
	must(t, one(from, `SELECT pg_current_wal_insert_lsn()::text`, &end))
	began := time.Now()
	exec(t, to, "ALTER SUBSCRIPTION bench ENABLE")
	await(ctx, t, from, fmt.Sprintf(`SELECT coalesce((SELECT confirmed_flush_lsn >= '%s' FROM pg_replication_slots WHERE slot_name = 'bench'), false)`, end))
	took := time.Since(began).Seconds()
	exec(t, to, "ALTER SUBSCRIPTION bench DISABLE")
	return took
}

// caughtUp is how long a run takes that goes on, from its first batch.
func caughtUp(ctx context.Context, t *testing.T, w *world) float64 {
	t.Helper()
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	began := time.Now()
	go func() { ended <- upgrade.Run(running, w.file(), upgrade.Options{Log: w.log}) }()
	polled(ctx, t, func() bool {
		s, err := upgrade.ReadStatus(ctx, w.file())
		must(t, err)
		return s.Journal.Pending == 0
	})
	took := time.Since(began).Seconds()
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		must(t, err)
	}
	return took
}
