package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/testcontainers"
)

const invalidPassword = "28P01"

// TestWhatTheServerDoesNotGive: passwords that it refuses, transactions that it
// keeps prepared, a lock table that is too small. On a server of its own.
func TestWhatTheServerDoesNotGive(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	server, err := testcontainers.Start(ctx, testcontainers.Options{Settings: map[string]string{
		"max_locks_per_transaction": "10", "max_connections": "15", "max_prepared_transactions": "2", "max_wal_senders": "0"}})
	must(t, err)
	t.Cleanup(func() { must(t, server.Stop(context.Background())) })
	o := &operator{t: t, dir: t.TempDir(), dsn: server.DSN("postgres"), run: "up"}
	o.sql(tiny.sql)
	o.settle(tiny)
	before := o.dumpAll()

	o.refusesPasswords(ctx)
	for _, command := range []string{"plan", "run", "status", "verify", "cutover", "abort", "finish"} {
		p := o.do(ctx, exitError, command, "--set", "production.dsn="+strings.Replace(o.dsn, "postgres@", "guarded:geheim@", 1))
		if text := p.out.String() + p.err.String(); !strings.Contains(text, invalidPassword) || strings.Contains(text, "geheim") {
			t.Errorf("%s with a wrong password says:\n%s", command, text)
		}
	}

	prepare := "BEGIN; UPDATE shop.a SET b = 'x' WHERE id = 1; PREPARE TRANSACTION 'forgotten'"
	o.sql(prepare)
	for _, args := range [][]string{{"plan"}, {"run", "--until", "following"}} {
		if p := o.do(ctx, exitFindings, args...); !strings.Contains(p.err.String(), "prepared-transactions") {
			t.Errorf("%s beside a prepared transaction says:\n%s", args[0], &p.err)
		}
	}
	o.sql("ROLLBACK PREPARED 'forgotten'")
	o.do(ctx, exitDone, "run", "--until", "following")
	o.sql(prepare)
	o.wait(ctx, `SELECT 'x' FROM pg_prepared_xacts WHERE prepared < clock_timestamp() - interval '1.1 seconds'`) // longer than max_stall
	if p := o.do(ctx, exitNotNow, "cutover"); !strings.Contains(p.err.String(), "ROLLBACK PREPARED 'forgotten'") {
		t.Errorf("cutover beside a prepared transaction says:\n%s", &p.err)
	}
	if tried := o.query(ctx, `SELECT count(*)::text FROM pgumbra.event WHERE kind = 'refused'`); tried != "1" {
		t.Errorf("%s attempts while a prepared transaction was open", tried)
	}
	o.sql("ROLLBACK PREPARED 'forgotten'")
	o.do(ctx, exitDone, "abort", "--purge")
	if o.dumpAll() != before {
		t.Error("production was changed")
	}

	var many strings.Builder
	for i := range 50 {
		fmt.Fprintf(&many, "CREATE TABLE shop.t%d (id int PRIMARY KEY);", i)
	}
	o.sql(many.String())
	if p := o.do(ctx, exitFindings, "run"); !strings.Contains(p.err.String(), "locks-too-few") {
		t.Errorf("with a small lock table:\n%s", &p.err)
	}
}

// refusesPasswords makes the server ask role guarded for its password, and waits
// until it does.
func (o *operator) refusesPasswords(ctx context.Context) {
	o.t.Helper()
	o.sql(`CREATE ROLE guarded LOGIN PASSWORD 'richtig';
		DO $$ BEGIN EXECUTE format('COPY (VALUES (''host all guarded all scram-sha-256''), (''host all all all trust'')) TO %L', current_setting('hba_file')); END $$;
		SELECT pg_reload_conf()`)
	for dsn := strings.Replace(o.dsn, "postgres@", "guarded:geheim@", 1); ; {
		conn, err := pgx.Connect(ctx, dsn)
		if pg.State(err) == invalidPassword {
			return
		}
		if err == nil {
			_ = conn.Close(ctx)
		}
		must(o.t, ctx.Err())
	}
}
