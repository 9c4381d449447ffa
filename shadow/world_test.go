package shadow

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/testcontainers"
)

const shopShadow = "pgumbra_r_shop"

var discard = slog.New(slog.DiscardHandler)

// world is a database with a production schema, shop, a place for the shadow, and
// a plan under construction for both.
type world struct {
	t      testing.TB
	dsn    string
	shadow string // DSN; production's where both are in one database
	pool   *pgxpool.Pool
	sides  control.Sides
	plan   *plans.Plan
	run    *control.Run
	toc    int
}

// way is where the shadow is.
type way string

const (
	local  way = "in one database"
	remote way = "in two databases"
)

// bothWays runs a test with the shadow beside production and in a database of its
// own.
func bothWays(t *testing.T, f func(*testing.T, way)) {
	t.Parallel()
	for _, how := range []way{local, remote} {
		t.Run(string(how), func(t *testing.T) {
			t.Parallel()
			f(t, how)
		})
	}
}

func newWorld(t testing.TB, production string) *world {
	t.Helper()
	return worldAt(t, testcontainers.Database(t), "", production)
}

// world makes one of either kind.
func (how way) world(t testing.TB, production string) *world {
	t.Helper()
	shadow := ""
	if how == remote {
		shadow = testcontainers.Database(t)
	}
	return worldAt(t, testcontainers.Database(t), shadow, production)
}

func worldAt(t testing.TB, dsn, shadow, production string) *world {
	t.Helper()
	w := &world{t: t, dsn: dsn, shadow: shadow}
	must(t, control.Migrate(t.Context(), dsn))
	if shadow == "" {
		w.shadow = dsn
	} else {
		must(t, control.Migrate(t.Context(), shadow))
	}
	w.connect()
	w.exec("CREATE SCHEMA shop")
	w.exec("SET search_path = shop, public; " + production + "; RESET ALL")
	w.plan = &plans.Plan{Run: "r", Remote: w.sides.Remote(), SearchPath: "shop, public", Settings: plans.DefaultSettings(),
		Schemas: []plans.Schema{{Production: "shop", Shadow: shopShadow, Old: "pgumbra_r_old_shop", Swap: plans.Rename}}}
	w.plan.Settings.Copy.ChunkRows = 100
	w.entry("SCHEMA", pg.Name{Name: shopShadow}, pg.Name{}, plans.StageBuild, "CREATE SCHEMA "+shopShadow+";")
	return w
}

func (w *world) connect() {
	w.t.Helper()
	open := func(dsn string) *pgxpool.Pool {
		pool, err := pg.NewPool(w.t.Context(), dsn, 6, pg.Options{Component: "test", SearchPath: "shop, public"})
		must(w.t, err)
		w.t.Cleanup(pool.Close)
		return pool
	}
	w.pool = open(w.dsn)
	w.sides = control.Local(w.pool)
	if w.shadow != w.dsn {
		w.sides.Shadow = open(w.shadow)
	}
}

// exec runs a script on a session of its own, on the side that it speaks of.
func (w *world) exec(script string) {
	w.t.Helper()
	dsn := w.dsn
	if w.speaksOfShadow(script) {
		dsn = w.shadow
	}
	conn, err := pgx.Connect(w.t.Context(), dsn)
	must(w.t, err)
	defer func() { _ = conn.Close(context.WithoutCancel(w.t.Context())) }()
	if err := pg.ExecScript(w.t.Context(), conn, script); err != nil {
		w.t.Fatalf("%s: %v", script, err)
	}
}

// speaksOfShadow: whatever names a table of production's runs there, so that what
// names tables of both sides fails where they are apart.
func (w *world) speaksOfShadow(sql string) bool {
	const placeholder = "@"
	sql = strings.ReplaceAll(sql, shopShadow, placeholder)
	for _, there := range []string{"shop.", "pgumbra.event", "pgumbra.leader"} {
		if strings.Contains(sql, there) {
			return false
		}
	}
	return strings.Contains(sql, placeholder) || strings.Contains(sql, "pgumbra.")
}

// side is the pool of the side that a query speaks of.
func (w *world) side(sql string) *pgxpool.Pool {
	if w.speaksOfShadow(sql) {
		return w.sides.Shadow
	}
	if strings.Contains(sql, "pgumbra.shadow_table") {
		must(w.t, control.Mirror(w.t.Context(), w.sides, w.run))
	}
	return w.pool
}

// text is a query's single value.
func (w *world) text(sql string, args ...any) string {
	w.t.Helper()
	var s string
	if err := w.side(sql).QueryRow(w.t.Context(), "SELECT coalesce((SELECT x::text FROM ("+sql+") AS q (x)), 'NULL')", args...).Scan(&s); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
	return s
}

func (w *world) wants(want, sql string, args ...any) {
	w.t.Helper()
	if got := w.text(sql, args...); got != want {
		w.t.Errorf("%s\n got %s\nwant %s", sql, got, want)
	}
}

// entry adds structure. In its text @ stands for the shadow's schema.
func (w *world) entry(tag string, name, table pg.Name, stage plans.Stage, sql string) int {
	w.toc++
	w.plan.Entries = append(w.plan.Entries, plans.Entry{TOC: w.toc, Tag: tag, Name: name, Table: table, Stage: stage,
		SQL: strings.ReplaceAll(sql, "@", shopShadow)})
	return w.toc
}

func (w *world) build(tag, name, sql string) int {
	return w.entry(tag, in(name), pg.Name{}, plans.StageBuild, sql)
}

func (w *world) on(stage plans.Stage, tag, name, table, sql string) int {
	return w.entry(tag, in(name), in(table), stage, sql)
}

func in(name string) pg.Name { return pg.Name{Schema: shopShadow, Name: name} }

// source adds a production table with its key's columns.
func (w *world) source(table string, kind plans.Kind, key ...string) *plans.Source {
	w.t.Helper()
	s := plans.Source{N: len(w.plan.Sources), Name: pg.Name{Schema: "shop", Name: table}, Kind: kind, Record: plans.RecordRow}
	if len(key) == 0 {
		s.Record = plans.RecordImage
	}
	for _, k := range key {
		s.Key = append(s.Key, plans.KeyColumn{Name: k, Type: "bigint", Equals: "OPERATOR(pg_catalog.=)"})
	}
	rows, err := w.pool.Query(w.t.Context(), `
		SELECT n.nspname, c.relname, c.oid, c.relkind <> 'p'
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.oid IN (SELECT relid FROM pg_partition_tree($1::regclass) UNION SELECT $1::regclass)
		ORDER BY c.oid <> $1::regclass, c.oid`, s.Name.Quoted())
	if err != nil {
		w.t.Fatal(err)
	}
	var m plans.Member
	if _, err := pgx.ForEachRow(rows, []any{&m.Name.Schema, &m.Name.Name, &m.OID, &m.Leaf}, func() error {
		s.Members = append(s.Members, m)
		return nil
	}); err != nil {
		w.t.Fatal(err)
	}
	s.OID = s.Members[0].OID
	w.plan.Sources = append(w.plan.Sources, s)
	return &w.plan.Sources[len(w.plan.Sources)-1]
}

// copied adds a shadow table of the same name. Columns are "shadow = expression".
func (w *world) copied(s *plans.Source, key []string, columns ...string) *plans.Table {
	t := plans.Table{N: len(w.plan.Tables), Shadow: in(s.Name.Name), Final: s.Name, Feed: plans.Copied, Kind: s.Kind,
		Source: s.N, Production: s.Name}
	for _, k := range key {
		t.Key = append(t.Key, plans.Pair{Production: k, Shadow: k, Expression: k, Type: "bigint", Equals: "OPERATOR(pg_catalog.=)"})
	}
	for _, c := range columns {
		name, expression, _ := strings.Cut(c, " = ")
		t.Columns = append(t.Columns, plans.Column{Shadow: name, Expression: expression})
	}
	w.plan.Tables = append(w.plan.Tables, t)
	return &w.plan.Tables[t.N]
}

// plain adds the simplest pair: shop.<table> (id bigint, v text) copied as it is.
func (w *world) plain(table string) *plans.Table {
	w.build("TABLE", table, "CREATE TABLE @."+table+" (id bigint NOT NULL, v text);")
	t := w.copied(w.source(table, plans.Plain, "id"), []string{"id"}, "id = id", "v = v")
	t.KeyIndex = w.on(plans.StageKey, "CONSTRAINT", table+"_pkey", table,
		"ALTER TABLE ONLY @."+table+"\n    ADD CONSTRAINT "+table+"_pkey PRIMARY KEY (id);")
	return t
}

// create records the run.
func (w *world) create() *control.Run {
	w.t.Helper()
	run, err := control.Create(w.t.Context(), w.pool, w.plan)
	if err != nil {
		w.t.Fatal(err)
	}
	w.run = run
	if w.sides.Remote() {
		origin, err := control.ReadOrigin(w.t.Context(), w.pool)
		must(w.t, err)
		must(w.t, control.Adopt(w.t.Context(), w.sides.Shadow, run, origin))
	}
	return run
}

// start records the run and builds the shadow.
func (w *world) start() {
	w.t.Helper()
	w.create()
	if err := Build(w.t.Context(), w.sides, w.run); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) copier() *Copier {
	return &Copier{Sides: w.sides, Run: w.run, Log: discard, Throttle: func(context.Context) error { return nil }}
}

func (w *world) copy() {
	w.t.Helper()
	if err := w.copier().Copy(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// settle goes from keying to following; nothing was written meanwhile.
func (w *world) settle() {
	w.t.Helper()
	if err := BuildKeys(w.t.Context(), w.sides, w.run, 2, nothingJournalled); err != nil {
		w.t.Fatal(err)
	}
	w.exec("UPDATE pgumbra.shadow_table SET state = 'indexing' WHERE state = 'catching_up'")
	if err := BuildIndexes(w.t.Context(), w.sides, w.run, 2); err != nil {
		w.t.Fatal(err)
	}
}

func nothingJournalled(context.Context, pgx.Tx, *plans.Table) error { return nil }

// equal compares what two queries return, as multisets.
func (w *world) equal(a, b string) {
	w.t.Helper()
	if diff := cmp.Diff(w.rows(a), w.rows(b)); diff != "" {
		w.t.Errorf("%s differs from %s:\n%.2000s", a, b, diff)
	}
}

func (w *world) rows(sql string) []string {
	w.t.Helper()
	rows, err := w.side(sql).Query(w.t.Context(), "SELECT q::text FROM ("+sql+") AS q ORDER BY 1")
	if err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
	return found
}

func (w *world) state(t *plans.Table) string {
	return w.text("SELECT state FROM pgumbra.shadow_table WHERE run_id = $1 AND n = $2", w.run.ID, t.N)
}

const items = `CREATE TABLE items (id bigint PRIMARY KEY, v text);
	INSERT INTO items SELECT i, 'v' || i FROM generate_series(1, 3000) i; ANALYZE items`

func itemsNamed(name string) string { return strings.ReplaceAll(items, "items", name) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
