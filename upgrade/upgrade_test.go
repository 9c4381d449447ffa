package upgrade_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/rehearsal"
	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

func TestMain(m *testing.M) { testcontainers.Run(m) }

// case_ is one history: a structure with rows at version 1 and the migrations
// that follow.
type history struct {
	structure  string
	migrations []string
	planFile   string // lines added to the plan file
	schemas    []string
	server     *testcontainers.Server // production is its database postgres; nil: one on the shared server
	remote     string                 // DSN of the shadow's database; empty: production's
	here       string                 // DSN of production, where it is neither of the above
}

// world is a production database and its twin that is migrated in place.
type world struct {
	t          *testing.T
	production string
	clients    string // as clients reach it: by a pool, or production itself
	served     string // where the data are after the cutover
	oracleDSN  string
	folder     string
	planPath   string
	oracle     rehearsal.Oracle
	log        *slog.Logger
}

func build(t *testing.T, h history) *world {
	t.Helper()
	if h.schemas == nil {
		h.schemas = []string{"shop"}
	}
	w := &world{t: t, production: testcontainers.Database(t), oracleDSN: testcontainers.Database(t),
		oracle: rehearsal.Oracle{Bin: testcontainers.Bin, Schemas: h.schemas},
		log:    slog.New(slog.NewTextHandler(testWriter{t}, nil))}
	if h.server != nil {
		w.production = h.server.DSN("postgres")
	}
	if h.here != "" {
		w.production = h.here
	}
	w.served, w.clients = w.production, w.production
	if h.remote != "" {
		w.served = h.remote
		h.planFile += fmt.Sprintf("shadow: {dsn: %q}\n", h.remote)
	}
	dir := t.TempDir()
	w.folder = filepath.Join(dir, "migrations")
	must(t, os.Mkdir(w.folder, 0o755))
	write(t, filepath.Join(w.folder, "1_base.up.sql"), "SELECT 1;")
	for i, m := range h.migrations {
		write(t, filepath.Join(w.folder, fmt.Sprintf("%d_step.up.sql", i+2)), m)
	}
	w.planPath = filepath.Join(dir, "pgumbra.yaml")
	if !strings.Contains(h.planFile, "scratch:") { // the cases prove the migrations on rows
		h.planFile += "scratch: {rows: 0}\n"
	}
	write(t, w.planPath, fmt.Sprintf("name: %s\nproduction: {dsn: %q, schemas: [%s]}\nmigrations: {path: migrations}\n%s",
		"up", w.production, strings.Join(h.schemas, ", "), h.planFile))
	version := "CREATE TABLE IF NOT EXISTS public.schema_migrations (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL);\n" +
		"INSERT INTO public.schema_migrations VALUES (1, false);\n"
	exec(t, w.production, version+h.structure)
	exec(t, w.oracleDSN, version+h.structure)
	return w
}

func (w *world) file() *planfile.File {
	w.t.Helper()
	f, err := planfile.Load(w.planPath, nil)
	must(w.t, err)
	return f
}

func (w *world) run(ctx context.Context, o upgrade.Options) {
	w.t.Helper()
	o.Log = w.log
	err := upgrade.Run(ctx, w.file(), o)
	var blocked *upgrade.Blocked
	if errors.As(err, &blocked) {
		for _, f := range blocked.Plan.Findings {
			w.t.Logf("%s %s %s %s: %s", f.Level, f.Code, f.Object, f.Where, f.Message)
		}
	}
	must(w.t, err)
}

// upgraded checks that production is what the migrations make in place.
func (w *world) upgraded(ctx context.Context, leaveOut ...string) {
	w.t.Helper()
	must(w.t, rehearsal.MigrateInPlace(ctx, w.oracleDSN, w.folder, ""))
	if w.served != w.production { // what does not move stays behind
		exec(w.t, w.oracleDSN, fmt.Sprintf(`DO $$ DECLARE s name; BEGIN
			FOR s IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema|public$)' AND nspname <> ALL ('{%s}') LOOP
				EXECUTE format('DROP SCHEMA %%I CASCADE', s); END LOOP; END $$`, strings.Join(w.oracle.Schemas, ",")))
	}
	w.same(ctx, leaveOut...)
}

func (w *world) same(ctx context.Context, leaveOut ...string) {
	w.t.Helper()
	w.sameStructure(ctx)
	w.sameRows(ctx, leaveOut...)
}

func (w *world) sameStructure(ctx context.Context) {
	w.t.Helper()
	want, err := w.oracle.Structure(ctx, w.oracleDSN)
	must(w.t, err)
	got, err := w.oracle.Structure(ctx, w.served)
	must(w.t, err)
	if diff := cmp.Diff(want, got); diff != "" {
		w.t.Errorf("structure (-in place +upgraded):\n%s", diff)
	}
}

func (w *world) sameRows(ctx context.Context, leaveOut ...string) {
	w.t.Helper()
	wantRows, err := w.oracle.Rows(ctx, w.oracleDSN, leaveOut...)
	must(w.t, err)
	gotRows, err := w.oracle.Rows(ctx, w.served, leaveOut...)
	must(w.t, err)
	if diff := cmp.Diff(wantRows, gotRows); diff != "" {
		w.t.Errorf("rows (-in place +upgraded):\n%s", diff)
	}
}

func TestUpgradeEqualsMigrationInPlace(t *testing.T) {
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	w := build(t, history{
		structure: `CREATE SCHEMA shop;
			CREATE TABLE shop.customers (id serial PRIMARY KEY, name text NOT NULL, mail text UNIQUE);
			CREATE TABLE shop.orders (id serial PRIMARY KEY, customer_id int NOT NULL REFERENCES shop.customers, total numeric(10,2), status text NOT NULL DEFAULT 'new');
			INSERT INTO shop.customers (name, mail) SELECT 'A' || n || ' B' || n, n || '@x' FROM generate_series(1, 500) n;
			INSERT INTO shop.orders (customer_id, total, status) SELECT 1 + n % 500, n / 3.0, CASE n % 2 WHEN 0 THEN 'new' ELSE 'paid' END FROM generate_series(1, 5000) n;`,
		migrations: []string{
			"ALTER TABLE shop.orders ALTER COLUMN id TYPE bigint;",
			"ALTER TABLE shop.customers RENAME COLUMN mail TO email;",
			"ALTER TABLE shop.customers ADD COLUMN first text;\nUPDATE shop.customers SET first = split_part(name, ' ', 1);\nALTER TABLE shop.customers ALTER COLUMN first SET NOT NULL;",
			"CREATE TYPE shop.status AS ENUM ('new', 'paid');\nALTER TABLE shop.orders ALTER COLUMN status DROP DEFAULT, ALTER COLUMN status TYPE shop.status USING status::shop.status, ALTER COLUMN status SET DEFAULT 'new';",
		},
	})
	w.run(ctx, upgrade.Options{Cutover: true})
	must(t, rehearsal.MigrateInPlace(ctx, w.oracleDSN, w.folder, ""))
	w.sameRows(ctx) // the watch's triggers are still in the structure
	must(t, upgrade.Finish(ctx, w.file(), cutover.DropOld, upgrade.Purge, w.log))
	w.same(ctx)
}

func TestAbortLeavesProductionAsItWas(t *testing.T) {
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	for _, until := range []control.Phase{control.Building, control.Capturing, control.Copying, control.Following} {
		w := build(t, history{
			structure:  `CREATE SCHEMA shop; CREATE TABLE shop.a (id int PRIMARY KEY, b text); INSERT INTO shop.a SELECT n, n FROM generate_series(1, 100) n;`,
			migrations: []string{"ALTER TABLE shop.a ADD COLUMN c int NOT NULL DEFAULT 7;"},
		})
		before := dump(t, w.production)
		w.run(ctx, upgrade.Options{Until: until})
		_, err := upgrade.Abort(ctx, w.file(), upgrade.Purge, w.log)
		must(t, err)
		if diff := cmp.Diff(before, dump(t, w.production)); diff != "" {
			t.Errorf("after abort in %s (-before +after):\n%s", until, diff)
		}
	}
}

// dump is all of a database: structure and rows, of every schema.
func dump(t *testing.T, dsn string) string {
	t.Helper()
	path, err := testcontainers.Bin("pg_dump")
	must(t, err)
	out, err := command(path, dsn)
	must(t, err)
	return out
}
