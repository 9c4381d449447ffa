package transforms

import (
	"slices"

	"github.com/pgumbra/pgumbra/plans/syntax"
	"github.com/pgumbra/pgumbra/plans/syntax/ast"
)

// take follows rows that go, and those of other tables that foreign keys take
// along or change: these first, while what they refer to is known. within are the
// tables on the way here, by oid.
func (s *step) take(t *table, scope *scope, which condition, within map[uint32]bool) []question {
	within[t.oid] = true
	defer delete(within, t.oid)
	all := s.orphans(t, scope.rel, which)
	for _, ref := range scope.rel.References {
		child := s.tables[ref.Table]
		if child == nil || ref.OnDelete == "a" || ref.OnDelete == "r" || child.source == 0 {
			continue
		}
		more, r := s.takeAlong(scope, which, ref, child, within)
		if r != nil {
			s.taintAlong(scope.rel, ref, child, r, map[uint32]bool{})
		}
		all = append(all, more...)
	}
	s.fires(t, scope.rel, triggerDelete, nil, nil)
	if truth(which.node) == isTrue {
		s.clear(t)
		return all
	}
	t.where = append(slices.Clone(t.where), ast.NotTrue(which.node)) // others may have been fed by it
	t.under = which.under
	t.functions = join(t.functions, scope.functions)
	return all
}

// takeAlong follows one foreign key: rows that refer to one that goes are deleted
// themselves, or refer to nothing from then on.
func (s *step) takeAlong(parent *scope, which condition, ref syntax.Reference, child *table, within map[uint32]bool) ([]question, *reason) {
	rel := s.before.Relation(child.oid)
	switch {
	case rel == nil || rel.Kind == "p" || rel.Rules:
		return nil, ofOthers("a foreign key leads to it from a partitioned table, or one with rules")
	case ref.OnDelete == "c" && within[child.oid]:
		return nil, ofOthers("its foreign keys lead in a circle")
	case ref.Off || ref.Partly || s.before.Replica:
		return nil, ofOthers("a foreign key's triggers are off, or set some of its columns only")
	case child.tainted != nil:
		return nil, &reason{text: "it changes rows that cannot be inferred themselves", tainted: child.tainted}
	}
	scope := &scope{in: s.inference, mark: s.before, rel: rel, tab: child}
	along, r := scope.referring(parent, which, ref)
	if r != nil {
		return nil, r
	}
	if ref.OnDelete == "c" {
		return s.take(child, scope, along, within), nil
	}
	return nil, s.unrefer(child, scope, along, ref)
}

// referring are the rows of a scope that refer to one of the parent's that goes.
func (s *scope) referring(parent *scope, which condition, ref syntax.Reference) (condition, *reason) {
	there, r := s.lookable(parent.rel, parent.rel.Name, parent.in.family(parent.mark, parent.rel.OID, true))
	if r != nil {
		return condition{}, r
	}
	it := &item{name: parent.rel.Name, rel: parent.rel, looked: there}
	l := &level{items: []*item{it}, tables: []*looked{there}}
	if r := s.filter(l, nil); r != nil {
		return condition{}, r
	}
	for i, num := range ref.Columns {
		mine, r := s.column(s.rel.ColumnNum(num))
		if r != nil {
			return condition{}, r
		}
		theirs, r := s.itemColumn(it, parent.rel.ColumnNum(ref.RefColumns[i]).Name)
		if r != nil {
			return condition{}, r
		}
		l.conds = append(l.conds, equalNode(theirs, s.qualified(mine)))
	}
	if truth(which.node) != isTrue {
		l.conds = append(l.conds, s.in.moved(which.node, there))
	}
	s.unders = append(s.unders, which.under, s.tab.under)
	s.functions = join(s.functions, parent.functions)
	if r := s.link(l); r != nil {
		return condition{}, r
	}
	exists, r := s.selecting(l, nil)
	if r != nil {
		return condition{}, r
	}
	return s.condition(exists)
}

// unrefer is ON DELETE SET NULL, or SET DEFAULT.
func (s *step) unrefer(child *table, scope *scope, along condition, ref syntax.Reference) *reason {
	values := map[int16]*value{}
	for _, num := range ref.Columns {
		c := scope.rel.ColumnNum(num)
		e := ast.Null()
		if ref.OnDelete == "d" {
			e = nil
		}
		v, r := s.assigned(scope, child, c, e, along)
		if r != nil {
			return r
		}
		values[num] = v
	}
	for num, v := range values {
		child.columns[num] = v
	}
	s.cascadeUpdate(scope.rel, ref.Columns)
	s.fires(child, scope.rel, triggerUpdate, ref.Columns, &touched{scope, along})
	return nil
}

// taintAlong says that what a foreign key does to a table, and to those that refer
// to that one, cannot be followed.
func (s *step) taintAlong(rel *syntax.Relation, ref syntax.Reference, child *table, r *reason, done map[uint32]bool) {
	tainted := r.tainted
	if tainted == nil {
		text := "DELETE from " + rel.Name + " changes rows of this table by a foreign key (ON DELETE), which cannot be followed: " + r.text
		tainted = []int{s.newTaint(where(s.fact), text)}
	}
	if ref.OnDelete != "c" {
		for _, num := range ref.Columns {
			if c := child.columns[num]; c != nil {
				child.columns[num] = taintValue(c.typ, tainted)
			}
		}
		return
	}
	child.tainted = join(child.tainted, tainted)
	if done[child.oid] || child.last == nil {
		return
	}
	done[child.oid] = true
	for _, next := range child.last.References {
		if grandchild := s.tables[next.Table]; grandchild != nil && next.OnDelete != "a" && next.OnDelete != "r" && grandchild.source != 0 {
			s.taintAlong(child.last, next, grandchild, r, done)
		}
	}
}
