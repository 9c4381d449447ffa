package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/testcontainers"
)

// small is a database in which a run takes a moment, with enough pages for
// many chunks, and migrations that give each phase something to do.
var small = setting{
	sql: `CREATE SCHEMA shop;
		CREATE TABLE public.schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL);
		INSERT INTO public.schema_migrations VALUES (1, false);
		CREATE TABLE shop.a (id int PRIMARY KEY, b text, n int NOT NULL DEFAULT 0);
		CREATE TABLE shop.c (id serial PRIMARY KEY, a_id int NOT NULL REFERENCES shop.a, t text UNIQUE);
		INSERT INTO shop.a SELECT n, repeat('x', 100), n FROM generate_series(1, 5000) n;
		INSERT INTO shop.c (a_id, t) SELECT n, n FROM generate_series(1, 5000) n;`,
	migrations: map[string]string{
		"1_base.up.sql": "SELECT 1;",
		"2_next.up.sql": "ALTER TABLE shop.a ALTER COLUMN id TYPE bigint;\nALTER TABLE shop.c ALTER COLUMN a_id TYPE bigint;\n" +
			"ALTER TABLE shop.a ADD COLUMN m int;\nUPDATE shop.a SET m = n + 1;",
	},
}

// setting is what an operator finds: production, migrations, a plan file.
type setting struct {
	sql        string
	migrations map[string]string
	extra      string // lines added to the plan file
	plan       string // the whole plan file instead; %q becomes the DSN
	schema     string // shop
}

// operatorOf makes a database and a folder as a setting says.
func operatorOf(t *testing.T, s setting) *operator {
	t.Helper()
	o := &operator{t: t, dir: t.TempDir(), dsn: testcontainers.Database(t), run: "up"}
	o.sql(s.sql)
	o.settle(s)
	return o
}

// settle writes the files of a setting.
func (o *operator) settle(s setting) {
	o.t.Helper()
	must(o.t, os.Mkdir(filepath.Join(o.dir, "migrations"), 0o755))
	for name, text := range s.migrations {
		o.write("migrations/"+name, text)
	}
	o.plan(s)
}

func (o *operator) plan(s setting) {
	o.t.Helper()
	if s.schema == "" {
		s.schema = "shop"
	}
	if !strings.Contains(s.extra, "scratch:") { // the cases prove the migrations on rows
		s.extra = strings.TrimSuffix(s.extra, "\n") + "\nscratch: {rows: 0}\n"
	}
	text := fmt.Sprintf("name: %s\nproduction: {dsn: %q, schemas: [%s]}\nmigrations: {path: migrations}\n%s", o.run, o.dsn, s.schema, s.extra)
	if s.plan != "" {
		text = strings.ReplaceAll(s.plan, "%q", fmt.Sprintf("%q", o.dsn))
	}
	o.write("pgumbra.yaml", text)
}

func (o *operator) write(name, text string) {
	o.t.Helper()
	must(o.t, os.WriteFile(filepath.Join(o.dir, name), []byte(text), 0o644))
}

// sql runs a script in production.
func (o *operator) sql(script string) {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn := o.connect(ctx)
	defer conn.Close(ctx)
	must(o.t, conn.PgConn().Exec(ctx, script).Close())
}

func (o *operator) connect(ctx context.Context) *pgx.Conn {
	o.t.Helper()
	return o.connectTo(ctx, production)
}

// dsnOf a side; without a database of its own the shadow is in production's.
func (o *operator) dsnOf(s side) string {
	if s == theShadow {
		return cmp.Or(o.there, o.dsn)
	}
	return o.dsn
}

func (o *operator) connectTo(ctx context.Context, s side) *pgx.Conn {
	o.t.Helper()
	conn, err := pgx.Connect(ctx, o.dsnOf(s))
	must(o.t, err)
	return conn
}

// wait asks production until a query has a row.
func (o *operator) wait(ctx context.Context, sql string) {
	o.t.Helper()
	o.waitIn(ctx, production, sql)
}

func (o *operator) waitIn(ctx context.Context, s side, sql string) {
	o.t.Helper()
	conn := o.connectTo(ctx, s)
	defer conn.Close(ctx)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		var met string
		if conn.QueryRow(ctx, sql).Scan(&met) == nil {
			return
		}
		select {
		case <-ctx.Done():
			o.t.Fatalf("never met: %s", sql)
		case <-tick.C:
		}
	}
}

// dumpAll is the whole database, rows included.
func (o *operator) dumpAll() string {
	o.t.Helper()
	return o.dumpOf(production)
}

func (o *operator) dumpOf(s side) string {
	o.t.Helper()
	path, err := testcontainers.Bin("pg_dump")
	must(o.t, err)
	out, err := exec.Command(path, o.dsnOf(s)).CombinedOutput()
	if err != nil {
		o.t.Fatalf("pg_dump: %v\n%s", err, out)
	}
	return restrict.ReplaceAllString(string(out), "")
}

// with is a setting with more of something.
func (s setting) with(sql string, migrations map[string]string, extra string) setting {
	all := maps.Clone(s.migrations)
	maps.Copy(all, migrations)
	return setting{sql: s.sql + sql, migrations: all, extra: s.extra + extra, schema: s.schema, plan: s.plan}
}

func limited(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	return testcontainers.Limited(t, d)
}

func (o *operator) database() string {
	o.t.Helper()
	c, err := pgx.ParseConfig(o.dsn)
	must(o.t, err)
	return c.Database
}

// noScratch wants no scratch database left of this operator's.
func (o *operator) noScratch(ctx context.Context) {
	o.t.Helper()
	if left := o.query(ctx, `SELECT datname FROM pg_database WHERE datname LIKE 'pgumbra%' AND datname LIKE '%' || left(current_database(), 20) || '%'`); left != "" {
		o.t.Errorf("scratch database %s is left", left)
	}
}
