package rehearsal_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/rehearsal"
)

// history is a shop that becomes another one.
var history = map[string]string{
	"1_shop.up.sql": `CREATE SCHEMA app;
		CREATE TABLE app.customers (id serial PRIMARY KEY, given text NOT NULL, family text NOT NULL, mail text UNIQUE, joined date);
		CREATE TABLE app.orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer int NOT NULL REFERENCES app.customers, country text NOT NULL CHECK (country IN ('CH', 'DE')),
			total numeric(10,2) NOT NULL CHECK (total > 0), state text NOT NULL, parent int REFERENCES app.orders);
		CREATE TABLE app.log (at timestamptz NOT NULL, what text);
		CREATE TABLE app.kinds (code text PRIMARY KEY);
		INSERT INTO app.kinds VALUES ('one'), ('two');`,
	"2_cents.up.sql": `ALTER TABLE app.orders ADD cents bigint; UPDATE app.orders SET cents = total * 100; ALTER TABLE app.orders ALTER cents SET NOT NULL;`,
	"3_names.up.sql": `ALTER TABLE app.customers RENAME given TO first; ALTER TABLE app.customers RENAME family TO last;`,
	"4_currency.up.sql": `ALTER TABLE app.orders ADD currency text; UPDATE app.orders SET currency = CASE WHEN country = 'CH' THEN 'CHF' ELSE 'EUR' END;
		ALTER TABLE app.orders ALTER customer TYPE bigint; ALTER TABLE app.log ADD seen timestamptz DEFAULT now(), ADD token uuid DEFAULT gen_random_uuid();`,
	"5_state.up.sql": `ALTER TABLE app.orders ADD label varchar(40); UPDATE app.orders SET label = state || ' of ' || country; CREATE INDEX orders_label ON app.orders (label);`,
}

func rehearse(t *testing.T, plan string, gates rehearsal.Gates) *rehearsal.Result {
	t.Helper()
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "migrations"), 0o700))
	for name, text := range history {
		must(t, os.WriteFile(filepath.Join(dir, "migrations", name), []byte(text), 0o600))
	}
	path := filepath.Join(dir, "pgumbra.yaml")
	must(t, os.WriteFile(path, []byte("name: up\nproduction: {schemas: [app]}\nmigrations: {path: migrations, from: 1}\nrehearse: {rows: 300}\n"+
		"cutover: {max_stall: 20s, lock_timeout: 2s}\n"+plan), 0o600))
	file, err := planfile.Load(path, nil)
	must(t, err)
	result, err := rehearsal.Run(t.Context(), file, rehearsal.Options{Seed: 3, Gates: gates, Window: 500 * time.Millisecond, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	must(t, err)
	return result
}

// What a plan file gets wrong is found by the oracle, each by column, with the line
// of the plan that made it; what no second run repeats is left out by name.
func TestRehearsalFindsWhatThePlanGetsWrong(t *testing.T) {
	t.Parallel()
	r := rehearse(t, `scratch: {rows: 0}
tables:
  app.orders: {columns: {cents: total::bigint, currency: "'EUR'", label: "(state || ' of ' || country)::varchar(8)"}}
  app.customers: {columns: {first: family, last: given}}
`, rehearsal.Gates{RequireRollback: true})
	if r.Oracle == nil {
		t.Fatalf("%+v", r.Gates)
	}
	wrong := map[string]string{}
	for _, d := range r.Oracle.Differences {
		wrong[d.Name()] = d.Explanation
	}
	for _, name := range []string{"app.orders.cents", "app.orders.currency", "app.orders.label", "app.customers.first", "app.customers.last"} {
		column := name[strings.LastIndexByte(name, '.')+1:]
		if !strings.Contains(wrong[name], "columns."+column) {
			t.Errorf("%s: %q among %v", name, wrong[name], wrong)
		}
		delete(wrong, name)
	}
	if len(wrong) > 0 {
		t.Errorf("also different: %v", wrong)
	}
	if want := []string{"app.log.seen", "app.log.token"}; !slices.Equal(r.Oracle.NotComparable, want) {
		t.Errorf("not comparable: %v, want %v", r.Oracle.NotComparable, want)
	}
	if failed := failedGates(r); r.Passed || !slices.Equal(failed, []string{"oracle", "require-rollback"}) {
		t.Errorf("failed: %v of %+v", failed, r.Gates)
	}
	if len(r.Traffic.Failed) > 0 || r.Traffic.Committed == 0 || r.Traffic.Withheld == 0 || r.Traffic.Broken == nil {
		t.Errorf("traffic: %+v", r.Traffic)
	}
}

func failedGates(r *rehearsal.Result) []string {
	var names []string
	for _, g := range r.Gates {
		if !g.Passed {
			names = append(names, g.Name)
		}
	}
	return names
}
