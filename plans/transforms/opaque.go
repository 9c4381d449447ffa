package transforms

import (
	"slices"

	pgq "github.com/pganalyze/pg_query_go/v6"

	"github.com/pgumbra/pgumbra/plans/syntax"
	"github.com/pgumbra/pgumbra/plans/syntax/ast"
)

// opaque judges code and statements that cannot be executed symbolically: as
// long as they change no rows of production, and nothing by them, all is well.
func (s *step) opaque() {
	var c syntax.Code
	why := unsupported("what it does to rows cannot be inferred")
	switch n := s.node.GetNode().(type) {
	case *pgq.Node_ExecuteStmt:
		s.taintAlways(s.fact, "EXECUTE of a prepared statement is not followed")
		return
	case *pgq.Node_ExplainStmt:
		if !analyzes(n.ExplainStmt) {
			return
		}
		c.Add(s.node)
	case *pgq.Node_DoStmt:
		block, err := syntax.ReadBlock(s.fact.SQL, n.DoStmt)
		if err != nil {
			why = s.failed(err)
		}
		c = block
	case *pgq.Node_CallStmt:
		c.Calls = append(c.Calls, n.CallStmt.GetFunccall())
		if len(s.functionsOf(n.CallStmt.GetFunccall())) == 0 {
			s.taintAlways(s.fact, "the body of the procedure that CALL runs is not known")
			return
		}
	default:
		c.Add(s.node)
	}
	s.followCalls(&c, map[uint32]bool{})
	s.mayRetype(s.fact, c.Text)
	if r := s.decides(c); r != nil && c.Acts() && s.does(c) {
		s.decided(verb(s.node) + " cannot be followed: " + r.text)
	}
	if c.ChangesData() {
		s.taintCode(c, why)
	}
}

// does: more than asking. A query of its own that calls nothing of effect and
// cannot fail leaves nothing behind.
func (s *step) does(c syntax.Code) bool {
	if s.node.GetSelectStmt() == nil {
		return true
	}
	return c.Defines || c.Executes || c.Raises || c.Settles || c.Unknown || c.ChangesData() || syntax.MayFail(s.node) ||
		slices.ContainsFunc(c.Calls, func(call *pgq.FuncCall) bool {
			return slices.ContainsFunc(s.functionsOf(call), func(f syntax.Function) bool { return f.Extension && f.Volatile })
		})
}

// decided reports a statement that does in production what cannot be known here.
func (s *step) decided(text string) {
	s.notices = append(s.notices, syntax.Notice{Level: syntax.Blocker, Code: CodeDecided, Object: syntax.OneLine(shorten(s.fact.SQL)), Where: where(s.fact), Opaque: true,
		Message: text + ": what it does in production is not what it did in scratch, which has no rows",
		Fix:     "move what depends on rows to a migration of its own, and run that one by hand before or after this upgrade; or replace it by statements that do the same whatever the rows hold"})
}

func analyzes(n *pgq.ExplainStmt) bool {
	return slices.ContainsFunc(n.GetOptions(), func(o *pgq.Node) bool { return o.GetDefElem().GetDefname() == "analyze" })
}

// followCalls adds what the user's own functions do that the code calls.
func (s *step) followCalls(c *syntax.Code, done map[uint32]bool) {
	for i := 0; i < len(c.Calls); i++ { // grows
		for _, f := range s.functionsOf(c.Calls[i]) {
			if done[f.OID] || !f.Own() {
				continue
			}
			done[f.OID] = true
			body, r := s.codeOf(f)
			if r != nil {
				c.Unknown = true
				continue
			}
			c.Include(body)
		}
	}
}

// functionsOf are the functions that a call may mean: as marked, else all of
// the user's of that name.
func (s *step) functionsOf(call *pgq.FuncCall) []syntax.Function {
	path := ast.Strings(call.GetFuncname())
	if list := s.before.Functions[ast.Qualified(path)]; len(list) > 0 {
		return list
	}
	var out []syntax.Function
	for _, f := range s.functions {
		if f.Name == ast.Last(path) && (len(path) == 1 || f.Schema == path[len(path)-2]) {
			out = append(out, f)
		}
	}
	return out
}
