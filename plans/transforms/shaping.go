package transforms

import (
	"slices"

	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/syntax"
	"github.com/pgumbra/pgumbra/plans/syntax/ast"
)

// What says of a table which rows it may hold stands behind the statement that makes them such:
// an UPDATE, then SET NOT NULL, or the column dropped that it read. Where the first waits for the
// swap the second must as well, and may: until the swap the shadow's table only holds more than it
// will. A unique constraint that is dropped there is one of production's, or was passed in place.

// whyNotShaped is what keeps such a statement from running in the swap.
func (s *step) whyNotShaped() (d Deferral, shaping syntax.Shaping, why string) {
	shaping, why = syntax.ShapingOf(s.node)
	if why != "" {
		return d, shaping, why
	}
	d = Deferral{Place: s.fact.Place(), Target: s.before.Tables[ast.TableName(shaping.Target)]}
	rel := s.before.Relation(d.Target)
	switch {
	case rel == nil:
		return d, shaping, "which table it alters is not known"
	case !s.alone(rel):
		return d, shaping, "its table is of a tree"
	case slices.ContainsFunc(shaping.Gone, func(name string) bool { return s.needsConstraint(rel.OID, name) }):
		return d, shaping, "it drops a key, or what is no constraint"
	}
	for _, r := range shaping.Leads {
		to := s.before.Relation(s.before.Tables[ast.TableName(r)])
		if to == nil || !s.alone(to) {
			return d, shaping, "its foreign key leads to " + nameOf(r) + ", which is no plain table"
		}
		d.Reads = append(d.Reads, to.OID)
	}
	if why := s.loses(rel, shaping.Lost); why != "" {
		return d, shaping, why
	}
	if why := s.whyNotPortable(shaping.Calls); why != "" {
		return d, shaping, why
	}
	return d, shaping, s.settingsChange()
}

// needsConstraint: a table's constraint is more than what its rows must be like.
func (in *inference) needsConstraint(table uint32, name string) bool {
	return slices.ContainsFunc(slices.Concat(in.before.Constraints, in.after.Constraints), func(k *catalog.Constraint) bool {
		return k.Table == table && k.Name == name && k.Kind != "c" && k.Kind != "f" && k.Kind != "u"
	}) || slices.ContainsFunc(slices.Concat(in.before.Indexes, in.after.Indexes), func(i *catalog.Index) bool {
		return i.Table == table && i.Name.Name == name && i.Constraint == 0
	})
}

// loses is why a column cannot be dropped or renamed in the swap; empty: it can. What goes with it is
// of its table alone.
func (s *step) loses(rel *syntax.Relation, names []string) string {
	for _, name := range names {
		c := rel.Column(name)
		if c == nil {
			continue // IF EXISTS
		}
		for _, k := range slices.Concat(s.inference.before.Constraints, s.inference.after.Constraints) {
			if k.Table == rel.OID && k.Kind == "p" && slices.Contains(k.Columns, c.Num) || k.References == rel.OID && slices.Contains(k.RefColumns, c.Num) {
				return "column " + name + " is of a key"
			}
		}
	}
	return ""
}

// lostLater: a column is dropped or renamed by a statement that may wait, too.
func (in *inference) lostLater(table uint32, name string) bool {
	return slices.ContainsFunc(in.mightWait, func(w waiting) bool { return w.Target == table && slices.Contains(w.lost, name) })
}

// mayShapeLater notes a statement that might run in the swap.
func (s *step) mayShapeLater() {
	if s.part {
		return
	}
	if d, shaping, why := s.whyNotShaped(); why == "" {
		s.coming.addShaping(s, d, shaping)
		s.mightWait = append(s.mightWait, waiting{Deferral: d, lost: shaping.Lost})
	}
}

// shapeLater notes one that does.
func (s *step) shapeLater() {
	d, shaping, why := s.whyNotShaped()
	if why != "" {
		s.taintAlways(s.fact, why+", so that it cannot wait for the swap either")
		return
	}
	s.deferred = append(s.deferred, d)
	s.coming.addShaping(s, d, shaping)
	rel := s.before.Relation(d.Target)
	s.shapes = append(s.shapes, func() { s.checkShape(rel) })
}

// shapings adds those of a statement that says what rows must be like.
func (t *toCome) shapings(other toCome) {
	if len(other.shaped) > 0 {
		t.merge(other)
	}
}

// addShaping gathers what such a statement has to do with.
func (c *coming) addShaping(s *step, d Deferral, shaping syntax.Shaping) {
	target := s.before.Relation(d.Target)
	c.add(s.inference, target, d, syntax.Change{})
	t := c.of[d.Place]
	t.shaped[target.Name] = true
	if shaping.Unique {
		t.unique[target.Name] = true
	}
	for _, name := range slices.Concat(shaping.Made, shaping.Gone) {
		t.made[name] = true
	}
	if len(shaping.Added) > 0 {
		t.added[target.Name] = columnSet(shaping.Added)
	}
	if len(shaping.Lost) > 0 {
		t.lost[target.Name] = columnSet(shaping.Lost)
	}
	if len(shaping.Lost) > 0 && !shaping.Named {
		for _, name := range s.indexesUntil(target, d.Place) { // some go with the column
			t.made[name] = true
		}
	}
	for _, oid := range d.Reads {
		to := s.before.Relation(oid)
		t.led[to.Name] = true
		if t.parents[to.Name] == nil {
			t.parents[to.Name] = map[string]bool{}
		}
		for _, column := range to.Columns {
			t.parents[to.Name][column.Name] = true
		}
		s.inference.belongings(t, to)
	}
}
