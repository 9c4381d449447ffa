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

// Write is one data-changing statement in a tree.
type Write struct {
	Kind    Kind
	Table   *pgq.RangeVar
	Columns []string // set by UPDATE; nil: unknown
}

// Code is what a DO block, a function's body or a statement may do to data, as
// far as its text tells.
type Code struct {
	Writes  []Write
	Dynamic bool // words of data changes in texts that are executed
	cluster bool
	Defines bool // also defines structure
	commits bool
	Reads   []*pgq.RangeVar
	Calls   []*pgq.FuncCall
	Values  bool     // depends on more than its arguments: the clock, the session
	Assigns []string // PL/pgSQL assignments
	Unknown bool     // some of it could not be parsed
	Text    string
	action
}

// Acts reports whether the code does something that a transform of rows cannot say.
func (c *Code) Acts() bool {
	return c.Defines || c.Executes || c.Raises || c.Settles || c.Unknown || !c.ChangesData()
}

// Include adds what other code does that this one calls.
func (c *Code) Include(body Code) {
	c.Writes = append(c.Writes, body.Writes...)
	c.Reads = append(c.Reads, body.Reads...)
	c.Calls = append(c.Calls, body.Calls...)
	c.Dynamic = c.Dynamic || body.Dynamic
	c.Unknown = c.Unknown || body.Unknown
	c.Defines = c.Defines || body.Defines
	c.action.include(body.action)
	c.Text += " " + body.Text
}

// ChangesData reports whether it may write rows.
func (c *Code) ChangesData() bool { return len(c.Writes) > 0 || c.Dynamic }

// ReadBlock reads a DO statement.
func ReadBlock(sql string, st *pgq.DoStmt) (Code, error) {
	language, body := "plpgsql", ""
	for _, a := range st.GetArgs() {
		switch d := a.GetDefElem(); d.GetDefname() {
		case "as":
			body = d.GetArg().GetString_().GetSval()
		case "language":
			language = d.GetArg().GetString_().GetSval()
		}
	}
	return ReadCode(strings.ToLower(language), sql, body)
}

// ReadCode reads a body; whole is the statement that holds it. Only errors of
// the parser process itself are returned: what cannot be parsed is searched
// for words.
func ReadCode(language, whole, body string) (Code, error) {
	c := Code{Text: StripComments(body)}
	var err error
	switch language {
	case "plpgsql":
		err = c.plpgsql(whole)
	case "sql":
		if strings.TrimSpace(body) == "" { // BEGIN ATOMIC
			body = whole
		}
		err = c.Statements(body)
	default: // plpython, C: only words
		err = &parser.Refusal{Message: "language " + language}
	}
	if refused := new(parser.Refusal); errors.As(err, &refused) {
		c.unread(c.Text)
		return c, nil
	}
	return c, err
}

// unread judges a text by its words alone.
func (c *Code) unread(text string) {
	c.Unknown = true
	c.Dynamic = c.Dynamic || dataWords(text)
	c.cluster = c.cluster || clusterWords.MatchString(text)
	c.commits = c.commits || commitWords.MatchString(text)
	c.Defines = c.Defines || defineWords.MatchString(text)
	c.Raises = true
}

func (c *Code) plpgsql(whole string) error {
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
	var queries []PLQuery
	collectQueries(tree, &queries)
	for _, q := range queries {
		if err := c.query(q); err != nil {
			return err
		}
	}
	return nil
}

// PLQuery is a SQL text in a PL/pgSQL body. Mode as in PostgreSQL's
// RawParseMode: 0 a statement, 2 an expression, above an assignment.
type PLQuery struct {
	Query string `json:"query"`
	Mode  int    `json:"parseMode"`
}

func collectQueries(v any, out *[]PLQuery) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			collectQueries(e, out)
		}
	case map[string]any:
		if e, ok := v["PLpgSQL_expr"].(map[string]any); ok {
			q, _ := e["query"].(string)
			mode, _ := e["parseMode"].(float64)
			*out = append(*out, PLQuery{q, int(mode)})
			return
		}
		for _, e := range v {
			collectQueries(e, out)
		}
	}
}

var assignment = regexp.MustCompile(`^[^=]*?:?=`)

func (c *Code) query(q PLQuery) error {
	sql := q.statement()
	if q.Mode > 2 {
		c.Assigns = append(c.Assigns, q.Query)
	}
	err := c.Statements(sql)
	if refused := new(parser.Refusal); errors.As(err, &refused) {
		c.unread(sql)
		return nil
	}
	return err
}

// Statements adds what each statement of a text does. Its errors are those of the parser.
func (c *Code) Statements(sql string) error {
	tree, err := parser.Parse(sql)
	if err != nil {
		return err
	}
	for _, s := range tree.GetStmts() {
		c.Add(s.GetStmt())
	}
	return nil
}

// Add adds what a statement does.
func (c *Code) Add(n *pgq.Node) {
	c.cluster = c.cluster || isCluster(n)
	c.statement(n)
	switch n.GetNode().(type) {
	case *pgq.Node_SelectStmt, *pgq.Node_InsertStmt, *pgq.Node_UpdateStmt, *pgq.Node_DeleteStmt, *pgq.Node_MergeStmt, *pgq.Node_TruncateStmt,
		*pgq.Node_CopyStmt, *pgq.Node_ExplainStmt, *pgq.Node_DeclareCursorStmt, *pgq.Node_CallStmt:
	default:
		c.Defines = true
	}
	ast.Visit(n, func(m proto.Message) bool {
		c.message(m)
		return true
	})
}

func (c *Code) message(m proto.Message) {
	switch m := m.(type) {
	case *pgq.InsertStmt:
		c.write(Insert, m.GetRelation(), nil)
	case *pgq.DeleteStmt:
		c.write(Delete, m.GetRelation(), nil)
	case *pgq.MergeStmt:
		c.write(Opaque, m.GetRelation(), nil)
	case *pgq.UpdateStmt:
		c.write(Update, m.GetRelation(), targetNames(m.GetTargetList()))
	case *pgq.CopyStmt:
		if m.GetIsFrom() {
			c.write(Opaque, m.GetRelation(), nil)
		}
	case *pgq.TruncateStmt:
		for _, r := range m.GetRelations() {
			c.write(Truncate, r.GetRangeVar(), nil)
		}
	case *pgq.IntoClause:
		if !m.GetSkipData() {
			c.write(Create, m.GetRel(), nil)
		}
	case *pgq.RangeVar:
		c.Reads = append(c.Reads, m)
	case *pgq.FuncCall:
		c.Calls = append(c.Calls, m)
		c.Settles = c.Settles || settling[ast.Last(ast.Strings(m.GetFuncname()))]
	case *pgq.SQLValueFunction:
		c.Values = true
	case *pgq.A_Const:
		c.Dynamic = c.Dynamic || dataWords(m.GetSval().GetSval())
		c.action.text(m.GetSval().GetSval())
		c.cluster = c.cluster || clusterWords.MatchString(m.GetSval().GetSval())
		c.Defines = c.Defines || defineWords.MatchString(m.GetSval().GetSval())
	}
}

// settling functions leave something behind beside rows.
var settling = map[string]bool{"setval": true, "nextval": true, "set_config": true}

func (c *Code) write(kind Kind, table *pgq.RangeVar, columns []string) {
	if table != nil {
		c.Writes = append(c.Writes, Write{kind, table, columns})
	}
}

// Targets are the columns that a list of UPDATE's assignments sets.
func Targets(list []*pgq.Node) []string { return targetNames(list) }

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
	text = StripComments(text)
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

// StripComments takes SQL comments out of a text, without regard to strings:
// a comment sign inside one hides the rest of its line only, so the result is
// for searching words.
func StripComments(text string) string {
	text = blockComment.ReplaceAllString(text, " ")
	return lineComment.ReplaceAllString(text, "")
}

var (
	blockComment = regexp.MustCompile(`(?s)/\*.*?\*/`)
	lineComment  = regexp.MustCompile(`--[^\n]*`)
)
