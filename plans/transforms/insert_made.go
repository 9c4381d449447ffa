package transforms

import (
	"slices"

	pgq "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"

	"github.com/pgumbra/pgumbra/plans/syntax"
	"github.com/pgumbra/pgumbra/plans/syntax/ast"
)

// carries checks that rows which scratch holds are those that production would
// get: made up from constants and other made-up rows, also by what the
// statement calls and fires.
func (s *step) carries(rel *syntax.Relation) *reason {
	var c syntax.Code
	c.Add(s.node)
	switch {
	case len(c.Writes) > 1:
		return unsupported("it writes several tables (WITH)")
	case rel.Rules:
		return &reason{text: "the table has rules, which rewrite it", live: true}
	}
	for _, g := range rel.Triggers {
		if g.Type&triggerInsert == 0 || !enabled(g, s.before.Replica) || !g.Function.Own() {
			continue
		}
		body, r := s.codeOf(g.Function)
		if r != nil {
			return r
		}
		c.Include(body)
	}
	if r := s.defaults(&c, rel); r != nil {
		return r
	}
	s.followCalls(&c, map[uint32]bool{})
	if c.Dynamic || s.readsProduction(c) {
		s.taintCode(c, unsupported("it calls or fires code that reads or writes tables of production"))
	} else if r := s.decides(c); r != nil {
		s.taintCode(c, r)
	}
	return nil
}

// defaults adds what the columns' defaults call.
func (s *step) defaults(c *syntax.Code, rel *syntax.Relation) *reason {
	for _, column := range rel.Columns {
		for _, text := range []string{column.Default, column.DomainDefault} {
			if text == "" || column.Generated != "" {
				continue
			}
			tree, r := s.parse("SELECT " + text)
			if r != nil {
				return r
			}
			c.Add(tree.GetStmts()[0].GetStmt())
		}
	}
	return nil
}

// selectsNothing: the SELECT joins a table that never held a row, and makes no row
// of nothing.
func (s *step) selectsNothing(q *pgq.SelectStmt) bool {
	if plainSelect(q) != nil || q.GetWithClause() != nil {
		return false
	}
	f, r := flatten(q.GetFromClause())
	if r != nil || !slices.ContainsFunc(f.inner, s.neverFilled) {
		return false
	}
	aggregates := false
	ast.Visit(q, func(m proto.Message) bool {
		call, ok := m.(*pgq.FuncCall)
		aggregates = aggregates || ok && (call.GetAggStar() || len(s.functionsOf(call)) == 0 ||
			slices.ContainsFunc(s.functionsOf(call), func(f syntax.Function) bool { return f.Kind != "f" }))
		return !aggregates
	})
	return !aggregates
}

func (s *step) neverFilled(from *pgq.Node) bool {
	v := from.GetRangeVar()
	if v == nil {
		return false
	}
	rel := s.before.Relation(s.before.Tables[ast.TableName(v)])
	t := s.tables[s.before.Tables[ast.TableName(v)]]
	return rel != nil && t != nil && rel.Empty && t.source == 0 && t.tainted == nil && (t.memberOf == 0 || t.emptied) &&
		len(s.family(s.before, rel.OID, v.GetInh())) == 1
}
