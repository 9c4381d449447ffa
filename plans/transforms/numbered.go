package transforms

import (
	"slices"

	pgq "github.com/pganalyze/pg_query_go/v6"

	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/syntax/ast"
)

// FROM (SELECT …, row_number() OVER (PARTITION BY g ORDER BY o) AS n FROM t) x WHERE x.n > 1 asks
// whether there is an earlier row of the group, which is followed. Where o tells all rows
// of a group apart that is no matter of chance. The number itself is not followed: each
// row's would be counted anew for a change of one.

// numbers are window functions that give 1 to the first row of a group, and to no other
// where their order tells all apart.
var numbers = map[string]bool{"row_number": true, "rank": true, "dense_rank": true}

// numbering is such a function among what a query in FROM selects; nil: it is none, or
// cannot be followed.
func (s *scope) numbering(q *pgq.SelectStmt, val *pgq.Node) *pgq.Node {
	call := val.GetFuncCall()
	over := call.GetOver()
	if over == nil || !numbers[ast.Last(ast.Strings(call.GetFuncname()))] || len(call.GetArgs()) > 0 || call.GetAggFilter() != nil || over.GetName() != "" || over.GetRefname() != "" ||
		anyOwn(s.candidates(ast.Strings(call.GetFuncname()), 0)) {
		return nil
	}
	l := leastOf{scope: s, q: q}
	if !l.ofOne() || len(q.GetGroupClause()) > 0 || slices.ContainsFunc(over.GetPartitionClause(), func(n *pgq.Node) bool { return !l.groupBy(n) }) {
		return nil
	}
	earlier, ok := l.earlier(over.GetOrderClause())
	if !ok {
		return nil
	}
	before, err := l.of(beforeName)
	if err != nil {
		return nil
	}
	before.WhereClause = ast.And(append(append(conjuncts(before.GetWhereClause()), l.sameGroup(calledIn(l.from))...), earlier))
	return notExists(before).GetBoolExpr().GetArgs()[0]
}

// earlier: a row stands before another one in an order that tells all rows of a group
// apart. Not ok: it may not.
func (l *leastOf) earlier(order []*pgq.Node) (cond *pgq.Node, ok bool) {
	var columns []orderedBy
	for _, n := range order {
		c, ok := l.ordering(n.GetSortBy().GetNode())
		if !ok || !c.was.NotNull || len(n.GetSortBy().GetUseOp()) > 0 {
			return nil, false
		}
		columns = append(columns, c)
	}
	if !l.tellsApart(columns) {
		return nil, false
	}
	mine := calledIn(l.from)
	for i := len(columns) - 1; i >= 0; i-- {
		name, op := columns[i].Name, "<"
		if order[i].GetSortBy().GetSortbyDir() == pgq.SortByDir_SORTBY_DESC {
			op = ">"
		}
		before := comparing(pgq.A_Expr_Kind_AEXPR_OP, op, qualifiedNode(beforeName, name), qualifiedNode(mine, name))
		if cond != nil {
			same := comparing(pgq.A_Expr_Kind_AEXPR_OP, "=", qualifiedNode(beforeName, name), qualifiedNode(mine, name))
			before = &pgq.Node{Node: &pgq.Node_BoolExpr{BoolExpr: &pgq.BoolExpr{Boolop: pgq.BoolExprType_OR_EXPR, Args: []*pgq.Node{before, ast.And([]*pgq.Node{same, cond})}}}}
		}
		cond = before
	}
	return cond, true
}

// tellsApart: the columns, with those of the group, hold a unique key of production's.
func (l *leastOf) tellsApart(order []orderedBy) bool {
	in := l.scope.in
	source := in.before.ByOID(in.tables[l.rel.OID].source)
	held := map[string]bool{}
	for _, c := range order {
		held[c.was.Name] = true
	}
	for _, g := range l.grouped {
		c, _ := l.scope.copied(l.rel, g)
		held[c.Name] = true
	}
	return len(order) > 0 && slices.ContainsFunc(in.before.IndexesOf(source.OID), func(i *catalog.Index) bool {
		return i.Unique && i.Valid && i.Immediate && !i.Partial && !i.Expression && !i.Exclusion && !slices.ContainsFunc(i.Keys, func(k catalog.IndexKey) bool {
			c, ok := source.Column(k.Num)
			return !ok || !c.NotNull || k.Equals != "OPERATOR(pg_catalog.=)" || k.Collation != c.Collation || !held[c.Name]
		})
	})
}

// firstOrLater answers a comparison of such a number with what tells the first row from
// those behind it; nil: the comparison is another one.
func (s *scope) firstOrLater(e *pgq.A_Expr) *pgq.Node {
	ref, limit, op := e.GetLexpr(), e.GetRexpr(), ast.Last(ast.Strings(e.GetName()))
	if e.GetKind() != pgq.A_Expr_Kind_AEXPR_OP || len(e.GetName()) != 1 || ref.GetColumnRef() == nil || limit.GetAConst().GetIval() == nil {
		return nil
	}
	out, ok := s.numberOf(ast.Strings(ref.GetColumnRef().GetFields()))
	if !ok {
		return nil
	}
	later := ast.Clone(out.node)
	first := &pgq.Node{Node: &pgq.Node_BoolExpr{BoolExpr: &pgq.BoolExpr{Boolop: pgq.BoolExprType_NOT_EXPR, Args: []*pgq.Node{later}}}}
	switch n := limit.GetAConst().GetIval().GetIval(); {
	case n == 1 && (op == ">" || op == "<>"), n == 2 && op == ">=":
		return later
	case n == 1 && (op == "=" || op == "<="), n == 2 && op == "<":
		return first
	}
	return nil
}

// numberOf is the output of a query in FROM that a name means, where it is such a number.
func (s *scope) numberOf(fields []string) (output, bool) {
	if len(fields) == 0 {
		return output{}, false
	}
	path, name := fields[:len(fields)-1], ast.Last(fields)
	for l := s.level; l != nil && len(l.lefts) == 0; l = l.outer {
		if meant := l.meant(path, name); len(meant) > 0 {
			return meant[0].outputs[name], len(meant) == 1 && meant[0].outputs[name].number
		}
		if l.closed {
			break
		}
	}
	return output{}, false
}
