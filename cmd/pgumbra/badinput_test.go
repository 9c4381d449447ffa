package main

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/testcontainers"
)

// tiny is a production of one table at version 1 and one migration.
var tiny = setting{
	sql: `CREATE TABLE public.schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL);
		INSERT INTO public.schema_migrations VALUES (1, false);
		CREATE SCHEMA shop;
		CREATE TABLE shop.a (id int PRIMARY KEY, b text);
		INSERT INTO shop.a SELECT n, n FROM generate_series(1, 3000) n;`,
	migrations: map[string]string{"1_base.up.sql": "SELECT 1;", "2_next.up.sql": "ALTER TABLE shop.a ADD COLUMN c int;"},
}

// badInput is one mistake, and what the operator is told of it.
type badInput struct {
	name       string
	sql        string            // added to production
	migrations map[string]string // added to the folder; "" takes a file away
	extra      string            // lines added to the plan file
	plan       string            // the whole plan file instead
	schema     string
	env        []string
	args       []string // plan
	code       int
	says       []string // on stdout or stderr
}

var badInputs = []badInput{
	{name: "misspelt key", extra: "capture: {max_jurnal: 1GB}\n", code: exitUsage, says: []string{"pgumbra.yaml:4:", "capture.max_journal"}},
	{name: "unknown key", extra: "frobnicate: 1\n", code: exitUsage, says: []string{"pgumbra.yaml:4:", "frobnicate"}},
	{name: "misspelt key of a table", extra: "tables:\n  shop.a: {colums: {c: 1}}\n", code: exitUsage, says: []string{"pgumbra.yaml:5:", "columns"}},
	{name: "broken YAML", plan: "name: [\n", code: exitUsage, says: []string{"pgumbra.yaml"}},
	{name: "value of a wrong type", extra: "copy: {workers: many}\n", code: exitUsage, says: []string{"pgumbra.yaml:4:", "many"}},
	{name: "misspelt --set", args: []string{"plan", "--set", "copy.chunk_row=1"}, code: exitUsage, says: []string{"copy.chunk_row", "copy.chunk_rows"}},
	{name: "--set without a value", args: []string{"plan", "--set", "name"}, code: exitUsage, says: []string{"KEY=VALUE"}},
	{name: "bad variable", env: []string{"PGUMBRA_COPY_WORKERS=none"}, code: exitUsage, says: []string{"PGUMBRA_COPY_WORKERS"}},
	{name: "unset variable", plan: "name: up\nproduction: {dsn: \"${PGUMBRA_NOWHERE}\", schemas: [shop]}\nmigrations: {path: migrations}\n", code: exitUsage,
		says: []string{"pgumbra.yaml:2:", "PGUMBRA_NOWHERE"}},
	{name: "missing plan file", args: []string{"plan", "-p", "nowhere.yaml"}, code: exitUsage, says: []string{"nowhere.yaml", "pgumbra init"}},
	{name: "no schemas", plan: "name: up\nproduction: {dsn: %q}\nmigrations: {path: migrations}\n", code: exitUsage, says: []string{"production.schemas"}},
	{name: "unknown flag", args: []string{"plan", "--frobnicate"}, code: exitUsage, says: []string{"--frobnicate", "--help"}},
	{name: "unknown command", args: []string{"frobnicate"}, code: exitUsage, says: []string{"frobnicate"}},
	{name: "unknown topic", args: []string{"help", "plan-file"}, code: exitUsage, says: []string{"no command or topic", "Next: pgumbra --help"}},
	{name: "an argument too many", args: []string{"status", "now"}, code: exitUsage, says: []string{"no arguments"}},
	{name: "unknown phase", args: []string{"run", "--until", "forever"}, code: exitUsage, says: []string{"following"}},
	{name: "two ends", args: []string{"run", "--until", "following", "--cutover"}, code: exitUsage, says: []string{"cutover"}},
	{name: "unknown format", args: []string{"plan", "--format", "pdf"}, code: exitUsage, says: []string{"markdown"}},
	{name: "ending of no format", args: []string{"plan", "-o", "plan.html", "-o", "plan.pdf"}, code: exitUsage, says: []string{"plan.pdf", ".txt, .json, .md, .html"}},
	{name: "unknown log level", args: []string{"plan", "--log-level", "loud"}, code: exitUsage, says: []string{"debug"}},
	{name: "init without anything", args: []string{"init"}, code: exitUsage, says: []string{"--production"}},
	{name: "DSN that is none", plan: "name: up\nproduction: {dsn: \"postgres://u:geheim@[::1\", schemas: [shop]}\nmigrations: {path: migrations}\n", code: exitUsage,
		says: []string{"production.dsn"}},

	{name: "nobody listens", args: []string{"run", "--set", "production.dsn=postgres://u:geheim@127.0.0.1:1/x"}, code: exitError, says: []string{"127.0.0.1", "Next: "}},
	{name: "nobody listens, and no migrations folder", args: []string{"run", "--set", "production.dsn=postgres://u:geheim@127.0.0.1:1/x", "--set", "migrations.path=nowhere"},
		code: exitUsage, says: []string{"nowhere", "does not exist", "127.0.0.1"}},
	{name: "no such host", args: []string{"status", "--set", "production.dsn=postgres://u:geheim@nowhere.invalid/x"}, code: exitError, says: []string{"nowhere.invalid"}},
	{name: "no such database", args: []string{"plan", "--set", "production.dsn=postgres://postgres@SERVER/nowhere"}, code: exitError, says: []string{"nowhere", "3D000", "Next: correct production.dsn", "then the same command again"}},
	{name: "login refused", args: []string{"run", "--set", "production.dsn=postgres://nobody_here:geheim@SERVER/postgres"}, code: exitError, says: []string{"nobody_here", "28000"}},

	{name: "no migrations folder", plan: "name: up\nproduction: {dsn: %q, schemas: [shop]}\nmigrations: {path: nowhere}\n", code: exitUsage, says: []string{"nowhere", "does not exist"}},
	{name: "no migrations", migrations: map[string]string{"1_base.up.sql": "", "2_next.up.sql": ""}, code: exitUsage, says: []string{"no up files"}},
	{name: "duplicate number", migrations: map[string]string{"2_again.up.sql": "SELECT 1"}, code: exitUsage, says: []string{"2_next.up.sql", "2_again.up.sql", "number 2"}},
	{name: "gaps and unseen files", migrations: map[string]string{"40_gap.up.sql": "SELECT 1", "three.sql": "SELECT 1"}, code: exitDone, says: []string{"migration-file-unseen", "three.sql"}},

	{name: "schema absent", schema: "shap", code: exitFindings, says: []string{"schema-absent", "pgumbra.yaml:2", "shap"}},
	{name: "schema absent by a flag", args: []string{"plan", "--set", "production.schemas=shap"}, code: exitFindings, says: []string{"schema-absent", "(--set production.schemas)", "BLOCKERS"}},
	{name: "version unknown", sql: "UPDATE public.schema_migrations SET version = 7;", code: exitFindings, says: []string{"version-unknown", "7"}},
	{name: "version dirty", sql: "UPDATE public.schema_migrations SET dirty = true;", code: exitFindings, says: []string{"version-dirty", "migrate force"}},
	{name: "no version table", sql: "DROP TABLE public.schema_migrations;", code: exitFindings, says: []string{"version-absent", "migrations.from"}},
	{name: "empty version table", sql: "TRUNCATE public.schema_migrations;", code: exitDone, says: []string{"version none → 2"}},
	{name: "production beyond the version wanted", sql: "UPDATE public.schema_migrations SET version = 2;", args: []string{"plan", "--set", "migrations.version=1"}, code: exitFindings, says: []string{"version-newer"}},
	{name: "wanted version unknown", args: []string{"plan", "--set", "migrations.version=9"}, code: exitFindings, says: []string{"version-unknown", "9"}},
	{name: "nothing to do", sql: "UPDATE public.schema_migrations SET version = 2;", code: exitDone, says: []string{"othing to do"}},
	{name: "nothing to run", sql: "UPDATE public.schema_migrations SET version = 2;", args: []string{"run", "--cutover"}, code: exitDone, says: []string{"nothing to do"}},

	{name: "migration that fails", migrations: map[string]string{"3_bad.up.sql": "SELECT 1;\nALTER TABLE shop.nowhere ADD COLUMN x int;"}, code: exitFindings,
		says: []string{"migration-failed", "3_bad.up.sql:2", "42P01", "ALTER TABLE shop.nowhere"}},
	{name: "migration with a syntax error", migrations: map[string]string{"3_bad.up.sql": "SELECT 1;\n\nALTER TABEL shop.a ADD x int;"}, code: exitFindings,
		says: []string{"migration-failed", "3_bad.up.sql:3", "42601"}},
	{name: "migration that fails within its own transaction", migrations: map[string]string{"3_bad.up.sql": "BEGIN;\nSELECT 1;\nALTER TABLE shop.a DROP COLUMN nowhere;\nCOMMIT;"}, code: exitFindings,
		says: []string{"migration-failed", "3_bad.up.sql:3", "42703", "DROP COLUMN nowhere"}},
	{name: "run with a migration that fails", migrations: map[string]string{"3_bad.up.sql": "DROP TABLE shop.nowhere;"}, args: []string{"run"}, code: exitFindings, says: []string{"migration-failed", "3_bad.up.sql", "Next: pgumbra plan"}},
	{name: "an index made concurrently", migrations: map[string]string{"3_index.up.sql": "CREATE INDEX CONCURRENTLY a_b ON shop.a (b);"}, code: exitDone},
	{name: "two indexes made concurrently in a file", migrations: map[string]string{"3_index.up.sql": "CREATE INDEX CONCURRENTLY a_b ON shop.a (b);\nCREATE INDEX CONCURRENTLY a_c ON shop.a (c);"},
		code: exitDone, says: []string{"concurrently-with-others", "3_index.up.sql:2"}},
	{name: "lost backfill", migrations: map[string]string{"3_fill.up.sql": "DO $$ BEGIN FOR i IN 1..2 LOOP UPDATE shop.a SET c = i; END LOOP; END $$;"}, extra: "build: direct\n", code: exitFindings, says: []string{"3_fill.up.sql:1"}},

	{name: "transform with a syntax error", extra: "tables:\n  shop.a:\n    columns: {c: \"id +\"}\n", code: exitFindings, says: []string{"transform-invalid", "shop.a.c", "pgumbra.yaml:6"}},
	{name: "transform of a wrong type", extra: "tables:\n  shop.a:\n    columns: {c: \"now()::date\"}\n", code: exitFindings, says: []string{"transform-invalid", "shop.a.c"}},
	{name: "transform of an unknown column", extra: "tables:\n  shop.a:\n    columns: {c: \"nowhere + 1\"}\n", code: exitFindings, says: []string{"transform-invalid", "nowhere"}},
	{name: "transform of a column that is not there", extra: "tables:\n  shop.a:\n    columns: {d: \"1\"}\n", code: exitFindings, says: []string{"shop.a", "d"}},
	{name: "table that is not there", extra: "tables:\n  shop.nowhere: {record: key}\n", code: exitFindings, says: []string{"shop.nowhere", "pgumbra.yaml:5"}},

	{name: "schema name taken", sql: "CREATE SCHEMA pgumbra_up_shop;", code: exitFindings, says: []string{"name-taken", "pgumbra_up_shop"}},
	{name: "control schema taken", sql: "CREATE SCHEMA pgumbra; CREATE TABLE pgumbra.mine (id int);", code: exitFindings, says: []string{"name-taken", "pgumbra"}},
	{name: "control schema's tables taken", sql: "CREATE SCHEMA pgumbra; CREATE TABLE pgumbra.run (id int);", code: exitFindings, says: []string{"name-taken", "pgumbra"}},
	{name: "view outside", sql: "CREATE VIEW public.v AS SELECT id FROM shop.a;", code: exitFindings, says: []string{"outside-dependency", "public.v"}},
	{name: "foreign key from outside", sql: "CREATE TABLE public.o (id int REFERENCES shop.a);", code: exitFindings, says: []string{"outside-dependency", "public.o"}},
	{name: "publication for all tables", sql: "CREATE PUBLICATION everything FOR ALL TABLES;", code: exitFindings, says: []string{"publication-all-tables", "everything"}},
	{name: "shadow out of reach", args: []string{"plan", "--set", "shadow.dsn=postgres://u:geheim@127.0.0.1:1/x"}, code: exitError, says: []string{"the shadow: ", "127.0.0.1", "Next: correct shadow.dsn, should it lead elsewhere (the plan file, PGUMBRA_SHADOW_DSN, --set)"}},
	{name: "traffic in one database", extra: "traffic: {command: [./switch]}\n", code: exitUsage, says: []string{"pgumbra.yaml:4:", "shadow.dsn is empty"}},
	{name: "migrated build", extra: "build: migrated\n", code: exitUsage, says: []string{"pgumbra.yaml:4:", "behind_fence"}},

	{name: "finish without a run", args: []string{"finish"}, code: exitError, says: []string{"no such run"}},
	{name: "cutover without a run", args: []string{"cutover"}, code: exitError, says: []string{"no such run"}},
	{name: "verify without a run", args: []string{"verify"}, code: exitError, says: []string{"no such run"}},
	{name: "status without a run", args: []string{"status", "--json"}, code: exitDone, says: []string{`"phase":null`}},
	{name: "abort without a run", args: []string{"abort", "--purge", "--json"}, code: exitDone, says: []string{`"phase":null`}},
	{name: "init with an absent schema", args: []string{"init", "--production", "DSN", "--schema", "shap", "--migrations", "migrations", "-o", "x.yaml"}, code: exitFindings, says: []string{"schema-absent", "shap"}},
	{name: "init over a file", args: []string{"init", "--production", "DSN", "--schema", "shop", "--migrations", "migrations"}, code: exitUsage, says: []string{"pgumbra.yaml", "there already", "-o FILE"}},
}

// TestBadInputIsNamedAndChangesNothing: the right exit code, a message that
// says what is wrong, no password, production as it was, nothing left behind.
// Mistakes that need nothing of production share one.
func TestBadInputIsNamedAndChangesNothing(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	shared := operatorOf(t, tiny)
	before := shared.dumpAll()
	t.Run("of each kind", func(t *testing.T) {
		for i, c := range testcontainers.Some(t, badInputs, 12) {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				if c.sql != "" {
					c.checkAlone(t)
					return
				}
				o := &operator{t: t, dir: t.TempDir(), dsn: shared.dsn, run: fmt.Sprintf("up%d", i)}
				o.settle(c.setting())
				c.check(t, o)
			})
		}
	})
	if shared.dumpAll() != before {
		t.Error("production was changed")
	}
	shared.noScratch(t.Context())
}

// setting is what the mistake is found in.
func (c badInput) setting() setting {
	s := tiny.with(c.sql, c.migrations, c.extra)
	s.plan, s.schema = c.plan, c.schema
	maps.DeleteFunc(s.migrations, func(_, text string) bool { return text == "" })
	return s
}

func (c badInput) checkAlone(t *testing.T) {
	o := operatorOf(t, c.setting())
	before := o.dumpAll()
	c.check(t, o)
	if o.dumpAll() != before {
		t.Error("production was changed")
	}
	o.noScratch(t.Context())
}

func (c badInput) check(t *testing.T, o *operator) {
	o.env = c.env
	config, err := pgx.ParseConfig(o.dsn)
	must(t, err)
	server := fmt.Sprintf("%s:%d", config.Host, config.Port)
	args := []string{"plan"}
	if c.args != nil {
		args = nil
		for _, a := range c.args {
			args = append(args, strings.NewReplacer("DSN", o.dsn, "SERVER", server).Replace(a))
		}
	}
	p := o.do(limited(t, 2*time.Minute), c.code, args...)
	text := p.out.String() + p.err.String()
	for _, want := range c.says {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not said:\n%s", want, text)
		}
	}
	if strings.Contains(text, "geheim") {
		t.Errorf("a password was printed:\n%s", text)
	}
	if c.code != exitDone && !strings.Contains(p.err.String(), "Next: ") {
		t.Errorf("stderr does not say what to type next:\n%s", &p.err)
	}
}
