package syntax

import (
	"encoding/json"
	"errors"
	"regexp"
	"strings"

	pgq "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"

	"github.com/pgumbra/pgumbra/plans/syntax/ast"
	"github.com/pgumbra/pgumbra/plans/syntax/parser"
)

// write is one data-changing statement in a tree.
type write struct {
	kind    Kind
	table   *pgq.RangeVar
	columns []string // set by UPDATE; nil: unknown
}

// code is what a DO block, a function's body or a statement may do to data, as
// far as its text tells.
type code struct {
	writes  []write
	dynamic bool // words of data changes in texts that are executed
	cluster bool
	defines bool // also defines structure
	commits bool
	reads   []*pgq.RangeVar
	calls   []*pgq.FuncCall
	values  bool     // depends on more than its arguments: the clock, the session
	assigns []string // PL/pgSQL assignments
	unknown bool     // some of it could not be parsed
	text    string
	action
}

func (c *code) changesData() bool { return len(c.writes) > 0 || c.dynamic }

// doBlock reads a DO statement.
func doBlock(sql string, st *pgq.DoStmt) (code, error) {
	language, body := "plpgsql", ""
	for _, a := range st.GetArgs() {
		switch d := a.GetDefElem(); d.GetDefname() {
		case "as":
			body = d.GetArg().GetString_().GetSval()
		case "language":
			language = d.GetArg().GetString_().GetSval()
		}
	}
	return readCode(strings.ToLower(language), sql, body)
}

// readCode reads a body; whole is the statement that holds it. Only errors of
// the parser process itself are returned: what cannot be parsed is searched
// for words.
func readCode(language, whole, body string) (code, error) {
	c := code{text: stripComments(body)}
	var err error
	switch language {
	case "plpgsql":
		err = c.plpgsql(whole)
	case "sql":
		if strings.TrimSpace(body) == "" { // BEGIN ATOMIC
			body = whole
		}
		err = c.statements(body)
	default: // plpython, C: only words
		err = &parser.Refusal{Message: "language " + language}
	}
	if refused := new(parser.Refusal); errors.As(err, &refused) {
		c.unread(c.text)
		return c, nil
	}
	return c, err
}

// unread judges a text by its words alone.
func (c *code) unread(text string) {
	c.unknown = true
	c.dynamic = c.dynamic || dataWords(text)
	c.cluster = c.cluster || clusterWords.MatchString(text)
	c.commits = c.commits || commitWords.MatchString(text)
	c.defines = c.defines || defineWords.MatchString(text)
	c.raises = true
}

func (c *code) plpgsql(whole string) error {
	raw, err := parser.PLpgSQL(whole)
	if err != nil {
		return err
	}
	var tree any
	if err := json.Unmarshal(raw, &tree); err != nil {
		return &parser.Refusal{Message: err.Error()}
	}
	c.commits = strings.Contains(string(raw), "PLpgSQL_stmt_commit") || strings.Contains(string(raw), "PLpgSQL_stmt_rollback")
	c.action.plpgsql(string(raw))
	var queries []plQuery
	collectQueries(tree, &queries)
	for _, q := range queries {
		if err := c.query(q); err != nil {
			return err
		}
	}
	return nil
}

// plQuery is a SQL text in a PL/pgSQL body. Mode as in PostgreSQL's
// RawParseMode: 0 a statement, 2 an expression, above an assignment.
type plQuery struct {
	Query string `json:"query"`
	Mode  int    `json:"parseMode"`
}

func collectQueries(v any, out *[]plQuery) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			collectQueries(e, out)
		}
	case map[string]any:
		if e, ok := v["PLpgSQL_expr"].(map[string]any); ok {
			q, _ := e["query"].(string)
			mode, _ := e["parseMode"].(float64)
			*out = append(*out, plQuery{q, int(mode)})
			return
		}
		for _, e := range v {
			collectQueries(e, out)
		}
	}
}

var assignment = regexp.MustCompile(`^[^=]*?:?=`)

func (c *code) query(q plQuery) error {
	sql := q.Query
	switch {
	case q.Mode == 2:
		sql = "SELECT " + sql
	case q.Mode > 2:
		c.assigns = append(c.assigns, sql)
		sql = "SELECT " + sql[len(assignment.FindString(sql)):]
	}
	err := c.statements(sql)
	if refused := new(parser.Refusal); errors.As(err, &refused) {
		c.unread(sql)
		return nil
	}
	return err
}

func (c *code) statements(sql string) error {
	tree, err := parser.Parse(sql)
	if err != nil {
		return err
	}
	for _, s := range tree.GetStmts() {
		c.tree(s.GetStmt())
	}
	return nil
}

// tree adds what a statement does.
func (c *code) tree(n *pgq.Node) {
	c.cluster = c.cluster || isCluster(n)
	c.statement(n)
	switch n.GetNode().(type) {
	case *pgq.Node_SelectStmt, *pgq.Node_InsertStmt, *pgq.Node_UpdateStmt, *pgq.Node_DeleteStmt, *pgq.Node_MergeStmt, *pgq.Node_TruncateStmt,
		*pgq.Node_CopyStmt, *pgq.Node_ExplainStmt, *pgq.Node_DeclareCursorStmt, *pgq.Node_CallStmt:
	default:
		c.defines = true
	}
	ast.Visit(n, func(m proto.Message) bool {
		c.message(m)
		return true
	})
}

func (c *code) message(m proto.Message) {
	switch m := m.(type) {
	case *pgq.InsertStmt:
		c.write(insert, m.GetRelation(), nil)
	case *pgq.DeleteStmt:
		c.write(remove, m.GetRelation(), nil)
	case *pgq.MergeStmt:
		c.write(opaque, m.GetRelation(), nil)
	case *pgq.UpdateStmt:
		c.write(update, m.GetRelation(), targetNames(m.GetTargetList()))
	case *pgq.CopyStmt:
		if m.GetIsFrom() {
			c.write(opaque, m.GetRelation(), nil)
		}
	case *pgq.TruncateStmt:
		for _, r := range m.GetRelations() {
			c.write(truncate, r.GetRangeVar(), nil)
		}
	case *pgq.IntoClause:
		if !m.GetSkipData() {
			c.write(create, m.GetRel(), nil)
		}
	case *pgq.RangeVar:
		c.reads = append(c.reads, m)
	case *pgq.FuncCall:
		c.calls = append(c.calls, m)
		c.settles = c.settles || settling[ast.Last(ast.Strings(m.GetFuncname()))]
	case *pgq.SQLValueFunction:
		c.values = true
	case *pgq.A_Const:
		c.dynamic = c.dynamic || dataWords(m.GetSval().GetSval())
		c.action.text(m.GetSval().GetSval())
		c.cluster = c.cluster || clusterWords.MatchString(m.GetSval().GetSval())
		c.defines = c.defines || defineWords.MatchString(m.GetSval().GetSval())
	}
}

// settling functions leave something behind beside rows.
var settling = map[string]bool{"setval": true, "nextval": true, "set_config": true}

func (c *code) write(kind Kind, table *pgq.RangeVar, columns []string) {
	if table != nil {
		c.writes = append(c.writes, write{kind, table, columns})
	}
}

func targetNames(list []*pgq.Node) []string {
	out := []string{}
	for _, n := range list {
		out = append(out, n.GetResTarget().GetName())
	}
	return out
}

var (
	commitWords  = regexp.MustCompile(`(?i)\b(commit|rollback)\b`)
	defineWords  = regexp.MustCompile(`(?i)\b(create|alter|drop|grant|revoke|comment\s+on)\b`)
	clusterWords = regexp.MustCompile(`(?i)\b(create|alter|drop)\s+(role|user|group|database|tablespace|subscription)(\s|$|%|'|")|\balter\s+system\b`)

	statementWords = regexp.MustCompile(`(?i)\b(insert\s+into|delete\s+from|merge\s+into)\b|\b(insert|delete|merge|truncate|update|copy)\s+$|\bcopy\s+\S+.*\bfrom\b`)
	keyword        = regexp.MustCompile(`(?i)\b(update|truncate)\b`)
	noStatement    = regexp.MustCompile(`(?i)(\b(before|after|of|or|for|on|key|grant|revoke|select|insert|delete|references)|,)\s*$`)
	noObject       = regexp.MustCompile(`(?is)^\s*(,|\)|on\b|or\b|of\b|as\b)`)
)

// dataWords reports whether a text, perhaps a part of a statement put together
// at run time, looks like one that changes data. FOR UPDATE, ON UPDATE, AFTER
// INSERT OR UPDATE and GRANT UPDATE do not.
func dataWords(text string) bool {
	text = stripComments(text)
	if statementWords.MatchString(text) {
		return true
	}
	for _, m := range keyword.FindAllStringIndex(text, -1) {
		if !noStatement.MatchString(text[:m[0]]) && !noObject.MatchString(text[m[1]:]) && strings.TrimSpace(text[m[1]:]) != "" {
			return true
		}
	}
	return false
}

// stripComments takes SQL comments out of a text, without regard to strings:
// a comment sign inside one hides the rest of its line only, so the result is
// for searching words.
func stripComments(text string) string {
	text = blockComment.ReplaceAllString(text, " ")
	return lineComment.ReplaceAllString(text, "")
}

var (
	blockComment = regexp.MustCompile(`(?s)/\*.*?\*/`)
	lineComment  = regexp.MustCompile(`--[^\n]*`)
)
