package transforms

import (
	"slices"
	"strings"

	pgq "github.com/pganalyze/pg_query_go/v6"

	"github.com/pgumbra/pgumbra/plans/syntax"
	"github.com/pgumbra/pgumbra/plans/syntax/ast"
)

// Functions whose value is another one in each call, for texts whose names no
// mark resolved (bodies, stored defaults).
var volatileNames = map[string]bool{
	"random": true, "random_normal": true, "gen_random_uuid": true, "uuidv7": true, "uuidv4": true, "clock_timestamp": true, "timeofday": true,
	"nextval": true, "currval": true, "lastval": true, "setval": true,
	"uuid_generate_v1": true, "uuid_generate_v1mc": true, "uuid_generate_v4": true,
	"gen_random_bytes": true, "gen_salt": true, "pg_sleep": true, "set_config": true, "setseed": true,
}

// Functions whose value depends on the session or the transaction.
var sessionNames = map[string]bool{
	"current_setting": true, "current_schema": true, "current_schemas": true, "current_database": true, "current_query": true,
	"pg_backend_pid": true, "inet_client_addr": true, "inet_client_port": true, "inet_server_addr": true, "inet_server_port": true,
	"txid_current": true, "txid_current_snapshot": true, "txid_current_if_assigned": true,
	"pg_current_xact_id": true, "pg_current_snapshot": true, "pg_my_temp_schema": true,
	"pg_conf_load_time": true, "pg_postmaster_start_time": true, "version": true,
}

var nowNames = map[string]bool{"now": true, "transaction_timestamp": true, "statement_timestamp": true}

// call is a function's call over the source's row, if it depends on nothing
// else.
func (s *scope) call(n *pgq.Node, c *pgq.FuncCall) (*pgq.Node, *reason) {
	path := ast.Strings(c.GetFuncname())
	name := ast.Last(path)
	if out, is, r := s.aggregate(n, c); is {
		return out, r
	}
	if c.GetOver() != nil || c.GetAggStar() || c.GetAggDistinct() || c.GetAggOrder() != nil || c.GetAggFilter() != nil || c.GetAggWithinGroup() {
		return nil, &reason{text: overRows(name), rows: true}
	}
	candidates := s.candidates(path, len(c.GetArgs()))
	if len(candidates) == 1 && len(c.GetArgs()) == 0 && candidates[0].Own() && s.in.body(candidates[0], 0) != nil {
		if value, ok := s.inlined(candidates[0]); ok {
			return value, nil
		}
	}
	if r := s.refuse(path, len(c.GetArgs()), candidates); r != nil {
		return nil, r
	}
	if nowNames[name] && len(c.GetArgs()) == 0 && !anyOwn(candidates) {
		return s.now()
	}
	for i, a := range c.GetArgs() {
		arg, r := s.expr(a)
		if r != nil {
			return nil, r
		}
		c.Args[i] = arg
	}
	return n, s.rename(c, candidates)
}

// overRows is why the call of an aggregate or a window function is not followed.
func overRows(name string) string {
	return name + "() is a window function, or an aggregate that depends on the order of rows"
}

// candidates are the functions that a name may mean with so many arguments.
func (s *scope) candidates(path []string, args int) []syntax.Function {
	list, marked := s.mark.Functions[ast.Qualified(path)]
	if !marked {
		for _, f := range s.in.functions {
			if f.Name == ast.Last(path) && (len(path) == 1 || f.Schema == path[len(path)-2]) {
				list = append(list, f)
			}
		}
	}
	var out []syntax.Function
	for _, f := range list {
		if f.Takes(args) {
			out = append(out, f)
		}
	}
	return out
}

func (s *scope) refuse(path []string, args int, candidates []syntax.Function) *reason {
	own, name := anyOwn(candidates), ast.Last(path)
	_, marked := s.mark.Functions[ast.Qualified(path)]
	switch {
	case !own && volatileNames[name]:
		return &reason{text: name + "() gives another value in each run", volatile: true}
	case !own && sessionNames[name], !own && name == "age" && args == 1:
		return unsupported("%s() depends on when and in which session it is called", name)
	}
	for _, f := range candidates {
		switch {
		case f.Kind == "a" || f.Kind == "w":
			return &reason{text: overRows(name), rows: true}
		case f.Set:
			return &reason{text: name + " returns a set of rows", rows: true}
		case f.Own():
			if r := s.in.body(f, 0); r != nil {
				return r
			}
			if f.Definition != s.in.functions[f.OID].Definition || !marked && s.in.redefined[f.OID] {
				return changedLater(f)
			}
		case f.Volatile:
			return &reason{text: name + "() gives another value in each run", volatile: true}
		}
	}
	return nil
}

// changedLater is why what a function computed at its time is not known: the shadow
// has it as the last migration leaves it, and rows computed by that would be alike on
// both sides of each comparison, and wrong.
func changedLater(f syntax.Function) *reason {
	return unsupported("%s() is changed by the migrations, and the shadow has its last form only", f.Name)
}

func anyOwn(list []syntax.Function) bool { return slices.ContainsFunc(list, syntax.Function.Own) }

// rename lets a call lead to the function it meant, whatever the search_path.
func (s *scope) rename(c *pgq.FuncCall, candidates []syntax.Function) *reason {
	if len(candidates) == 0 || c.GetFuncformat() == pgq.CoercionForm_COERCE_SQL_SYNTAX {
		return nil
	}
	f := candidates[0]
	for _, other := range candidates {
		switch {
		case other.Schema == f.Schema:
		case !anyOwn(candidates): // an extension's beside the system's (citext): left to the search_path
			return nil
		default:
			return unsupported("which function %s means cannot be told: there are some in %s and %s", f.Name, f.Schema, other.Schema)
		}
	}
	if f.Schema == "pg_catalog" {
		return nil
	}
	c.Funcname = []*pgq.Node{pgq.MakeStrNode(f.Schema), pgq.MakeStrNode(f.Name)}
	if !f.Own() {
		return nil
	}
	for _, f := range candidates {
		s.functions = join(s.functions, []uint32{f.OID})
	}
	if s.in.o.Function == nil {
		return nil
	}
	sql, ok := s.in.o.Function(f.OID)
	if !ok {
		return unsupported("it calls %s.%s, which is not there while the shadow is built", f.Schema, f.Name)
	}
	tree, r := s.in.parse("SELECT " + sql + "()")
	if r != nil {
		return r
	}
	c.Funcname = ast.Target(tree).GetFuncCall().GetFuncname()
	return nil
}

// body is why a function of the user's is more than an expression over its
// arguments; nil: it is one. Its declared volatility is not believed: VOLATILE
// is only the default.
func (in *inference) body(f syntax.Function, depth int) *reason {
	if r, ok := in.bodies[f.OID]; ok {
		return r
	}
	in.bodies[f.OID] = nil // recursion
	r := in.readBody(f, depth)
	in.bodies[f.OID] = r
	return r
}

func (in *inference) readBody(f syntax.Function, depth int) *reason {
	c, r := in.codeOf(f)
	name := f.Name + "()"
	switch {
	case r != nil:
		return r
	case depth > 20:
		return unsupported("%s calls too deeply", name)
	case c.Unknown:
		return unsupported("the body of %s cannot be read", name)
	case c.ChangesData():
		return unsupported("%s changes data", name)
	case len(c.Reads) > 0:
		return ofOthers("%s reads tables", name)
	case c.Values:
		return unsupported("%s depends on the clock or the session", name)
	}
	for _, call := range c.Calls {
		called := ast.Last(ast.Strings(call.GetFuncname()))
		if volatileNames[called] {
			return &reason{text: name + " calls " + called + "(), which gives another value in each run", volatile: true}
		}
		if sessionNames[called] || nowNames[called] {
			return unsupported("%s calls %s(), which depends on the clock or the session", name, called)
		}
		for _, inner := range in.functions {
			if inner.Name == called && inner.Own() {
				if in.redefined[inner.OID] {
					return changedLater(inner)
				}
				if r := in.body(inner, depth+1); r != nil {
					return r
				}
			}
		}
	}
	return nil
}

func (in *inference) codeOf(f syntax.Function) (syntax.Code, *reason) {
	c, err := syntax.ReadCode(strings.ToLower(f.Language), f.Definition, f.Source)
	if err != nil {
		return c, in.failed(err)
	}
	return c, nil
}
