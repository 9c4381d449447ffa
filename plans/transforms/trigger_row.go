package transforms

import (
	"encoding/json"
	"maps"
	"strings"

	pgq "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"

	"github.com/pgumbra/pgumbra/plans/syntax"
	"github.com/pgumbra/pgumbra/plans/syntax/ast"
	"github.com/pgumbra/pgumbra/plans/syntax/parser"
)

// touched are the rows that an UPDATE writes, as the triggers of its table see them.
type touched struct {
	scope *scope
	when  condition // nil node: all
}

// followsRow does what a BEFORE UPDATE row trigger does to the rows that a statement
// touches, where its function only assigns columns of NEW, by constants, the time,
// and other columns of NEW. False: it does more than that, and nothing was done.
func (s *step) followsRow(t *table, rel *syntax.Relation, g syntax.Trigger, rows *touched) bool {
	const kind = triggerRow | triggerBefore | triggerUpdate
	if rows == nil || g.When || g.Type&kind != kind || strings.ToLower(g.Function.Language) != "plpgsql" {
		return false
	}
	assigns, ok := s.assignsOfNew(g.Function)
	if !ok {
		return false
	}
	before := maps.Clone(t.columns)
	row := &scope{in: s.inference, mark: s.before, rel: rel, tab: t, alias: "new"}
	for _, a := range assigns {
		c := rel.Column(a.column)
		if c == nil || c.Generated != "" {
			t.columns = before
			return false
		}
		v, r := s.assigned(row, t, c, a.value, rows.when)
		if r != nil || v.tainted != nil || v.volatile {
			t.columns = before
			return false
		}
		v.functions = join(v.functions, rows.scope.functions) // of the condition
		t.columns[c.Num] = v
	}
	return true
}

// assignsOfNew are the assignments that a trigger function's body consists of; not
// ok: it has other statements, or returns something else than NEW.
func (s *step) assignsOfNew(f syntax.Function) ([]set, bool) {
	raw, err := parser.PLpgSQL(f.Definition)
	if err != nil || strings.Contains(f.Definition, "\n SET ") {
		return nil, false
	}
	body, ok := plBody(raw)
	if !ok {
		return nil, false
	}
	for _, m := range returns.FindAllStringSubmatch(syntax.StripComments(f.Source), -1) {
		if !returnsNew.MatchString(m[1]) {
			return nil, false
		}
	}
	var out []set
	for i, statement := range body {
		for kind, text := range statement {
			switch kind {
			case "PLpgSQL_stmt_assign":
				a, ok := s.assignOfNew(text)
				if !ok {
					return nil, false
				}
				out = append(out, a)
			case "PLpgSQL_stmt_return":
				if i < len(body)-2 { // the parser puts one more at the end
					return nil, false
				}
			default:
				return nil, false
			}
		}
	}
	return out, len(out) > 0
}

func (s *step) assignOfNew(raw json.RawMessage) (set, bool) {
	var a struct {
		Expr plExpr `json:"expr"`
	}
	if json.Unmarshal(raw, &a) != nil {
		return set{}, false
	}
	m := newColumn.FindStringSubmatch(a.Expr.Expr.Query)
	if m == nil {
		return set{}, false
	}
	tree, r := s.parse("SELECT " + m[2])
	if r != nil || len(tree.GetStmts()) != 1 || len(tree.GetStmts()[0].GetStmt().GetSelectStmt().GetTargetList()) != 1 ||
		len(tree.GetStmts()[0].GetStmt().GetSelectStmt().GetFromClause()) > 0 {
		return set{}, false
	}
	value := ast.Target(tree)
	plain := true
	ast.Visit(value, func(m proto.Message) bool {
		switch m := m.(type) {
		case *pgq.SubLink:
			plain = false
		case *pgq.ColumnRef:
			path := ast.Strings(m.GetFields())
			plain = plain && len(path) == 2 && path[0] == "new"
		}
		return plain
	})
	return set{foldName(m[1]), value}, plain
}

// inlined is the value of a function without arguments whose body is one expression,
// as the ones are that tell the time in a unit of their own.
func (s *scope) inlined(f syntax.Function) (*pgq.Node, bool) {
	tree, r := s.in.parse(f.Definition)
	if r != nil || len(tree.GetStmts()) != 1 || f.Set || s.in.redefined[f.OID] {
		return nil, false
	}
	made := tree.GetStmts()[0].GetStmt().GetCreateFunctionStmt()
	for _, o := range made.GetOptions() {
		if o.GetDefElem().GetDefname() == "set" {
			return nil, false
		}
	}
	body, ok := s.soleExpression(f)
	if made == nil || !ok {
		return nil, false
	}
	inner := &scope{in: s.in, mark: s.mark, depth: s.depth + 1}
	node, r := inner.expr(body)
	if r != nil {
		return nil, false
	}
	name, r := inner.castType(made.GetReturnType())
	if r != nil {
		return nil, false
	}
	s.functions = join(s.functions, inner.functions)
	s.unders = append(s.unders, inner.unders...)
	return ast.Cast(node, name), true
}

// soleExpression is what a function's body consists of: SELECT x, or RETURN x.
func (s *scope) soleExpression(f syntax.Function) (*pgq.Node, bool) {
	sql := f.Source
	switch strings.ToLower(f.Language) {
	case "plpgsql":
		raw, err := parser.PLpgSQL(f.Definition)
		if err != nil {
			return nil, false
		}
		body, ok := plBody(raw)
		if !ok || len(body) == 0 || len(body) > 2 {
			return nil, false
		}
		var first struct {
			Expr plExpr `json:"expr"`
		}
		if json.Unmarshal(body[0]["PLpgSQL_stmt_return"], &first) != nil || first.Expr.Expr.Query == "" {
			return nil, false
		}
		sql = "SELECT " + first.Expr.Expr.Query
	case "sql":
	default:
		return nil, false
	}
	tree, r := s.in.parse(sql)
	if r != nil || len(tree.GetStmts()) != 1 {
		return nil, false
	}
	q := tree.GetStmts()[0].GetStmt().GetSelectStmt()
	if len(q.GetFromClause()) > 0 || q.GetWhereClause() != nil || q.GetOp() != pgq.SetOperation_SETOP_NONE || q.GetWithClause() != nil ||
		q.GetDistinctClause() != nil || q.GetGroupClause() != nil || q.GetHavingClause() != nil || q.GetLimitCount() != nil || q.GetLimitOffset() != nil ||
		len(q.GetTargetList()) != 1 {
		return nil, false
	}
	return ast.Target(tree), true
}
