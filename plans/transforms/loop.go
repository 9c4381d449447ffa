package transforms

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	pgq "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"

	"github.com/pgumbra/pgumbra/plans/syntax"
	"github.com/pgumbra/pgumbra/plans/syntax/ast"
	"github.com/pgumbra/pgumbra/plans/syntax/parser"
)

// A loop over a query, FOR r IN SELECT … LOOP UPDATE …; END LOOP, is the UPDATE … FROM
// that query, where neither the order of its rounds counts nor what an earlier round left:
// the statement writes, by the row of the round alone, columns by which it finds no row.

// plLoop is FOR target IN query LOOP.
type plLoop struct {
	Var   map[string]plTarget `json:"var"`
	Body  []plStatement       `json:"body"`
	Query plExpr              `json:"query"`
}

// plTarget is what a loop puts a row into: a record, or one variable for each column.
type plTarget struct {
	Name   string `json:"refname"`
	Fields []struct {
		Name string `json:"name"`
	} `json:"fields"`
}

// round is a loop being unrolled.
type round struct {
	step  *step
	name  string          // of the query in FROM: the record's, or one of ours
	names []string        // of variables, one for each column; none: a record
	query *pgq.Node       // a SELECT
	reads []uint32        // tables that it reads
	wrote map[uint32]bool // by statements of the loop
}

// eachRow is the name of a loop's query where it fills variables.
const eachRow = "pgumbra_each"

// borrowedType: a variable's type is that of something else.
var borrowedType = regexp.MustCompile(`(?i)%\s*(row)?type\b`)

// loop adds a loop's statements, each as one; false: it is more than that.
func (s *step) loop(raw json.RawMessage, variables map[string]plVariable, out *branch) bool {
	var l plLoop
	if out.structure || json.Unmarshal(raw, &l) != nil || borrowedType.MatchString(s.fact.SQL) {
		return false
	}
	r := &round{step: s, wrote: map[uint32]bool{}}
	if !r.over(l.Query.Expr.Query, variables) || !r.into(l.Var, variables) {
		return false
	}
	for _, statement := range l.Body {
		var sql plSQL
		if json.Unmarshal(statement["PLpgSQL_stmt_execsql"], &sql) != nil || sql.Into {
			return false
		}
		n, ok := r.unrolled(sql.SQL.Expr.Query, variables)
		if !ok {
			return false
		}
		out.statements = append(out.statements, n)
	}
	if len(l.Body) == 1 {
		return true
	}
	// Of several statements each is done for all rows before the next: what the loop asks
	// must be none of what they write.
	return !slices.ContainsFunc(r.reads, func(oid uint32) bool { return r.wrote[oid] })
}

// over takes the loop's query.
func (r *round) over(query string, variables map[string]plVariable) bool {
	tree, why := r.step.parse(query)
	if why != nil || len(tree.GetStmts()) != 1 || tree.GetStmts()[0].GetStmt().GetSelectStmt() == nil || namesVariable(query, variables) {
		return false
	}
	r.query = tree.GetStmts()[0].GetStmt()
	var c syntax.Code
	c.Add(r.query)
	for _, table := range c.Reads {
		r.reads = append(r.reads, r.step.before.Tables[ast.TableName(table)])
	}
	return len(c.Writes) == 0
}

// namesVariable: a text names one of the body's variables, or may.
func namesVariable(sql string, variables map[string]plVariable) bool {
	for word := range wordSet(sql) {
		if _, ok := variables[strings.ToLower(word)]; ok || word == "found" {
			return true
		}
	}
	return false
}

// into takes what the loop fills. A variable must be of its column's own type: else it is
// an assignment that converts.
func (r *round) into(target map[string]plTarget, variables map[string]plVariable) bool {
	if record, ok := target["PLpgSQL_rec"]; ok {
		r.name = record.Name
		return variables[strings.ToLower(record.Name)].Record
	}
	row, ok := target["PLpgSQL_row"]
	if !ok {
		return false
	}
	r.name = eachRow
	selected := r.query.GetSelectStmt()
	if len(row.Fields) != len(selected.GetTargetList()) {
		return false
	}
	for i, field := range row.Fields {
		v, ok := variables[strings.ToLower(field.Name)]
		if !ok || v.Record || v.NotNull || typeNamed(v.Type.Type.Name) == "" || typeNamed(v.Type.Type.Name) != r.columnType(selected, i) || slices.Contains(r.names, field.Name) {
			return false
		}
		r.names = append(r.names, field.Name)
	}
	return true
}

// columnType is the type of a plain column of the one table that a query reads.
func (r *round) columnType(q *pgq.SelectStmt, i int) string {
	if len(q.GetFromClause()) != 1 || q.GetFromClause()[0].GetRangeVar() == nil {
		return ""
	}
	fields := ast.Strings(q.GetTargetList()[i].GetResTarget().GetVal().GetColumnRef().GetFields())
	rel := r.step.before.Relation(r.step.before.Tables[ast.TableName(q.GetFromClause()[0].GetRangeVar())])
	if rel == nil || len(fields) == 0 || rel.Column(ast.Last(fields)) == nil {
		return ""
	}
	return plainType(rel.Column(ast.Last(fields)).Type.Name)
}

// typeNamed is a variable's type as the catalogs write it; empty: none that a column's
// value is assigned to as it is.
func typeNamed(written string) string {
	tree, err := parser.Parse("SELECT NULL::" + written)
	if err != nil || len(tree.GetStmts()) != 1 {
		return ""
	}
	t := ast.Target(tree).GetTypeCast().GetTypeName()
	if t == nil || len(t.GetTypmods()) > 0 {
		return ""
	}
	switch name := typeText(t); name {
	case "text", "uuid", "bigint", "integer", "smallint", "date":
		return name
	case "bool":
		return "boolean"
	}
	return ""
}

// unrolled is one statement of the loop for all of its rows at once.
func (r *round) unrolled(sql string, variables map[string]plVariable) (*pgq.Node, bool) {
	tree, why := r.step.parse(sql)
	if why != nil || len(tree.GetStmts()) != 1 || r.namesOther(sql, variables) {
		return nil, false
	}
	n := tree.GetStmts()[0].GetStmt()
	if holdsQuery(n) || holdsWith(n) {
		return nil, false
	}
	switch x := n.GetNode().(type) {
	case *pgq.Node_UpdateStmt:
		return n, len(x.UpdateStmt.GetFromClause()) == 0 && r.updates(x.UpdateStmt)
	case *pgq.Node_DeleteStmt:
		return n, len(x.DeleteStmt.GetUsingClause()) == 0 && r.step.deletesAlone(x.DeleteStmt) && r.deletes(x.DeleteStmt)
	}
	return nil, false
}

func holdsWith(n *pgq.Node) bool {
	return n.GetUpdateStmt().GetWithClause() != nil || n.GetDeleteStmt().GetWithClause() != nil ||
		len(n.GetUpdateStmt().GetReturningList()) > 0 || len(n.GetDeleteStmt().GetReturningList()) > 0
}

// namesOther: the text names a variable that is not the loop's own.
func (r *round) namesOther(sql string, variables map[string]plVariable) bool {
	others := map[string]plVariable{}
	for name, v := range variables {
		if name != strings.ToLower(r.name) && !slices.Contains(r.names, name) {
			others[name] = v
		}
	}
	return namesVariable(sql, others)
}

// updates turns the loop's UPDATE into UPDATE … FROM its query.
func (r *round) updates(u *pgq.UpdateStmt) bool {
	target, ok := r.target(u.GetRelation())
	if !ok {
		return false
	}
	var assigned []string
	for _, n := range u.GetTargetList() {
		t := n.GetResTarget()
		own, ok := r.qualify(&t.Val, u.GetRelation(), target)
		if !ok || len(own) > 0 || len(t.GetIndirection()) > 0 {
			return false
		}
		assigned = append(assigned, t.GetName())
	}
	asked, ok := r.qualify(&u.WhereClause, u.GetRelation(), target)
	if !ok || slices.ContainsFunc(asked, func(c string) bool { return slices.Contains(assigned, c) }) {
		return false
	}
	u.FromClause = []*pgq.Node{r.from()}
	return true
}

func (r *round) deletes(d *pgq.DeleteStmt) bool {
	target, ok := r.target(d.GetRelation())
	if !ok {
		return false
	}
	if _, ok := r.qualify(&d.WhereClause, d.GetRelation(), target); !ok {
		return false
	}
	d.UsingClause = []*pgq.Node{r.from()}
	return true
}

// target is the table that a statement writes: another one for each statement, and one
// without triggers, which would fire in each round.
func (r *round) target(v *pgq.RangeVar) (*syntax.Relation, bool) {
	rel := r.step.before.Relation(r.step.before.Tables[ast.TableName(v)])
	if rel == nil || r.wrote[rel.OID] || len(rel.Triggers) > 0 || rel.Rules || called(v) == r.name {
		return nil, false
	}
	r.wrote[rel.OID] = true
	return rel, true
}

// called is the name of a table in its statement.
func called(v *pgq.RangeVar) string {
	if alias := v.GetAlias().GetAliasname(); alias != "" {
		return alias
	}
	return v.GetRelname()
}

// qualify lets each name say whose column it is, and returns those of the written table. Not
// ok: one is neither that nor the loop's.
func (r *round) qualify(n **pgq.Node, v *pgq.RangeVar, target *syntax.Relation) (own []string, ok bool) {
	ok = true
	out, err := ast.Rewrite(*n, func(n *pgq.Node) (*pgq.Node, error) {
		ref := n.GetColumnRef()
		if ref == nil {
			return nil, nil
		}
		path := ast.Strings(ref.GetFields())
		switch {
		case slices.ContainsFunc(ref.GetFields(), func(n *pgq.Node) bool { return n.GetAStar() != nil }):
			ok = false
		case len(path) == 1 && slices.Contains(r.names, path[0]) && target.Column(path[0]) == nil:
			return qualifiedNode(r.name, path[0]), nil
		case len(path) == 1 && target.Column(path[0]) != nil && !slices.Contains(r.names, path[0]):
			own = append(own, path[0])
			return qualifiedNode(called(v), path[0]), nil
		case len(path) == 2 && path[0] == called(v) && target.Column(path[1]) != nil:
			own = append(own, path[1])
		case len(path) == 2 && path[0] == r.name && len(r.names) == 0:
		default:
			ok = false
		}
		return n, nil
	})
	if err != nil {
		return nil, false
	}
	*n = out
	return own, ok
}

// from is the loop's query in FROM.
func (r *round) from() *pgq.Node {
	alias := &pgq.Alias{Aliasname: r.name}
	for _, name := range r.names {
		alias.Colnames = append(alias.Colnames, pgq.MakeStrNode(name))
	}
	return &pgq.Node{Node: &pgq.Node_RangeSubselect{RangeSubselect: &pgq.RangeSubselect{
		Subquery: proto.Clone(r.query).(*pgq.Node), Alias: alias}}}
}
