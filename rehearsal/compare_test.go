package rehearsal_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/pgumbra/pgumbra/rehearsal"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// migrated is what migrations make in place.
const migrated = `
CREATE SCHEMA app;
CREATE TABLE app.orders (id bigint PRIMARY KEY, cents bigint, currency text, note text, given text, family text, code varchar(20));
INSERT INTO app.orders SELECT n, n * 100, 'EUR', 'note ' || n, 'given ' || n, 'family ' || n, 'code of ' || n FROM generate_series(1, 300) n;
CREATE INDEX orders_note ON app.orders (note);
CREATE TABLE app.lines (order_id bigint, line int, PRIMARY KEY (order_id, line));
INSERT INTO app.lines SELECT n, 1 FROM generate_series(1, 10) n;
CREATE TABLE app.log (what text, at date);
INSERT INTO app.log VALUES ('tick', '2026-01-01'), ('tick', '2026-01-01'), (NULL, NULL);
CREATE SEQUENCE app.numbers;
SELECT setval('app.numbers', 500);
CREATE FUNCTION app.cents(numeric) RETURNS bigint LANGUAGE sql AS 'SELECT ($1 * 100)::bigint';
CREATE TABLE app.equal (id int PRIMARY KEY, at timestamptz);
INSERT INTO app.equal SELECT n, '2026-01-01' FROM generate_series(1, 5) n;
GRANT SELECT ON app.orders TO compare_reader;`

// faults are what an upgrade can get wrong, and what the oracle must say of each.
var faults = []struct {
	name, sql string
	kind      rehearsal.Kind
	object    string
	column    string
	count     int64
	in, up    string // of the first example
}{
	{"a wrong transform", "UPDATE app.orders SET cents = cents / 100", rehearsal.ValuesDiffer, "app.orders", "cents", 300, "100", "1"},
	{"a lost backfill", "UPDATE app.orders SET currency = NULL WHERE id > 290", rehearsal.ValuesDiffer, "app.orders", "currency", 10, "EUR", "NULL"},
	{"swapped columns", "UPDATE app.orders SET given = family, family = given", rehearsal.ValuesDiffer, "app.orders", "given", 300, "given 1", "family 1"},
	{"the other one of them", "", rehearsal.ValuesDiffer, "app.orders", "family", 300, "family 1", "given 1"},
	{"truncation by a cast", "UPDATE app.orders SET code = code::varchar(9)", rehearsal.ValuesDiffer, "app.orders", "code", 291, "code of 10", "code of 1"},
	{"a lost row", "DELETE FROM app.lines WHERE order_id = 7", rehearsal.RowsMissing, "app.lines", "", 1, "line=1, order_id=7", "no such row"},
	{"a row too many", "INSERT INTO app.lines VALUES (7, 2)", rehearsal.RowsExtra, "app.lines", "", 1, "no such row", "line=2, order_id=7"},
	{"a doubled row without a key", "INSERT INTO app.log VALUES ('tick', '2026-01-01')", rehearsal.RowsExtra, "app.log", "", 1, "no such row", "what=tick"},
	{"a forgotten sequence", "SELECT setval('app.numbers', 1, false)", rehearsal.SequenceDiffers, "app.numbers", "", 1, "gives 501 next", "gives 1 next"},
	{"a missing index", "DROP INDEX app.orders_note", rehearsal.StructureMissing, "INDEX app.orders_note", "", 1, "CREATE INDEX orders_note", ""},
	{"a changed grant", "GRANT UPDATE ON app.orders TO compare_reader", rehearsal.StructureDiffers, "ACL app.TABLE orders", "", 1, "GRANT SELECT ON", "GRANT SELECT,UPDATE ON"},
	{"another function", "CREATE OR REPLACE FUNCTION app.cents(numeric) RETURNS bigint LANGUAGE sql AS 'SELECT $1::bigint'",
		rehearsal.StructureDiffers, "FUNCTION app.cents(numeric)", "", 1, "($1 * 100)::bigint", "$1::bigint"},
	{"another default", "ALTER TABLE app.orders ALTER currency SET DEFAULT 'EUR'", rehearsal.StructureDiffers, "TABLE app.orders", "", 1, "currency text", "DEFAULT 'EUR'"},
	{"something left over", "CREATE TABLE app.leftover ()", rehearsal.StructureExtra, "TABLE app.leftover", "", 1, "", "CREATE TABLE app.leftover"},
}

// All faults are in one database, and each is named with an example; nothing else
// is.
func TestOracleNamesEachFault(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	inPlace, upgraded := testcontainers.Database(t), testcontainers.Database(t)
	execute(ctx, t, inPlace, "CREATE ROLE compare_reader")
	for _, dsn := range []string{inPlace, upgraded} {
		execute(ctx, t, dsn, migrated)
	}
	for _, f := range faults {
		if f.sql != "" {
			execute(ctx, t, upgraded, f.sql)
		}
	}
	found, err := rehearsal.Oracle{Bin: testcontainers.Bin, Schemas: []string{"app"}}.Compare(ctx, inPlace, upgraded)
	must(t, err)
	if len(found.Differences) != len(faults) {
		t.Errorf("%d differences for %d faults", len(found.Differences), len(faults))
	}
	for _, f := range faults {
		i := slices.IndexFunc(found.Differences, func(d rehearsal.Difference) bool {
			return d.Kind == f.kind && d.Object == f.object && d.Column == f.column
		})
		if i < 0 {
			t.Errorf("%s: not found among %+v", f.name, found.Differences)
			continue
		}
		if d := found.Differences[i]; d.Count != f.count || !strings.Contains(d.Examples[0].InPlace, f.in) || !strings.Contains(d.Examples[0].Upgraded, f.up) {
			t.Errorf("%s: %+v", f.name, d)
		}
	}
}

// What two runs in place fill with different values is found, whatever key it
// spoils; what they fill alike is not.
func TestUnrepeatableColumnsAreFound(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	one, other := testcontainers.Database(t), testcontainers.Database(t)
	for dsn, order := range map[string]string{one: "ASC", other: "DESC"} {
		execute(ctx, t, dsn, `CREATE SCHEMA app; CREATE TABLE app.a (id int PRIMARY KEY, name text); INSERT INTO app.a SELECT n, 'n' || n FROM generate_series(1, 50) n ORDER BY n `+order+`;
			ALTER TABLE app.a ADD at timestamptz DEFAULT clock_timestamp(), ADD token uuid DEFAULT gen_random_uuid(), ADD place serial, ADD fixed int DEFAULT 7;
			CREATE TABLE app.b (token uuid PRIMARY KEY, name text); INSERT INTO app.b SELECT gen_random_uuid(), name FROM app.a;
			CREATE TABLE app.c (place bigint, name text); INSERT INTO app.c SELECT row_number() OVER (), name FROM app.a`)
	}
	got, err := rehearsal.Oracle{Schemas: []string{"app"}}.Unrepeatable(ctx, one, other)
	must(t, err)
	slices.Sort(got)
	if want := "app.a.at app.a.place app.a.token app.b.token app.c.name app.c.place"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}
