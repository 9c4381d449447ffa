package planner

import (
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/reverse"
)

// unfit writes down which of the upgraded table's rows the old one cannot hold.
func (m *wayBack) unfit(d *tableDraft, t *plans.Table) {
	row := reverse.Row{New: t.Final.Name, Old: t.Production.Name, Checks: m.looserChecks(d, t)}
	for _, c := range t.Reverse {
		if !c.Generated && c.Expression != "" && !c.Kept {
			row.Columns = append(row.Columns, m.unfitColumn(d, t, c))
		}
	}
	t.Unfit, t.Refuses = m.plan.AfterSwap(row.Unfit(), t.Final.Name), m.plan.AfterSwap(row.Refused(), t.Final.Name)
}

func (m *wayBack) unfitColumn(d *tableDraft, t *plans.Table, c plans.Column) reverse.Column {
	was, _ := d.source.production.ColumnNamed(c.Shadow)
	out := reverse.Column{Name: c.Shadow, Type: c.Type, Expression: c.Expression, NotNull: was.NotNull}
	switch copied := d.copies[c.Shadow]; {
	case copied != "" && c.Origin == plans.FromLineage:
		is, _ := d.final.ColumnNamed(copied)
		out.Value, out.NotNull = m.nowCalled(t, copied), was.NotNull && !is.NotNull
		out.Conversion = m.conversionBack(d, copied, was)
	case c.Origin == plans.FromInverse:
		back, _ := invertOf(d, was)
		out.Conversion = reverse.Of(back.Type, c.Type, m.server())
	}
	if m.plan.Remote && strings.Contains(c.Type, ".") { // another server need not have the type: the old one's input function is asked
		out.Conversion = reverse.Conversion{}
	}
	if out.Conversion.Altered || c.Origin == plans.FromPlan {
		out.Back = wayThere(t, c.Shadow)
	}
	return out
}

// wayThere is a column of the upgraded table that is made of one of the old ones,
// and of those that come back; nil: none can be compared. An expression that is
// evaluated under settings of its own cannot be.
func wayThere(t *plans.Table, column string) *reverse.Back {
	for _, s := range t.Columns {
		if s.Generated || s.Volatile || s.Looks || s.Means != "" || !slices.Contains(reverse.Words(s.Expression), column) || slices.ContainsFunc(t.Reverse, func(c plans.Column) bool {
			return (c.Expression == "" || c.Kept || c.Generated || strings.Contains(c.Type, ".")) && slices.Contains(reverse.Words(s.Expression), c.Shadow)
		}) {
			continue
		}
		return &reverse.Back{Column: pg.Ident(s.Shadow), Type: s.Type, Expression: s.Expression}
	}
	return nil
}

// looserChecks are those of the old table that the upgraded one lacks, as far as
// they are over columns that the upgraded row gives.
func (m *wayBack) looserChecks(d *tableDraft, t *plans.Table) (all []reverse.Check) {
	for _, k := range m.before.Constraints {
		if k.Table != d.source.before.OID || k.Kind != "c" || !k.Validated || m.kept(d, k) { // rows may break one that is not valid
			continue
		}
		check := reverse.Check{Name: k.Name, Expression: checkExpression(k.Definition)}
		for _, num := range k.Columns {
			c, _ := d.source.before.Column(num)
			check.Reads = append(check.Reads, c.Name)
		}
		if check.Expression != "" && !slices.ContainsFunc(check.Reads, func(name string) bool { return !gives(t.Reverse, name) }) {
			all = append(all, check)
		}
	}
	return all
}

func gives(columns []plans.Column, name string) bool {
	return slices.ContainsFunc(columns, func(c plans.Column) bool {
		return c.Shadow == name && c.Expression != "" && !c.Kept && !c.Generated
	})
}

// checkExpression takes CHECK (…) off, as pg_get_constraintdef writes it.
func checkExpression(definition string) string {
	text, ok := strings.CutPrefix(definition, "CHECK (")
	end := strings.LastIndexByte(text, ')')
	if !ok || end < 0 {
		return ""
	}
	return text[:end]
}

// kept: the upgraded table has the constraint still: the same one, or, where a
// column's new type made it anew, one of its name or text.
func (m *wayBack) kept(d *tableDraft, k *catalog.Constraint) bool {
	return slices.ContainsFunc(m.inTheEnd().Constraints, func(a *catalog.Constraint) bool {
		return a.OID == k.OID || a.Table == d.after.OID && a.Kind == k.Kind && (a.Name == k.Name || a.Definition == k.Definition)
	})
}

// nowCalled is a column of the shadow as it is called in the end, quoted.
func (m *wayBack) nowCalled(t *plans.Table, column string) string {
	if a := m.plan.AfterFence(t); a != nil {
		if now, there := a.Renamed[column]; there {
			column = now
		}
	}
	return pg.Ident(column)
}

// inTheEnd is the structure that clients meet after the swap.
func (m *wayBack) inTheEnd() *catalog.Catalog {
	if m.behind != nil && m.behind.catalog != nil {
		return m.behind.catalog
	}
	return m.after
}
