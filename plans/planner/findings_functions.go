package planner

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
)

// safePath is the first version whose CREATE INDEX and REFRESH MATERIALIZED VIEW
// call functions under a search_path of pg_catalog alone.
const safePath = 170000

// usedThere is a function that runs on the shadow before the swap.
type usedThere struct {
	OID    uint32
	By     string // the object that calls it
	Table  uint32 // of a default: whose column it fills; else 0
	Column string
	Safe   bool // under the search_path of pg_catalog alone, since 17
}

// functionsThere: before the swap the true schemas are empty, or not there, on
// the shadow. A function that an index, a generated column, a CHECK, a
// materialized view or the default of a volatile column calls runs there already,
// and what its text names is not found.
func (m *draft) functionsThere(ctx context.Context) error {
	rows, err := m.scratch.db.Query(ctx, `SELECT DISTINCT d.refobjid, pg_describe_object(d.classid, d.objid, 0),
			CASE WHEN g.attgenerated = '' THEN g.attrelid ELSE 0 END, coalesce(g.attname::text, ''), d.classid IN ('pg_class'::regclass, 'pg_rewrite'::regclass)
		FROM pg_depend d
		LEFT JOIN pg_rewrite w ON d.classid = 'pg_rewrite'::regclass AND w.oid = d.objid
		LEFT JOIN pg_class v ON v.oid = w.ev_class
		LEFT JOIN pg_attrdef a ON d.classid = 'pg_attrdef'::regclass AND a.oid = d.objid
		LEFT JOIN pg_attribute g ON g.attrelid = a.adrelid AND g.attnum = a.adnum
		WHERE d.refclassid = 'pg_proc'::regclass AND d.refobjid >= 16384
			AND (d.classid = 'pg_class'::regclass AND EXISTS (SELECT FROM pg_index i WHERE i.indexrelid = d.objid)
				OR d.classid = 'pg_constraint'::regclass OR g.attname IS NOT NULL OR v.relkind = 'm')`)
	if err != nil {
		return err
	}
	used, err := pgx.CollectRows(rows, pgx.RowToStructByPos[usedThere])
	if err != nil {
		return err
	}
	members, err := m.memberFunctions(ctx)
	if err != nil {
		return err
	}
	for _, u := range used {
		f := function(m.after, u.OID)
		if f != nil && m.moving(f.Name.Schema) && (u.Table == 0 || m.volatile(u.Table, u.Column)) {
			m.classifyText(f, u, members)
		}
	}
	return nil
}

func (m *mapping) volatile(table uint32, column string) bool {
	t := m.final.ByOID(table)
	return t != nil && slices.ContainsFunc(m.plan.Tables, func(p plans.Table) bool {
		return p.Shadow == t.Name && slices.ContainsFunc(p.Columns, func(c plans.Column) bool { return c.Shadow == column && c.Volatile })
	})
}

// memberFunctions are the names of extensions' functions outside pg_catalog.
func (m *trial) memberFunctions(ctx context.Context) ([]string, error) {
	rows, err := m.scratch.db.Query(ctx, `SELECT DISTINCT lower(p.proname) FROM pg_proc p
		JOIN pg_depend e ON e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e'
		WHERE p.pronamespace <> 'pg_catalog'::regnamespace`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// classifyText reads a function's text, not the texts of those that it calls: to
// name one of them is a blocker already.
func (m *site) classifyText(f *catalog.Function, u usedThere, members []string) {
	if f.Language == "internal" || f.Language == "c" || f.Body == "" {
		return // BEGIN ATOMIC has no text: it keeps oids
	}
	for _, s := range m.plan.Schemas {
		u.By = strings.ReplaceAll(u.By, s.Shadow+".", s.Production+".")
	}
	name, text := f.Name.String()+f.Arguments, words(f.Body)
	if names := m.named(text); len(names) > 0 {
		m.blocker("function-names-schema", name,
			fmt.Sprintf("%s calls this function while the shadow is built, and its text names %s, which the shadow's database does not have before the cutover", u.By, strings.Join(names, ", ")),
			"write its body as BEGIN ATOMIC … END (names are then kept by oid), or without tables and functions of yours")
		return
	}
	if called := calledBare(text, members); called != "" && u.Safe && m.side.server >= safePath && !strings.Contains(f.Definition, "SET search_path") {
		m.warning("function-search-path", name,
			fmt.Sprintf("%s calls this function, and its text calls %s without a schema: from PostgreSQL 17 on indexes are built and views refreshed under a search_path without it", u.By, called),
			"ALTER FUNCTION "+f.Name.Quoted()+f.Arguments+" SET search_path = …; or write the schema before the name")
	}
}

var comments = regexp.MustCompile(`(?s)--[^\n]*|/\*.*?\*/`)

// words are a text's tokens without spaces, comments and strings.
func words(body string) []string {
	return slices.DeleteFunc(token.FindAllString(comments.ReplaceAllString(body, " "), -1), func(w string) bool { return strings.TrimSpace(w) == "" || w[0] == '\'' })
}

var tableWords = []string{"from", "join", "into", "update", "only", "table"}

// named lists the functions and tables of the schemas that move that a text
// calls or reads, with their schema or without.
func (m *survey) named(text []string) []string {
	called, read := mentions(text)
	var names []string
	for _, f := range m.after.Functions {
		if m.moving(f.Name.Schema) && called(f.Name) {
			names = append(names, f.Name.String())
		}
	}
	for _, t := range m.after.Tables {
		if m.moving(t.Name.Schema) && !t.Extension && read(t.Name) {
			names = append(names, t.Name.String())
		}
	}
	return slices.Compact(names)
}

// mentions tells whether a text calls a function, and whether it reads a table.
func mentions(text []string) (called, read func(pg.Name) bool) {
	is := func(i int, name string) bool {
		return i >= 0 && i < len(text) && (text[i] == pg.Ident(name) || strings.EqualFold(text[i], name))
	}
	begins := func(i int, n pg.Name) (int, bool) { // of the name at i: where it begins, and whether it can be n
		if is(i-1, ".") {
			return i - 2, is(i-2, n.Schema)
		}
		return i, true
	}
	somewhere := func(n pg.Name, fits func(first, last int) bool) bool {
		for i := range text {
			if first, can := begins(i, n); can && is(i, n.Name) && fits(first, i) {
				return true
			}
		}
		return false
	}
	called = func(n pg.Name) bool { return somewhere(n, func(_, last int) bool { return is(last+1, "(") }) }
	read = func(n pg.Name) bool {
		return somewhere(n, func(first, _ int) bool {
			return first > 0 && slices.Contains(tableWords, strings.ToLower(text[first-1]))
		})
	}
	return called, read
}

func calledBare(text, names []string) string {
	for i, w := range text {
		bare := i == 0 || text[i-1] != "."
		if bare && i+1 < len(text) && text[i+1] == "(" && slices.Contains(names, strings.ToLower(w)) {
			return w
		}
	}
	return ""
}
