package transforms

import (
	"fmt"
	"slices"
	"strings"

	pgq "github.com/pganalyze/pg_query_go/v6"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/syntax/ast"
)

// A query over what one value holds, as SELECT … FROM jsonb_each(j), reads no table: it is an
// expression like any other. Its rows come in the order in which the value holds them, so
// that aggregates of which order counts give the same each time, too.

// setFunctions are those of the system that give a value's elements, by the names of what
// they return; "": of one that is called as the function is.
var setFunctions = map[string][]string{
	"jsonb_each": {"key", "value"}, "json_each": {"key", "value"}, "jsonb_each_text": {"key", "value"}, "json_each_text": {"key", "value"},
	"jsonb_array_elements": {"value"}, "json_array_elements": {"value"}, "jsonb_array_elements_text": {"value"}, "json_array_elements_text": {"value"},
	"jsonb_object_keys": {""}, "json_object_keys": {""}, "unnest": {""}, "regexp_split_to_table": {""}, "string_to_table": {""}, "generate_series": {""},
}

// ordered are aggregates that take rows as they come.
var ordered = map[string]bool{"array_agg": true, "string_agg": true, "jsonb_agg": true, "json_agg": true, "jsonb_object_agg": true, "json_object_agg": true}

// elements is such a function in FROM, alone there.
type elements struct {
	name    string // ours
	columns []string
	call    *pgq.Node // over what stands around the query
}

// openElements adds a function in FROM to a level.
func (s *scope) openElements(l *level, f *pgq.RangeFunction) *reason {
	call := f.GetFunctions()[0].GetList().GetItems()[0].GetFuncCall()
	name := ast.Last(ast.Strings(call.GetFuncname()))
	returned, known := setFunctions[name]
	switch {
	case len(l.items) > 0 || l.closed || len(f.GetFunctions()) > 1 || f.GetIsRowsfrom() || f.GetOrdinality() || len(f.GetColdeflist()) > 0:
		return ofOthers("it reads something else than tables")
	case !known || anyOwn(s.candidates(ast.Strings(call.GetFuncname()), len(call.GetArgs()))) || name == "unnest" && (len(call.GetArgs()) != 1 || !s.scalars(call.GetArgs()[0])):
		return unsupported("what %s returns is not known", name)
	}
	e := &elements{name: s.in.ownElements(), columns: slices.Clone(returned)}
	it := &item{name: name, outputs: map[string]output{}}
	if alias := f.GetAlias().GetAliasname(); alias != "" {
		it.name = alias
	}
	if r := e.called(it, f.GetAlias().GetColnames()); r != nil {
		return r
	}
	if len(e.columns) == 1 && e.columns[0] != it.name { // the whole row is the value, unless a column around is called so
		if s.rel.Column(it.name) != nil || s.joins() {
			return ofOthers("what %s means cannot be told", it.name)
		}
		it.add(it.name, output{node: qualifiedNode(e.name, e.columns[0])})
	}
	var r *reason
	e.call, r = s.around(call)
	l.elements, l.items = e, append(l.items, it)
	return r
}

// around is a call over what stands around a query.
func (s *scope) around(call *pgq.FuncCall) (*pgq.Node, *reason) {
	out := ast.Clone(&pgq.Node{Node: &pgq.Node_FuncCall{FuncCall: call}})
	for i, a := range out.GetFuncCall().GetArgs() {
		node, r := s.expr(a)
		if r != nil {
			return nil, r
		}
		if s.level == nil {
			node = s.qualified(node)
		}
		out.GetFuncCall().Args[i] = node
	}
	return out, nil
}

// called gives the columns their names: those behind the alias first.
func (e *elements) called(it *item, names []*pgq.Node) *reason {
	if len(names) > len(e.columns) {
		return ofOthers("it names more columns than the function returns")
	}
	if e.columns[0] == "" {
		e.columns[0] = it.name
	}
	for i, n := range names {
		e.columns[i] = n.GetString_().GetSval()
	}
	for _, c := range e.columns {
		it.add(c, output{node: qualifiedNode(e.name, c)})
	}
	return nil
}

// scalars: an array whose elements are no rows, of which unnest would make several columns.
func (s *scope) scalars(n *pgq.Node) bool {
	switch x := n.GetNode().(type) {
	case *pgq.Node_ColumnRef:
		fields := ast.Strings(x.ColumnRef.GetFields())
		if s.joins() || !s.names(fields[:len(fields)-1]) {
			return false
		}
		c := s.rel.Column(ast.Last(fields))
		return c != nil && c.Type.Elem != 0 && !c.Type.User
	case *pgq.Node_FuncCall:
		return slices.Contains([]string{"string_to_array", "regexp_split_to_array"}, ast.Last(ast.Strings(x.FuncCall.GetFuncname())))
	case *pgq.Node_TypeCast:
		_, own := s.typeMeant(x.TypeCast.GetTypeName())
		return !own && x.TypeCast.GetTypeName().GetArrayBounds() != nil
	}
	return false
}

// mixed: tables are read beside a value's elements, or by them, and which rows a change of
// the tables concerns cannot be told then.
func (l *level) mixed() bool {
	if len(l.tables) == 0 && len(l.lefts) == 0 {
		return false
	}
	for o := l; o != nil; o = o.outer {
		if o.elements != nil {
			return true
		}
	}
	return false
}

// arrayOf is ARRAY(SELECT … FROM unnest(…)).
func (s *scope) arrayOf(x *pgq.SubLink) (*pgq.Node, *reason) {
	l, q, r := s.subquery(x, nil)
	switch {
	case r != nil:
		return nil, r
	case l.elements == nil || l.limited || len(q.GetTargetList()) != 1 || len(q.GetDistinctClause()) > 0 || len(q.GetGroupClause()) > 0 || q.GetHavingClause() != nil || len(q.GetSortClause()) > 0:
		return nil, ofOthers("it makes an array of what comes in no order")
	}
	var value *pgq.Node
	r = s.within(l, func(inner *scope) (r *reason) {
		inner.aggregates = false
		value, r = inner.expr(q.GetTargetList()[0].GetResTarget().GetVal())
		return r
	})
	if r != nil {
		return nil, r
	}
	out, r := s.selecting(l, value)
	if r == nil {
		out.GetSubLink().SubLinkType = pgq.SubLinkType_ARRAY_SUBLINK
	}
	return out, r
}

// text is the function in FROM, with a call in the place of its own ([elements.into]).
func (e *elements) text() string {
	var columns []string
	for _, c := range e.columns {
		columns = append(columns, pg.Ident(c))
	}
	return " FROM pg_catalog.unnest(NULL) AS " + e.name + " (" + strings.Join(columns, ", ") + ")"
}

func (e *elements) into(q *pgq.SelectStmt) {
	if e != nil {
		q.GetFromClause()[0].GetRangeFunction().GetFunctions()[0].GetList().Items[0] = ast.Clone(e.call)
	}
}

func (in *inference) ownElements() string {
	in.sets++
	return fmt.Sprintf("pgumbra_s%d", in.sets)
}
