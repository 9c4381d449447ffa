package main

import (
	"strings"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/testcontainers"
)

// TestWhatIsMadeInMidRunIsNotLeftBehind: tables, functions, privileges and the
// like that came after the plan are not in the shadow. The cutover refuses by
// name, and goes through once they are undone.
func TestWhatIsMadeInMidRunIsNotLeftBehind(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	o := operatorOf(t, small.with("CREATE FUNCTION shop.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE SEQUENCE shop.free; CREATE SEQUENCE shop.owned;", nil, ""))
	o.do(ctx, exitDone, "run", "--until", "following")
	o.sql(`CREATE TABLE shop.fresh (id int); INSERT INTO shop.fresh VALUES (1);
		CREATE OR REPLACE FUNCTION shop.f() RETURNS int LANGUAGE sql AS 'SELECT 2';
		GRANT SELECT ON shop.a TO PUBLIC; COMMENT ON COLUMN shop.a.b IS 'hm';
		ALTER TABLE shop.c CLUSTER ON c_pkey; ALTER TABLE shop.c REPLICA IDENTITY FULL;
		ALTER SEQUENCE shop.owned OWNED BY shop.a.n; ALTER SEQUENCE shop.free INCREMENT 5`) // shared with production: moves as it is
	p := o.do(ctx, exitNotNow, "cutover")
	for _, want := range []string{"table shop.fresh is new", "function shop.f() was changed", "privileges on table shop.a is new",
		"comment on column shop.a.b is new", "constraint shop.c c_pkey was changed", "table shop.c was changed",
		"sequence owned by shop.owned is new"} {
		if !strings.Contains(p.err.String(), want) {
			t.Errorf("%q is not said:\n%s", want, &p.err)
		}
	}
	if strings.Contains(p.err.String(), "shop.free") {
		t.Errorf("a shared sequence is in the way:\n%s", &p.err)
	}
	if status := o.do(ctx, exitDone, "status", "--json").out.String(); !strings.Contains(status, `"ready":false`) || !strings.Contains(status, "shop.fresh is new") {
		t.Errorf("status: %s", status)
	}
	o.sql(`DROP TABLE shop.fresh; CREATE OR REPLACE FUNCTION shop.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
		REVOKE SELECT ON shop.a FROM PUBLIC; COMMENT ON COLUMN shop.a.b IS NULL;
		ALTER SEQUENCE shop.owned OWNED BY NONE; ALTER TABLE shop.c SET WITHOUT CLUSTER; ALTER TABLE shop.c REPLICA IDENTITY DEFAULT`)
	o.do(ctx, exitDone, "cutover")
	if got := o.query(ctx, `SELECT increment_by::text FROM pg_sequences WHERE sequencename = 'free'`); got != "5" {
		t.Errorf("the sequence's increment is %s", got)
	}
	o.do(ctx, exitDone, "finish", "--drop-old", "--purge")
}

// TestProductionThatIsMigratedInMidRunIsNotMigratedAgain: a deployment runs the same
// migrations while a run is under way. One that only writes rows succeeds there, and the
// shadow's rows would have it twice. Neither is there a swap while a migration is open.
func TestProductionThatIsMigratedInMidRunIsNotMigratedAgain(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	rows := small
	rows.migrations = map[string]string{"1_base.up.sql": "SELECT 1;", "2_next.up.sql": "UPDATE shop.a SET n = n + 1;"}
	o := operatorOf(t, rows.with("", nil, ""))
	o.do(ctx, exitDone, "run", "--until", "following")
	for _, c := range []struct{ migrated, says, back string }{
		{"UPDATE public.schema_migrations SET version = 2; UPDATE shop.a SET n = n + 1", "version 2, the plan began with version 1", "UPDATE shop.a SET n = n - 1"},
		{"UPDATE public.schema_migrations SET version = 2, dirty = true", "version 2, dirty", "SELECT"},
	} {
		o.sql(c.migrated)
		if p := o.do(ctx, exitNotNow, "cutover"); !strings.Contains(p.err.String(), c.says) {
			t.Errorf("%q is not said:\n%s", c.says, &p.err)
		}
		if status := o.do(ctx, exitDone, "status", "--json").out.String(); !strings.Contains(status, `"ready":false`) || !strings.Contains(status, c.says) {
			t.Errorf("status: %s", status)
		}
		o.sql(c.back + "; UPDATE public.schema_migrations SET version = 1, dirty = false")
	}
	o.do(ctx, exitDone, "cutover")
	if got := o.query(ctx, `SELECT sum(n - id)::text FROM shop.a`); got != "5000" {
		t.Errorf("%s of 5000 rows were updated once", got)
	}
}
