package generate

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// Filled is what became of a table.
type Filled struct {
	Table pg.Name `json:"table"`
	Rows  int64   `json:"rows"`
	// Kept: it held rows already, which the migrations had put there.
	Kept bool `json:"kept,omitempty"`
}

// KeptIn are the tables that held rows already.
func KeptIn(filled []Filled) (names []pg.Name) {
	for _, f := range filled {
		if f.Kept {
			names = append(names, f.Table)
		}
	}
	return names
}

// Gap is something for which no rows could be made.
type Gap struct {
	Table      pg.Name  `json:"table"`
	Constraint string   `json:"constraint"` // or the column; empty: the table as such
	Columns    []string `json:"columns,omitempty"`
	Where      string   `json:"where,omitempty"` // file and line of the migrations that ask for it
	Message    string   `json:"message"`
	Fix        string   `json:"fix"`
}

// String is a line for people.
func (g Gap) String() string {
	text := g.Table.String()
	if g.Constraint != "" {
		text += ", " + g.Constraint
	}
	if g.Where != "" {
		text += " (" + g.Where + ")"
	}
	return text + ": " + g.Message
}

// Fill puts rows into each table that has none, at most so many, and sets the
// sequences of their columns behind them. It needs a superuser's session: while it
// works, triggers and foreign keys rest. What could not be made comes as gaps, by
// table and constraint.
func (m *Model) Fill(ctx context.Context, conn *pgx.Conn, rows int64) ([]Filled, []Gap, error) {
	f := &filler{m: m, conn: conn, want: rows, keys: map[string]keyTable{}, empty: map[*Table]bool{}, filled: []Filled{}, gaps: []Gap{}}
	for _, sql := range []string{"SET session_replication_role = replica", "SET work_mem = '64MB'"} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return nil, nil, err
		}
	}
	for _, t := range m.Tables {
		if err := f.table(ctx, t); err != nil {
			return nil, nil, fmt.Errorf("fill %s: %w", t.Name, err)
		}
	}
	if err := f.late(ctx); err != nil {
		return nil, nil, err
	}
	for name, k := range f.keys {
		if _, err := conn.Exec(ctx, "DROP TABLE "+k.name); err != nil {
			return nil, nil, fmt.Errorf("drop the keys of %s: %w", name, err)
		}
	}
	// Counts are what is asked of statistics here, and few rows tell them.
	for _, sql := range []string{"SET session_replication_role = origin", "RESET work_mem", "SET default_statistics_target = 10", "ANALYZE", "RESET default_statistics_target"} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return nil, nil, err
		}
	}
	return f.filled, f.gaps, nil
}

// filler fills one database.
type filler struct {
	m      *Model
	conn   *pgx.Conn
	want   int64
	keys   map[string]keyTable
	empty  map[*Table]bool
	filled []Filled
	gaps   []Gap
}

func (f *filler) gap(t *Table, constraint, format string, args ...any) {
	var columns []*Column
	if c := t.Column(constraint); c != nil {
		columns = append(columns, c)
	}
	f.gapOf(t, constraint, columns, fmt.Sprintf(format, args...))
}

// gapOf is one of some columns, with a rule for them to paste.
func (f *filler) gapOf(t *Table, constraint string, columns []*Column, message string) {
	g := Gap{Table: t.Name, Constraint: constraint, Message: message}
	var rules []string
	for _, c := range columns {
		g.Columns = append(g.Columns, c.Name)
		rules = append(rules, c.Name+": "+f.m.example(t, c))
	}
	if len(rules) == 0 {
		rules = []string{"COLUMN: '…'"}
	}
	g.Fix = fmt.Sprintf("say in the plan file how its values are made, n being the row's number, and change the expression until it fits: tables: {%s: {generate: {%s}}}", t.Name, strings.Join(rules, ", "))
	f.gaps = append(f.gaps, g)
}

func (f *filler) table(ctx context.Context, t *Table) error {
	held, err := f.count(ctx, t)
	if err != nil {
		return err
	}
	if held > 0 {
		f.filled = append(f.filled, Filled{Table: t.Name, Rows: held, Kept: true})
		return nil
	}
	if !f.possible(t) {
		f.empty[t] = true
		f.filled = append(f.filled, Filled{Table: t.Name})
		return nil
	}
	made, err := f.rows(ctx, t)
	if err != nil {
		return err
	}
	f.empty[t] = made == 0
	f.filled = append(f.filled, Filled{Table: t.Name, Rows: made})
	return f.sequences(ctx, t)
}

func (f *filler) count(ctx context.Context, t *Table) (n int64, err error) {
	err = f.conn.QueryRow(ctx, "SELECT count(*) FROM "+t.only()).Scan(&n)
	return n, err
}

// only is the table without those that inherit from it, unless they are its
// partitions.
func (t *Table) only() string {
	if t.bounds != "" {
		return t.Name.Quoted()
	}
	return "ONLY " + t.Name.Quoted()
}

// possible reports whether each column that must have a value can have one.
func (f *filler) possible(t *Table) bool {
	if len(t.Columns) == 0 {
		return false
	}
	for _, c := range t.Columns {
		if c.sql == "" && !c.rule && !t.references(c.Name) && c.NotNull {
			f.noValue(t, c)
			return false
		}
	}
	for _, r := range t.foreign {
		if !r.late && f.empty[r.to] && t.needs(r) {
			f.gap(t, r.name, "it refers to %s, which is empty; the table stays empty", r.to.Name)
			return false
		}
	}
	return true
}

func (f *filler) noValue(t *Table, c *Column) {
	const form = "no value of type %s is known for column %s%s; the table stays empty"
	constraint, also := c.Name, ""
	if len(c.alone) > 0 {
		constraint, also = strings.Join(c.alone, ", "), " that its constraint takes"
	}
	f.gapOf(t, constraint, []*Column{c}, fmt.Sprintf(form, c.typeName, c.Name, also))
}

// needs reports whether a foreign key cannot be NULL.
func (t *Table) needs(r *reference) bool {
	return !slices.ContainsFunc(r.columns, func(c string) bool { return !t.Column(c).NotNull })
}

const rounds = 30 // of rows that are made, where constraints refuse most

// rows makes rows until there are enough, or the constraints refuse too many.
func (f *filler) rows(ctx context.Context, t *Table) (made int64, err error) {
	joins, err := f.joins(ctx, t)
	if err != nil {
		return 0, err
	}
	size := f.want
	for round, first := 0, int64(1); round < rounds && made < f.want; round++ {
		source := fmt.Sprintf("generate_series(%d, %d) AS g(n)%s", first, first+size-1, joins.sql)
		tag, err := f.insert(ctx, t, t.insert(source, joins.values, t.Columns, f.m, joins.among...)+fmt.Sprintf(" ORDER BY pgumbra_n LIMIT %d", f.want-made))
		if state := pg.State(err); state != "" && state != pgerrcode.DiskFull {
			f.gap(t, constraintOf(err), "%s", pg.Message(err))
			return made, nil
		}
		if err != nil {
			return made, err
		}
		made += tag.RowsAffected()
		first += size
		if round == 0 && made < f.want/2 {
			size *= 4
		}
	}
	if made < f.want {
		return made, f.explain(ctx, t, joins, made)
	}
	return made, nil
}

// insert leaves out rows that conflict, where some do: looking for them costs a third
// of the time.
func (f *filler) insert(ctx context.Context, t *Table, sql string) (pgconn.CommandTag, error) {
	tag, err := f.conn.Exec(ctx, sql)
	if state := pg.State(err); (state == pgerrcode.UniqueViolation || state == pgerrcode.ExclusionViolation) && !t.deferred {
		return f.conn.Exec(ctx, sql+" ON CONFLICT DO NOTHING")
	}
	return tag, err
}

// explain names the conditions that refused most rows.
func (f *filler) explain(ctx context.Context, t *Table, j joins, made int64) error {
	if made*2 > f.want {
		return nil // enough for a rehearsal
	}
	source := "generate_series(1, 1000) AS g(n)" + j.sql
	for _, k := range t.checks {
		var taken int64
		err := f.conn.QueryRow(ctx, "SELECT count(*) FROM ("+t.selection(source, j.values, t.Columns, f.m, []string{k.condition})+") s").Scan(&taken)
		if pg.State(err) == "" && err != nil {
			return err
		}
		if err != nil || taken*4 < 1000 {
			columns := slices.DeleteFunc(slices.Clone(t.Columns), func(c *Column) bool { return !mentions(c, k.condition) })
			f.gapOf(t, k.name, columns, fmt.Sprintf("of 1,000 rows that were made, %d satisfy %s; the table has %d", taken, k.condition, made))
		}
	}
	if n := len(f.gaps); n == 0 || f.gaps[n-1].Table != t.Name {
		f.gap(t, "", "most rows that were made break a unique or exclusion constraint, or have no partition; the table has %d", made)
	}
	return nil
}

// insert is a statement that makes rows from a source of numbers. values are the
// columns that foreign keys decide.
func (t *Table) insert(source string, values map[string]string, columns []*Column, m *Model, conditions ...string) string {
	for _, k := range t.checks {
		conditions = append(conditions, k.condition)
	}
	return fmt.Sprintf("INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE %s", t.Name.Quoted(), pg.Idents(names(columns)),
		t.selection(source, values, columns, m, conditions))
}

func names(columns []*Column) []string {
	var all []string
	for _, c := range columns {
		all = append(all, c.Name)
	}
	return all
}

// selection is a query of rows that satisfy some conditions, NOT NULL, domains and
// partition bounds. What mentions a column that is left to the table's default (a number
// out of a sequence) is left to the table, too: its value is not known here.
func (t *Table) selection(source string, values map[string]string, columns []*Column, m *Model, conditions []string) string {
	var inner, outer, made []string
	for _, c := range columns {
		quoted := pg.Ident(c.Name)
		inner = append(inner, m.expression(t, c, values)+" AS "+quoted)
		outer = append(outer, "s."+quoted)
		if c.NotNull {
			conditions = append(conditions, "s."+quoted+" IS NOT NULL")
		}
		conditions = append(conditions, c.domains...)
	}
	absent := slices.DeleteFunc(slices.Clone(t.Columns), func(c *Column) bool { return slices.Contains(columns, c) })
	unknown := func(sql string) bool {
		return slices.ContainsFunc(absent, func(c *Column) bool { return mentions(c, sql) })
	}
	for _, c := range t.made {
		if unknown(c.sql) {
			absent = append(absent, c)
			continue
		}
		made = append(made, ", ("+c.sql+") AS "+pg.Ident(c.Name))
	}
	where := all(slices.DeleteFunc(conditions, unknown))
	if t.bounds != "" && !unknown(t.bounds) {
		where += " AND (" + t.bounds + ")"
	}
	if len(columns) == 0 {
		outer = []string{"s.pgumbra_n"}
	}
	// OFFSET keeps each value from being computed once more for each condition.
	return fmt.Sprintf("SELECT %s FROM (SELECT s.*%s FROM (SELECT g.n AS pgumbra_n%s FROM %s OFFSET 0) s) s WHERE %s",
		strings.Join(outer, ", "), strings.Join(made, ""), prefixed(inner), source, where)
}

func prefixed(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return ", " + strings.Join(list, ", ")
}

// expression is a column's value in a row.
func (m *Model) expression(t *Table, c *Column, values map[string]string) string {
	sql, decided := values[c.Name]
	switch {
	case c.rule:
		return fmt.Sprintf("(%s)::%s", c.sql, c.baseName)
	case decided:
		return sql
	case c.sql == "":
		return "NULL::" + c.baseName
	case c.nulls > 0:
		return fmt.Sprintf("CASE WHEN %s = 0 THEN NULL ELSE (%s)::%s END", m.draw(t, c).part("null").dice(c.nulls), c.sql, c.baseName)
	}
	return fmt.Sprintf("(%s)::%s", c.sql, c.baseName)
}

// sequences puts the sequences of columns behind the rows.
func (f *filler) sequences(ctx context.Context, t *Table) error {
	for _, c := range t.Columns {
		if !c.Sequence {
			continue
		}
		_, err := f.conn.Exec(ctx, fmt.Sprintf(`SELECT setval(s.seq, (SELECT max(%s)::bigint FROM %s)) FROM (SELECT coalesce(
			pg_get_serial_sequence(%s, %s)::regclass,
			(SELECT d.refobjid::regclass FROM pg_depend d JOIN pg_attrdef a ON a.oid = d.objid AND d.classid = 'pg_attrdef'::regclass
			 JOIN pg_class q ON q.oid = d.refobjid AND q.relkind = 'S' WHERE a.adrelid = %[3]s::regclass AND a.adnum = (
			 SELECT attnum FROM pg_attribute WHERE attrelid = %[3]s::regclass AND attname = %[4]s) LIMIT 1)) AS seq) s WHERE s.seq IS NOT NULL
			AND (SELECT max(%[1]s)::bigint FROM %[2]s) >= 1`,
			pg.Ident(c.Name), t.only(), pg.Literal(t.Name.Quoted()), pg.Literal(c.Name)))
		if pg.State(err) != "" {
			f.gap(t, c.Name, "its sequence could not be set behind the rows: %s", pg.Message(err))
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}
