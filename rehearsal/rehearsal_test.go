package rehearsal_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/plans/planner"
	"github.com/pgumbra/pgumbra/rehearsal"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// history is a shop that becomes another one.
var history = map[string]string{
	"1_shop.up.sql": `CREATE SCHEMA app;
		CREATE TABLE app.customers (id serial PRIMARY KEY, given text NOT NULL, family text NOT NULL, mail text UNIQUE, joined date);
		CREATE TABLE app.orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer int NOT NULL REFERENCES app.customers, country text NOT NULL CHECK (country IN ('CH', 'DE')),
			total numeric(10,2) NOT NULL CHECK (total > 0), state text NOT NULL, parent int REFERENCES app.orders);
		CREATE TABLE app.log (at timestamptz NOT NULL, what text);
		CREATE TABLE app.kinds (code text PRIMARY KEY);
		CREATE TABLE app.notes (id serial PRIMARY KEY, body text, kind text, about int, tag text, level int, size text NOT NULL, mail text);
		INSERT INTO app.kinds VALUES ('one'), ('two');`,
	"2_cents.up.sql": `ALTER TABLE app.orders ADD cents bigint; UPDATE app.orders SET cents = total * 100; ALTER TABLE app.orders ALTER cents SET NOT NULL;`,
	"3_names.up.sql": `ALTER TABLE app.customers RENAME given TO first; ALTER TABLE app.customers RENAME family TO last;`,
	"4_currency.up.sql": `ALTER TABLE app.orders ADD currency text; UPDATE app.orders SET currency = CASE WHEN country = 'CH' THEN 'CHF' ELSE 'EUR' END;
		ALTER TABLE app.orders ALTER customer TYPE bigint; ALTER TABLE app.log ADD seen timestamptz DEFAULT now(), ADD token uuid DEFAULT gen_random_uuid();`,
	"5_notes.up.sql": `ALTER TABLE app.notes RENAME body TO content; ALTER TABLE app.notes ALTER kind SET NOT NULL, ALTER level TYPE bigint;`, // each on its own: what fails is taken back whole
	"6_json.up.sql": `CREATE TYPE app.size AS ENUM ('small', 'large');
		ALTER TABLE app.notes ALTER COLUMN content TYPE jsonb USING content::jsonb, ALTER size TYPE app.size USING size::app.size;`,
	"7_keys.up.sql": `ALTER TABLE app.notes ADD CONSTRAINT notes_about FOREIGN KEY (about) REFERENCES app.customers (id);
		ALTER TABLE app.notes ADD CONSTRAINT notes_level CHECK (level BETWEEN 4000 AND 4999); CREATE UNIQUE INDEX notes_tag ON app.notes (tag);
		CREATE UNIQUE INDEX notes_mail ON app.notes (lower(mail)); CREATE UNIQUE INDEX notes_kind ON app.notes (size, about);`,
	"8_state.up.sql": `ALTER TABLE app.orders ADD label varchar(40); UPDATE app.orders SET label = state || ' of ' || country; CREATE INDEX orders_label ON app.orders (label);`,
}

// rehearse goes through a rehearsal of the history; plan is added to its plan file.
func rehearse(t *testing.T, dsn, plan string, o rehearsal.Options) (*rehearsal.Result, error) {
	t.Helper()
	return rehearseThese(t, history, dsn, plan, o)
}

func rehearseThese(t *testing.T, migrations map[string]string, dsn, plan string, o rehearsal.Options) (*rehearsal.Result, error) {
	t.Helper()
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "migrations"), 0o700))
	for name, text := range migrations {
		must(t, os.WriteFile(filepath.Join(dir, "migrations", name), []byte(text), 0o600))
	}
	path := filepath.Join(dir, "pgumbra.yaml")
	must(t, os.WriteFile(path, []byte(fmt.Sprintf("name: up\nproduction: {dsn: %q, schemas: [app]}\nmigrations: {path: migrations, from: 1}\nrehearse: {rows: 300}\n"+
		"cutover: {max_stall: 20s, lock_timeout: 2s}\n%s", dsn, plan)), 0o600))
	file, err := planfile.Load(path, nil)
	must(t, err)
	o.Seed, o.Window, o.Log = 3, 500*time.Millisecond, slog.New(slog.NewTextHandler(t.Output(), nil))
	return rehearsal.Run(t.Context(), file, o)
}

// What a plan file gets wrong is found by the oracle, each by column, with the line
// of the plan that made it; what no second run repeats is left out by name. So it is
// in one database, and with shadow.dsn between two disposable servers of two versions,
// behind PgBouncer or by clients that nobody leads: there, back, and there again.
func TestRehearsalFindsWhatThePlanGetsWrong(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	const another = "shadow: {dsn: \"postgres://nobody@127.0.0.1:1/shop\"}\n"
	ways := map[string]string{
		"":                     "",
		rehearsal.ByThemselves: another,
		rehearsal.ByPgBouncer:  another + "traffic: {pgbouncer: {admin_dsn: postgres://nobody@127.0.0.1:1/pgbouncer, database: shop, config: /nowhere}}\n",
	}
	accepted := filepath.Join(t.TempDir(), "accepted.yaml")
	must(t, os.WriteFile(accepted, []byte("accepted: [{code: not-reversible}, {code: reverse-lossy}, {code: reverse-written-behind}]\n"), 0o600))
	for way, lines := range testcontainers.SomeOf(t, ways, 1) {
		t.Run("redirected by "+way, func(t *testing.T) {
			t.Parallel()
			baseline, err := rehearsal.ReadBaseline(accepted)
			must(t, err)
			r, err := rehearse(t, "", lines+`scratch: {rows: 0}
tables:
  app.orders: {columns: {cents: total::bigint, currency: "'EUR'", label: "(state || ' of ' || country)::varchar(8)"}}
  app.customers: {columns: {first: family, last: given}}
`, rehearsal.Options{ShadowMajor: 17, Gates: rehearsal.Gates{RequireRollback: true, Baseline: baseline}})
			must(t, err)
			if r.Oracle == nil {
				t.Fatalf("%+v", r.Gates)
			}
			wrongAsPlanned(t, r)
			if remote := way != ""; strings.HasPrefix(r.ShadowServer, "17") != remote || r.Traffic.Redirected != way {
				t.Errorf("%s to %s by %q", r.Server, r.ShadowServer, r.Traffic.Redirected)
			}
		})
	}
}

func wrongAsPlanned(t *testing.T, r *rehearsal.Result) {
	t.Helper()
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
	if failed := failedGates(r); r.Passed || !slices.Equal(failed, []string{"oracle"}) || r.Rollback == nil || r.Rollback.Committed == 0 {
		t.Errorf("failed: %v of %+v", failed, r.Gates)
	}
	if len(r.Traffic.Failed) > 0 || r.Traffic.Committed == 0 || r.Traffic.Withheld == 0 || r.Traffic.Broken == nil {
		t.Errorf("traffic: %+v", r.Traffic)
	}
}

// Migrations that fail on the rows in place too are no fault of the upgrade, and the
// rehearsal says so: of generated rows before it begins, of a sample of production's
// where the upgrade fails.
func TestMigrationsThatFailInPlaceAreTold(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	for name, c := range map[string]struct {
		dsn, migration, says, fix string
	}{
		"generated": {"", "ALTER TABLE app.customers RENAME given TO first; ALTER TABLE app.customers ADD vip boolean NOT NULL;",
			`column "vip" of relation "customers" contains null values`, "rows that are there break it"},
		"sampled": {production(t), "ALTER TABLE app.orders ALTER state TYPE int USING state::int;", `invalid input syntax for type integer: "new"`, "correct the migration"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := rehearseThese(t, map[string]string{"1_shop.up.sql": history["1_shop.up.sql"], "2_fails.up.sql": c.migration}, c.dsn, "", rehearsal.Options{})
			must(t, err)
			if r.Passed || !slices.Equal(failedGates(r), []string{"migrations"}) {
				t.Fatalf("%+v", r.Gates)
			}
			g := r.Gates[0]
			if !strings.Contains(g.Message, "2_fails.up.sql") || !strings.Contains(g.Message, c.says) || !strings.Contains(g.Message, "no fault of the upgrade") || !strings.Contains(g.Fix, c.fix) {
				t.Errorf("%+v", g)
			}
		})
	}
}

// production is one at version 1 with rows.
func production(t *testing.T) string {
	t.Helper()
	dsn := testcontainers.Database(t)
	reader := fmt.Sprintf("rehearsed_reader_%d", rand.Uint32()) // a role is the whole server's
	execute(t.Context(), t, dsn, history["1_shop.up.sql"])
	execute(t.Context(), t, dsn, `INSERT INTO app.customers (given, family, mail) SELECT 'Given' || n, 'Family' || n, 'secret' || n || '@example.com' FROM generate_series(1, 900) n;
		INSERT INTO app.orders (customer, country, total, state) SELECT n, 'CH', n, 'new' FROM generate_series(1, 900) n;
		CREATE ROLE `+reader+`; GRANT SELECT ON app.orders TO `+reader)
	t.Cleanup(func() {
		execute(context.Background(), t, dsn, "DROP OWNED BY "+reader+"; DROP ROLE "+reader)
	})
	return dsn
}

// runUnderWay is what a run has in production meanwhile, as far as pg_dump tells it:
// triggers on the user's tables, which call into a schema that is left out.
const runUnderWay = `CREATE SCHEMA pgumbra;
	CREATE FUNCTION pgumbra.ours_1() RETURNS boolean LANGUAGE sql AS 'SELECT false';
	CREATE FUNCTION pgumbra.forward_1_0_insert() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
	CREATE FUNCTION pgumbra.freeze_1() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
	CREATE TRIGGER "!pgumbra_1_insert" AFTER INSERT ON app.customers REFERENCING NEW TABLE AS pgumbra_new
		FOR EACH STATEMENT EXECUTE FUNCTION pgumbra.forward_1_0_insert();
	ALTER TABLE app.customers ENABLE ALWAYS TRIGGER "!pgumbra_1_insert";
	CREATE TRIGGER "!pgumbra_gate" BEFORE INSERT ON app.customers FOR EACH STATEMENT WHEN (NOT pgumbra.ours_1()) EXECUTE FUNCTION pgumbra.forward_1_0_insert();
	CREATE EVENT TRIGGER pgumbra_1_end ON ddl_command_end EXECUTE FUNCTION pgumbra.freeze_1();`

// A sample of production's rows is masked before it leaves production, which only
// is read. A dump serves as well.
func TestRehearsalOnProductionsRows(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	dsn := production(t)
	execute(t.Context(), t, dsn, runUnderWay)
	r, err := rehearse(t, dsn, `scratch: {rows: 0}
tables:
  app.customers: {mask: {mail: "'masked' || id || '@example.org'"}, columns: {mail: upper(mail)}}
`, rehearsal.Options{})
	must(t, err)
	if failed := failedGates(r); !slices.Equal(failed, []string{"oracle"}) {
		t.Fatalf("failed: %v of %+v", failed, r.Gates)
	}
	d := r.Oracle.Differences[0]
	if len(r.Oracle.Differences) != 1 || d.Name() != "app.customers.mail" || strings.Contains(fmt.Sprint(r.Oracle.Differences), "secret") {
		t.Errorf("%+v", r.Oracle.Differences)
	}
	masked := map[pg.Name]map[string]string{{Schema: "app", Name: "customers"}: {"mail": "'masked' || id"}}
	tables, err := planner.SampleRows(t.Context(), planner.Sample{DSN: dsn, Schemas: []string{"app"}, Rows: 100, Masks: masked})
	must(t, err)
	for _, taken := range tables {
		if rows := string(taken.Rows); strings.Contains(rows, "secret") || taken.Name.Name == "customers" && !strings.Contains(rows, "masked") {
			t.Errorf("%s is not masked: %.200s", taken.Name, rows)
		}
	}
	var left []string
	must(t, one(t.Context(), dsn, "SELECT coalesce(array_agg(nspname::text), '{}') FROM pg_namespace WHERE nspname LIKE 'pgumbra_%'", &left))
	if len(left) > 0 {
		t.Errorf("left in production: %v", left)
	}

	dump := filepath.Join(t.TempDir(), "production.dump")
	pgDump, err := testcontainers.Bin("pg_dump")
	must(t, err)
	out, err := exec.CommandContext(t.Context(), pgDump, "-Fc", "-f", dump, dsn).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	r, err = rehearse(t, "", "", rehearsal.Options{Dump: dump})
	must(t, err)
	if !r.Passed || r.Data.Source != "of the dump" || r.Oracle.Rows < 1800 {
		t.Errorf("%+v", r)
	}
}

func TestUnreadableDumpsAreRefused(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{
		"-- Dumped from database version 99.1\n":    "is of PostgreSQL 99",
		"PGDMP\x01\x63\x00 of a format of tomorrow": "cannot be restored",
		"SELECT * FROM nowhere;\n":                  "nowhere",
	} {
		dump := filepath.Join(t.TempDir(), "dump")
		must(t, os.WriteFile(dump, []byte(text), 0o600))
		_, err := rehearse(t, "", "", rehearsal.Options{Dump: dump})
		var refused *rehearsal.StructureError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestDumpAsAFolderIsRefused(t *testing.T) {
	t.Parallel()
	_, err := rehearse(t, "", "", rehearsal.Options{Dump: t.TempDir()})
	var mistake *plans.FileError
	if !errors.As(err, &mistake) || !strings.Contains(err.Error(), "pg_dump -Fp and -Fc") {
		t.Error(err)
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
