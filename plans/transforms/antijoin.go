package transforms

import (
	"slices"

	pgq "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"

	"github.com/pgumbra/pgumbra/plans/syntax/ast"
)

// LEFT JOIN x ON … WHERE x.id IS NULL asks for rows without a partner. Where x.id
// is NOT NULL that is NOT EXISTS (SELECT FROM x WHERE …), which is followed.

// asked is a query with such joins in the other form; the query itself where it has
// none.
func (s *scope) asked(q *pgq.SelectStmt) *pgq.SelectStmt {
	if !slices.ContainsFunc(q.GetFromClause(), holdsLeftJoin) {
		return q
	}
	out := proto.Clone(q).(*pgq.SelectStmt)
	conds := conjuncts(out.GetWhereClause())
	for i, n := range out.GetFromClause() {
		out.FromClause[i] = s.withoutNone(n, conds)
	}
	out.WhereClause = ast.And(conds)
	if s.readsMoved(out, q) {
		return q
	}
	return out
}

func holdsLeftJoin(n *pgq.Node) bool {
	j := n.GetJoinExpr()
	return j != nil && (j.GetJointype() == pgq.JoinType_JOIN_LEFT || holdsLeftJoin(j.GetLarg()))
}

// withoutNone takes LEFT JOINs off the end of a chain of joins, the outermost first, as
// long as a condition asks for rows without a partner there: that one asks it in the
// other form then.
func (s *scope) withoutNone(n *pgq.Node, conds []*pgq.Node) *pgq.Node {
	j := n.GetJoinExpr()
	if j == nil || j.GetJointype() != pgq.JoinType_JOIN_LEFT || j.GetIsNatural() || len(j.GetUsingClause()) > 0 || j.GetAlias() != nil {
		return n
	}
	at := slices.IndexFunc(conds, func(c *pgq.Node) bool { return s.asksForNone(c, j.GetRarg().GetRangeVar()) })
	if at < 0 { // a row may have several partners, or its values count
		return n
	}
	conds[at] = noneIn(j)
	return s.withoutNone(j.GetLarg(), conds)
}

// asksForNone: x.c IS NULL, of a column that is NOT NULL in production and copied from
// there.
func (s *scope) asksForNone(c *pgq.Node, v *pgq.RangeVar) bool {
	test := c.GetNullTest()
	path := ast.Strings(test.GetArg().GetColumnRef().GetFields())
	if v == nil || test.GetNulltesttype() != pgq.NullTestType_IS_NULL || len(path) != 2 || path[0] != calledIn(v) {
		return false
	}
	rel := s.mark.Relation(s.mark.Tables[ast.TableName(v)])
	if rel == nil || s.isQuery(v) {
		return false
	}
	was, ok := s.copied(rel, path[1])
	return ok && was.NotNull
}

// calledIn is the name by which a query knows a table.
func calledIn(v *pgq.RangeVar) string {
	if alias := v.GetAlias().GetAliasname(); alias != "" {
		return alias
	}
	return v.GetRelname()
}

func (s *scope) isQuery(v *pgq.RangeVar) bool {
	return v.GetSchemaname() == "" && slices.ContainsFunc(s.queries, func(q query) bool { return q.name == v.GetRelname() })
}

// noneIn is NOT EXISTS (SELECT FROM what is joined WHERE what it is joined by).
func noneIn(j *pgq.JoinExpr) *pgq.Node {
	q := &pgq.SelectStmt{FromClause: []*pgq.Node{j.GetRarg()}, WhereClause: j.GetQuals(), Op: pgq.SetOperation_SETOP_NONE, LimitOption: pgq.LimitOption_LIMIT_OPTION_DEFAULT}
	return notExists(q)
}

func notExists(q *pgq.SelectStmt) *pgq.Node {
	exists := &pgq.Node{Node: &pgq.Node_SubLink{SubLink: &pgq.SubLink{SubLinkType: pgq.SubLinkType_EXISTS_SUBLINK, Subselect: &pgq.Node{Node: &pgq.Node_SelectStmt{SelectStmt: q}}}}}
	return &pgq.Node{Node: &pgq.Node_BoolExpr{BoolExpr: &pgq.BoolExpr{Boolop: pgq.BoolExprType_NOT_EXPR, Args: []*pgq.Node{exists}}}}
}

// readsMoved: a name outside of the subqueries may mean a table that was moved into
// one.
func (s *scope) readsMoved(out, q *pgq.SelectStmt) bool {
	stays := map[string]bool{}
	for _, n := range out.GetFromClause() {
		ast.Visit(n, func(m proto.Message) bool {
			if v, ok := m.(*pgq.RangeVar); ok {
				stays[calledIn(v)] = true
			}
			return true
		})
	}
	moved := map[string]bool{}
	columns := map[string]bool{}
	for _, n := range q.GetFromClause() {
		ast.Visit(n, func(m proto.Message) bool {
			if v, ok := m.(*pgq.RangeVar); ok && !stays[calledIn(v)] {
				moved[calledIn(v)] = true
				if rel := s.mark.Relation(s.mark.Tables[ast.TableName(v)]); rel != nil && !s.isQuery(v) {
					for i := range rel.Columns {
						columns[rel.Columns[i].Name] = true
					}
				}
			}
			return true
		})
	}
	found := false
	ast.Visit(out, func(m proto.Message) bool {
		switch m := m.(type) {
		case *pgq.SubLink:
			if m.GetSubLinkType() == pgq.SubLinkType_EXISTS_SUBLINK && slices.ContainsFunc(m.GetSubselect().GetSelectStmt().GetFromClause(), func(n *pgq.Node) bool {
				return moved[calledIn(n.GetRangeVar())]
			}) {
				return false // where they are now; their conditions have their names in sight
			}
		case *pgq.WithClause:
			return false
		case *pgq.ColumnRef:
			path := ast.Strings(m.GetFields())
			star := m.GetFields()[len(m.GetFields())-1].GetAStar() != nil
			found = found || star || len(path) == 1 && columns[path[0]] || len(path) > 1 && moved[path[len(path)-2]]
		}
		return !found
	})
	return found
}
