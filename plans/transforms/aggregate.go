package transforms

import (
	"slices"

	pgq "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"

	"github.com/pgumbra/pgumbra/plans/syntax"
	"github.com/pgumbra/pgumbra/plans/syntax/ast"
)

// Aggregates whose value does not depend on the order of rows.
var orderless = map[string]bool{"count": true, "bool_and": true, "bool_or": true, "every": true}

// aggregatesIn: a query that has one gives a row even of nothing.
func (s *scope) aggregatesIn(q *pgq.SelectStmt) bool {
	found := false
	for _, t := range q.GetTargetList() {
		ast.Visit(t, func(m proto.Message) bool {
			switch m := m.(type) {
			case *pgq.SubLink:
				return false
			case *pgq.FuncCall:
				found = found || isAggregate(m) || slices.ContainsFunc(s.candidates(ast.Strings(m.GetFuncname()), len(m.GetArgs())), func(f syntax.Function) bool { return f.Kind == "a" })
			}
			return true
		})
	}
	return found
}

// isAggregate: a call of one that is followed.
func isAggregate(c *pgq.FuncCall) bool {
	name := ast.Last(ast.Strings(c.GetFuncname()))
	return c.GetAggStar() || orderless[name] || slices.Contains([]string{"min", "max", "sum", "avg"}, name)
}

// aggregate is a call of one; not ok: the call is of something else.
func (s *scope) aggregate(n *pgq.Node, c *pgq.FuncCall) (*pgq.Node, bool, *reason) {
	name := ast.Last(ast.Strings(c.GetFuncname()))
	exact := slices.Contains([]string{"min", "max", "sum", "avg"}, name)
	inOrder := s.level != nil && s.level.elements != nil // one after the other, the same ones each time
	listed := inOrder && ordered[name] && !c.GetAggDistinct()
	if !s.aggregates || !orderless[name] && !exact && !listed {
		return nil, false, nil
	}
	if c.GetOver() != nil || c.GetAggOrder() != nil || c.GetAggWithinGroup() || anyOwn(s.candidates(ast.Strings(c.GetFuncname()), max(1, len(c.GetArgs())))) {
		return nil, true, &reason{text: overRows(name), rows: true, others: true}
	}
	if exact && !inOrder && (len(c.GetArgs()) != 1 || !s.exact(name, c.GetArgs()[0])) {
		return nil, true, &reason{text: name + "() of such values may depend on the order of rows", rows: true, others: true}
	}
	inner := s.apart()
	inner.aggregates = false // of an aggregate there is none
	for i, a := range c.GetArgs() {
		arg, r := inner.expr(a)
		if r != nil {
			return nil, true, r
		}
		c.Args[i] = arg
	}
	if c.GetAggFilter() != nil {
		filter, r := inner.expr(c.GetAggFilter())
		if r != nil {
			return nil, true, r
		}
		c.AggFilter = filter
	}
	s.functions = join(s.functions, inner.functions)
	s.unders = append(s.unders, inner.unders...)
	s.aggregated = true
	return n, true, nil
}

// exact: of equal values, all are the same, and adding does not round.
func (s *scope) exact(name string, arg *pgq.Node) bool {
	adds := name == "sum" || name == "avg"
	ok := true
	ast.Visit(arg, func(m proto.Message) bool {
		switch m := m.(type) {
		case *pgq.ColumnRef:
			typ, known := s.typeOf(ast.Strings(m.GetFields()))
			ok = ok && known && exactType(typ, adds)
		case *pgq.FuncCall, *pgq.TypeCast, *pgq.SubLink, *pgq.CaseExpr:
			ok = false
		case *pgq.A_Expr:
			op := ast.Last(ast.Strings(m.GetName()))
			ok = ok && adds && (op == "*" || op == "+" || op == "-")
		case *pgq.A_Const:
			ok = ok && m.GetIval() != nil
		}
		return ok
	})
	return ok
}

func exactType(text string, adds bool) bool {
	plain := plainType(text)
	switch {
	case isInteger(plain):
		return true
	case plain == "numeric":
		return adds || plain != text // one scale: equal values are spelt alike
	case adds:
		return false
	}
	return slices.Contains([]string{"date", "boolean", "uuid", "bytea", "timestamp without time zone", "timestamp with time zone", "time without time zone"}, plain)
}

// typeOf is the type of a column of a table in sight.
func (s *scope) typeOf(fields []string) (string, bool) {
	path, name := fields[:len(fields)-1], ast.Last(fields)
	for l := s.level; l != nil; l = l.outer {
		for _, it := range l.items {
			if it.rel == nil || len(path) > 0 && !it.called(path) {
				continue
			}
			if c := it.rel.Column(name); c != nil {
				return c.Type.Name, true
			}
		}
	}
	return "", false
}
