package transforms

import (
	"slices"

	pgq "github.com/pganalyze/pg_query_go/v6"

	"github.com/pgumbra/pgumbra/plans/syntax/ast"
)

// outputs evaluates what a query in FROM gives, and what it groups by.
func (s *scope) outputs(l *level, q *pgq.SelectStmt, it *item) *reason {
	distinct := len(q.GetDistinctClause()) > 0
	if len(l.groups) > 0 && (distinct || len(q.GetGroupClause()) > 0 || q.GetHavingClause() != nil || s.aggregatesIn(q)) {
		return ofOthers("it groups what a query inside has grouped") // one query of ours has one GROUP BY
	}
	s.aggregates = true
	defer func() { s.aggregates = false }()
	grouped := false
	for _, n := range q.GetTargetList() {
		val := n.GetResTarget().GetVal()
		if f := val.GetColumnRef().GetFields(); len(f) > 0 && f[len(f)-1].GetAStar() != nil {
			if r := s.star(l, val.GetColumnRef(), it); r != nil {
				return r
			}
			continue
		}
		number := s.numbering(q, val)
		if number != nil {
			val = number
		}
		s.aggregated = false
		node, r := s.expr(val)
		if r != nil {
			return r
		}
		it.add(outputName(n.GetResTarget()), output{node, s.aggregated, number != nil})
		grouped = grouped || s.aggregated
	}
	if distinct {
		if grouped || len(q.GetGroupClause()) > 0 {
			return ofOthers("it has DISTINCT over groups")
		}
		if q.GetDistinctClause()[0].GetNode() != nil {
			return s.firstOfEach(l, q, it)
		}
		for _, name := range it.order {
			l.groups = append(l.groups, ast.Clone(it.outputs[name].node))
		}
		return nil
	}
	return s.group(l, q, it, grouped)
}

func (s *scope) group(l *level, q *pgq.SelectStmt, it *item, aggregated bool) *reason {
	for _, n := range q.GetGroupClause() {
		node, r := s.groupNode(n, it)
		if r != nil {
			return r
		}
		l.groups = append(l.groups, node)
	}
	if len(l.groups) == 0 && (aggregated || q.GetHavingClause() != nil) {
		return ofOthers("a query without GROUP BY gives a row even of nothing")
	}
	for _, n := range conjuncts(q.GetHavingClause()) {
		node, r := s.expr(n)
		if r != nil {
			return r
		}
		l.having = append(l.having, node)
	}
	return nil
}

// groupNode is one expression of GROUP BY; a number or a name may mean a column
// of what is selected.
func (s *scope) groupNode(n *pgq.Node, it *item) (*pgq.Node, *reason) {
	if c := n.GetAConst(); c != nil {
		i := int(c.GetIval().GetIval())
		if i < 1 || i > len(it.order) {
			return nil, ofOthers("it groups by something that is no column")
		}
		return ast.Clone(it.outputs[it.order[i-1]].node), nil
	}
	if n.GetGroupingSet() != nil {
		return nil, ofOthers("it has GROUPING SETS")
	}
	if fields := ast.Strings(n.GetColumnRef().GetFields()); len(fields) == 1 { // a column of FROM, else a name of the list
		if _, found, _ := s.levelColumn(fields); !found {
			if out, ok := it.outputs[fields[0]]; ok && !out.aggregated {
				return ast.Clone(out.node), nil
			}
		}
	}
	return s.expr(n)
}

func (it *item) add(name string, o output) {
	if _, twice := it.outputs[name]; twice {
		name += "\x00" // ambiguous: no name leads there
	}
	it.order = append(it.order, name)
	it.outputs[name] = o
}

// outputName is the name that PostgreSQL gives a column of a query, as far as
// it is that of something.
func outputName(t *pgq.ResTarget) string {
	n := ast.Uncast(t.GetVal())
	switch {
	case t.GetName() != "":
		return t.GetName()
	case n.GetColumnRef() != nil:
		return ast.Last(ast.Strings(n.GetColumnRef().GetFields()))
	case n.GetFuncCall() != nil:
		return ast.Last(ast.Strings(n.GetFuncCall().GetFuncname()))
	}
	return "\x00" + n.String()
}

// star adds all columns of some names of FROM.
func (s *scope) star(l *level, ref *pgq.ColumnRef, it *item) *reason {
	path := ast.Strings(ref.GetFields()[:len(ref.GetFields())-1])
	if len(l.lefts) > 0 {
		return ofOthers("it selects all columns of a LEFT JOIN")
	}
	for _, from := range l.items {
		if len(path) > 0 && !from.called(path) {
			continue
		}
		for _, name := range from.columns() {
			if out := from.outputs[name]; out.number {
				it.add(name, out)
				continue
			}
			s.aggregated = false
			node, r := s.itemColumn(from, name)
			if r != nil {
				return r
			}
			it.add(name, output{node: node, aggregated: s.aggregated})
		}
	}
	return nil
}

func (it *item) columns() []string {
	if it.rel == nil {
		return it.order
	}
	var names []string
	for i := range it.rel.Columns {
		names = append(names, it.rel.Columns[i].Name)
	}
	return names
}

// called reports whether a qualification means the item.
func (it *item) called(path []string) bool {
	if len(path) == 1 {
		return path[0] == it.name
	}
	return slices.Equal(path, it.path)
}

// levelColumn finds a column in the queries around an expression, the innermost
// first. Not found: it is one of the row that the statement is about.
func (s *scope) levelColumn(fields []string) (node *pgq.Node, found bool, r *reason) {
	path, name := fields[:len(fields)-1], ast.Last(fields)
	for l := s.level; l != nil; l = l.outer {
		meant := l.meant(path, name)
		var left *level
		for _, one := range l.lefts {
			if found := one.meant(path, name); len(found) > 0 {
				left, meant = one, append(meant, found...)
			}
		}
		switch {
		case len(meant) == 1 && left != nil:
			node, r := s.columnOfLeft(left, meant[0], name)
			return node, true, r
		case len(meant) > 1:
			return nil, true, ofOthers("which column %s means cannot be told", name)
		case len(meant) == 1 && l != s.level && meant[0].outputs[name].aggregated: // it would be the inner query's
			return nil, true, ofOthers("%s is an aggregate, and a query inside reads it", name)
		case len(meant) == 1:
			node, r := s.itemColumn(meant[0], name)
			return node, true, r
		case l.closed:
			return nil, true, ofOthers("%s is no column of the query", name)
		}
	}
	return s.leftColumn(fields)
}

// meant are the items of a level that a column's name may mean.
func (l *level) meant(path []string, name string) (all []*item) {
	for _, it := range l.items {
		if len(path) > 0 && it.called(path) || len(path) == 0 && slices.Contains(it.columns(), name) {
			all = append(all, it)
		}
	}
	return all
}

// columnOfLeft is a column of what a LEFT JOIN inside a query joins: NULL where there is
// no row.
func (s *scope) columnOfLeft(l *level, it *item, name string) (*pgq.Node, *reason) {
	inner := *s
	inner.level, inner.aggregated = l, false
	node, r := inner.itemColumn(it, name)
	s.functions, s.unders = inner.functions, inner.unders
	if r == nil && inner.aggregated && len(l.groups) == 0 {
		r = ofOthers("it joins an aggregate without groups")
	}
	if r != nil {
		return nil, r
	}
	return s.selecting(l, node)
}

func (s *scope) itemColumn(it *item, name string) (*pgq.Node, *reason) {
	if it.rel == nil {
		out, ok := it.outputs[name]
		if !ok {
			return nil, ofOthers("%s is no column of %s", name, it.name)
		}
		if out.number {
			return nil, &reason{text: name + " numbers rows, and counts as a number", rows: true, others: true}
		}
		s.aggregated = s.aggregated || out.aggregated
		return ast.Clone(out.node), nil
	}
	c := it.rel.Column(name)
	if c == nil {
		return nil, ofOthers("%s is no column of %s", name, it.name)
	}
	if s.in.passing(c.Type) {
		return nil, unsupported("type %s is not there while the shadow is built", c.Type.Name)
	}
	row := &scope{in: s.in, mark: s.mark, rel: it.rel, tab: it.looked.table, depth: s.depth}
	node, r := row.column(c)
	if r != nil {
		r.others = true
		return nil, r
	}
	s.functions = join(s.functions, row.functions)
	s.unders = append(s.unders, row.unders...)
	return s.in.moved(node, it.looked), nil
}
