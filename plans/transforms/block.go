package transforms

import (
	"encoding/json"
	"slices"
	"strings"

	pgq "github.com/pganalyze/pg_query_go/v6"

	"github.com/pgumbra/pgumbra/plans/syntax"
	"github.com/pgumbra/pgumbra/plans/syntax/ast"
	"github.com/pgumbra/pgumbra/plans/syntax/parser"
)

// A DO block that is a list of plain statements, some of them perhaps under IF or in a
// loop over a query, is followed statement by statement. Which branch it went is not computed but seen:
// by the tables that it was seen to lock for writing.

// plStatement is a statement of a PL/pgSQL body: its kind, as libpg_query's JSON
// has it, and what it holds.
type plStatement map[string]json.RawMessage

type plExpr struct {
	Expr syntax.PLQuery `json:"PLpgSQL_expr"`
}

type plBlock struct {
	Body       []plStatement   `json:"body"`
	Exceptions json.RawMessage `json:"exceptions"`
}

type plIf struct {
	Cond    plExpr        `json:"cond"`
	Then    []plStatement `json:"then_body"`
	ElseIfs []struct {
		Branch struct {
			Cond  plExpr        `json:"cond"`
			Stmts []plStatement `json:"stmts"`
		} `json:"PLpgSQL_if_elsif"`
	} `json:"elsif_list"`
	Else []plStatement `json:"else_body"`
}

type plSQL struct {
	SQL  plExpr `json:"sqlstmt"`
	Into bool   `json:"into"`
}

type plRaise struct {
	Level  int      `json:"elog_level"`
	Params []plExpr `json:"params"`
}

// raiseWarning is the highest elog_level that leaves the statement going.
const raiseWarning = 19

// branch is a list of statements that run together, and the choices among them.
type branch struct {
	statements []*pgq.Node
	choices    [][]branch
	// structure: statements of structure follow, which are read off scratch afterwards.
	structure bool
}

// block reads a DO statement as plain statements under conditions; not ok: it is
// more than that.
func (s *step) block(do *pgq.DoStmt) (branch, bool) {
	for _, a := range do.GetArgs() {
		if d := a.GetDefElem(); d.GetDefname() == "language" && strings.ToLower(d.GetArg().GetString_().GetSval()) != "plpgsql" {
			return branch{}, false
		}
	}
	raw, err := parser.PLpgSQL(s.fact.SQL)
	if err != nil {
		return branch{}, false
	}
	body, variables, ok := plRead(raw)
	if !ok || !s.askedFirst(variables) {
		return branch{}, false
	}
	var out branch
	return out, s.branch(body, variables, &out)
}

// plBody are the statements of a body without variables, loops and handlers of its
// own, as libpg_query's JSON has them. What a trigger function is given counts as none.
func plBody(raw []byte) ([]plStatement, bool) {
	body, variables, ok := plRead(raw)
	return body, ok && len(variables) == 0
}

// plVariable is a variable of a body's own.
type plVariable struct {
	Name    string  `json:"refname"`
	Default *plExpr `json:"default_val"`
	NotNull bool    `json:"notnull"`
	Type    struct {
		Type struct {
			Name string `json:"typname"`
		} `json:"PLpgSQL_type"`
	} `json:"datatype"`
	Record bool `json:"-"`
}

// plRead reads a body without handlers, and its variables by their names; not ok: some
// are no plain ones.
func plRead(raw []byte) (body []plStatement, variables map[string]plVariable, ok bool) {
	var all []struct {
		Function struct {
			Datums []map[string]plVariable `json:"datums"`
			Action struct {
				Block plBlock `json:"PLpgSQL_stmt_block"`
			} `json:"action"`
		} `json:"PLpgSQL_function"`
	}
	if json.Unmarshal(raw, &all) != nil || len(all) != 1 || all[0].Function.Action.Block.Exceptions != nil {
		return nil, nil, false
	}
	variables = map[string]plVariable{}
	for _, datum := range all[0].Function.Datums {
		for kind, d := range datum {
			switch {
			case given[d.Name] || strings.HasPrefix(d.Name, "tg_") || kind == "PLpgSQL_row" && d.Name == unnamedRow:
			case kind != "PLpgSQL_var" && kind != "PLpgSQL_rec":
				return nil, nil, false
			default:
				d.Record = kind == "PLpgSQL_rec"
				variables[strings.ToLower(d.Name)] = d
			}
		}
	}
	return all[0].Function.Action.Block.Body, variables, true
}

// unnamedRow is what INTO with a list of variables is called.
const unnamedRow = "(unnamed row)"

// given are the variables that each body has; the fields of NEW and OLD are among
// its data without a name.
var given = map[string]bool{"": true, "found": true, "new": true, "old": true}

// askedFirst: variables have their values from expressions and queries that are the same
// in production as in scratch. So are conditions over them then.
func (s *step) askedFirst(variables map[string]plVariable) bool {
	for _, v := range variables {
		if v.Default != nil && !s.asksNoRows(*v.Default) {
			return false
		}
	}
	return true
}

// branch adds a list of statements; false: one is more than a plain one.
func (s *step) branch(body []plStatement, variables map[string]plVariable, out *branch) bool {
	for i, statement := range body {
		for kind, raw := range statement {
			switch kind {
			case "PLpgSQL_stmt_execsql":
				if !s.asksInto(raw) && !s.plain(raw, variables, out) {
					return false
				}
			case "PLpgSQL_stmt_if":
				if !s.choice(raw, variables, out) {
					return false
				}
			case "PLpgSQL_stmt_fors":
				if !s.loop(raw, variables, out) {
					return false
				}
			case "PLpgSQL_stmt_raise":
				if !s.notice(raw) {
					return false
				}
			case "PLpgSQL_stmt_return": // at the end, where the parser puts it
				if i < len(body)-1 {
					return false
				}
			default:
				return false
			}
		}
	}
	return true
}

// asksInto: SELECT … INTO a variable, which asks no rows.
func (s *step) asksInto(raw json.RawMessage) bool {
	var sql plSQL
	return json.Unmarshal(raw, &sql) == nil && sql.Into && s.sameInProduction(sql.SQL.Expr.Query)
}

// plain adds a statement that changes rows, or one of structure behind all of those.
func (s *step) plain(raw json.RawMessage, variables map[string]plVariable, out *branch) bool {
	var sql plSQL
	if json.Unmarshal(raw, &sql) != nil || sql.Into {
		return false
	}
	tree, r := s.parse(sql.SQL.Expr.Query)
	if r != nil || len(tree.GetStmts()) != 1 {
		return false
	}
	if namesVariable(sql.SQL.Expr.Query, variables) {
		return false
	}
	n := tree.GetStmts()[0].GetStmt()
	if ofStructure(n) {
		out.structure = true
		return true
	}
	if out.structure || n.GetUpdateStmt() == nil && n.GetInsertStmt() == nil && !s.deletesAlone(n.GetDeleteStmt()) {
		return false
	}
	out.statements = append(out.statements, n)
	return true
}

// ofStructure: a statement after which the rows of a table are what they were.
func ofStructure(n *pgq.Node) bool {
	switch x := n.GetNode().(type) {
	case *pgq.Node_IndexStmt, *pgq.Node_CommentStmt, *pgq.Node_DropStmt:
		return true
	case *pgq.Node_AlterTableStmt:
		return !slices.ContainsFunc(x.AlterTableStmt.GetCmds(), func(c *pgq.Node) bool { return !keepsRows[c.GetAlterTableCmd().GetSubtype()] })
	}
	return false
}

var keepsRows = map[pgq.AlterTableType]bool{
	pgq.AlterTableType_AT_ColumnDefault: true, pgq.AlterTableType_AT_SetNotNull: true, pgq.AlterTableType_AT_DropNotNull: true, pgq.AlterTableType_AT_DropColumn: true,
	pgq.AlterTableType_AT_AddConstraint: true, pgq.AlterTableType_AT_DropConstraint: true, pgq.AlterTableType_AT_ValidateConstraint: true,
}

// deletesAlone: no foreign key leads to what is deleted. Where one does, the trace of
// a DELETE of its own has the tables that it leads to.
func (s *step) deletesAlone(d *pgq.DeleteStmt) bool {
	rel := s.before.Relation(s.before.Tables[ast.TableName(d.GetRelation())])
	return d != nil && rel != nil && len(rel.References) == 0
}

func namesFound(sql string) bool { return wordSet(sql)["found"] }

// notice: it only says something.
func (s *step) notice(raw json.RawMessage) bool {
	var raise plRaise
	if json.Unmarshal(raw, &raise) != nil || raise.Level > raiseWarning {
		return false
	}
	return !slices.ContainsFunc(raise.Params, func(p plExpr) bool { return !s.asksNoRows(p) })
}

func (s *step) choice(raw json.RawMessage, variables map[string]plVariable, out *branch) bool {
	var choose plIf
	if json.Unmarshal(raw, &choose) != nil || !s.asksNoRows(choose.Cond) {
		return false
	}
	branches := make([]branch, 1, 2+len(choose.ElseIfs))
	if !s.branch(choose.Then, variables, &branches[0]) {
		return false
	}
	for _, e := range choose.ElseIfs {
		var other branch
		if !s.asksNoRows(e.Branch.Cond) || !s.branch(e.Branch.Stmts, variables, &other) {
			return false
		}
		branches = append(branches, other)
	}
	var otherwise branch
	if !s.branch(choose.Else, variables, &otherwise) {
		return false
	}
	out.choices = append(out.choices, append(branches, otherwise))
	return true
}

// asksNoRows: an expression that is the same in production as in scratch, and does
// nothing but be computed.
func (s *step) asksNoRows(e plExpr) bool { return s.sameInProduction("SELECT " + e.Expr.Query) }

func (s *step) sameInProduction(query string) bool {
	var c syntax.Code
	if c.Statements(query) != nil || c.ChangesData() || c.Executes || c.Unknown || namesFound(query) || s.decides(c) != nil {
		return false
	}
	for _, call := range c.Calls {
		if anyOwn(s.functionsOf(call)) || volatileNames[ast.Last(ast.Strings(call.GetFuncname()))] {
			return false
		}
	}
	return true
}

// followBlock follows a DO block; false: it is not one that can be followed, and
// nothing has been done about it.
func (s *step) followBlock(do *pgq.DoStmt) bool {
	if !s.fact.Marked || s.after.Tables == nil {
		return false
	}
	whole, ok := s.block(do)
	if !ok {
		return false
	}
	way, ok := s.way(whole)
	if !ok || len(way) == 0 {
		return false
	}
	for _, n := range way {
		s.with(n).run()
	}
	return true
}

// way are the statements that the block ran. Of each choice one branch must have
// been seen to write what none of the others does, nor anything outside.
func (s *step) way(b branch) ([]*pgq.Node, bool) {
	out := slices.Clone(b.statements)
	if len(b.choices) == 0 {
		return out, true
	}
	if len(b.choices) > 1 || len(b.statements) > 0 || b.structure {
		return nil, false
	}
	if slices.ContainsFunc(b.choices[0], func(one branch) bool { return one.structure }) {
		full := slices.DeleteFunc(slices.Clone(b.choices[0]), branch.empty)
		if len(full) != 1 { // another one may lock the same tables without writing rows
			return nil, false
		}
	}
	var taken []*pgq.Node
	tables := map[uint32]int{} // in how many branches
	for _, one := range b.choices[0] {
		mine, seen, ok := s.writtenBy(one)
		for _, oid := range mine {
			tables[oid]++
		}
		switch {
		case !ok || seen > 0 && (seen < len(mine) || taken != nil):
			return nil, false
		case seen > 0:
			taken = one.statements
		}
	}
	for _, n := range taken {
		if tables[s.before.Tables[ast.TableName(writesOf(n)[0].Table)]] > 1 {
			return nil, false
		}
	}
	return taken, taken != nil
}

// writtenBy are the tables that a branch's statements write, and how many of them the
// block was the first of its transaction to write. Not ok: that cannot be told.
func (s *step) writtenBy(b branch) (mine []uint32, seen int, ok bool) {
	for _, n := range b.statements {
		for _, w := range writesOf(n) {
			oid, known := s.before.Tables[ast.TableName(w.Table)]
			if !known || slices.Contains(s.before.Written, oid) {
				return nil, 0, false
			}
			if !slices.Contains(mine, oid) {
				mine = append(mine, oid)
			}
		}
	}
	for _, oid := range mine {
		if slices.Contains(s.after.Written, oid) {
			seen++
		}
	}
	return mine, seen, len(b.choices) == 0
}

func (b branch) empty() bool { return len(b.statements) == 0 && len(b.choices) == 0 && !b.structure }

func writesOf(n *pgq.Node) []syntax.Write {
	var c syntax.Code
	c.Add(n)
	return c.Writes
}
