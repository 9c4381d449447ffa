package transforms

import (
	"slices"

	pgq "github.com/pganalyze/pg_query_go/v6"

	"github.com/pgumbra/pgumbra/plans/syntax/ast"
)

// joins are the parts of FROM.
type joins struct {
	inner []*pgq.Node // tables and queries of which each has a row
	conds []*pgq.Node // of INNER JOIN
	left  []leftJoin
}

// leftJoin is LEFT JOIN table ON conds: NULL where there is no row.
type leftJoin struct {
	node  *pgq.Node
	conds []*pgq.Node
}

func flatten(from []*pgq.Node) (joins, *reason) {
	var f joins
	for _, n := range from {
		if r := f.add(n); r != nil {
			return f, r
		}
	}
	return f, nil
}

func (f *joins) add(n *pgq.Node) *reason {
	j := n.GetJoinExpr()
	if j == nil {
		f.inner = append(f.inner, n)
		return nil
	}
	left, r := readJoin(j)
	if r != nil {
		return r
	}
	if r := f.add(j.GetLarg()); r != nil {
		return r
	}
	if left != nil {
		f.left = append(f.left, *left)
		return nil
	}
	f.conds = append(f.conds, conjuncts(j.GetQuals())...)
	return f.add(j.GetRarg())
}

// readJoin is what JOIN means of those that are followed: LEFT of one table or query, or,
// where left is nil, INNER.
func readJoin(j *pgq.JoinExpr) (left *leftJoin, r *reason) {
	switch {
	case j.GetIsNatural() || len(j.GetUsingClause()) > 0 || j.GetAlias() != nil:
		return nil, ofOthers("it has a join that is NATURAL or with USING")
	case j.GetJointype() == pgq.JoinType_JOIN_LEFT && j.GetRarg().GetJoinExpr() == nil:
		return &leftJoin{j.GetRarg(), conjuncts(j.GetQuals())}, nil
	case j.GetJointype() == pgq.JoinType_JOIN_INNER:
		return nil, nil
	}
	return nil, ofOthers("it has an outer join of several tables")
}

// without is FROM without the i-th of its inner parts: the table whose rows are
// selected.
func (f joins) without(i int) joins {
	f.inner = slices.Delete(slices.Clone(f.inner), i, i+1)
	return f
}

// join lays out what a SELECT joins its row with, and returns the condition under
// which there is one; nil: always.
func (s *scope) join(f joins, where *pgq.Node) (*pgq.Node, *reason) {
	l := &level{}
	for _, n := range f.inner {
		var conds []*pgq.Node
		if r := s.open(l, n, &conds); r != nil {
			return nil, r
		}
	}
	if r := s.leftJoins(l, f.left); r != nil {
		return nil, r
	}
	if len(l.tables) == 0 {
		all := conjuncts(where)
		all = append(all, f.conds...)
		if len(all) == 0 {
			return nil, nil
		}
		return s.truth(ast.And(cloneAll(all)))
	}
	if r := s.filter(l, append(slices.Clone(f.conds), conjuncts(where)...)); r != nil {
		return nil, r
	}
	if r := s.link(l); r != nil {
		return nil, r
	}
	if !s.one(l) {
		return nil, ofOthers("more than one row of what it joins may fit")
	}
	s.level = l
	return s.selecting(l, nil)
}

// leftJoins lays out the tables of LEFT JOIN, one level each: what fits there
// leaves no row out, and is found by the row and what is joined with it.
func (s *scope) leftJoins(l *level, all []leftJoin) *reason {
	for _, j := range all {
		one := &level{}
		if len(l.tables) > 0 {
			one.outer = l
		}
		if r := s.oneOfLeft(one, j); r != nil {
			return r
		}
		s.lefts = append(s.lefts, one)
	}
	return nil
}

// openLeft is the same inside a query.
func (s *scope) openLeft(l *level, j leftJoin) *reason {
	one := &level{outer: l}
	if r := s.oneOfLeft(one, j); r != nil {
		return r
	}
	l.lefts = append(l.lefts, one)
	return nil
}

// oneOfLeft lays out a level for what LEFT JOIN joins.
func (s *scope) oneOfLeft(one *level, j leftJoin) *reason {
	if r := s.open(one, j.node, &j.conds); r != nil {
		return r
	}
	if r := s.filter(one, j.conds); r != nil {
		return r
	}
	if r := s.link(one); r != nil {
		return r
	}
	if !s.one(one) {
		return ofOthers("more than one row of what it joins may fit")
	}
	return nil
}

func (s *scope) joins() bool { return s.level != nil || len(s.lefts) > 0 }

// ofLevel reports whether a name means a column of what is joined.
func (s *scope) ofLevel(fields []string) bool {
	look := *s
	_, found, _ := look.levelColumn(fields)
	return found
}

// leftColumn is a column of a table of LEFT JOIN: looked up by itself.
func (s *scope) leftColumn(fields []string) (node *pgq.Node, found bool, r *reason) {
	for _, l := range s.lefts {
		inner := *s
		inner.lefts, inner.level = nil, l
		node, found, r := inner.levelColumn(fields)
		if !found || r != nil {
			if found {
				return nil, true, r
			}
			continue
		}
		s.functions, s.unders = inner.functions, inner.unders
		if inner.aggregated && len(l.groups) == 0 {
			return nil, true, ofOthers("it joins an aggregate without groups")
		}
		node, r = s.selecting(l, node)
		return node, true, r
	}
	return nil, false, nil
}
