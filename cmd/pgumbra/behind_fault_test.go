package main

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/testcontainers"
)

// TestKilledWhileMigrationsRunBehindTheFence kills -9 a run in the trial and in
// the middle of the swapping transaction, cuts its connections there, and lets it
// go on: it happened or it did not, and no migration ran twice.
func TestKilledWhileMigrationsRunBehindTheFence(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	o := operatorOf(t, small.with("CREATE TABLE shop.ran (n int);", map[string]string{
		"2_next.up.sql": "INSERT INTO shop.ran SELECT count(*) FROM shop.ran;\nUPDATE shop.a SET n = n + (SELECT count(*) FROM shop.c);",
		"3_slow.up.sql": "SELECT pg_sleep(0.4);\nINSERT INTO shop.ran SELECT 100 + count(*) FROM shop.ran;",
	}, "cutover: {max_stall: 20s}\n"))
	before := o.query(ctx, `SELECT sum(n)::text FROM shop.a`)
	sleeps := `SELECT 'x' FROM pg_stat_activity a CROSS JOIN pgumbra.run r WHERE a.query LIKE '%pg_sleep(0.4)%' AND a.state = 'active'
		AND a.datname = current_database() AND a.pid <> pg_backend_pid() AND r.phase = `
	met := 0
	for _, m := range []moment{{"trial", sleeps + `'following'`, production}, {"behind the fence", sleeps + `'cutover'`, production}} {
		if o.killWhen(ctx, m, "--cutover") {
			met++
		}
		if ran := o.query(ctx, `SELECT count(*)::text FROM shop.ran`); ran != "0" {
			t.Errorf("killed in the %s: %s rows", m.name, ran)
		}
		if now := o.query(ctx, `SELECT sum(n)::text FROM shop.a`); now != before {
			t.Errorf("killed in the %s: the sum is %s, was %s", m.name, now, before)
		}
	}
	// A session of the killed process may sleep still.
	leads := ` AND r.epoch > ` + o.query(ctx, `SELECT epoch::text FROM pgumbra.run`)
	p := o.start(ctx, "run", "--cutover")
	cut := o.hitWhen(ctx, p, moment{"behind the fence", sleeps + `'cutover'` + leads, production}, func() { o.cutAll(ctx) })
	if code := p.code(); code != exitDone || !cut || met != 2 {
		t.Fatalf("exit code %d, cut %t, killed %d times\n%s", code, cut, met, &p.err)
	}
	if got := o.query(ctx, `SELECT string_agg(n::text, ' ' ORDER BY n) FROM shop.ran`); got != "0 101" {
		t.Errorf("migrations left %q", got)
	}
	if got := o.query(ctx, `SELECT (sum(n) - `+before+`)::text FROM shop.a`); got != "25000000" {
		t.Errorf("the update added %s", got)
	}
	if got := o.query(ctx, `SELECT version || ' ' || dirty FROM public.schema_migrations`); got != "3 false" {
		t.Errorf("version %s", got)
	}
	o.do(ctx, exitDone, "finish", "--drop-old", "--purge")
}

func (o *operator) cutAll(ctx context.Context) {
	o.t.Helper()
	conn, err := pgx.Connect(ctx, o.dsn)
	must(o.t, err)
	defer conn.Close(ctx)
	o.cut(ctx, conn)
}
