package replay

import (
	"context"
	"fmt"
	"slices"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// set is rows that production computes and that statements on the shadow read,
// where it is another database: out of a temporary table. Together they stand in
// the statement itself.
type set struct {
	name    string
	columns []pg.ColumnType
	query   string // without parameters
}

// writer is the feed that statements on the shadow are built from.
func (f *feed) writer(e ends) *feed {
	if e.apart() {
		return f.landed()
	}
	return f
}

// landed is the feed as it is seen from the shadow when that is another
// database: no production, no journal and no transforms, but the sets that were
// staged there, whose columns are named by us.
func (f *feed) landed() *feed {
	landed, t := *f, *f.t
	landed.t, landed.landing = &t, true
	t.Where = ""
	t.Columns = slices.Clone(t.Columns)
	for i, c := range f.written() {
		t.Columns[slices.Index(names(t.Columns), c.Shadow)].Expression = f.c(i)
	}
	t.Key = slices.Clone(t.Key)
	for i, p := range f.pairs() {
		t.Key[slices.Index(f.t.Key, p)].Expression = f.r(i)
	}
	return &landed
}

// staged is the temporary table of a set.
func (f *feed) staged(set string) string {
	return "pg_temp." + pg.Ident(fmt.Sprintf("pgumbra_%d_%d_%s", f.run, f.t.N, set))
}

func (f *feed) stagedRows() string { return f.staged("rows") + " AS " + f.alias() }
func (f *feed) stagedKeys() string { return f.staged("keys") + " AS " + f.own + "_g" }

// c is the i-th written column in row sets of ours.
func (f *feed) c(i int) string { return fmt.Sprintf("%s_c%d", f.own, i) }

// r is the i-th key column beside them.
func (f *feed) r(i int) string { return fmt.Sprintf("%s_r%d", f.own, i) }

// stage computes sets in production and writes them to the shadow. Together it
// has nothing to do.
func (f *feed) stage(ctx context.Context, e ends, sets ...set) error {
	if !e.apart() {
		return nil
	}
	for _, s := range sets {
		if err := f.stageOne(ctx, e, s); err != nil {
			return err
		}
	}
	return nil
}

// stageOne makes the temporary table where the session does not have it yet: it
// is empty, since each transaction leaves it so.
func (f *feed) stageOne(ctx context.Context, e ends, s set) error {
	table, columns := f.staged(s.name), make([]string, len(s.columns))
	for i, c := range s.columns {
		columns[i] = c.Column
	}
	into := fmt.Sprintf("SET LOCAL client_min_messages = warning; CREATE TEMPORARY TABLE IF NOT EXISTS %s (%s) ON COMMIT DELETE ROWS; ", table,
		list(len(columns), func(i int) string { return pg.Ident(columns[i]) + " " + s.columns[i].SQL }))
	format := pg.FormatOf(s.columns)
	_, err := pg.Pipe(ctx, e.production.Conn().PgConn(), pg.CopyTo(s.query, format),
		e.shadow.Conn().PgConn(), into+pg.CopyFrom(table, columns, format))
	if err != nil {
		return f.refused(statement{what: "read what changed", sql: s.query}, err)
	}
	return nil
}

// keyedSets are what the statements of applyKeyed read.
func (f *feed) keyedSets(s scope) []set {
	s = s.inlined()
	if f.t.Upsert {
		return []set{f.keySet("keys", f.withGone(s)+" SELECT * FROM "+f.shadowKeys(f.own+"_gone")), f.currentSet(s)}
	}
	return []set{f.touchedSet(s), f.currentSet(s)}
}

func (f *feed) touchedSet(s scope) set {
	return f.keySet("keys", f.touched(s.inlined())+" SELECT * FROM "+f.shadowKeys(f.own+"_t"))
}

func (f *feed) currentSet(s scope) set {
	return f.rowSet(f.touched(s) + " " + f.selecting(f.current(s), ""))
}

// wholeSet are all rows of production.
func (f *feed) wholeSet() set { return f.rowSet(f.selecting(f.whole(), "")) }

// allKeysSet are the keys of all of them.
func (f *feed) allKeysSet() set { return f.keySet("all", f.selectKeys()) }

// netSet is what removeCopies needs to know, copiesSet what addCopies adds.
func (f *feed) netSet(s scope) set {
	return set{"net", []pg.ColumnType{textColumn("image"), countColumn("n")},
		fmt.Sprintf("%s SELECT image, n::bigint FROM %s_n WHERE n < 0", f.net(s.inlined()), f.own)}
}

func (f *feed) copiesSet(s scope) set {
	return f.rowSet(f.net(s.inlined()) + " " + f.selecting(f.copies(), ""))
}

func reachedSet(w int) string { return fmt.Sprintf("w%d", w) }

// reachedSets are the touched values of each watch, and the rows they reach.
func (f *feed) reachedSets(s scope, rcs []reach) []set {
	s = s.inlined()
	var sets []set
	var rows string
	for w := range f.watches {
		sets = append(sets, set{reachedSet(w), f.reachedTypes(w),
			fmt.Sprintf("WITH %s SELECT * FROM %s", f.reached(s, w), f.reachedName(w))})
		with, condition := f.withReached(s, w, rcs)
		if rcs[w].values > 0 {
			rows += fmt.Sprintf(" UNION ALL (%s%s)", with, f.selecting(f.reachedRows(w, rcs[w]), condition))
		}
	}
	if rows != "" {
		sets = append(sets, f.rowSet(rows[len(" UNION ALL "):]))
	}
	return sets
}

func (f *feed) reachedTypes(w int) []pg.ColumnType {
	var types []pg.ColumnType
	for i, c := range f.watches[w].columns {
		t := pg.ColumnType{SQL: c.integer, Binary: true}
		if c.cast != "" {
			t = f.types[c.shadow]
		}
		t.Column = f.k(i)
		types = append(types, t)
	}
	return types
}

func textColumn(name string) pg.ColumnType {
	return pg.ColumnType{Column: name, SQL: "text", Binary: true}
}
func countColumn(name string) pg.ColumnType {
	return pg.ColumnType{Column: name, SQL: "bigint", Binary: true}
}

// keySet holds keys of the shadow.
func (f *feed) keySet(name, query string) set { return set{name, f.keyTypes(f.k), query} }

func (f *feed) keyTypes(name func(i int) string) []pg.ColumnType {
	var types []pg.ColumnType
	for i, p := range f.pairs() {
		t := f.types[p.Shadow]
		t.Column = name(i)
		types = append(types, t)
	}
	return types
}

// rowSet holds values of the written columns, and the keys where kept values
// are found by them.
func (f *feed) rowSet(query string) set {
	var types []pg.ColumnType
	for i, c := range f.written() {
		t := f.types[c.Shadow]
		t.Column = f.c(i)
		types = append(types, t)
	}
	if f.keeps() {
		types = append(types, f.keyTypes(f.r)...)
	}
	return set{"rows", types, query}
}

// selecting is the query of a rowSet. Values are sent in types without
// modifiers: the INSERT on the shadow assigns them, as it does together.
func (f *feed) selecting(from, condition string) string {
	columns := f.written()
	values := joined(len(columns), "\n, ", func(i int) string { return f.sent(columns[i], f.c(i)) })
	if f.keeps() {
		values += ", " + list(len(f.pairs()), func(i int) string { return f.keyValue(i) + " AS " + f.r(i) })
	}
	return fmt.Sprintf("SELECT %s\nFROM %s%s", values, from, where(f.and(condition)))
}

func (f *feed) sent(c plans.Column, as string) string {
	return fmt.Sprintf("(%s\n)::%s AS %s", c.Expression, f.types[c.Shadow].Sent, as)
}
