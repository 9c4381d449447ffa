package syntax

import (
	"regexp"
	"slices"
	"strings"

	pgq "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"

	"github.com/pgumbra/pgumbra/plans/syntax/ast"
	"github.com/pgumbra/pgumbra/plans/syntax/parser"
)

// Insertion is an INSERT whose rows depend on its text, and on the tables that it names,
// alone: it does the same wherever it runs, as long as these are the same.
type Insertion struct {
	Target *pgq.RangeVar
	Reads  []*pgq.RangeVar // without the target
	Calls  []*pgq.FuncCall
	// Passes: ON CONFLICT DO NOTHING, so that unique indexes decide which rows there are.
	Passes bool
}

// InsertionOf reads a statement as one. why: it is none, or may be another one elsewhere.
func InsertionOf(n *pgq.Node) (in Insertion, why string) {
	insert := n.GetInsertStmt()
	switch conflict := insert.GetOnConflictClause(); {
	case insert == nil:
		return in, "it is no INSERT"
	case len(insert.GetReturningList()) > 0:
		return in, "it has RETURNING"
	case conflict != nil && conflict.GetAction() != pgq.OnConflictAction_ONCONFLICT_NOTHING:
		return in, "it changes rows that are in the way"
	default:
		in.Target, in.Passes = insert.GetRelation(), conflict != nil
	}
	fine := starsOfExists(n)
	ast.Visit(n, func(m proto.Message) bool {
		if why != "" || fine[m] {
			return false
		}
		switch m := m.(type) {
		case *pgq.RangeVar:
			if m != in.Target {
				in.Reads = append(in.Reads, m)
			}
		case *pgq.FuncCall:
			in.Calls = append(in.Calls, m)
		}
		why = whyNotElsewhere(m)
		return why == ""
	})
	return in, why
}

// ReadInsertion reads a text as one; not ok: it is none.
func ReadInsertion(sql string) (in Insertion, ok bool) {
	if !insertWord.MatchString(sql) {
		return in, false
	}
	tree, err := parser.Parse(sql)
	if err != nil || len(tree.GetStmts()) != 1 {
		return in, false
	}
	in, why := InsertionOf(tree.GetStmts()[0].GetStmt())
	return in, why == ""
}

var insertWord = regexp.MustCompile(`(?i)^\s*insert\b`)

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
	case *pgq.Node, *pgq.InsertStmt, *pgq.RangeVar, *pgq.ResTarget, *pgq.List, *pgq.Alias, *pgq.OnConflictClause, *pgq.InferClause, *pgq.IndexElem,
		*pgq.A_Const, *pgq.Integer, *pgq.Float, *pgq.Boolean, *pgq.String, *pgq.BitString, *pgq.TypeCast, *pgq.SetToDefault, *pgq.A_ArrayExpr,
		*pgq.A_Expr, *pgq.BoolExpr, *pgq.NullTest, *pgq.BooleanTest, *pgq.CaseExpr, *pgq.CaseWhen, *pgq.CoalesceExpr, *pgq.MinMaxExpr, *pgq.RowExpr,
		*pgq.ColumnRef, *pgq.SubLink, *pgq.FuncCall, *pgq.RangeSubselect, *pgq.RangeFunction, *pgq.SortBy, *pgq.CollateClause:
		return ""
	case *pgq.SelectStmt:
		if m.GetWithClause() != nil || m.GetIntoClause() != nil || len(m.GetLockingClause()) > 0 {
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
