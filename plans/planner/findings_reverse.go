package planner

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
)

// tellReverse says before the cutover what a rollback would lose after it, table by
// table and column by column, and writes down which rows the old tables cannot hold.
// Where nothing is watched nothing is said.
func (m *losses) tellReverse() error {
	if !m.plan.Reversible() {
		return nil
	}
	for i := range m.plan.Tables {
		t := &m.plan.Tables[i]
		d := m.draftOf(t)
		switch {
		case t.Feed == plans.Version, m.comesBackByQuery(t), m.lostItsKey(t):
		case m.plan.AfterFence(t) != nil:
			m.tellAfterFence(d, t)
		case t.Feed == plans.Copied && len(t.Reverse) > 0:
			for _, c := range t.Reverse {
				m.tellColumn(d, t, c)
			}
			m.tellLooser(d, t)
			m.unfit(d, t)
		default:
			m.tellNoWay(t)
		}
	}
	for _, t := range m.plan.Unnoted() {
		m.warning("reverse-lossy", t.Production.String(), "rows that the old table cannot hold as they are, are not named by status as they are written: which they are only a statement over things of the schemas tells. pgumbra rollback looks through the table for them, and refuses if there is one",
			"nothing, if no such rows will be written, or pgumbra rollback may take the time to read the table; pgumbra rollback --accept-loss does not look")
	}
	m.tellMadeBehind()
	return nil
}

// tellColumn says what a column of production's loses. What the plan file itself
// says about it is its author's to decide.
func (m *losses) tellColumn(d *tableDraft, t *plans.Table, c plans.Column) {
	object := t.Production.String() + "." + c.Shadow
	fix := "write under tables: " + t.Production.String() + " reverse: {" + c.Shadow + ": expression over the upgraded row}"
	was, _ := d.source.production.ColumnNamed(c.Shadow)
	value := "NULL"
	if was.Default != "" {
		value = "the default " + was.Default
	}
	switch {
	case c.Generated || c.Origin == plans.FromPlan || m.has("reverse-lossy", object): // or rows have told
	case c.Expression == "" && was.NotNull && was.Default == "" && was.Identity == "":
		m.find(plans.Finding{Level: m.lossLevel(), Code: "not-reversible", Object: object, Fix: fix,
			Message: "the column must have a value (NOT NULL without a default), and the upgraded row does not give one: rows written after the cutover cannot be taken back"})
	case c.Kept:
		m.find(plans.Finding{Level: m.lossLevel(), Code: "not-reversible", Object: object, Fix: fix + ", which is for new rows",
			Message: "the upgraded row does not hold this column's value: after a rollback, rows of before the cutover have their last value, newer ones have " + value})
	case c.Expression == "":
		m.find(plans.Finding{Level: m.lossLevel(), Code: "not-reversible", Object: object, Fix: fix,
			Message: "the upgraded row does not hold this column's value, and what is made of it has no inverse: a rollback would lose it for rows written after the cutover. Rows that are changed after it have the value of before, new ones have " + value})
	case c.Loss != "":
		m.find(plans.Finding{Level: m.lossLevel(), Code: "reverse-lossy", Object: object,
			Message: fmt.Sprintf("the old column is %s: values that %s do not come back as they are", human.OneLine(c.Type), c.Loss),
			Fix:     "nothing, if no such value will be written. Otherwise " + fix + "; reverse: {" + c.Shadow + ": " + c.Expression + "} accepts it"})
	}
}

// lostItsKey: rows of the sample have told so: see loseKey.
func (m *losses) lostItsKey(t *plans.Table) bool {
	return t.Feed == plans.Copied && slices.ContainsFunc(m.plan.Sources[t.Source].Key, func(k plans.KeyColumn) bool {
		return m.has("not-reversible", t.Production.String()+"."+k.Name)
	})
}

func (m *losses) has(code, object string) bool {
	return slices.ContainsFunc(m.plan.Findings, func(f plans.Finding) bool { return f.Code == code && f.Object == object })
}

// tellNoWay: a table whose rows have nowhere to go back to.
func (m *losses) tellNoWay(t *plans.Table) {
	object := t.Final.String()
	before := m.before.ByName(t.Final)
	switch {
	case t.Feed == plans.Skipped:
		m.warning("reverse-new-table", object, "the plan file skips this table: what is written to it after the cutover does not come back in a rollback", "leave out skip:, if it is needed")
	case t.Feed == plans.Carried && before == nil:
		m.warning("reverse-new-table", object, "production has no such table: what is written to it after the cutover has nowhere to go back to. A rollback leaves these rows in the upgraded table", "")
	case t.Feed == plans.Carried:
		m.warning("reverse-new-table", object, "its rows do not come from production's table of this name: what is written to it after the cutover does not go back there", "")
	case t.Feed == plans.Derived:
		m.find(plans.Finding{Level: m.lossLevel(), Code: "not-reversible", Object: object,
			Message: "its rows are made by a query over " + m.queried(t) + ", and nothing says how they go back: what is written to it after the cutover is lost in a rollback",
			Fix:     "nothing, if there is no need to go back"})
	case t.Feed == plans.Copied:
		m.tellDivided(t)
	}
}

func (m *losses) queried(t *plans.Table) string {
	var names []string
	for _, w := range t.Watches {
		names = append(names, m.plan.Sources[w.Source].Name.String())
	}
	return strings.Join(names, ", ")
}

// tellDivided: rows of one table went to several, or cannot be found again there.
func (m *losses) tellDivided(t *plans.Table) {
	f := plans.Finding{Level: m.lossLevel(), Code: "not-reversible", Object: t.Final.String(), Fix: "nothing, if there is no need to go back",
		Message: "the rows of " + t.Production.String() + " go to several tables, and only one of them can go back: what is written to this one after the cutover is lost in a rollback"}
	if i := slices.IndexFunc(m.tables, func(d *tableDraft) bool { return d.plan.Final == t.Final }); returning(m.tables[i].source) == m.tables[i] {
		f.Message = "the upgraded row does not hold the key of " + t.Production.String() + ": no row is found again there, and what is written after the cutover is lost in a rollback"
		f.Fix = "write under tables: " + t.Production.String() + " reverse: an expression for each column of its key"
	}
	m.find(f)
}

// tellLooser says which constraints of the old table the upgraded one lacks: rows
// that break them cannot be taken back.
func (m *losses) tellLooser(d *tableDraft, t *plans.Table) {
	var names []string
	for _, k := range m.before.Constraints {
		if k.Table == d.source.before.OID && slices.Contains([]string{"c", "f"}, k.Kind) && !m.kept(d, k) {
			names = append(names, k.Name)
		}
	}
	for _, i := range m.before.IndexesOf(d.source.before.OID) {
		if (i.Unique || i.Exclusion) && i.Valid && !m.guaranteedUnique(d, i) {
			names = append(names, i.Name.Name)
		}
	}
	if len(names) > 0 {
		m.warning("reverse-constraint", t.Production.String(), "the upgraded table lacks what the old one demands ("+strings.Join(names, ", ")+"): rows that break it cannot be taken back",
			"nothing, if no such rows will be written")
	}
	if p := d.source.production; p.Kind == "p" && !m.hasDefaultPartition(p) {
		m.info("reverse-constraint", t.Production.String(), "the old table has no DEFAULT partition: rows that none of its partitions takes cannot be taken back", "as long as the watch lasts, make partitions on both sides")
	}
}

func (m *losses) hasDefaultPartition(root *catalog.Table) bool {
	return slices.ContainsFunc(m.production.Tables, func(t *catalog.Table) bool {
		return t.PartitionOf == root.OID && slices.Contains(t.Parents, root.OID) && t.Bound == "DEFAULT"
	})
}

// guaranteedUnique: some unique index of the upgraded table is over columns that
// these ones became, or over fewer of them.
func (m *losses) guaranteedUnique(d *tableDraft, i *catalog.Index) bool {
	columns := m.indexed(d.source.before, i)
	return slices.ContainsFunc(m.inTheEnd().Indexes, func(a *catalog.Index) bool {
		if a.OID == i.OID {
			return true
		}
		if a.Table != d.after.OID || a.Name.Name == i.Name.Name && a.Unique == i.Unique {
			return a.Table == d.after.OID
		}
		return a.Unique && !a.Partial && !a.Expression && len(columns) > 0 && !slices.ContainsFunc(a.Keys, func(k catalog.IndexKey) bool {
			c, _ := d.final.Column(k.Num)
			return !slices.ContainsFunc(columns, func(old string) bool { return d.copies[old] == c.Name })
		})
	})
}

// indexed are the columns of a unique index; none where it is over expressions.
func (m *losses) indexed(t *catalog.Table, i *catalog.Index) (names []string) {
	if i.Expression || i.Exclusion {
		return nil
	}
	for _, k := range i.Keys {
		c, _ := t.Column(k.Num)
		names = append(names, c.Name)
	}
	return names
}
