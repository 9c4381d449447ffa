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

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/rehearsal"
	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

func TestMain(m *testing.M) { testcontainers.Run(m) }

// history is what production was and becomes: a structure with rows at version 1 and the migrations
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
	w.leaveWhatMoves()
	w.same(ctx, leaveOut...)
}

// leaveWhatMoves takes from the twin what does not move to another database.
func (w *world) leaveWhatMoves() {
	w.t.Helper()
	if w.served == w.production {
		return
	}
	exec(w.t, w.oracleDSN, fmt.Sprintf(`DO $$ DECLARE s name; BEGIN
		FOR s IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema|public$)' AND nspname <> ALL ('{%s}') LOOP
			EXECUTE format('DROP SCHEMA %%I CASCADE', s); END LOOP; END $$`, strings.Join(w.oracle.Schemas, ",")))
}

// same: structure, rows and sequences are what they are in the twin.
func (w *world) same(ctx context.Context, leaveOut ...string) {
	w.t.Helper()
	w.equal(w.oracle.Compare(ctx, w.oracleDSN, w.served, leaveOut...))
}

// sameRows leaves out the structure, in which there are triggers of the watch, or what
// another version of the server spells otherwise.
func (w *world) sameRows(ctx context.Context, leaveOut ...string) {
	w.t.Helper()
	w.equal(w.oracle.CompareRows(ctx, w.oracleDSN, w.served, leaveOut...))
}

// sameStructure is for where clients go on, so that no twin has their rows.
func (w *world) sameStructure(ctx context.Context) {
	w.t.Helper()
	w.equal(w.oracle.CompareStructure(ctx, w.oracleDSN, w.served))
}

func (w *world) equal(found *rehearsal.Compared, err error) {
	w.t.Helper()
	must(w.t, err)
	for _, d := range found.Differences {
		w.t.Errorf("%s %s: %+v", d.Kind, d.Name(), d)
	}
}

func TestAbortLeavesProductionAsItWas(t *testing.T) {
	testcontainers.InTurn(t, 8)
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
