package transforms

import (
	pgq "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"

	"github.com/pgumbra/pgumbra/plans/syntax/ast"
)

// WITH moved AS (DELETE FROM t … RETURNING …) INSERT INTO u SELECT … FROM moved is two
// statements: the INSERT out of the rows that go, and then the DELETE. Both parts see the
// rows of before, so it is exact where the DELETE asks nothing of what the other writes, and
// takes nothing along.

// splitWith are the two statements; nil: it is not of that kind.
func (s *step) splitWith() (main, removal *step) {
	with := withOf(s.node)
	if with == nil || with.GetRecursive() {
		return nil, nil
	}
	at := -1
	for i, n := range with.GetCtes() {
		if n.GetCommonTableExpr().GetCtequery().GetSelectStmt() != nil {
			continue
		}
		if at >= 0 {
			return nil, nil
		}
		at = i
	}
	if at < 0 {
		return nil, nil
	}
	d := with.GetCtes()[at].GetCommonTableExpr().GetCtequery().GetDeleteStmt()
	if d == nil || !s.goesAlone(d) {
		return nil, nil
	}
	node := ast.Clone(s.node)
	withOf(node).GetCtes()[at].GetCommonTableExpr().Ctequery = rowsThatGo(d)
	gone := proto.Clone(d).(*pgq.DeleteStmt)
	gone.ReturningList = nil
	return s.with(node), s.with(&pgq.Node{Node: &pgq.Node_DeleteStmt{DeleteStmt: gone}})
}

// with is a step of a part of the statement.
func (s *step) with(node *pgq.Node) *step {
	return &step{inference: s.inference, fact: s.fact, node: node, before: s.before, after: s.after, part: true}
}

func withOf(n *pgq.Node) *pgq.WithClause {
	switch x := n.GetNode().(type) {
	case *pgq.Node_InsertStmt:
		return x.InsertStmt.GetWithClause()
	case *pgq.Node_UpdateStmt:
		return x.UpdateStmt.GetWithClause()
	case *pgq.Node_DeleteStmt:
		return x.DeleteStmt.GetWithClause()
	}
	return nil
}

// goesAlone: the DELETE is of one table by its own rows, no trigger fires for them, no
// foreign key leads to them or from what the statement writes else, and that is another
// table.
func (s *step) goesAlone(d *pgq.DeleteStmt) bool {
	gone := s.before.Relation(s.before.Tables[ast.TableName(d.GetRelation())])
	written := s.before.Relation(s.before.Tables[ast.TableName(targetOf(s.node))])
	if gone == nil || written == nil || gone.OID == written.OID || !s.alone(gone) || !s.alone(written) || gone.Rules || len(gone.References) > 0 {
		return false
	}
	for _, r := range written.References {
		if r.Table == gone.OID {
			return false
		}
	}
	for _, t := range gone.Triggers {
		if t.Type&triggerDelete != 0 {
			return false
		}
	}
	return d.GetWithClause() == nil && len(d.GetUsingClause()) == 0 && len(d.GetReturningList()) > 0 && !holdsQuery(&pgq.Node{Node: &pgq.Node_DeleteStmt{DeleteStmt: d}})
}

func targetOf(n *pgq.Node) *pgq.RangeVar {
	switch x := n.GetNode().(type) {
	case *pgq.Node_InsertStmt:
		return x.InsertStmt.GetRelation()
	case *pgq.Node_UpdateStmt:
		return x.UpdateStmt.GetRelation()
	case *pgq.Node_DeleteStmt:
		return x.DeleteStmt.GetRelation()
	}
	return nil
}

// rowsThatGo is a query of what a DELETE returns.
func rowsThatGo(d *pgq.DeleteStmt) *pgq.Node {
	q := &pgq.SelectStmt{Op: pgq.SetOperation_SETOP_NONE, LimitOption: pgq.LimitOption_LIMIT_OPTION_DEFAULT}
	for _, n := range d.GetReturningList() {
		q.TargetList = append(q.TargetList, ast.Clone(n))
	}
	from := proto.Clone(d.GetRelation()).(*pgq.RangeVar)
	q.FromClause = []*pgq.Node{{Node: &pgq.Node_RangeVar{RangeVar: from}}}
	q.WhereClause = ast.Clone(d.GetWhereClause())
	return &pgq.Node{Node: &pgq.Node_SelectStmt{SelectStmt: q}}
}
