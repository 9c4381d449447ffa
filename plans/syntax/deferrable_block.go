package syntax

import (
	"encoding/json"
	"errors"
	"maps"
	"regexp"
	"slices"

	pgq "github.com/pganalyze/pg_query_go/v6"

	"github.com/pgumbra/pgumbra/plans/syntax/ast"
	"github.com/pgumbra/pgumbra/plans/syntax/parser"
)

// A DO block in PL/pgSQL whose statements are all in its text does the same wherever it runs, as
// long as the tables that it names are the same: it is as many changes as it has statements.

// steady are the statements of PL/pgSQL that do nothing but what their text says. EXECUTE, CALL,
// COMMIT and cursors are none.
var steady = []string{"block", "assign", "if", "case", "loop", "while", "fori", "fors", "foreach_a", "exit", "return", "raise", "assert", "execsql", "perform", "getdiag"}

var (
	plStatement = regexp.MustCompile(`"PLpgSQL_stmt_(\w+)"`)
	// An exception may be caught that only what comes later in the migrations raises, or raises no
	// more; a column's or a row's type is that of the day.
	caught     = regexp.MustCompile(`"PLpgSQL_exception`)
	typeOfRows = regexp.MustCompile(`(?i)%\s*(row)?type\b`)
)

// BlockChanges reads a DO statement as changes of rows, each of which asks all that the block
// asks. why: it is none, or may be another one elsewhere.
func BlockChanges(sql string, do *pgq.DoStmt) (all []Change, why string) {
	for _, a := range do.GetArgs() {
		if d := a.GetDefElem(); d.GetDefname() == "language" && d.GetArg().GetString_().GetSval() != "plpgsql" {
			return nil, "it is in another language than PL/pgSQL"
		}
	}
	raw, err := parser.PLpgSQL(sql)
	if err != nil {
		return nil, "it cannot be read"
	}
	for _, m := range plStatement.FindAllSubmatch(raw, -1) {
		if !slices.Contains(steady, string(m[1])) {
			return nil, "it executes what is not in its text, or holds a cursor"
		}
	}
	if caught.Match(raw) || typeOfRows.MatchString(StripComments(sql)) {
		return nil, "it catches errors, or has variables of a column's or a row's type"
	}
	var tree any
	if json.Unmarshal(raw, &tree) != nil {
		return nil, "it cannot be read"
	}
	var queries []PLQuery
	collectQueries(tree, &queries)
	b := block{records: map[string]bool{}, byName: map[string]bool{}}
	b.rows(tree)
	for _, q := range queries {
		if why := b.query(q); why != "" {
			return nil, why
		}
	}
	return b.together()
}

// block is what was read of one so far.
type block struct {
	records map[string]bool // variables that hold a row, by name
	byName  map[string]bool // queries whose rows they hold; false: also a list of others
	changes []Change        // those without a target only ask
}

// rows looks for what holds rows, and for the queries that these come from.
func (b *block) rows(v any) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			b.rows(e)
		}
	case map[string]any:
		if record, ok := v["PLpgSQL_rec"].(map[string]any); ok {
			name, _ := record["refname"].(string)
			b.records[name] = true
		}
		b.taken(v, "var", "query")
		b.taken(v, "target", "sqlstmt")
		for _, e := range v {
			b.rows(e)
		}
	}
}

// taken notes where a statement's rows go.
func (b *block) taken(statement map[string]any, into, query string) {
	target, takes := statement[into].(map[string]any)
	expr, asks := statement[query].(map[string]any)
	if !takes || !asks {
		return
	}
	text, _ := expr["PLpgSQL_expr"].(map[string]any)
	sql, _ := text["query"].(string)
	_, record := target["PLpgSQL_rec"]
	was, known := b.byName[sql]
	b.byName[sql] = record && (was || !known)
}

// query reads one: a statement, or an expression.
func (b *block) query(q PLQuery) (why string) {
	tree, err := parser.Parse(q.statement())
	if refused := new(parser.Refusal); errors.As(err, &refused) || len(tree.GetStmts()) != 1 {
		return "it cannot be read"
	} else if err != nil {
		return err.Error()
	}
	n := tree.GetStmts()[0].GetStmt()
	in, _ := changeOf(n)
	if in.Target == nil && n.GetSelectStmt() == nil {
		return "it changes more than rows"
	}
	fine := starsOfExists(n)
	for _, t := range n.GetSelectStmt().GetTargetList() { // of a row, by its names
		if fields := t.GetResTarget().GetVal().GetColumnRef().GetFields(); len(fields) > 0 && fields[len(fields)-1].GetAStar() != nil && b.byName[q.Query] {
			fine[t] = true
		}
	}
	wholes := namesOfTables(n)
	maps.Copy(wholes, b.records)
	why = in.look(n, fine, wholes)
	b.changes = append(b.changes, in)
	return why
}

// statement is the query as one of SQL.
func (q PLQuery) statement() string {
	switch {
	case q.Mode == 2:
		return "SELECT " + q.Query
	case q.Mode > 2:
		return "SELECT " + q.Query[len(assignment.FindString(q.Query)):]
	}
	return q.Query
}

// together is one change for each table that is written, with what all of the block asks.
func (b *block) together() (all []Change, why string) {
	ask := Change{}
	for _, c := range b.changes {
		ask.Reads, ask.Queries, ask.Calls = slices.Concat(ask.Reads, c.Reads), slices.Concat(ask.Queries, c.Queries), slices.Concat(ask.Calls, c.Calls)
		ask.Draws, ask.Bare = slices.Concat(ask.Draws, c.Draws), slices.Concat(ask.Bare, c.Bare)
		if c.Target != nil {
			ask.Reads = append(ask.Reads, c.Target)
		}
	}
	for _, c := range b.changes {
		i := slices.IndexFunc(all, func(other Change) bool { return ast.TableName(other.Target) == ast.TableName(c.Target) })
		switch {
		case c.Target == nil:
		case i < 0:
			all = append(all, Change{Target: c.Target, Reads: ask.Reads, Queries: ask.Queries, Calls: ask.Calls, Draws: ask.Draws, Bare: ask.Bare,
				Assigned: c.Assigned, Inserts: c.Inserts, Removes: c.Removes, Passes: true})
		default:
			was := &all[i]
			was.Assigned, was.Inserts, was.Removes = slices.Concat(was.Assigned, c.Assigned), was.Inserts || c.Inserts, was.Removes || c.Removes
		}
	}
	if len(all) == 0 {
		return nil, "it changes no rows"
	}
	return all, ""
}
