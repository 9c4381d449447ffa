package transforms

import (
	"slices"

	pgq "github.com/pganalyze/pg_query_go/v6"

	"github.com/pgumbra/pgumbra/plans/syntax/ast"
)

// filter adds conditions to a level: first those that say by what its tables are
// found, which those with queries in them build upon.
func (s *scope) filter(l *level, conds []*pgq.Node) *reason {
	for _, t := range l.tables {
		if t.table.where != nil && !t.filtered(l) {
			for _, w := range t.table.where {
				l.conds = append(l.conds, s.in.moved(w, t))
			}
		}
	}
	return s.within(l, func(inner *scope) *reason {
		inner.present(conds)
		var later []*pgq.Node
		for _, n := range conds {
			if holdsQuery(n) {
				later = append(later, n)
				continue
			}
			inner.aggregated = false
			node, r := inner.expr(n)
			if r != nil {
				return r
			}
			switch {
			case inner.aggregated && l.first:
				return afterChoice()
			case inner.aggregated:
				l.having = append(l.having, node)
			default:
				l.conds = append(l.conds, node)
			}
		}
		if len(later) == 0 {
			return nil
		}
		if inner.link(l) == nil {
			return inner.conditions(l, later)
		}
		comparing := slices.DeleteFunc(slices.Clone(later), func(n *pgq.Node) bool { return !comparesQuery(n) })
		r := inner.conditions(l, comparing)
		if r == nil {
			r = inner.link(l)
		}
		if r != nil {
			return r
		}
		return inner.conditions(l, slices.DeleteFunc(later, comparesQuery))
	})
}

// conditions adds conditions with queries in them to a level.
func (s *scope) conditions(l *level, all []*pgq.Node) *reason {
	for _, n := range all {
		s.aggregated = false
		node, r := s.truth(n)
		if r != nil {
			return r
		}
		if s.aggregated {
			return ofOthers("it compares an aggregate, or what DISTINCT ON chose, with a query")
		}
		l.conds = append(l.conds, node)
	}
	return nil
}

// comparesQuery: x = (SELECT …), by which a table may be found that nothing else
// leads to.
func comparesQuery(n *pgq.Node) bool {
	e := n.GetAExpr()
	if e == nil || e.GetKind() != pgq.A_Expr_Kind_AEXPR_OP || !slices.Equal(ast.Strings(e.GetName()), []string{"="}) {
		return false
	}
	return e.GetLexpr().GetSubLink().GetSubLinkType() == pgq.SubLinkType_EXPR_SUBLINK || e.GetRexpr().GetSubLink().GetSubLinkType() == pgq.SubLinkType_EXPR_SUBLINK
}

// filtered: a query in FROM brought the table, with its filter.
func (t *looked) filtered(l *level) bool {
	return !slices.ContainsFunc(l.items, func(it *item) bool { return it.looked == t })
}

// conjuncts are the parts of a condition of which all must be true.
func conjuncts(n *pgq.Node) []*pgq.Node {
	if n == nil {
		return nil
	}
	if b := n.GetBoolExpr(); b.GetBoolop() == pgq.BoolExprType_AND_EXPR {
		var all []*pgq.Node
		for _, a := range b.GetArgs() {
			all = append(all, conjuncts(a)...)
		}
		return all
	}
	return []*pgq.Node{n}
}

// selecting is the level's query of one value; nil: whether it gives a row.
func (s *scope) selecting(l *level, value *pgq.Node) (*pgq.Node, *reason) {
	sql := "SELECT EXISTS (SELECT"
	params := map[int32]*pgq.Node{}
	param := func(n *pgq.Node) string {
		params[int32(len(params)+1)] = n
		return paramName(len(params))
	}
	if value != nil {
		sql = "SELECT (SELECT " + map[bool]string{true: distinctly}[l.sole] + param(value)
	}
	for i, t := range l.tables {
		sql += map[bool]string{true: " FROM ", false: ", "}[i == 0] + s.in.fromText(t)
	}
	if l.elements != nil {
		sql += l.elements.text()
	}
	if len(l.conds) > 0 {
		sql += " WHERE " + param(ast.And(cloneAll(l.conds)))
	}
	for i, g := range l.grouping() {
		sql += map[bool]string{true: " GROUP BY ", false: ", "}[i == 0] + param(g)
	}
	if len(l.having) > 0 {
		sql += " HAVING " + param(ast.And(cloneAll(l.having)))
	}
	order := l.order
	if value == nil {
		order = nil // whether there is a row is no matter of order
	}
	for i, o := range order {
		sql += map[bool]string{true: " ORDER BY ", false: ", "}[i == 0] + param(o.GetNode())
	}
	switch {
	case l.ties && value != nil:
		sql += " FETCH FIRST 1 ROW WITH TIES"
	case len(order) > 0:
		sql += " LIMIT 1"
	}
	tree, r := s.in.parse(sql + ")")
	if r != nil {
		return nil, r
	}
	query := ast.Target(tree).GetSubLink().GetSubselect().GetSelectStmt()
	l.elements.into(query)
	for i, n := range query.GetSortClause() {
		n.GetSortBy().SortbyDir, n.GetSortBy().SortbyNulls = order[i].GetSortbyDir(), order[i].GetSortbyNulls()
	}
	out, err := ast.Rewrite(ast.Target(tree), func(n *pgq.Node) (*pgq.Node, error) {
		if p := n.GetParamRef(); p != nil {
			return ast.Clone(params[p.GetNumber()]), nil
		}
		return nil, nil
	})
	if err != nil {
		return nil, unsupported("%s", err.Error())
	}
	return out, nil
}
