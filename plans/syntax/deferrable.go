package syntax

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	pgq "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"

	"github.com/pgumbra/pgumbra/plans/syntax/ast"
	"github.com/pgumbra/pgumbra/plans/syntax/parser"
)

// Change is a statement that changes rows of one table, by its text and by the tables that
// it names alone: it does the same wherever it runs, as long as these are the same.
type Change struct {
	Target   *pgq.RangeVar
	Reads    []*pgq.RangeVar // without the target; WITH queries, too
	Queries  []string        // names of WITH queries
	Calls    []*pgq.FuncCall // without those that draw
	Draws    []string        // sequences that it draws from by their names, without schemas
	Bare     []string        // columns that it reads without saying of which table
	Assigned []string        // columns that rows which are there get anew
	Inserts  bool            // rows
	Removes  bool
	// Passes: unique indexes decide what it does: by ON CONFLICT, or since it changes rows
	// that are there.
	Passes bool
}

// ChangeOf reads a statement as one. why: it is none, or may be another one elsewhere.
func ChangeOf(n *pgq.Node) (in Change, why string) {
	in, returning := changeOf(n)
	switch {
	case in.Target == nil:
		return in, "it changes no rows, or more than that"
	case len(returning) > 0:
		return in, "it has RETURNING"
	}
	return in, in.look(n, starsOfExists(n), namesOfTables(n))
}

// changeOf is what a statement changes, and what it returns.
func changeOf(n *pgq.Node) (in Change, returning []*pgq.Node) {
	switch x := n.GetNode().(type) {
	case *pgq.Node_InsertStmt:
		conflict := x.InsertStmt.GetOnConflictClause()
		return Change{Target: x.InsertStmt.GetRelation(), Inserts: true, Passes: conflict != nil, Assigned: Targets(conflict.GetTargetList())}, x.InsertStmt.GetReturningList()
	case *pgq.Node_UpdateStmt:
		return Change{Target: x.UpdateStmt.GetRelation(), Passes: true, Assigned: Targets(x.UpdateStmt.GetTargetList())}, x.UpdateStmt.GetReturningList()
	case *pgq.Node_DeleteStmt:
		return Change{Target: x.DeleteStmt.GetRelation(), Passes: true, Removes: true}, x.DeleteStmt.GetReturningList()
	}
	return Change{}, nil
}

// look gathers what a statement asks and calls, apart from what is fine. why: it may be another one elsewhere.
func (in *Change) look(n *pgq.Node, fine map[proto.Message]bool, tables map[string]bool) (why string) {
	ast.Visit(n, func(m proto.Message) bool {
		if why != "" || fine[m] {
			return false
		}
		switch m := m.(type) {
		case *pgq.RangeVar:
			if m != in.Target {
				in.Reads = append(in.Reads, m)
			}
		case *pgq.CommonTableExpr:
			in.Queries = append(in.Queries, m.GetCtename())
			if m.GetCtequery().GetSelectStmt() == nil {
				why = "it has a WITH clause that changes data"
			}
		case *pgq.ColumnRef:
			if name := ast.Strings(m.GetFields()); len(name) == 1 && len(m.GetFields()) == 1 {
				in.Bare = append(in.Bare, name[0])
				if tables[name[0]] {
					why = "it takes rows as a whole"
				}
			}
		case *pgq.FuncCall:
			if sequence := drawn(m); sequence != "" {
				in.Draws = append(in.Draws, sequence)
				return false
			}
			in.Calls = append(in.Calls, m)
		}
		if why == "" {
			why = whyNotElsewhere(m)
		}
		return why == ""
	})
	return why
}

// ReadInsertion reads a text as one that inserts rows; not ok: it is none.
func ReadInsertion(sql string) (in Change, ok bool) {
	if !insertWord.MatchString(sql) {
		return in, false
	}
	tree, err := parser.Parse(sql)
	if err != nil || len(tree.GetStmts()) != 1 {
		return in, false
	}
	in, why := ChangeOf(tree.GetStmts()[0].GetStmt())
	return in, why == "" && in.Inserts
}

var insertWord = regexp.MustCompile(`(?i)^\s*insert\b`)

// drawn is the sequence whose next number a call is, by a constant name of plain words; empty: it is
// none.
func drawn(call *pgq.FuncCall) string {
	if ast.Last(ast.Strings(call.GetFuncname())) != "nextval" || len(call.GetArgs()) != 1 {
		return ""
	}
	m := plainName.FindStringSubmatch(ast.Uncast(call.GetArgs()[0]).GetAConst().GetSval().GetSval())
	if m == nil {
		return ""
	}
	return m[1]
}

var plainName = regexp.MustCompile(`^(?:[a-z_][a-z0-9_$]*\.)?"?([a-z_][a-z0-9_$]*)"?$`)

// namesOfTables are those that its tables go by in a statement.
func namesOfTables(n *pgq.Node) map[string]bool {
	all := map[string]bool{}
	ast.Visit(n, func(m proto.Message) bool {
		if r, ok := m.(*pgq.RangeVar); ok {
			all[cmp.Or(r.GetAlias().GetAliasname(), r.GetRelname())] = true
		}
		return true
	})
	return all
}

// starsOfExists are the columns that EXISTS (SELECT * …) does not look at.
func starsOfExists(n *pgq.Node) map[proto.Message]bool {
	all := map[proto.Message]bool{}
	ast.Visit(n, func(m proto.Message) bool {
		if link, ok := m.(*pgq.SubLink); ok && link.GetSubLinkType() == pgq.SubLinkType_EXISTS_SUBLINK {
			for _, t := range link.GetSubselect().GetSelectStmt().GetTargetList() {
				if fields := t.GetResTarget().GetVal().GetColumnRef().GetFields(); len(fields) > 0 && fields[len(fields)-1].GetAStar() != nil {
					all[t] = true
				}
			}
		}
		return true
	})
	return all
}

// whyNotElsewhere is what makes a part of a statement another one elsewhere. What is not
// known here is such a thing.
func whyNotElsewhere(m proto.Message) string {
	switch m := m.(type) {
	case *pgq.Node, *pgq.InsertStmt, *pgq.UpdateStmt, *pgq.DeleteStmt, *pgq.MultiAssignRef, *pgq.RangeVar, *pgq.ResTarget, *pgq.List, *pgq.Alias, *pgq.OnConflictClause, *pgq.InferClause, *pgq.IndexElem,
		*pgq.A_Const, *pgq.Integer, *pgq.Float, *pgq.Boolean, *pgq.String, *pgq.BitString, *pgq.TypeCast, *pgq.SetToDefault, *pgq.A_ArrayExpr,
		*pgq.A_Expr, *pgq.BoolExpr, *pgq.NullTest, *pgq.BooleanTest, *pgq.CaseExpr, *pgq.CaseWhen, *pgq.CoalesceExpr, *pgq.MinMaxExpr, *pgq.RowExpr,
		*pgq.ColumnRef, *pgq.SubLink, *pgq.FuncCall, *pgq.RangeSubselect, *pgq.RangeFunction, *pgq.SortBy, *pgq.CollateClause,
		*pgq.WindowDef, *pgq.WithClause, *pgq.CommonTableExpr, *pgq.A_Indirection, *pgq.A_Indices:
		return ""
	case *pgq.SelectStmt:
		if m.GetIntoClause() != nil || len(m.GetLockingClause()) > 0 {
			return "its SELECT does more than select"
		}
		return ""
	case *pgq.JoinExpr:
		if m.GetIsNatural() || len(m.GetUsingClause()) > 0 {
			return "which columns it joins by depends on all that the tables have"
		}
		return ""
	case *pgq.TypeName:
		if strings.HasPrefix(ast.Last(ast.Strings(m.GetNames())), "reg") {
			return "it holds an object's number"
		}
		return ""
	case *pgq.SQLValueFunction:
		if tellsTime(m) {
			return ""
		}
		return "it asks who or where it is"
	case *pgq.A_Star:
		return "it selects all columns, whichever there are"
	}
	return "it holds what is not looked into"
}

func tellsTime(f *pgq.SQLValueFunction) bool {
	return f.GetOp() <= pgq.SQLValueFunctionOp_SVFOP_LOCALTIMESTAMP_N // from CURRENT_DATE on, in the order of the grammar
}

// Functions of the system that depend on more than their arguments, the settings and the
// time.
var elsewhere = regexp.MustCompile(`^(pg_|has_|current_|to_reg|txid_|lo_|inet_|dblink|(query|table|cursor|schema|database)_to_|(nextval|currval|lastval|setval|set_config|version|obj_description|col_description|ts_stat)$)`)

// Volatile functions that give a value as good as any other of theirs.
var anyValue = []string{"random", "gen_random_uuid", "uuid_generate_v1", "uuid_generate_v1mc", "uuid_generate_v4", "uuidv4", "uuidv7", "gen_salt", "gen_random_bytes",
	"clock_timestamp", "timeofday"}

// Portable reports whether a function gives the same wherever it is called, or a value
// that no second run repeats in place either.
func (f Function) Portable() bool {
	return !f.Own() && !elsewhere.MatchString(f.Name) && (!f.Volatile || slices.Contains(anyValue, f.Name))
}
