package generate

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// keyTable holds a parent's keys by number, in a temporary table: columns r0, r1,
// …, the number k from 1 within those that share their first columns, and how
// many they are.
type keyTable struct {
	name string
	rows int64
}

// joins are what a table's foreign keys add to its source of rows, and the
// columns that they decide.
type joins struct {
	sql    string
	values map[string]string
	among  []string // conditions on the rows
}

// joins draws a parent for each foreign key. One that shares columns with a wider
// one takes a parent of the same values there.
func (f *filler) joins(ctx context.Context, t *Table) (joins, error) {
	j := joins{values: map[string]string{}}
	for i, r := range t.foreign {
		shared := shared(r, j.values)
		switch {
		case r.late, f.decided(t, r):
		case len(shared) == len(r.columns):
			j.among = append(j.among, t.hasParent(r))
		case f.empty[r.to]: // all of it is NULL
			for _, c := range r.columns {
				if _, ok := j.values[c]; !ok {
					j.values[c] = "NULL::" + t.Column(c).baseName
				}
			}
		default:
			if err := f.join(ctx, t, r, fmt.Sprintf("f%d", i), shared, &j); err != nil {
				return j, err
			}
		}
	}
	for _, r := range t.foreign {
		if r.late && !f.decided(t, r) {
			f.placeholders(t, r, j)
		}
	}
	return j, nil
}

// hasParent is a condition on rows whose foreign key others decided.
func (t *Table) hasParent(r *reference) string {
	var none, same []string
	for i, c := range r.columns {
		none = append(none, "s."+pg.Ident(c)+" IS NULL")
		same = append(same, fmt.Sprintf("p.%s = s.%s", pg.Ident(r.refColumns[i]), pg.Ident(c)))
	}
	return fmt.Sprintf("%s OR EXISTS (SELECT FROM %s p WHERE %s)", strings.Join(none, " OR "), r.to.Name.Quoted(), strings.Join(same, " AND "))
}

// decided: the user's own rules make the columns.
func (f *filler) decided(t *Table, r *reference) bool {
	return slices.ContainsFunc(r.columns, func(c string) bool { return t.Column(c).rule })
}

// shared are a foreign key's columns that others decided already, by their place.
func shared(r *reference, values map[string]string) []int {
	var places []int
	for i, c := range r.columns {
		if _, ok := values[c]; ok {
			places = append(places, i)
		}
	}
	return places
}

// placeholders stand for parents that come later: NULL, or a number of one's own.
func (f *filler) placeholders(t *Table, r *reference, j joins) {
	nullable := !t.needs(r)
	for _, name := range r.columns {
		c := t.Column(name)
		if _, ok := j.values[name]; ok {
			continue
		}
		values := f.m.types.value(c.typeOID, c.typmod, draw{seed: f.m.seed, salt: "late", distinct: true})
		switch {
		case nullable && !c.NotNull, len(values) == 0:
			j.values[name] = "NULL::" + c.baseName
		default:
			j.values[name] = fmt.Sprintf("(%s)::%s", values[0], c.baseName)
		}
	}
}

func (f *filler) join(ctx context.Context, t *Table, r *reference, alias string, shared []int, j *joins) error {
	keys, err := f.keysOf(ctx, r, shared)
	if err != nil {
		return err
	}
	d := draw{seed: f.m.seed, salt: t.Name.String() + "/" + r.name}
	if len(shared) == 0 {
		j.sql += fmt.Sprintf(" LEFT JOIN %s AS %s ON %[2]s.k = %s", keys.name, alias, f.parent(t, r, d, keys.rows))
	} else {
		var same []string
		for _, place := range shared {
			same = append(same, fmt.Sprintf("x.r%d = %s", place, j.values[r.columns[place]]))
		}
		j.sql += fmt.Sprintf(" LEFT JOIN LATERAL (SELECT x.* FROM %s x WHERE %s AND x.k = 1 + (hashint8extended(g.n, %d) & 9223372036854775807) %% x.size) AS %s ON true",
			keys.name, strings.Join(same, " AND "), d.constant(), alias)
	}
	for i, c := range r.columns {
		if _, ok := j.values[c]; !ok {
			j.values[c] = fmt.Sprintf("%s.r%d", alias, i)
		}
	}
	return nil
}

// parent is the number of a row's parent. Some have many children, most few; a
// parent whose children must be distinct has one at most.
func (f *filler) parent(t *Table, r *reference, d draw, rows int64) string {
	if r.distinct {
		return "g.n"
	}
	number := fmt.Sprintf("1 + (%s %% (1 + %s))", d.part("parent").dice(1<<40), d.part("skew").dice(rows))
	if t.needs(r) {
		return number
	}
	return fmt.Sprintf("CASE WHEN %s = 0 THEN NULL ELSE %s END", d.part("null").dice(10), number)
}

// keysOf makes the table of a parent's keys, numbered within the shared columns.
func (f *filler) keysOf(ctx context.Context, r *reference, shared []int) (keyTable, error) {
	id := fmt.Sprint(r.to.Name.Quoted(), r.refColumns, shared)
	if k, ok := f.keys[id]; ok {
		return k, nil
	}
	k := keyTable{name: fmt.Sprintf("pg_temp.pgumbra_keys_%d", len(f.keys))}
	var columns, within []string
	for i, c := range r.refColumns {
		columns = append(columns, fmt.Sprintf("%s AS r%d", pg.Ident(c), i))
	}
	for _, place := range shared {
		within = append(within, pg.Ident(r.refColumns[place]))
	}
	partition, index := "", "k"
	if len(within) > 0 {
		partition, index = "PARTITION BY "+strings.Join(within, ", "), fmt.Sprintf("r%d, k", shared[0])
	}
	text := fmt.Sprintf(`CREATE TEMP TABLE %s AS SELECT %s, row_number() OVER (%s ORDER BY %s) AS k, count(*) OVER (%[3]s) AS size FROM %[5]s`,
		strings.TrimPrefix(k.name, "pg_temp."), strings.Join(columns, ", "), partition, pg.Idents(r.refColumns), r.to.only())
	tag, err := f.conn.Exec(ctx, text)
	if err != nil {
		return k, fmt.Errorf("number the keys of %s: %w", r.to.Name, err)
	}
	k.rows = tag.RowsAffected()
	_, err = f.conn.Exec(ctx, fmt.Sprintf("CREATE INDEX ON %s (%s); ANALYZE %[1]s", k.name, index))
	f.keys[id] = k
	return k, err
}

// late gives rows their parents where the tables refer to each other, or to
// themselves.
func (f *filler) late(ctx context.Context) error {
	var gone int64
	for t, r := range f.references() {
		if !r.late || f.decided(t, r) {
			continue
		}
		removed, err := f.adopt(ctx, t, r)
		if err != nil {
			return fmt.Errorf("fill %s: %s: %w", t.Name, r.name, err)
		}
		gone += removed
	}
	return f.removeFollowers(ctx, gone)
}

// references are the foreign keys of the tables that were filled.
func (f *filler) references() iter.Seq2[*Table, *reference] {
	return func(yield func(*Table, *reference) bool) {
		for _, t := range f.m.Tables {
			if f.empty[t] || f.keptRows(t) {
				continue
			}
			for _, r := range t.foreign {
				if !yield(t, r) {
					return
				}
			}
		}
	}
}

// removeFollowers removes rows that refer to what was removed, again and again: rows of
// the same table and of tables that were looked at before may, and no trigger tells.
func (f *filler) removeFollowers(ctx context.Context, gone int64) error {
	for gone > 0 {
		gone = 0
		for t, r := range f.references() {
			removed, err := f.removeOrphans(ctx, t, r)
			if err != nil {
				return fmt.Errorf("fill %s: %s: %w", t.Name, r.name, err)
			}
			gone += removed
		}
	}
	return nil
}

func (f *filler) keptRows(t *Table) bool {
	return slices.ContainsFunc(f.filled, func(done Filled) bool { return done.Table == t.Name && done.Kept })
}

// adopt sets a late foreign key. A table's rows under its own are trees of ten
// branches, never circles: a migration may walk them. Columns that other keys
// decided stay, and the parent is one of the same values there. Rows that stay
// without a parent that they need are removed, and counted.
func (f *filler) adopt(ctx context.Context, t *Table, r *reference) (removed int64, err error) {
	shared := t.settled(r)
	keys, err := f.keysOf(ctx, r, shared)
	if err != nil {
		return 0, err
	}
	var set, within, same []string
	for i, c := range r.columns {
		if slices.Contains(shared, i) {
			within = append(within, pg.Ident(c))
			same = append(same, fmt.Sprintf("k.r%d = t.%s", i, pg.Ident(c)))
		} else {
			set = append(set, fmt.Sprintf("%s = k.r%d", pg.Ident(c), i))
		}
	}
	if len(set) == 0 {
		return f.removeOrphans(ctx, t, r)
	}
	order, partition := "t.ctid", ""
	if r.to == t {
		order = pg.Idents(r.refColumns)
	}
	if len(within) > 0 {
		partition = "PARTITION BY " + strings.Join(within, ", ")
	}
	same = append(same, "k.k = "+parentOf(t, r), "t.tableoid = p.o", "t.ctid = p.c")
	_, err = f.conn.Exec(ctx, fmt.Sprintf(`UPDATE %s t SET %s FROM (SELECT t.tableoid AS o, t.ctid AS c, row_number() OVER (%s ORDER BY %s) AS i FROM %[1]s t) p, %[5]s k WHERE %[6]s`,
		t.only(), strings.Join(set, ", "), partition, order, keys.name, strings.Join(same, " AND ")))
	if pg.State(err) != "" {
		f.gap(t, r.name, "the rows could not be given parents: %s", pg.Message(err))
	} else if err != nil {
		return 0, err
	}
	return f.removeOrphans(ctx, t, r)
}

// settled are the places of a foreign key's columns that its key or another
// foreign key decided.
func (t *Table) settled(r *reference) []int {
	var places []int
	for i, name := range r.columns {
		other := slices.ContainsFunc(t.foreign, func(o *reference) bool { return o != r && !o.late && slices.Contains(o.columns, name) })
		if other || len(r.columns) > 1 && t.Column(name).InKey {
			places = append(places, i)
		}
	}
	return places
}

// parentOf is the number of row i's parent, within the columns that both share.
func parentOf(t *Table, r *reference) string {
	switch {
	case r.to == t && t.needs(r):
		return "greatest(1, p.i / 10)"
	case r.to == t:
		return "CASE WHEN p.i >= 10 THEN p.i / 10 END"
	case !t.needs(r):
		return "CASE WHEN p.i % 10 > 0 THEN 1 + (p.i - 1) % k.size END"
	}
	return "1 + (p.i - 1) % k.size"
}

// removeOrphans removes the rows whose parent is not there, and says how many they were.
func (f *filler) removeOrphans(ctx context.Context, t *Table, r *reference) (int64, error) {
	var given, same []string
	for i, c := range r.columns {
		given = append(given, "t."+pg.Ident(c)+" IS NOT NULL")
		same = append(same, fmt.Sprintf("p.%s = t.%s", pg.Ident(r.refColumns[i]), pg.Ident(c)))
	}
	tag, err := f.conn.Exec(ctx, fmt.Sprintf("DELETE FROM %s t WHERE %s AND NOT EXISTS (SELECT FROM %s p WHERE %s)",
		t.only(), strings.Join(given, " AND "), r.to.Name.Quoted(), strings.Join(same, " AND ")))
	if err != nil {
		return 0, err
	}
	if tag.RowsAffected() > 0 {
		f.gap(t, r.name, "%d rows found no parent and were removed", tag.RowsAffected())
		for i := range f.filled {
			if f.filled[i].Table == t.Name {
				f.filled[i].Rows -= tag.RowsAffected()
			}
		}
	}
	return tag.RowsAffected(), nil
}

// constraintOf is what a server's error names.
func constraintOf(err error) string {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return ""
	}
	if e.ConstraintName != "" {
		return e.ConstraintName
	}
	return e.ColumnName
}
