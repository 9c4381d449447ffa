package transforms

import (
	"slices"

	pgq "github.com/pganalyze/pg_query_go/v6"

	"github.com/pgumbra/pgumbra/plans/syntax"
	"github.com/pgumbra/pgumbra/plans/syntax/ast"
)

// x NOT IN (SELECT y …) is NOT EXISTS where neither can be NULL. Besides columns that are
// NOT NULL these are such that a condition beside it says so: x IS NOT NULL AND x NOT IN
// (SELECT y … WHERE y IS NOT NULL).

// present adds what conditions that must all be true say is not NULL.
func (s *scope) present(conds []*pgq.Node) {
	s.known = slices.Clip(s.known)
	for _, n := range conds {
		t := n.GetNullTest()
		if t.GetNulltesttype() != pgq.NullTestType_IS_NOT_NULL || t.GetArg().GetColumnRef() == nil {
			continue
		}
		inner := s.apart()
		node, r := inner.expr(t.GetArg())
		if r != nil {
			continue
		}
		if s.level == nil {
			node = s.qualified(node)
		}
		s.known = append(s.known, node)
	}
}

// neverNull: a side of a comparison of a level's cannot be NULL where it counts.
func (s *scope) neverNull(l *level, n *pgq.Node) bool {
	if c, ok := s.columnOf(l, n); ok && c.NotNull {
		return true
	}
	return slices.ContainsFunc(s.known, func(k *pgq.Node) bool { return ast.Same(k, n) }) ||
		slices.ContainsFunc(l.conds, func(c *pgq.Node) bool {
			t := c.GetNullTest()
			return t != nil && t.GetNulltesttype() == pgq.NullTestType_IS_NOT_NULL && ast.Same(t.GetArg(), n)
		})
}

// whereNotNull is the condition of UPDATE t SET c = NULL WHERE c NOT IN (SELECT …) with c IS
// NOT NULL in it: what is NULL already stays so whether the statement takes it or not.
func (s *step) whereNotNull(u *pgq.UpdateStmt, rel *syntax.Relation, assignments []set) *pgq.Node {
	where := u.GetWhereClause()
	if len(assignments) != 1 || !ast.Uncast(assignments[0].value).GetAConst().GetIsnull() || len(u.GetFromClause()) > 0 || s.firedBy(rel, triggerUpdate) {
		return where
	}
	column := assignments[0].column
	asks := slices.ContainsFunc(conjuncts(where), func(n *pgq.Node) bool {
		x := notIn(n)
		return x != nil && ast.Last(ast.Strings(x.GetTestexpr().GetColumnRef().GetFields())) == column
	})
	if !asks {
		return where
	}
	test := &pgq.NullTest{Arg: ast.Column(column), Nulltesttype: pgq.NullTestType_IS_NOT_NULL}
	return ast.And([]*pgq.Node{{Node: &pgq.Node_NullTest{NullTest: test}}, ast.Clone(where)})
}

// firedBy: some trigger of the table or its members would fire.
func (s *step) firedBy(rel *syntax.Relation, event int) bool {
	return slices.ContainsFunc(s.withMembers(rel), func(r *syntax.Relation) bool {
		return slices.ContainsFunc(r.Triggers, func(g syntax.Trigger) bool { return g.Type&event != 0 && enabled(g, s.before.Replica) })
	})
}
