package upgrade_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.yaml.in/yaml/v3"

	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/rehearsal"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// folder is a case as it stands on the disk.
type folder struct {
	dir    string
	setup  setup
	expect expect
}

// setup is what setup.yaml may say of the databases.
type setup struct {
	Createdb     string `yaml:"createdb"`      // options of CREATE DATABASE
	Role         string `yaml:"role"`          // whom pgumbra connects as; the superuser otherwise
	ShadowRole   string `yaml:"shadow_role"`   // whom pgumbra connects as to the shadow; role otherwise
	InPlaceRole  string `yaml:"in_place_role"` // whom the migrations in place connect as; role otherwise
	VersionTable string `yaml:"version_table"` // own: production.sql makes it
	Shadow       string `yaml:"shadow"`        // database: the shadow is another one; both: once so, once not; production's own otherwise
	Build        string `yaml:"build"`         // both: once more with all migrations behind the fence, without the plan file's own lines
}

// expect is expect.yaml.
type expect struct {
	Result   string     `yaml:"result"`    // equal or blocker
	Back     string     `yaml:"back"`      // none: there is no way back, whose reason the comment tells
	Findings []expected `yaml:"findings"`  // each is among those of the plan
	Without  []string   `yaml:"without"`   // codes that are not
	LeaveOut []string   `yaml:"leave_out"` // schema.table.column that no second run can repeat
}

// expected is a finding that must be there. What is empty is not compared.
type expected struct {
	Level  string `yaml:"level"`
	Code   string `yaml:"code"`
	Object string `yaml:"object"`
	Where  string `yaml:"where"` // or its beginning
	Says   string `yaml:"says"`  // a part of the message or the fix
}

func readCase(t *testing.T, dir string) folder {
	t.Helper()
	c := folder{dir: dir}
	decode(t, filepath.Join(dir, "expect.yaml"), &c.expect)
	decode(t, filepath.Join(dir, "setup.yaml"), &c.setup)
	c.setup.InPlaceRole = cmp.Or(c.setup.InPlaceRole, c.setup.Role)
	if c.expect.Result != "equal" && c.expect.Result != "blocker" {
		t.Fatalf("%s: result: %q is neither equal nor blocker", dir, c.expect.Result)
	}
	if c.expect.Result == "blocker" && len(c.expect.Findings) == 0 {
		t.Fatalf("%s: a blocker without its code under findings", dir)
	}
	if c.expect.Back != "" && c.expect.Back != "none" {
		t.Fatalf("%s: back: %q is not none", dir, c.expect.Back)
	}
	for i, e := range c.expect.Findings {
		if e.Level == "" {
			c.expect.Findings[i].Level = string(plans.Blocker)
		}
	}
	return c
}

// decode reads a YAML file that may be absent; an unknown key is an error.
func decode(t *testing.T, path string, into any) {
	t.Helper()
	if !exists(path) {
		return
	}
	d := yaml.NewDecoder(strings.NewReader(read(t, path)))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil && err != io.EOF { //nolint:errorlint // an empty file's bare end
		t.Fatalf("%s: %v", path, err)
	}
}

// fixture is a case's production and its twin, which is migrated in place.
type fixture struct {
	folder
	*world
	way          way
	versionTable string // as the plan file names it
}

// build makes the databases and the plan file. The twin is a copy of production, oids
// included.
func (c folder) build(ctx context.Context, t *testing.T, w way) *fixture {
	t.Helper()
	f := &fixture{folder: c, way: w, world: &world{t: t, log: slog.New(slog.NewTextHandler(t.Output(), nil))}}
	here, there := w.servers(t)
	name := "case_" + strings.ReplaceAll(filepath.Base(c.dir), "-", "_") + w.suffix
	f.production, f.oracleDSN = here.DSN(name), here.DSN(name+"_twin")
	f.served, f.clients = f.production, f.production
	admin := here.DSN("postgres")
	f.script(ctx, admin, "cluster.sql")
	f.database(ctx, admin, name, "template0 "+c.setup.Createdb)
	if c.setup.VersionTable != "own" {
		exec(t, f.production, versionOne)
	}
	f.script(ctx, f.production, "production.sql")
	f.script(ctx, f.production, "rows.sql")
	f.database(ctx, admin, name+"_twin", pgx.Identifier{name}.Sanitize())
	if w.remote {
		f.served = there.DSN(name + "_shadow")
		if there != here {
			f.script(ctx, there.DSN("postgres"), "cluster.sql")
		}
		f.database(ctx, there.DSN("postgres"), name+"_shadow", "template0 "+c.setup.Createdb)
	}
	f.script(ctx, f.production, "database.sql")
	f.script(ctx, f.oracleDSN, "database.sql")
	f.copyMigrations()
	f.writePlan()
	file := f.file()
	f.versionTable, f.oracle = file.Migrations.Table, rehearsal.Oracle{Bin: testcontainers.Bin, Schemas: file.Production.Schemas}
	return f
}

const versionOne = `CREATE TABLE public.schema_migrations (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL);
	INSERT INTO public.schema_migrations VALUES (1, false)`

// database makes one that is dropped when the test ends.
func (f *fixture) database(ctx context.Context, admin, name, template string) {
	f.t.Helper()
	quoted := pgx.Identifier{name}.Sanitize()
	must(f.t, try(ctx, admin, "CREATE DATABASE "+quoted+" TEMPLATE "+template))
	f.t.Cleanup(func() {
		must(f.t, try(context.WithoutCancel(ctx), admin, "DROP DATABASE IF EXISTS "+quoted+" WITH (FORCE)"))
	})
}

// copyMigrations puts the case's migrations beside one that stands for the
// version where production is.
func (f *fixture) copyMigrations() {
	f.t.Helper()
	f.world.folder = filepath.Join(f.t.TempDir(), "migrations")
	must(f.t, os.CopyFS(f.world.folder, os.DirFS(filepath.Join(f.dir, "migrations"))))
	base, err := filepath.Glob(filepath.Join(f.world.folder, "1_*.up.sql"))
	must(f.t, err)
	if len(base) == 0 {
		must(f.t, os.WriteFile(filepath.Join(f.world.folder, "1_base.up.sql"), []byte("SELECT 1;"), 0o600))
	}
}

// writePlan completes plan.yaml by what only the runner knows.
func (f *fixture) writePlan() {
	f.t.Helper()
	var lines struct {
		Production map[string]any `yaml:"production"`
		Migrations map[string]any `yaml:"migrations"`
		Rest       map[string]any `yaml:",inline"`
	}
	if path := filepath.Join(f.dir, "plan.yaml"); exists(path) {
		must(f.t, yaml.Unmarshal([]byte(read(f.t, path)), &lines))
	}
	if f.way.behind {
		lines.Rest = map[string]any{"build": "behind_fence", "cutover": map[string]any{"max_stall": "30s"}}
	}
	complete := func(section map[string]any, key string, value any) map[string]any {
		if section == nil {
			section = map[string]any{}
		}
		if _, there := section[key]; !there {
			section[key] = value
		}
		return section
	}
	lines.Production = complete(lines.Production, "schemas", []string{"app"})
	lines.Production = complete(lines.Production, "dsn", f.as(f.production, f.setup.Role))
	lines.Migrations = complete(lines.Migrations, "path", f.world.folder)
	lines.Rest = complete(lines.Rest, "name", "up")
	if f.served != f.production {
		lines.Rest = complete(lines.Rest, "shadow", map[string]any{"dsn": f.as(f.served, cmp.Or(f.setup.ShadowRole, f.setup.Role))})
	}
	// A loaded machine must not fail a case: nobody waits behind these locks.
	lines.Rest = complete(lines.Rest, "cutover", map[string]any{"max_stall": "10s", "lock_timeout": "2s"})
	text, err := yaml.Marshal(lines)
	must(f.t, err)
	f.planPath = filepath.Join(f.t.TempDir(), "pgumbra.yaml")
	must(f.t, os.WriteFile(f.planPath, text, 0o600))
}

// as is the same database for another role; empty: the same role.
func (f *fixture) as(dsn, role string) string {
	f.t.Helper()
	u, err := url.Parse(dsn)
	must(f.t, err)
	if role != "" {
		u.User = url.User(role)
	}
	return u.String()
}

// script runs one of the case's files, where it has it.
func (f *fixture) script(ctx context.Context, dsn, name string) {
	f.t.Helper()
	_, err := f.psql(ctx, dsn, name)
	must(f.t, err)
}

// psql runs one of the case's files statement by statement, and returns what it
// prints.
func (f *fixture) psql(ctx context.Context, dsn, name string) (string, error) {
	path := filepath.Join(f.dir, name)
	if !exists(path) {
		return "", nil
	}
	psql, err := testcontainers.Bin("psql")
	if err != nil {
		return "", err
	}
	cmd := osexec.CommandContext(ctx, psql, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", dsn, "-f", path)
	cmd.Env = append(os.Environ(), "PGCLIENTENCODING=UTF8", "LC_ALL=C")
	var messages bytes.Buffer
	cmd.Stderr = &messages
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, messages.String())
	}
	return string(out), nil
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Clean(path))
	must(t, err)
	return string(text)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
