package main

import (
	"strings"
	"testing"
	"time"
)

// TestWhatIsMadeInMidRunIsNotLeftBehind: tables, functions, privileges and the
// like that came after the plan are not in the shadow. The cutover refuses by
// name, and goes through once they are undone.
func TestWhatIsMadeInMidRunIsNotLeftBehind(t *testing.T) {
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	o := operatorOf(t, small.with("CREATE FUNCTION shop.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE SEQUENCE shop.free;", nil, ""))
	o.do(ctx, exitDone, "run", "--until", "following")
	o.sql(`CREATE TABLE shop.fresh (id int); INSERT INTO shop.fresh VALUES (1);
		CREATE OR REPLACE FUNCTION shop.f() RETURNS int LANGUAGE sql AS 'SELECT 2';
		GRANT SELECT ON shop.a TO PUBLIC; COMMENT ON COLUMN shop.a.b IS 'hm';
		ALTER TABLE shop.c CLUSTER ON c_pkey; ALTER TABLE shop.c REPLICA IDENTITY FULL;
		ALTER SEQUENCE shop.free INCREMENT 5`) // shared with production: moves as it is
	p := o.do(ctx, exitNotNow, "cutover")
	for _, want := range []string{"table shop.fresh is new", "function shop.f() was changed", "privileges on table shop.a is new",
		"comment on column shop.a.b is new", "constraint shop.c c_pkey was changed", "table shop.c was changed"} {
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
		ALTER TABLE shop.c SET WITHOUT CLUSTER; ALTER TABLE shop.c REPLICA IDENTITY DEFAULT`)
	o.do(ctx, exitDone, "cutover")
	if got := o.query(ctx, `SELECT increment_by::text FROM pg_sequences WHERE sequencename = 'free'`); got != "5" {
		t.Errorf("the sequence's increment is %s", got)
	}
	o.do(ctx, exitDone, "finish", "--drop-old", "--purge")
}
