package transforms_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/syntax"
	"github.com/pgumbra/pgumbra/plans/transforms"
	"github.com/pgumbra/pgumbra/testcontainers"
)

func TestMain(m *testing.M) { testcontainers.Run(m) }

// history is a production database and migrations for it. Its oracle is the
// same database with the migrations run in place.
type history struct {
	structure string // of production
	rows      string
	files     []string
	ignore    []string // table.column: new in each run
}

// outcome is what inference said, with the databases to ask.
type outcome struct {
	transforms.Inference
	before, after *catalog.Catalog
	scratch       *pgx.Conn
	t             *testing.T
}

// bench is the databases of one case. Cases of a test take turns on a few of
// them, emptied in between: a hundred cases would make three hundred databases.
type bench struct{ scratch, production, inPlace *pgx.Conn }

type benches chan bench

func newBenches(t *testing.T, n int) benches {
	t.Helper()
	out := make(benches, n)
	for range n {
		out <- bench{connect(t), connect(t), connect(t)}
	}
	return out
}

func (b benches) take(t *testing.T) bench {
	t.Helper()
	taken := <-b
	t.Cleanup(func() { b <- taken })
	for _, conn := range []*pgx.Conn{taken.scratch, taken.production, taken.inPlace} {
		for _, sql := range []string{"ROLLBACK", "RESET ALL; RESET SESSION AUTHORIZATION", "DISCARD TEMP", empty} {
			script(t, conn, sql)
		}
	}
	return taken
}

const empty = `
	DO $$ DECLARE s text; BEGIN
		FOR s IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_|^information_schema$' LOOP EXECUTE format('DROP SCHEMA %I CASCADE', s); END LOOP;
	END $$;
	CREATE SCHEMA public; SET search_path = public; SET client_min_messages = error`

func connect(t *testing.T) *pgx.Conn {
	t.Helper()
	conn, err := pg.Connect(t.Context(), testcontainers.Database(t), pg.Options{Component: "test", SearchPath: "public"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

func script(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if err := pg.ExecScript(t.Context(), conn, sql); err != nil {
		t.Fatalf("%v\nin: %s", err, sql)
	}
}

func readCatalog(t *testing.T, conn *pgx.Conn) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Read(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// infer runs the instrumented migrations on the empty structure.
func (h history) infer(t *testing.T, b bench) *outcome {
	t.Helper()
	out := &outcome{t: t, scratch: b.scratch}
	script(t, out.scratch, h.structure)
	out.before = readCatalog(t, out.scratch)
	script(t, out.scratch, syntax.TraceSetup())
	var facts []syntax.Fact
	var notices []syntax.Notice
	for i, text := range h.files {
		file, err := syntax.Instrument(fmt.Sprintf("%06d_x.up.sql", i+1), text, len(facts)+1)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(file.SQL, "\n") != strings.Count(text, "\n") {
			t.Fatalf("lines moved:\n%s", file.SQL)
		}
		facts = append(facts, file.Facts...)
		notices = append(notices, file.Notices...)
		script(t, out.scratch, file.SQL)
	}
	marks, err := syntax.ReadMarks(t.Context(), out.scratch)
	if err != nil {
		t.Fatal(err)
	}
	script(t, out.scratch, "DROP SCHEMA "+syntax.TraceSchema+" CASCADE")
	out.after = readCatalog(t, out.scratch)
	out.Inference = transforms.Infer(out.before, out.after, facts, marks, out.options())
	if out.Err != nil {
		t.Fatal(out.Err)
	}
	out.Notices = append(notices, out.Notices...)
	return out
}

func find(c *catalog.Catalog, oid uint32) *catalog.Type {
	for _, t := range c.Types {
		if t.OID == oid {
			return t
		}
	}
	return nil
}

// options: enums that the migrations made or changed stand in schema shadow.
func (o *outcome) options() transforms.Options {
	return transforms.Options{
		Now: time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC),
		Type: func(oid uint32) (string, bool) {
			if t := find(o.after, oid); t != nil && t.Kind == "e" {
				return pg.Name{Schema: "shadow", Name: t.Name.Name}.Quoted(), true
			} else if t != nil {
				return t.Name.Quoted(), true
			}
			t := find(o.before, oid)
			if t == nil {
				return "", false
			}
			return t.Name.Quoted(), true
		},
		Changed: func(oid uint32) bool { t := find(o.after, oid); return t != nil && t.Kind == "e" },
	}
}

func (o *outcome) blockers() []string {
	var out []string
	for _, n := range o.Notices {
		if n.Level == "blocker" {
			out = append(out, n.Code+" "+n.Object+" "+n.Where)
		}
	}
	slices.Sort(out)
	return out
}

// wantEqual evaluates what was inferred over production's rows and compares
// with the migrations run in place.
func (h history) wantEqual(t *testing.T, b bench) *outcome {
	t.Helper()
	out := h.infer(t, b)
	if b := out.blockers(); len(b) > 0 {
		t.Fatalf("blockers: %+v", out.Notices)
	}
	production, inPlace := b.production, b.inPlace
	for _, conn := range []*pgx.Conn{production, inPlace} {
		script(t, conn, h.structure)
		script(t, conn, h.rows)
	}
	for _, f := range h.files {
		script(t, inPlace, f)
	}
	out.makeTypes(production)
	for _, table := range out.after.Tables {
		if table.HoldsRows() && !table.IsPartition() {
			out.compare(production, inPlace, table, h.ignore)
		}
	}
	return out
}

func (o *outcome) makeTypes(production *pgx.Conn) {
	o.t.Helper()
	script(o.t, production, "CREATE SCHEMA shadow")
	for _, typ := range o.after.Types {
		if typ.Kind == "d" && find(o.before, typ.OID) == nil {
			var base string
			if err := o.scratch.QueryRow(o.t.Context(), "SELECT format_type(typbasetype, typtypmod) FROM pg_type WHERE oid = $1", typ.OID).Scan(&base); err != nil {
				o.t.Fatal(err)
			}
			script(o.t, production, "CREATE DOMAIN "+typ.Name.Quoted()+" AS "+base)
		}
		if typ.Kind != "e" {
			continue
		}
		var labels string
		err := o.scratch.QueryRow(o.t.Context(), "SELECT string_agg(quote_literal(enumlabel), ', ' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = $1", typ.OID).Scan(&labels)
		if err != nil {
			o.t.Fatal(err)
		}
		script(o.t, production, fmt.Sprintf("CREATE TYPE shadow.%s AS ENUM (%s)", pg.Ident(typ.Name.Name), labels))
	}
	rows, _ := o.scratch.Query(o.t.Context(), "SELECT pg_get_functiondef(p.oid) FROM pg_proc p WHERE pronamespace = 'public'::regnamespace AND prokind = 'f' AND prorettype <> 'trigger'::regtype")
	definitions, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		o.t.Fatal(err)
	}
	for _, d := range definitions {
		script(o.t, production, d)
	}
}

// compare fills a table of the final columns' types with the expressions, as
// the shadow would be.
func (o *outcome) compare(production, inPlace *pgx.Conn, table *catalog.Table, ignore []string) {
	o.t.Helper()
	feed, fed := o.Tables[table.OID]
	var defs, names, exprs []string
	for _, c := range table.Columns {
		e := feed.Columns[c.Num]
		if c.Generated != "" || e.Volatile || slices.Contains(ignore, table.Name.Name+"."+c.Name) {
			continue
		}
		expr, typ := e.SQL, c.Type
		if found := find(o.after, c.TypeOID); found != nil && found.Kind == "e" {
			typ = pg.Name{Schema: "shadow", Name: found.Name.Name}.Quoted()
			expr = "(" + expr + ")::text::" + typ
		}
		if name, array := strings.CutSuffix(typ, "[]"); array && !strings.Contains(name, "text") {
			typ = "shadow." + name + "[]"
			expr = "(" + expr + ")::text::" + typ
		}
		names = append(names, pg.Ident(c.Name))
		defs = append(defs, pg.Ident(c.Name)+" "+typ)
		exprs = append(exprs, expr)
	}
	want := rowsOf(o.t, inPlace, "SELECT "+texts(names)+" FROM ONLY "+table.Name.Quoted())
	if table.Kind == "p" {
		want = rowsOf(o.t, inPlace, "SELECT "+texts(names)+" FROM "+table.Name.Quoted())
	}
	got := []string{}
	switch {
	case fed && !feed.Empty:
		from := o.before.ByOID(feed.Source)
		only := "ONLY "
		if from.Kind == "p" {
			only = ""
		}
		where := ""
		if feed.Where != "" {
			where = " WHERE " + feed.Where
		}
		script(o.t, production, "CREATE TABLE shadow."+pg.Ident("t "+table.Name.Name)+" ("+strings.Join(defs, ", ")+")")
		script(o.t, production, fmt.Sprintf("INSERT INTO shadow.%s SELECT %s FROM %s%s AS %s%s", pg.Ident("t "+table.Name.Name),
			strings.Join(exprs, ", "), only, from.Name.Quoted(), pg.Ident(from.Name.Name), where))
		got = rowsOf(o.t, production, "SELECT "+texts(names)+" FROM shadow."+pg.Ident("t "+table.Name.Name))
	case !fed || feed.Carried:
		got = rowsOf(o.t, o.scratch, "SELECT "+texts(names)+" FROM "+table.Name.Quoted())
	}
	if d := cmp.Diff(want, got); d != "" {
		o.t.Errorf("%s (in place -, inferred +):\n%s\n%+v", table.Name, d, feed)
	}
}

func texts(names []string) string {
	if len(names) == 0 {
		return "''"
	}
	return strings.Join(names, "::text, ") + "::text"
}

func rowsOf(t *testing.T, conn *pgx.Conn, sql string) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), sql)
	if err != nil {
		t.Fatalf("%v in %s", err, sql)
	}
	out := []string{}
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%q", values))
	}
	if rows.Err() != nil {
		t.Fatalf("%v in %s", rows.Err(), sql)
	}
	slices.Sort(out)
	return out
}
