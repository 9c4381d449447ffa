package planner

import (
	"context"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// A role that is no superuser drops its scratch database while autovacuum is in it, which it may
// not end.
func TestScratchGoesWhileAutovacuumIsInIt(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	server, err := testcontainers.Start(ctx, testcontainers.Options{Settings: map[string]string{"autovacuum": "on", "autovacuum_naptime": "1",
		"autovacuum_vacuum_threshold": "10", "autovacuum_vacuum_insert_threshold": "10", "autovacuum_vacuum_cost_delay": "100", "autovacuum_vacuum_cost_limit": "1"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Discard(context.WithoutCancel(ctx)) })
	admin, err := pg.Connect(ctx, server.DSN("postgres"), pg.Options{Component: "scratch"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = admin.Close(ctx) }()
	do := func(sql string) {
		if _, err := admin.Exec(ctx, sql); err != nil {
			t.Fatal(sql, err)
		}
	}
	do("CREATE ROLE plain CREATEDB")
	do("CREATE DATABASE scratched OWNER plain")
	in, err := pg.Connect(ctx, server.DSN("scratched"), pg.Options{Component: "scratch"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.Exec(ctx, "CREATE TABLE public.t AS SELECT n, repeat('x', 500) AS x FROM generate_series(1, 60000) n"); err != nil {
		t.Fatal(err)
	}
	_ = in.Close(ctx)
	until := time.Now().Add(2 * time.Minute)
	for working := false; !working; {
		if time.Now().After(until) {
			t.Fatal("autovacuum does not come")
		}
		err := admin.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_sleep(0.05), pg_stat_activity WHERE datname = 'scratched' AND backend_type = 'autovacuum worker')`).Scan(&working)
		if err != nil {
			t.Fatal(err)
		}
	}
	do("SET SESSION AUTHORIZATION plain")
	if err := (&scratch{admin: admin}).dropDatabase(ctx, "scratched"); err != nil {
		t.Error(err)
	}
}
