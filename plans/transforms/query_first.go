package transforms

import (
	"slices"

	pgq "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"

	"github.com/pgumbra/pgumbra/plans/syntax/ast"
)

// SELECT DISTINCT ON (k) … ORDER BY k, o in FROM gives for each k the row that comes first
// by o. Where k is compared with the row, that is (SELECT … WHERE k = … ORDER BY o LIMIT 1):
// a condition on k alone leaves out whole groups, so it does not matter whether it is
// asked before the choice or after it. What else is selected is the chosen row's, and a
// condition on that would have to come after: it counts as an aggregate here, which no
// condition is followed on.

// firstOfEach notes what a query with DISTINCT ON groups by, and the order that says
// which row stands for a group.
func (s *scope) firstOfEach(l *level, q *pgq.SelectStmt, it *item) *reason {
	s.aggregated = false
	var groups []*pgq.Node
	for _, n := range q.GetDistinctClause() {
		node, r := s.sortNode(n, it)
		if r != nil {
			return r
		}
		if !s.alike(l, node) { // equal ones might tell a condition different things
			return ofOthers("it has DISTINCT ON something whose equal values need not be the same")
		}
		groups = append(groups, node)
	}
	known := cloneAll(groups)
	for _, n := range q.GetSortClause() {
		sort := proto.Clone(n.GetSortBy()).(*pgq.SortBy)
		node, r := s.sortNode(sort.GetNode(), it)
		if r != nil || len(sort.GetUseOp()) > 0 {
			return ofOthers("its ORDER BY cannot be followed")
		}
		if isAmong(groups, node) {
			continue // PostgreSQL has them first
		}
		sort.Node = node
		known, l.order = append(known, node), append(l.order, sort)
	}
	if len(l.order) == 0 {
		return ofOthers("it has DISTINCT ON, and no order says which row")
	}
	l.groups, l.first = groups, true
	l.ties = slices.ContainsFunc(l.tables, func(t *looked) bool { return !s.told(t, known) })
	for _, name := range it.order {
		out := it.outputs[name]
		it.outputs[name] = output{node: out.node, aggregated: !isAmong(groups, out.node)}
	}
	return nil
}

// sortNode is one expression of ORDER BY or DISTINCT ON: a number or a name means a
// column of what is selected before one of the tables.
func (s *scope) sortNode(n *pgq.Node, it *item) (*pgq.Node, *reason) {
	if n.GetAConst() != nil {
		return s.groupNode(n, it)
	}
	if fields := ast.Strings(n.GetColumnRef().GetFields()); len(fields) == 1 {
		if out, ok := it.outputs[fields[0]]; ok {
			return ast.Clone(out.node), nil
		}
		if _, twice := it.outputs[fields[0]+"\x00"]; twice {
			return nil, ofOthers("which column %s means cannot be told", fields[0])
		}
	}
	s.aggregated = false
	node, r := s.expr(n)
	if r == nil && s.aggregated {
		r = ofOthers("its order is one of aggregates")
	}
	return node, r
}

func isAmong(all []*pgq.Node, n *pgq.Node) bool {
	return slices.ContainsFunc(all, func(o *pgq.Node) bool { return ast.Same(o, n) })
}

// grouping is what the level's query groups by: nothing where one row is chosen.
func (l *level) grouping() []*pgq.Node {
	if l.first {
		return nil
	}
	return l.groups
}

func afterChoice() *reason {
	return ofOthers("a condition asks for what DISTINCT ON chose")
}
