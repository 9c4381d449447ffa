package upgrade_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

// TestPgbenchRunsThroughACutover: no failed transaction, balances equal.
func TestPgbenchRunsThroughACutover(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	t.Logf("stall %.1f ms", stallUnderPgbench(limited(t, 2*time.Minute), t))
}

// TestServerCrashWithAsynchronousCommit: the server is killed while clients
// commit asynchronously and the run follows. What the crash took is gone on both
// sides; an unlogged table, which it emptied, is empty on both.
func TestServerCrashWithAsynchronousCommit(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, 3*time.Minute)
	server, err := testcontainers.Start(ctx, testcontainers.Options{Settings: map[string]string{
		"synchronous_commit": "off", "wal_writer_delay": "10s", "fsync": "on"}})
	must(t, err)
	t.Cleanup(func() { _ = server.Stop(context.WithoutCancel(ctx)) })
	w := build(t, history{
		structure: `CREATE SCHEMA shop;
			CREATE TABLE shop.a (id int PRIMARY KEY, v int NOT NULL); INSERT INTO shop.a SELECT n, 0 FROM generate_series(1, 2000) n;
			CREATE UNLOGGED TABLE shop.u (id int PRIMARY KEY, v int NOT NULL); INSERT INTO shop.u SELECT n, 0 FROM generate_series(1, 2000) n;`,
		migrations: []string{"ALTER TABLE shop.a ALTER COLUMN id TYPE bigint, ADD COLUMN w int;\nUPDATE shop.a SET w = v * 2;\nALTER TABLE shop.u ADD COLUMN w int;"},
		server:     server,
	})
	w.run(ctx, upgrade.Options{Until: control.Following})
	if crashUnder(ctx, t, server) == 0 {
		t.Error("the crash took no commit: nothing was tested")
	}
	hammer(ctx, t, w.production)
	w.run(ctx, upgrade.Options{Until: control.Following})
	verdicts, err := upgrade.Verify(ctx, w.file(), w.log)
	must(t, err)
	if !upgrade.AllEqual(verdicts) {
		t.Errorf("after the crash: %+v", verdicts)
	}
	w.run(ctx, upgrade.Options{Cutover: true})
}

// crashUnder kills a server while a client commits, starts it again, and counts
// the commits that the client was told of and the crash took.
func crashUnder(ctx context.Context, t *testing.T, server *testcontainers.Server) (lost int) {
	t.Helper()
	const sum = `SELECT sum(v)::int FROM shop.a`
	conn, err := pgx.Connect(ctx, server.DSN("postgres"))
	must(t, err)
	var before, after int
	must(t, conn.QueryRow(ctx, sum).Scan(&before))
	acknowledged, many := make(chan int, 1), make(chan struct{})
	go func() {
		for n := 0; ; n++ {
			if _, err := conn.Exec(ctx, fmt.Sprintf("UPDATE shop.a SET v = v + 1 WHERE id = %d", 1+n%2000)); err != nil {
				acknowledged <- n
				return
			}
			if n == 300 {
				close(many)
			}
		}
	}()
	select {
	case <-many:
	case n := <-acknowledged:
		t.Fatalf("the client failed after %d commits", n)
	}
	must(t, server.Crash(ctx))
	n := <-acknowledged
	must(t, server.Restart(ctx))
	must(t, one(server.DSN("postgres"), sum, &after))
	t.Logf("%d commits, %d of them lost", n, n-(after-before))
	return max(0, n-(after-before))
}

// hammer commits many small changes that nobody waits to be durable.
func hammer(ctx context.Context, t *testing.T, dsn string) {
	t.Helper()
	conn, err := pgx.Connect(ctx, dsn)
	must(t, err)
	defer func() { _ = conn.Close(ctx) }()
	for i := range 500 {
		_, err := conn.Exec(ctx, fmt.Sprintf("UPDATE shop.a SET v = v + 1 WHERE id = %d", 1+i%2000))
		must(t, err)
	}
}
