package planner

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/plans/syntax"
)

// tell says where the plan's rows are others than the migrations'.
func (c *comparison) tell(ctx context.Context) error {
	key, ok := c.key()
	if !ok {
		return c.tellWhole()
	}
	theirs := map[string][]string{}
	for _, row := range c.theirs {
		theirs[keyOf(row, key)] = row
	}
	differing := map[int]int{} // columns and how many rows
	first := map[int][2][]string{}
	var missing [][]string
	for _, row := range c.ours {
		other, there := theirs[keyOf(row, key)]
		if !there {
			missing = append(missing, row)
			continue
		}
		delete(theirs, keyOf(row, key))
		for i := range c.columns {
			if row[i] != other[i] {
				if differing[i]++; differing[i] == 1 {
					first[i] = [2][]string{row, other}
				}
			}
		}
	}
	if len(missing) > 0 && len(theirs) > 0 { // the keys themselves
		return c.tellWhole()
	}
	for _, i := range slices.Sorted(maps.Keys(differing)) {
		if err := c.tellColumn(ctx, i, differing[i], first[i]); err != nil {
			return err
		}
	}
	switch {
	case len(missing) > 0:
		c.differs(c.table, "", fmt.Sprintf("the migrations do not make %s of %d that the plan makes of the sample, that with %s, say", human.Plural(len(missing), "row"), len(c.ours), c.spell(missing[0], key)))
	case len(theirs) > 0:
		c.differs(c.table, "", fmt.Sprintf("the migrations make %s of the sample that the plan does not make, that with %s, say", human.Plural(len(theirs), "row"), c.spell(theirs[slices.Sorted(maps.Keys(theirs))[0]], key)))
	}
	return nil
}

// key are the columns that tell rows apart on both sides.
func (c *comparison) key() (key []int, ok bool) {
	for _, pair := range c.table.Key {
		i := slices.IndexFunc(c.columns, func(column plans.Column) bool { return column.Shadow == pair.Shadow })
		if i < 0 {
			return nil, false
		}
		key = append(key, i)
	}
	return key, len(key) > 0
}

func keyOf(row []string, key []int) string {
	parts := make([]string, len(key))
	for i, k := range key {
		parts[i] = row[k]
	}
	return strings.Join(parts, "\t")
}

func (c *comparison) spell(row []string, key []int) string {
	parts := make([]string, len(key))
	for i, k := range key {
		parts[i] = c.columns[k].Shadow + " = " + shown(row[k])
	}
	return strings.Join(parts, ", ")
}

// shown is a value for people: one line, and not all of a long one.
func shown(value string) string {
	if value == `\N` {
		return "NULL"
	}
	const most = 60
	if len(value) > most {
		value = value[:most] + "…"
	}
	return "'" + strings.ToValidUTF8(value, "?") + "'"
}

// tellColumn shows one row's value in production, by the plan, and by the
// migrations.
func (c *comparison) tellColumn(ctx context.Context, i, rows int, pair [2][]string) error {
	key, _ := c.key()
	old, err := c.old(ctx, pair[0][len(pair[0])-1], c.columns[i])
	if err != nil {
		return err
	}
	c.differs(c.table, c.columns[i].Shadow, fmt.Sprintf("on %d of %s of the sample the plan's value, by the expression %s, is not the one that the migrations make: in the row with %s%s, the plan makes %s, the migrations make %s",
		rows, human.Plural(len(c.ours), "row"), c.columns[i].Meaning(), c.spell(pair[0], key), old, shown(pair[0][i]), shown(pair[1][i])))
	return nil
}

// old are production's values that a column's expression reads.
func (c *comparison) old(ctx context.Context, place string, column plans.Column) (string, error) {
	table, tid, ok := strings.Cut(place, " ")
	if !ok || c.table.Feed != plans.Copied {
		return "", nil
	}
	read := columnsRead(column.Meaning(), c.production.ByName(c.table.Production))
	if len(read) == 0 {
		return "", nil
	}
	conn, err := c.connectRows(ctx, c.scratch)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var texts []string
	for _, name := range read {
		texts = append(texts, "coalesce("+pg.Ident(name)+`::text, '\N')`)
	}
	var values []string
	if err := conn.QueryRow(ctx, "SELECT $1::text::oid::regclass::text", table).Scan(&table); err != nil {
		return "", fmt.Errorf("read a row of the sample: %w", err)
	}
	if err := conn.QueryRow(ctx, "SELECT ARRAY["+strings.Join(texts, ", ")+"] FROM ONLY "+table+" WHERE ctid = "+pg.Literal(tid)).Scan(&values); err != nil {
		return "", fmt.Errorf("read a row of the sample: %w", err)
	}
	for i := range values {
		values[i] = read[i] + " = " + shown(values[i])
	}
	return ", where production has " + strings.Join(values, ", "), nil
}

// tellWhole compares rows without a key: as a multiset, then column by column.
func (c *comparison) tellWhole() error {
	for i, column := range c.columns {
		ours, theirs := c.valuesOf(c.ours, i), c.valuesOf(c.theirs, i)
		if slices.Equal(ours, theirs) {
			continue
		}
		a, b := firstRemote(ours, theirs)
		c.differs(c.table, column.Shadow, fmt.Sprintf("the plan's values for %s of the sample, by the expression %s, are not those that the migrations make: %s by the plan, %s by the migrations, say",
			human.Plural(len(c.ours), "row"), column.Meaning(), a, b))
		return nil
	}
	whole := func(rows [][]string) []string {
		var all []string
		for _, row := range rows {
			all = append(all, strings.Join(row[:len(c.columns)], "\t"))
		}
		slices.Sort(all)
		return all
	}
	if !slices.Equal(whole(c.ours), whole(c.theirs)) {
		c.differs(c.table, "", "the plan's rows of the sample are put together otherwise than those that the migrations make")
	}
	return nil
}

func (c *comparison) valuesOf(rows [][]string, i int) []string {
	var all []string
	for _, row := range rows {
		all = append(all, row[i])
	}
	slices.Sort(all)
	return all
}

func firstRemote(a, b []string) (string, string) {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return shown(a[i]), shown(b[i])
		}
	}
	return human.Plural(len(a), "row"), human.Plural(len(b), "row")
}

// differs is a blocker on a column or table whose rows the plan gets wrong. What
// the plan file says is its author's to decide: a warning.
func (p *proof) differs(t *plans.Table, column, message string) {
	f := plans.Finding{Level: plans.Blocker, Code: "transform-differs", Object: t.Final.String(), Message: message, Opaque: true,
		Where: p.naming(t.Final.Name), Fix: "nothing with build: auto, where the statement runs behind the fence; otherwise write what the migrations make under tables: " + t.Final.String()}
	if column != "" {
		f.Object += "." + column
		if where := p.naming(t.Final.Name, column); where != "" {
			f.Where = where
		}
	}
	if where, written := p.written(t, column); written {
		f.Level, f.Opaque, f.Where = plans.Warning, false, where
		f.Fix = "correct the plan file, unless the upgraded database is meant to differ from what the migrations would have made"
	}
	p.find(f)
}

// written: the plan file says what this column or table holds.
func (p *proof) written(t *plans.Table, column string) (where string, written bool) {
	if t.Feed == plans.Derived || column == "" && p.ruled(t).Where.SQL != "" {
		return (&validator{draft: p.draft}).where(t, ""), true
	}
	i := slices.IndexFunc(t.Columns, func(c plans.Column) bool { return c.Shadow == column && c.Origin == plans.FromPlan })
	return (&validator{draft: p.draft}).where(t, column), i >= 0
}

func (p *proof) ruled(t *plans.Table) planfile.TableRules {
	i := slices.IndexFunc(p.tables, func(d *tableDraft) bool { return d.plan.Final == t.Final })
	if i < 0 {
		return planfile.TableRules{}
	}
	return p.tables[i].rules
}

// compareCarried: rows that the migrations put into a new table themselves are
// the same whatever production holds.
func (p *proof) compareCarried(ctx context.Context, t *plans.Table) error {
	after := p.draft.after.ByName(t.Final)
	if after == nil {
		return nil
	}
	var names []string
	for _, c := range after.Columns {
		if c.Generated == "" {
			names = append(names, c.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	theirs, err := readRows(ctx, p.rowsScratch.db, t.Final, t.Kind, names)
	if err != nil {
		return err
	}
	ours := splitRows(t.CarriedRows)
	for i, name := range names {
		if p.unrepeated(t, after, name) {
			for _, rows := range [][][]string{ours, theirs} {
				for j := range rows {
					rows[j][i] = ""
				}
			}
		}
	}
	a, b := p.sorted(ours), p.sorted(theirs)
	if !slices.Equal(a, b) {
		x, y := firstRemote(a, b)
		p.differs(t, "", fmt.Sprintf("the migrations fill this table by what production's rows are: %s without any, %s with the sample", x, y))
	}
	return nil
}

func (p *proof) sorted(rows [][]string) []string {
	var all []string
	for _, row := range rows {
		all = append(all, p.scratch.unmask(strings.Join(row, ", ")))
	}
	slices.Sort(all)
	return all
}

// unrepeated: a column's values may be the time, or random, so that no second run
// makes them again.
func (p *proof) unrepeated(t *plans.Table, after *catalog.Table, column string) bool {
	c, _ := after.ColumnNamed(column)
	if unrepeatable.MatchString(c.Default) {
		return true
	}
	return slices.ContainsFunc(p.trace.places, func(s syntax.Place) bool {
		return !structural.MatchString(s.SQL) && strings.Contains(strings.ToLower(s.SQL), strings.ToLower(t.Final.Name)) && unrepeatable.MatchString(s.SQL)
	})
}
