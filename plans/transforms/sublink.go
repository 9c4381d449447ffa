package transforms

import (
	"slices"

	pgq "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"

	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/syntax/ast"
)

// truth is a condition of which only matters whether it is true: NULL counts as
// false. x IN (SELECT …) is an EXISTS there.
func (s *scope) truth(n *pgq.Node) (*pgq.Node, *reason) {
	if b := n.GetBoolExpr(); b != nil && b.GetBoolop() != pgq.BoolExprType_NOT_EXPR {
		if b.GetBoolop() == pgq.BoolExprType_AND_EXPR {
			around := s.known
			s.present(b.GetArgs())
			defer func() { s.known = around }()
		}
		var args []*pgq.Node
		for _, a := range b.GetArgs() {
			arg, r := s.truth(a)
			if r != nil {
				return nil, r
			}
			args = append(args, arg)
		}
		if b.GetBoolop() == pgq.BoolExprType_AND_EXPR {
			return ast.And(args), nil
		}
		out := ast.Clone(n)
		out.GetBoolExpr().Args = args
		return out, nil
	}
	if x := n.GetSubLink(); x != nil && isIn(x) {
		return s.member(x)
	}
	if x := notIn(n); x != nil {
		return s.notMember(x)
	}
	return s.expr(n)
}

// notIn is the subquery of x NOT IN (SELECT …).
func notIn(n *pgq.Node) *pgq.SubLink {
	b := n.GetBoolExpr()
	if b == nil || b.GetBoolop() != pgq.BoolExprType_NOT_EXPR || b.GetArgs()[0].GetSubLink() == nil || !isIn(b.GetArgs()[0].GetSubLink()) {
		return nil
	}
	return b.GetArgs()[0].GetSubLink()
}

// isIn: x IN (SELECT …), or = ANY.
func isIn(x *pgq.SubLink) bool {
	return x.GetSubLinkType() == pgq.SubLinkType_ANY_SUBLINK && (len(x.GetOperName()) == 0 || slices.Equal(ast.Strings(x.GetOperName()), []string{"="}))
}

// subLink is a subquery over production's tables.
func (s *scope) subLink(x *pgq.SubLink) (*pgq.Node, *reason) {
	if s.rel == nil {
		return nil, ofOthers("it holds a subquery")
	}
	switch {
	case x.GetSubLinkType() == pgq.SubLinkType_EXISTS_SUBLINK:
		return s.exists(x)
	case x.GetSubLinkType() == pgq.SubLinkType_EXPR_SUBLINK:
		return s.single(x)
	case x.GetSubLinkType() == pgq.SubLinkType_ARRAY_SUBLINK:
		return s.arrayOf(x)
	case isIn(x):
		return nil, ofOthers("it asks with IN or NOT IN (SELECT …) where NULL and false are not the same; NOT EXISTS (SELECT …) says it")
	}
	return nil, ofOthers("it holds a subquery that is no EXISTS, no IN and no single value")
}

// subquery lays out the level of a subquery. first, if not nil, adds conditions once
// its tables are there: those that lead to it come before those that look further.
func (s *scope) subquery(x *pgq.SubLink, first func(*level, *pgq.SelectStmt) *reason) (*level, *pgq.SelectStmt, *reason) {
	q, limited := withoutLimit(x.GetSubselect().GetSelectStmt())
	if r := lookupSelect(q); r != nil {
		return nil, nil, r
	}
	l := &level{outer: s.level, limited: limited}
	inner := s.apart()
	r := inner.with(q.GetWithClause())
	if r == nil {
		q = inner.asked(q)
		var conds []*pgq.Node
		if conds, r = inner.openAll(l, q.GetFromClause()); r == nil && first != nil {
			r = first(l, q)
		}
		if r == nil {
			r = inner.filter(l, append(conds, conjuncts(q.GetWhereClause())...))
		}
	}
	s.functions, s.unders = join(s.functions, inner.functions), append(s.unders, inner.unders...)
	return l, q, ofRows(r)
}

// withoutLimit is a query without LIMIT n, n a number from 1 on: it changes nothing
// where one row fits at the most ([scope.untouched]), or where it is only asked
// whether one does.
func withoutLimit(q *pgq.SelectStmt) (plain *pgq.SelectStmt, limited bool) {
	if q.GetLimitCount().GetAConst().GetIval().GetIval() < 1 || q.GetLimitOffset() != nil {
		return q, false
	}
	plain = proto.Clone(q).(*pgq.SelectStmt)
	plain.LimitCount, plain.LimitOption, plain.SortClause = nil, pgq.LimitOption_LIMIT_OPTION_DEFAULT, nil
	return plain, true
}

// untouched: there are no rows that a LIMIT of the level's query could leave out.
func (s *scope) untouched(l *level, q *pgq.SelectStmt) *reason {
	if !l.limited || len(l.groups) == 0 && len(q.GetGroupClause()) == 0 && (s.aggregatesIn(q) || s.one(l)) {
		return nil
	}
	return ofOthers("it has LIMIT, and more than one row may fit")
}

// first lets a level give its first row: ORDER BY … LIMIT 1. Unless the order holds a
// unique index of each table two rows may be equal in it, which is an error then.
func (s *scope) first(l *level, all *pgq.SelectStmt) *reason {
	q := all.GetTargetList()[0].GetResTarget()
	if l.elements != nil || all.GetLimitCount().GetAConst().GetIval().GetIval() != 1 || len(all.GetSortClause()) == 0 {
		return ofOthers("it has LIMIT, and more than one row may fit")
	}
	var names []*pgq.Node
	r := s.within(l, func(inner *scope) *reason {
		for _, n := range all.GetSortClause() {
			sort := proto.Clone(n.GetSortBy()).(*pgq.SortBy)
			by := sort.GetNode()
			if by.GetAConst() != nil || slices.Equal(ast.Strings(by.GetColumnRef().GetFields()), []string{outputName(q)}) {
				by = q.GetVal()
			}
			node, r := inner.expr(by)
			if r != nil || len(sort.GetUseOp()) > 0 {
				return ofOthers("its ORDER BY cannot be followed")
			}
			sort.Node = node
			names, l.order = append(names, node), append(l.order, sort)
		}
		return nil
	})
	if r != nil {
		return r
	}
	l.ties = slices.ContainsFunc(l.tables, func(t *looked) bool { return !s.told(t, names) })
	return nil
}

// told: an order holds a unique index of the table, so no two of its rows are equal.
func (s *scope) told(t *looked, order []*pgq.Node) bool {
	source := s.in.before.ByOID(t.table.source)
	return slices.ContainsFunc(s.in.before.IndexesOf(t.table.source), func(i *catalog.Index) bool {
		return i.Unique && i.Valid && i.Immediate && !i.Partial && !i.Expression && !i.Exclusion && !slices.ContainsFunc(i.Keys, func(k catalog.IndexKey) bool {
			c, ok := source.Column(k.Num)
			return !ok || !c.NotNull || k.Collation != c.Collation || !slices.ContainsFunc(order, func(n *pgq.Node) bool { return ast.Same(n, qualifiedNode(t.alias, c.Name)) })
		})
	})
}

// ofRows: other rows than the one that is written count, whatever the reason.
func ofRows(r *reason) *reason {
	if r != nil {
		r.others = true
	}
	return r
}

func (s *scope) exists(x *pgq.SubLink) (*pgq.Node, *reason) {
	l, q, r := s.subquery(x, nil)
	if r != nil {
		return nil, r
	}
	if len(q.GetGroupClause()) > 0 || q.GetHavingClause() != nil || len(l.groups) > 0 || s.aggregatesIn(q) {
		return nil, ofOthers("it asks whether groups exist")
	}
	if r := s.link(l); r != nil {
		return nil, r
	}
	return s.selecting(l, nil)
}

// member is x IN (SELECT y …) where NULL counts as false: a row exists with y = x.
func (s *scope) member(x *pgq.SubLink) (*pgq.Node, *reason) {
	l, _, r := s.members(x)
	if r != nil {
		return nil, r
	}
	return s.selecting(l, nil)
}

// notMember is x NOT IN (SELECT y …) where neither can be NULL: no row exists with
// y = x. See [scope.neverNull].
func (s *scope) notMember(x *pgq.SubLink) (*pgq.Node, *reason) {
	l, compared, r := s.members(x)
	if r != nil {
		return nil, r
	}
	for _, n := range compared {
		if !s.neverNull(l, n) {
			return nil, ofOthers("it asks with NOT IN (SELECT …) for what may be NULL; NOT EXISTS (SELECT …) says it")
		}
	}
	found, r := s.selecting(l, nil)
	if r != nil {
		return nil, r
	}
	return &pgq.Node{Node: &pgq.Node_BoolExpr{BoolExpr: &pgq.BoolExpr{Boolop: pgq.BoolExprType_NOT_EXPR, Args: []*pgq.Node{found}}}}, nil
}

// members lays out a subquery behind IN, with the comparison as one of its
// conditions, and returns both sides of it.
func (s *scope) members(x *pgq.SubLink) (l *level, compared []*pgq.Node, r *reason) {
	x = s.least(x)
	var from, to int // of the comparisons among the conditions
	l, q, r := s.subquery(x, func(l *level, q *pgq.SelectStmt) (r *reason) {
		if len(l.groups) > 0 || len(q.GetGroupClause()) == 0 && (q.GetHavingClause() != nil || s.aggregatesIn(q)) {
			return ofOthers("it asks with IN for an aggregate")
		}
		from = len(l.conds)
		compared, r = s.compares(x, l, q)
		to = len(l.conds)
		return r
	})
	if r != nil {
		return nil, nil, r
	}
	if len(q.GetGroupClause()) > 0 {
		if r := s.within(l, func(inner *scope) *reason { return inner.outputs(l, q, &item{outputs: map[string]output{}}) }); r != nil {
			return nil, nil, ofRows(r)
		}
	}
	alone := *l // LIMIT counts what the query gives, whatever it is compared with
	alone.conds = slices.Delete(slices.Clone(l.conds), from, to)
	if r := s.untouched(&alone, q); r != nil {
		return nil, nil, r
	}
	return l, compared, s.link(l)
}

// compares adds x = y for each column of x IN (SELECT y …) to the subquery's
// conditions.
func (s *scope) compares(x *pgq.SubLink, l *level, q *pgq.SelectStmt) (compared []*pgq.Node, r *reason) {
	left := []*pgq.Node{x.GetTestexpr()}
	if row := x.GetTestexpr().GetRowExpr(); row != nil {
		left = row.GetArgs()
	}
	if len(left) != len(q.GetTargetList()) {
		return nil, ofOthers("IN compares what cannot be told apart")
	}
	for i, n := range left {
		if holdsQuery(n) || holdsQuery(q.GetTargetList()[i]) {
			return nil, ofOthers("it compares subqueries with subqueries")
		}
		mine, r := s.expr(n)
		if r != nil {
			return nil, r
		}
		if s.level == nil {
			mine = s.qualified(mine)
		}
		r = s.within(l, func(inner *scope) *reason {
			theirs, r := inner.expr(q.GetTargetList()[i].GetResTarget().GetVal())
			if r == nil {
				l.conds = append(l.conds, equalNode(theirs, mine))
				compared = append(compared, theirs, mine)
			}
			return ofRows(r)
		})
		if r != nil {
			return nil, r
		}
	}
	return compared, nil
}

func equalNode(a, b *pgq.Node) *pgq.Node {
	return comparing(pgq.A_Expr_Kind_AEXPR_OP, "=", a, b)
}

// single is (SELECT value …). Several rows are an error, in the copy as in place.
func (s *scope) single(x *pgq.SubLink) (*pgq.Node, *reason) {
	l, q, r := s.subquery(x, nil)
	if r != nil {
		return nil, r
	}
	if len(q.GetTargetList()) != 1 || len(q.GetDistinctClause()) > 0 {
		return nil, ofOthers("it holds a subquery of several columns, or with DISTINCT")
	}
	if len(q.GetGroupClause()) > 0 || q.GetHavingClause() != nil || len(l.groups) > 0 {
		return nil, ofOthers("it holds a subquery over groups")
	}
	if r := s.link(l); r != nil {
		return nil, r
	}
	if r := s.untouched(l, q); r != nil {
		if r := s.first(l, x.GetSubselect().GetSelectStmt()); r != nil {
			return nil, ofRows(r)
		}
	}
	var value *pgq.Node
	r = s.within(l, func(inner *scope) (r *reason) {
		inner.aggregates = true
		value, r = inner.expr(q.GetTargetList()[0].GetResTarget().GetVal())
		return ofRows(r)
	})
	if r != nil {
		return nil, r
	}
	return s.selecting(l, value)
}

// joined is the level of UPDATE … FROM or DELETE … USING, with the statement's
// condition.
func (s *scope) joined(from []*pgq.Node, where *pgq.Node) (*level, *reason) {
	l := &level{}
	if r := s.read(l, from, where); r != nil {
		return nil, r
	}
	if l.elements != nil {
		return nil, ofOthers("it reads something else than tables")
	}
	return l, s.link(l)
}

// which rows a statement is about: those for which its condition is true, with
// some row of the tables that it reads beside.
func (s *scope) which(from []*pgq.Node, where *pgq.Node) (condition, *reason) {
	if len(from) == 0 {
		if where == nil {
			return condition{node: ast.Bool(true)}, nil
		}
		tree, r := s.truth(where)
		if r != nil {
			return condition{}, r
		}
		return s.condition(tree)
	}
	l, r := s.joined(from, where)
	if r != nil {
		return condition{}, r
	}
	tree, r := s.selecting(l, nil)
	if r != nil {
		return condition{}, r
	}
	s.level = l
	return s.condition(tree)
}

// assignedExpr is the value that an UPDATE assigns. One of the tables that are
// read beside is looked up by itself: there must not be two rows to choose from.
func (s *scope) assignedExpr(e *pgq.Node) (*pgq.Node, *reason) {
	s.aggregated = false
	node, r := s.expr(e)
	if r != nil || s.level == nil {
		return node, r
	}
	mine := s.level.aliases()
	if !s.aggregated && !slices.ContainsFunc(aliasesIn(node), func(a string) bool { return mine[a] }) {
		return s.bare(node), nil
	}
	l := *s.level
	if !s.one(&l) {
		if l.sole = s.alike(&l, node); !l.sole {
			return nil, ofOthers("more than one row of what it reads may fit, and which one counts is a matter of order")
		}
	}
	return s.selecting(&l, node)
}
