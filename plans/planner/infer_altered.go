package planner

import (
	"maps"
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
)

// alteration says what the migrations did to a type that stays the same one in
// place, so that its values change without any statement on a table: ALTER TYPE
// … RENAME VALUE, ADD or DROP ATTRIBUTE. The shadow has another type of that
// name, and the text of an old value is not that of the new one.
type alteration struct {
	labels map[string]string // of an enum: old label to new one
	array  bool              // the values are arrays of the enum
	inside string            // name of an altered type inside the values that their text cannot follow
}

// alteration of the values of a type, by its oid in scratch; the zero value
// where they stay what they are.
func (m *lineage) alteration(oid uint32) alteration {
	after, before := typeOf(m.after, oid), typeOf(m.before, oid)
	if after == nil || before == nil || after.Kind != "e" {
		return alteration{inside: m.alteredInside(oid, map[uint32]bool{})}
	}
	return alteration{labels: relabelled(before, after), array: after.Array == oid}
}

// alteredType: the text of an old value is not that of the new one.
func (m *lineage) alteredType(oid uint32) bool {
	a := m.alteration(oid)
	return len(a.labels) > 0 || a.inside != ""
}

// typeOf finds a type by its own oid or by that of its arrays.
func typeOf(c *catalog.Catalog, oid uint32) *catalog.Type {
	i := slices.IndexFunc(c.Types, func(t *catalog.Type) bool { return t.OID == oid || oid != 0 && t.Array == oid })
	if i < 0 {
		return nil
	}
	return c.Types[i]
}

func relabelled(before, after *catalog.Type) map[string]string {
	renamed := map[string]string{}
	for oid, label := range after.Labels {
		if was, ok := before.Labels[oid]; ok && was != label {
			renamed[was] = label
		}
	}
	return renamed
}

// alteredInside names an altered type among those that a type is made of.
func (m *lineage) alteredInside(oid uint32, seen map[uint32]bool) string {
	if seen[oid] {
		return ""
	}
	seen[oid] = true
	if t := tableOfRows(m.after, oid); t != nil {
		return m.alteredRow(t, seen)
	}
	after, before := typeOf(m.after, oid), typeOf(m.before, oid)
	if after == nil || before == nil {
		return ""
	}
	if len(relabelled(before, after)) > 0 || !slices.Equal(before.Attributes, after.Attributes) {
		return after.Name.String()
	}
	for _, part := range after.Refers {
		if name := m.alteredInside(part, seen); name != "" {
			return name
		}
	}
	return ""
}

func tableOfRows(c *catalog.Catalog, rowType uint32) *catalog.Table {
	i := slices.IndexFunc(c.Tables, func(t *catalog.Table) bool { return t.RowType == rowType })
	if i < 0 {
		return nil
	}
	return c.Tables[i]
}

// alteredRow: a table's row type changes with the table.
func (m *lineage) alteredRow(after *catalog.Table, seen map[uint32]bool) string {
	before := m.before.ByOID(after.OID)
	if before == nil {
		return ""
	}
	number := func(c catalog.Column) int16 { return c.Num }
	if !slices.EqualFunc(before.Columns, after.Columns, func(a, b catalog.Column) bool { return number(a) == number(b) }) {
		return after.Name.String()
	}
	for _, c := range after.Columns {
		if name := m.alteredInside(c.TypeOID, seen); name != "" {
			return name
		}
	}
	return ""
}

// text casts a value to the shadow's type of the same name by way of its text.
func (a alteration) text(value, typ string) string {
	switch {
	case len(a.labels) == 0:
		return value + "::text::" + typ
	case a.array:
		return a.replaced(value) + "::" + typ
	}
	var b strings.Builder
	b.WriteString("(CASE " + value + "::text")
	for _, was := range slices.Sorted(maps.Keys(a.labels)) {
		b.WriteString(" WHEN " + pg.Literal(was) + " THEN " + pg.Literal(a.labels[was]))
	}
	return b.String() + " ELSE " + value + "::text END)::" + typ
}

// replaced renames the labels in an array of any number of dimensions. Labels
// may have swapped their names, so each first becomes what none can be: longer
// than 63 bytes.
func (a alteration) replaced(value string) string {
	text := value + "::text[]"
	names := slices.Sorted(maps.Keys(a.labels))
	mark := func(label string) string { return pg.Literal(strings.Repeat("-", 64) + label) }
	for _, was := range names {
		text = "array_replace(" + text + ", " + pg.Literal(was) + ", " + mark(was) + ")"
	}
	for _, was := range names {
		text = "array_replace(" + text + ", " + mark(was) + ", " + pg.Literal(a.labels[was]) + ")"
	}
	return text
}

// shadowColumn is a column of the shadow's table as the catalog has it.
func (m *survey) shadowColumn(t *plans.Table, name string) catalog.Column {
	c, _ := m.after.ByName(t.Final).ColumnNamed(name)
	return c
}
