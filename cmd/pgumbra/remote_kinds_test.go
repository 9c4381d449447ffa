package main

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgerrcode"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// kinds has a table of each kind that is captured or filled in its own way.
var kinds = setting{
	sql: `CREATE SCHEMA shop;
		CREATE TABLE public.schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL);
		INSERT INTO public.schema_migrations VALUES (1, false);
		CREATE TABLE shop.orders (id int PRIMARY KEY, total numeric(10,2) NOT NULL, street text, city text);
		INSERT INTO shop.orders SELECT n, n / 7.0, CASE WHEN n % 3 > 0 THEN 'street ' || n END, 'city ' || n % 9 FROM generate_series(1, 3000) n;
		CREATE TABLE shop.log (what text, n int);
		INSERT INTO shop.log SELECT 'w' || n % 5, n % 3 FROM generate_series(1, 600) n;
		CREATE TABLE shop.tariffs (country text PRIMARY KEY, rate numeric NOT NULL);
		INSERT INTO shop.tariffs VALUES ('CH', 0.081), ('DE', 0.19);
		CREATE TABLE shop.audit (id serial PRIMARY KEY, what text);
		INSERT INTO shop.audit (what) SELECT 'a' || n FROM generate_series(1, 50) n;`,
	migrations: map[string]string{
		"1_base.up.sql":  "SELECT 1;",
		"2_cents.up.sql": "ALTER TABLE shop.orders ADD COLUMN cents bigint;\nUPDATE shop.orders SET cents = (total * 100)::bigint;\nALTER TABLE shop.log ADD COLUMN level text NOT NULL DEFAULT 'info';",
		"3_addresses.up.sql": `CREATE TABLE shop.order_addresses (order_id bigint PRIMARY KEY, street text NOT NULL, city text);
INSERT INTO shop.order_addresses SELECT id, street, city FROM shop.orders WHERE street IS NOT NULL;
ALTER TABLE shop.orders DROP COLUMN street, DROP COLUMN city;`,
	},
	extra: `tables:
  shop.orders: {record: key}
  shop.tariffs: {freeze: true}
  shop.audit: {skip: true}
  shop.order_addresses:
    from: SELECT id AS order_id, street, city FROM shop.orders WHERE street IS NOT NULL
    key: {shop.orders: {id: order_id}}
`,
}

// upgraded is what the migrations make of kinds in place.
const upgraded = `SELECT (SELECT string_agg(concat_ws(' ', id, total, cents), ',' ORDER BY id) FROM shop.orders) || '|' ||
	(SELECT string_agg(concat_ws(' ', order_id, street, city), ',' ORDER BY order_id) FROM shop.order_addresses) || '|' ||
	(SELECT string_agg(concat_ws(' ', what, n, level), ',' ORDER BY what, n, level) FROM shop.log) || '|' ||
	(SELECT string_agg(concat_ws(' ', country, rate), ',' ORDER BY country) FROM shop.tariffs) || '|' || (SELECT count(*) FROM shop.audit)`

// changes are made while the run follows.
var changes = []string{
	`UPDATE shop.orders SET total = total + 1 WHERE id % 10 = 0`,
	`UPDATE shop.orders SET id = id + 100000 WHERE id % 50 = 1`,
	`DELETE FROM shop.orders WHERE id % 40 = 7`,
	`UPDATE shop.orders SET street = CASE WHEN street IS NULL THEN 'new' END WHERE id % 20 = 3`,
	`INSERT INTO shop.orders SELECT n, n, 'late', 'late' FROM generate_series(5001, 5100) n`,
	`DELETE FROM shop.log WHERE ctid IN (SELECT ctid FROM shop.log WHERE n = 1 LIMIT 50)`,
	`UPDATE shop.log SET what = 'changed' WHERE ctid IN (SELECT ctid FROM shop.log WHERE n = 2 LIMIT 20)`,
	`INSERT INTO shop.log VALUES ('w1', 1), ('w1', 1), (NULL, NULL)`,
	`INSERT INTO shop.audit (what) VALUES ('during')`,
}

// TestTablesOfAllKindsMoveToAnotherDatabase: recorded by key, without a key,
// frozen, skipped, derived; to the end, when nothing of ours is left anywhere.
func TestTablesOfAllKindsMoveToAnotherDatabase(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	o := &operator{t: t, dir: t.TempDir(), dsn: testcontainers.Database(t), run: "up"}
	o.sql(kinds.sql)
	f := remoteFrom(t, o, testcontainers.Database(t))
	f.settleThrough(kinds)
	leader := f.start(ctx, "run")
	f.wait(ctx, following)
	for _, sql := range changes {
		f.sql(sql)
	}
	conn := f.connect(ctx)
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, `UPDATE shop.tariffs SET rate = 1`); pg.State(err) != pgerrcode.ReadOnlySQLTransaction {
		t.Errorf("a frozen table: %v", err)
	}
	f.do(ctx, exitDone, "verify")
	want := f.inPlace(ctx)
	f.do(ctx, exitDone, "cutover")
	f.movedOver(ctx)
	there := f.connectTo(ctx, theShadow)
	defer func() { _ = there.Close(ctx) }()
	var got string
	must(t, there.QueryRow(ctx, upgraded).Scan(&got))
	if got != want {
		t.Errorf("upgraded:\n%s\nin place:\n%s", got, want)
	}
	_, err := there.Exec(ctx, `UPDATE shop.tariffs SET rate = 1; INSERT INTO shop.audit (what) VALUES ('after')`)
	must(t, err)
	f.endsWatch(ctx, leader, "--drop-old", "--purge")
	if text := f.dumpOf(production) + f.dumpOf(theShadow); strings.Contains(text, "pgumbra") || strings.Contains(f.dumpOf(production), "shop.orders") {
		t.Errorf("something is left:\n%s", text)
	}
}

// inPlace makes the same again, with the same changes, and migrates it in place.
func (f *remoteOperator) inPlace(ctx context.Context) (want string) {
	f.t.Helper()
	copied := &operator{t: f.t, dsn: testcontainers.Database(f.t)}
	copied.sql(kinds.sql)
	for _, sql := range changes {
		copied.sql(sql)
	}
	copied.sql(`DELETE FROM shop.audit`) // skipped: created empty
	for _, name := range []string{"2_cents.up.sql", "3_addresses.up.sql"} {
		text, err := os.ReadFile(f.dir + "/migrations/" + name)
		must(f.t, err)
		copied.sql(string(text))
	}
	conn := copied.connect(ctx)
	defer conn.Close(ctx)
	must(f.t, conn.QueryRow(ctx, upgraded).Scan(&want))
	return want
}
