package syntax

import (
	"slices"

	pgq "github.com/pganalyze/pg_query_go/v6"
)

// opaque judges code and statements that cannot be executed symbolically: as
// long as they change no rows of production, and nothing by them, all is well.
func (s *step) opaque() {
	var c code
	why := because("what it does to rows cannot be inferred")
	switch n := s.node.GetNode().(type) {
	case *pgq.Node_ExecuteStmt:
		s.blameAlways(s.fact, "EXECUTE of a prepared statement is not followed")
		return
	case *pgq.Node_ExplainStmt:
		if !analyzes(n.ExplainStmt) {
			return
		}
		c.tree(s.node)
	case *pgq.Node_DoStmt:
		block, err := doBlock(s.fact.SQL, n.DoStmt)
		if err != nil {
			why = s.failed(err)
		}
		c = block
	case *pgq.Node_CallStmt:
		c.calls = append(c.calls, n.CallStmt.GetFunccall())
		if len(s.functionsOf(n.CallStmt.GetFunccall())) == 0 {
			s.blameAlways(s.fact, "the body of the procedure that CALL runs is not known")
			return
		}
	default:
		c.tree(s.node)
	}
	s.followCalls(&c, map[uint32]bool{})
	s.mayRetype(s.fact, c.text)
	if c.changesData() {
		s.blameCode(c, why)
	}
}

func analyzes(n *pgq.ExplainStmt) bool {
	return slices.ContainsFunc(n.GetOptions(), func(o *pgq.Node) bool { return o.GetDefElem().GetDefname() == "analyze" })
}

// followCalls adds what the user's own functions do that the code calls.
func (s *step) followCalls(c *code, done map[uint32]bool) {
	for i := 0; i < len(c.calls); i++ { // grows
		for _, f := range s.functionsOf(c.calls[i]) {
			if done[f.OID] || !f.own() {
				continue
			}
			done[f.OID] = true
			body, r := s.codeOf(f)
			if r != nil {
				c.unknown = true
				continue
			}
			c.include(body)
		}
	}
}

// include adds what other code does that this one calls.
func (c *code) include(body code) {
	c.writes = append(c.writes, body.writes...)
	c.reads = append(c.reads, body.reads...)
	c.calls = append(c.calls, body.calls...)
	c.dynamic = c.dynamic || body.dynamic
	c.unknown = c.unknown || body.unknown
	c.text += " " + body.text
}

// functionsOf are the functions that a call may mean: as marked, else all of
// the user's of that name.
func (s *step) functionsOf(call *pgq.FuncCall) []function {
	path := parts(call.GetFuncname())
	if list := s.before.Functions[qualified(path)]; len(list) > 0 {
		return list
	}
	var out []function
	for _, f := range s.functions {
		if f.Name == last(path) && (len(path) == 1 || f.Schema == path[len(path)-2]) {
			out = append(out, f)
		}
	}
	return out
}
