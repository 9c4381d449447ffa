package replay

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// set is rows that production computes and that statements on the shadow read,
// where it is another database: out of a temporary table. Together they stand in
// the statement itself.
type set struct {
	name    string
	columns []pg.ColumnType
	query   string // without parameters
}

// writer is the applier that statements on the shadow are built from.
func (f *applier) writer(e ends) *applier {
	if e.remote() {
		return f.atShadow()
	}
	return f
}

// atShadow is the applier as it is seen from the shadow when that is another
// database: no production, no journal and no transforms, but the sets that were
// staged there, whose columns are named by us.
func (f *applier) atShadow() *applier {
	there, t := *f, *f.t
	there.t, there.onShadow = &t, true
	t.Where = ""
	t.Columns = slices.Clone(t.Columns)
	for i, c := range f.fresh() {
		t.Columns[slices.Index(names(t.Columns), c.Shadow)].Expression = received(f.types[c.Shadow], f.c(i))
	}
	t.Key = slices.Clone(t.Key)
	for i, p := range f.pairs() {
		t.Key[slices.Index(f.t.Key, p)].Expression = f.r(i)
	}
	return &there
}

// staged is the temporary table of a set.
func (f *applier) staged(set string) string {
	return "pg_temp." + pg.Ident(fmt.Sprintf("pgumbra_%d_%d_%s", f.run, f.t.N, set))
}

// stagedRows and stagedKeys stand in one table, so that production finds out once
// what was touched.
func (f *applier) stagedRows() string {
	return fmt.Sprintf("(SELECT * FROM %s WHERE NOT %s) AS %s", f.staged("rows"), f.isKey(), f.alias())
}

func (f *applier) stagedKeys() string {
	pairs := f.pairs()
	return fmt.Sprintf("(SELECT %s FROM %s WHERE %s) AS %s_g",
		list(len(pairs), func(i int) string { return received(f.types[pairs[i].Shadow], f.r(i)) + " AS " + f.k(i) }),
		f.staged("rows"), f.isKey(), f.own)
}

// received is a staged value as the shadow's column takes it. Staged types are
// those that values are sent as: an INSERT assigns them to domains, and checks;
// of what is sent as text the input function does.
func received(t pg.ColumnType, column string) string {
	if t.Sent == "text" && t.SQL != "text" {
		return column + "::" + t.SQL
	}
	return column
}

// receivedSet is a staged set of such values. It stands after FROM, before AS.
func (f *applier) receivedSet(name string, columns []pg.ColumnType) string {
	return fmt.Sprintf("(SELECT %s FROM %s)", list(len(columns), func(i int) string {
		return received(columns[i], columns[i].Column) + " AS " + columns[i].Column
	}), f.staged(name))
}

func (f *applier) isKey() string { return f.own + "_key" }

// c is the i-th fresh column in row sets of ours.
func (f *applier) c(i int) string { return fmt.Sprintf("%s_c%d", f.own, i) }

// r is the i-th key column beside them.
func (f *applier) r(i int) string { return fmt.Sprintf("%s_r%d", f.own, i) }

// stage computes sets in production and writes them to the shadow. Together it
// has nothing to do.
func (f *applier) stage(ctx context.Context, e ends, p planner, sets ...set) error {
	if !e.remote() {
		return nil
	}
	for _, s := range sets {
		if err := f.stageOne(ctx, e, p, s); err != nil {
			return err
		}
	}
	return nil
}

// stageOne makes the temporary table where the session does not have it yet: it
// is empty, since whoever stages calls unstage in the same transaction. (ON COMMIT
// DELETE ROWS would empty all that a session has at each commit: with 100 of them
// that took longer than a batch.)
func (f *applier) stageOne(ctx context.Context, e ends, p planner, s set) error {
	table, columns := f.staged(s.name), make([]string, len(s.columns))
	for i, c := range s.columns {
		columns[i] = c.Column
	}
	into := fmt.Sprintf("SET LOCAL client_min_messages = warning; CREATE TEMPORARY TABLE IF NOT EXISTS %s (%s); ", table,
		list(len(columns), func(i int) string { return pg.Ident(columns[i]) + " " + s.columns[i].Sent }))
	format := pg.FormatOf(s.columns)
	begin, end := p.around()
	_, err := pg.Pipe(ctx, e.production.Conn().PgConn(), begin+pg.CopyTo(s.sending(), format)+end,
		e.shadow.Conn().PgConn(), into+pg.CopyFrom(table, columns, format))
	if err != nil {
		return f.refused(statement{what: "read what changed", sql: s.query}, err)
	}
	return nil
}

// sending is the query with values in the types that they are sent as.
func (s set) sending() string {
	return fmt.Sprintf("SELECT %s FROM (%s\n) AS sent", list(len(s.columns), func(i int) string {
		return "sent." + s.columns[i].Column + "::" + s.columns[i].Sent
	}), s.query)
}

// unstage empties the tables of sets.
func (f *applier) unstage(sets []set) statement {
	return statement{"empty what was staged", "TRUNCATE " + list(len(sets), func(i int) string { return f.staged(sets[i].name) }), nil}
}

// script runs statements without parameters in one round trip.
func (f *applier) script(ctx context.Context, tx pgx.Tx, p planner, todo []statement) error {
	begin, end := p.around()
	results := tx.Conn().PgConn().Exec(ctx, begin+joined(len(todo), ";\n", func(i int) string { return todo[i].sql })+end)
	at := -1
	if begin == "" {
		at = 0
	}
	for results.NextResult() {
		_, _ = results.ResultReader().Close() // its error ends the script, and is that of results
		at++
	}
	if err := results.Close(); err != nil {
		return f.refused(todo[max(0, min(at, len(todo)-1))], err)
	}
	return nil
}

// keyedSet is what the statements of applyKeyed read.
func (f *applier) keyedSet(s scope) set {
	s = s.inlined()
	with, keys := f.touched(s), f.touchedShadowKeys()
	if f.upserts() {
		with, keys = f.withGone(s), f.shadowKeys(f.own+"_gone")
	}
	return f.rowSet(with + " " + f.selectingKeys(keys) + " UNION ALL " + f.selecting(f.current(s), ""))
}

// touchedSet is what deleteTouched reads.
func (f *applier) touchedSet(s scope) set {
	return f.rowSet(f.touched(s.inlined()) + " " + f.selectingKeys(f.touchedShadowKeys()))
}

// wholeSet are all rows of production.
func (f *applier) wholeSet() set { return f.rowSet(f.selecting(f.whole(), "")) }

// keysWithinSet are the keys of those of a group.
func (f *applier) keysWithinSet(g group) set {
	g.inline = true
	return f.keySet("keys", f.selectKeys(g))
}

// netSet is what removeCopies needs to know, copiesSet what addCopies adds.
func (f *applier) netSet(s scope) set {
	return set{"net", []pg.ColumnType{textColumn("image"), countColumn("n")},
		fmt.Sprintf("%s SELECT image, n::bigint FROM %s_n WHERE n < 0", f.net(s.inlined()), f.own)}
}

func (f *applier) copiesSet(s scope) set {
	return f.rowSet(f.net(s.inlined()) + " " + f.selecting(f.copies(), ""))
}

func reachedSet(w int) string { return fmt.Sprintf("w%d", w) }

// reachedSets are the touched values of each watch, and the rows they reach.
func (f *applier) reachedSets(s scope, rcs []reach) []set {
	s = s.inlined()
	sets := f.valueSets(s)
	var rows string
	for w := range f.watches {
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

// valueSets are the touched values of each watch.
func (f *applier) valueSets(s scope) []set {
	sets := make([]set, len(f.watches))
	for w := range f.watches {
		sets[w] = set{reachedSet(w), f.reachedTypes(w), fmt.Sprintf("WITH %s SELECT * FROM %s", f.reached(s.inlined(), w), f.reachedName(w))}
	}
	return sets
}

func (f *applier) reachedTypes(w int) []pg.ColumnType {
	var types []pg.ColumnType
	for i, c := range f.watches[w].columns {
		t := pg.ColumnType{SQL: c.integer, Sent: c.integer, Binary: true}
		if c.cast != "" {
			t = f.types[c.shadow]
		}
		t.Column = f.k(i)
		types = append(types, t)
	}
	return types
}

func textColumn(name string) pg.ColumnType  { return builtIn(name, "text") }
func countColumn(name string) pg.ColumnType { return builtIn(name, "bigint") }

func builtIn(name, sqlType string) pg.ColumnType {
	return pg.ColumnType{Column: name, SQL: sqlType, Sent: sqlType, Binary: true}
}

// keySet holds keys of the shadow.
func (f *applier) keySet(name, query string) set { return set{name, f.keyTypes(f.k), query} }

func (f *applier) keyTypes(name func(i int) string) []pg.ColumnType {
	var types []pg.ColumnType
	for i, p := range f.pairs() {
		t := f.types[p.Shadow]
		t.Column = name(i)
		types = append(types, t)
	}
	return types
}

// rowSet holds values of the columns that new rows get, or keys, or both: keys are those
// of rows to delete, or of the row beside them, by which kept values are found.
func (f *applier) rowSet(query string) set {
	types := []pg.ColumnType{builtIn(f.isKey(), "boolean")}
	for i, c := range f.fresh() {
		t := f.types[c.Shadow]
		t.Column = f.c(i)
		types = append(types, t)
	}
	if f.holdsKeys() {
		types = append(types, f.keyTypes(f.r)...)
	}
	return set{"rows", types, query}
}

func (f *applier) holdsKeys() bool { return f.kind() == keyed || f.keeps() }

// selecting is the query of a rowSet. Values are sent in types without
// modifiers: the INSERT on the shadow assigns them, as it does together.
func (f *applier) selecting(from, condition string) string {
	columns, key := f.fresh(), func(int) string { return "NULL" }
	if f.keeps() {
		key = f.keyValue
	}
	return "SELECT " + f.rowColumns("false", func(i int) string { return columns[i].Expression }, key) +
		"\nFROM " + from + where(f.and(condition))
}

// selectingKeys is the query of its keys; from has columns k.
func (f *applier) selectingKeys(from string) string {
	return "SELECT " + f.rowColumns("true", func(int) string { return "NULL" }, f.k) + "\nFROM " + from
}

func (f *applier) rowColumns(isKey string, value, key func(i int) string) string {
	text := isKey + " AS " + f.isKey() + joined(len(f.fresh()), "", func(i int) string {
		return fmt.Sprintf("\n, (%s\n) AS %s", value(i), f.c(i))
	})
	if !f.holdsKeys() {
		return text
	}
	return text + joined(len(f.pairs()), "", func(i int) string { return "\n, " + key(i) + " AS " + f.r(i) })
}
