package testcontainers

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func TestStandbyFollowsUntilItIsPromoted(t *testing.T) {
	t.Parallel()
	if _, err := Bin("pg_basebackup"); err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	fatal := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	primary, err := Start(ctx, Options{})
	fatal(err)
	t.Cleanup(func() { _ = primary.Stop(context.WithoutCancel(ctx)) })
	link, address := StartProxy(t, primary.Addr()), StartProxy(t, primary.Addr())
	standby, err := primary.Standby(ctx, link.Addr())
	fatal(err)
	t.Cleanup(func() { _ = standby.Stop(context.WithoutCancel(ctx)) })
	run := func(s *Server, sql string) {
		t.Helper()
		fatal(administer(s, sql))
	}
	run(primary, "CREATE TABLE shipped ()")
	for found := false; !found; {
		conn, err := pgx.Connect(ctx, standby.DSN("postgres"))
		fatal(err)
		fatal(conn.QueryRow(ctx, `SELECT to_regclass('shipped') IS NOT NULL`).Scan(&found))
		fatal(conn.Close(ctx))
	}
	link.Cut()
	run(primary, "CREATE TABLE lost ()")
	if err := administer(standby, "CREATE TABLE refused ()"); err == nil {
		t.Error("a standby takes writes")
	}
	fatal(primary.Crash(ctx))
	fatal(standby.Promote(ctx))
	address.Lead(standby.Addr())
	conn, err := pgx.Connect(ctx, address.Through(primary.DSN("postgres")))
	fatal(err)
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, "DROP TABLE shipped; CREATE TABLE lost ()")
	fatal(err)
}
