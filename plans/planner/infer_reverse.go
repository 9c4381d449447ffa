package planner

import (
	"maps"
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/reverse"
)

// The way back is inferred with the way there: a copied column is copied back, a
// cast one is assigned back, an expression with an exact inverse is inverted. What
// else is computed needs `reverse:` in the plan file. What a type may lose is known
// here; what rows of production's lose, once they were sent there and back
// (rows_reverse.go).

// inferReverse does so for all tables.
func (m *wayBack) inferReverse() error {
	for _, d := range m.tables {
		m.reverse(d)
	}
	return nil
}

// reverse says how production's columns come back from the shadow's row.
func (m *wayBack) reverse(d *tableDraft) {
	if d.plan.Feed != plans.Copied || returning(d.source) != d || m.queriedBack(d.source) != nil {
		return
	}
	for name, e := range d.rules.Reverse {
		if _, ok := d.source.production.ColumnNamed(name); !ok {
			m.find(plans.Finding{Level: plans.Blocker, Code: "transform-invalid", Object: d.source.production.Name.String() + "." + name, Where: m.file.WhereLine(e.Line),
				Message: "production has no such column", Fix: "correct the name under reverse:"})
		}
	}
	var all []plans.Column
	d.copies, d.onTheWayThere = map[string]string{}, map[string]bool{}
	for _, c := range d.source.production.Columns {
		all = append(all, m.reverseColumn(d, c))
	}
	if !slices.ContainsFunc(all, func(c plans.Column) bool { return c.Expression == "" && keyed(d.source, c.Shadow) }) {
		d.plan.Reverse = all // without its key no row is found again
	}
}

func keyed(s *sourceDraft, column string) bool {
	return slices.ContainsFunc(s.plan.Key, func(k plans.KeyColumn) bool { return k.Name == column })
}

// returning is the one of the tables fed from a production table whose rows go
// back there; nil: none. Of several it is the table that stayed what it was, if it
// has all rows.
func returning(s *sourceDraft) *tableDraft {
	if len(s.tables) == 1 {
		return s.tables[0]
	}
	i := slices.IndexFunc(s.tables, func(d *tableDraft) bool { return d.after.OID == s.before.OID && d.plan.Where == "" })
	if i < 0 {
		return nil
	}
	return s.tables[i]
}

func (m *wayBack) reverseColumn(d *tableDraft, c catalog.Column) plans.Column {
	out := plans.Column{Shadow: c.Name, Type: c.Type, Generated: c.Generated != "", Identity: c.Identity != "", Origin: plans.FromLineage}
	if out.Generated {
		return out
	}
	s, copied := copyOf(d, c.Name)
	if copied {
		d.copies[c.Name] = s.Shadow
	}
	if e, ok := d.rules.Reverse[c.Name]; ok && !m.touchedBehind(d) { // else it is over the row as it is then
		out.Expression, out.Means, out.Origin = m.plan.DuringBuild(e.SQL, d.after.Name.Name), e.SQL, plans.FromPlan
		if out.Expression == e.SQL {
			out.Means = ""
		}
		out.Kept = !m.reads(d.source, c.Name)
		return out
	}
	if copied {
		out.Expression = m.wayBack(d, s, c)
		if out.Loss = m.conversionBack(d, s.Shadow, c).Loss; out.Loss == "" {
			out.Loss = m.alteredThere(d, s.Shadow, c)
			d.onTheWayThere[c.Name] = out.Loss != ""
		}
		return out
	}
	if back, ok := invertOf(d, c); ok {
		out.Expression, out.Origin = back.Expression, plans.FromInverse
		out.Loss = reverse.Of(back.Type, c.Type, m.server()).Loss
		return out
	}
	out.Kept = !m.reads(d.source, c.Name)
	return out
}

// server is the oldest on which the way back's conditions may run.
func (m *wayBack) server() reverse.Server { return reverse.Server(m.plan.Production.Version) }

// reads: some column of the upgraded tables is made of this one.
func (m *wayBack) reads(s *sourceDraft, column string) bool {
	return slices.ContainsFunc(s.tables, func(d *tableDraft) bool {
		return slices.ContainsFunc(d.plan.Columns, func(c plans.Column) bool { return slices.Contains(columnsRead(c.Expression, s.before), column) })
	})
}

// copyOf is the shadow's column that is a copy of production's, cast at the most.
func copyOf(d *tableDraft, name string) (plans.Column, bool) {
	i := slices.IndexFunc(d.plan.Columns, func(c plans.Column) bool {
		return !c.Generated && !c.Volatile && plainReference(c.Expression) == name
	})
	if i < 0 {
		return plans.Column{}, false
	}
	return d.plan.Columns[i], true
}

func invertOf(d *tableDraft, c catalog.Column) (reverse.Inverse, bool) {
	for _, s := range d.plan.Columns {
		if s.Generated || s.Volatile || s.Looks || s.Expression == "" {
			continue
		}
		if back, ok := reverse.Invert(s.Expression, c.Name, c.Type, pg.Ident(s.Shadow), s.Type); ok {
			return back, true
		}
	}
	return reverse.Inverse{}, false
}

// wayBack is the bare column, which an assignment casts: an explicit cast would
// cut a text that is too long. Labels that were renamed get their old names; where
// no assignment leads back, the check of the expressions finds another cast.
func (m *wayBack) wayBack(d *tableDraft, s plans.Column, c catalog.Column) string {
	name := pg.Ident(s.Shadow)
	if a := m.alteration(m.finalType(d, s.Shadow)); len(a.labels) > 0 && m.keepsType(d, s, c) {
		back := alteration{labels: map[string]string{}, array: a.array}
		for was, is := range a.labels {
			back.labels[is] = was
		}
		return back.text(name, c.Type)
	}
	return name
}

// finalType is the oid of a shadow column's type, in scratch under the true names.
func (m *wayBack) finalType(d *tableDraft, column string) uint32 {
	c, _ := d.final.ColumnNamed(column)
	a, _ := d.after.Column(c.Num)
	return a.TypeOID
}

// keepsType: the column has the type that it had, whatever became of that.
func (m *wayBack) keepsType(d *tableDraft, s plans.Column, c catalog.Column) bool {
	b, _ := d.source.before.ColumnNamed(c.Name)
	return b.TypeOID == m.finalType(d, s.Shadow)
}

// conversionBack is what becomes of the upgraded column's values in the old one.
func (m *wayBack) conversionBack(d *tableDraft, shadow string, c catalog.Column) reverse.Conversion {
	b, _ := d.source.before.ColumnNamed(c.Name)
	num, _ := d.final.ColumnNamed(shadow)
	a, _ := d.after.Column(num.Num)
	was, is := typeOf(m.before, b.TypeOID), typeOf(m.after, a.TypeOID)
	switch {
	case was != nil && was.Kind == "e" && b.TypeOID == was.OID:
		return intoEnum(was, is)
	case was != nil && was.Kind == "e" && is != nil && is.Kind == "e":
		return ofElements(intoEnum(was, is))
	case b.TypeOID == a.TypeOID && b.Typmod == a.Typmod && (was == nil || is == nil || was.Definition == is.Definition && m.alteredInside(a.TypeOID, map[uint32]bool{}) == ""):
		return reverse.Conversion{}
	case b.TypeOID == a.TypeOID && was != nil:
		return reverse.Conversion{Unknown: true, Loss: "the type " + was.Name.String() + " of before the upgrade cannot hold"}
	}
	return reverse.Of(a.Type, c.Type, m.server())
}

// alteredThere says which of production's values the upgraded column holds only
// rounded, cut or spelt otherwise: they come back so, however wide the old column is.
func (m *wayBack) alteredThere(d *tableDraft, shadow string, c catalog.Column) string {
	b, _ := d.source.before.ColumnNamed(c.Name)
	num, _ := d.final.ColumnNamed(shadow)
	a, _ := d.after.Column(num.Num)
	if b.TypeOID == a.TypeOID && b.Typmod == a.Typmod || typeOf(m.before, b.TypeOID) != nil || typeOf(m.after, a.TypeOID) != nil {
		return ""
	}
	there := reverse.Of(c.Type, a.Type, m.server())
	if strings.HasPrefix(a.Type, "character") { // a text that is too long is refused on the way there
		return ""
	}
	return there.Changed()
}

// intoEnum: of an enum that stayed the same one, its labels as they are called now;
// otherwise a label goes by its name.
func intoEnum(was, is *catalog.Type) reverse.Conversion {
	var known []string
	lost := is == nil || is.Kind != "e"
	for oid, label := range was.Labels {
		if is != nil && is.OID == was.OID {
			label = is.Labels[oid]
		}
		known = append(known, label)
	}
	if !lost {
		for label := range maps.Values(is.Labels) {
			lost = lost || !slices.Contains(known, label)
		}
	}
	if !lost {
		return reverse.Conversion{}
	}
	slices.Sort(known)
	quoted := make([]string, len(known))
	for i, label := range known {
		quoted[i] = pg.Literal(label)
	}
	return reverse.Conversion{Refused: "{}::text NOT IN (" + strings.Join(quoted, ", ") + ")", Loss: "are no labels of " + was.Name.String() + " as it is today"}
}

// ofElements is what becomes of arrays of such values.
func ofElements(one reverse.Conversion) reverse.Conversion {
	if one.Lossless() {
		return one
	}
	return reverse.Conversion{Unknown: true, Loss: "have elements that " + one.Loss}
}

// touchedBehind: a migration behind the fence names the table, a partition of it, or a
// type of its columns, or has made something else of it.
func (m *wayBack) touchedBehind(d *tableDraft) bool {
	if m.behind == nil {
		return false
	}
	for _, t := range m.after.Tables {
		if t.OID != d.after.OID && t.PartitionOf != d.after.OID {
			continue
		}
		if m.mentioned(t.Name.Name) {
			return true
		}
		if c := m.behind.catalog; c != nil && (c.ByOID(t.OID) == nil || lasting(c.ByOID(t.OID)) != lasting(t)) {
			return true
		}
	}
	return slices.ContainsFunc(d.after.Columns, func(c catalog.Column) bool {
		t := typeOf(m.after, c.TypeOID)
		return t != nil && m.mayBeAltered(t.Name.Name)
	})
}
