package syntax

import (
	"regexp"
	"strings"

	pgq "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"

	"github.com/pgumbra/pgumbra/plans/syntax/ast"
)

// What code decides by must be the same in scratch, which has production's
// structure and none of its rows. The structure itself may be read there; what
// the catalogs tell of rows, files and sessions may not.
var (
	// Relations of the system that tell of rows, sessions or files.
	liveCatalogs = regexp.MustCompile(`^(pg_stat|pg_statio|pg_statistic|pg_largeobject|pg_replication_|pg_prepared_|pg_shmem|pg_subscription_rel$|pg_sequences$|pg_locks$|pg_cursors$|pg_backend_|pg_file_settings$|pg_hba_|pg_ident_|pg_wait_|pg_aios$)`)
	// Columns likewise, in catalogs that are otherwise structure.
	liveColumns = map[string]bool{
		"reltuples": true, "relpages": true, "relallvisible": true, "relallfrozen": true, "relfilenode": true, "relfrozenxid": true, "relminmxid": true,
		"relispopulated": true, "ispopulated": true, "attmissingval": true, "atthasmissing": true, "indisvalid": true, "datfrozenxid": true,
	}
	// Executed texts that read tables. GRANT SELECT and the like are told apart by
	// what the statement was seen to lock.
	readWords = regexp.MustCompile(`(?i)\b(select|copy|perform|call|execute|merge|refresh)\b`)
	// Such words inside of these are only stored.
	storedWords = regexp.MustCompile(`(?is)^\s*create\s+(or\s+replace\s+)?(temp\w*\s+|recursive\s+|constraint\s+)*(view|function|procedure|rule|trigger|event|policy)\b`)
)

// action is what code does beyond changing rows, as far as its text tells.
type action struct {
	Rows     []*pgq.RangeVar // relations whose rows it reads or writes
	Executes bool            // runs texts put together at run time
	Reading  bool            // such texts may read tables
	Raises   bool            // may fail on purpose
	Settles  bool            // calls what changes sequences or settings
	Live     []string        // parts of the catalogs that tell of rows
	Database bool            // compares the database's name with something else than a catalog's
}

func (a *action) include(b action) {
	a.Rows = append(a.Rows, b.Rows...)
	a.Live = append(a.Live, b.Live...)
	a.Executes, a.Reading, a.Raises = a.Executes || b.Executes, a.Reading || b.Reading, a.Raises || b.Raises
	a.Settles, a.Database = a.Settles || b.Settles, a.Database || b.Database
}

// statement notes what a statement's tree reads. The tables that a definition
// names are not read: a view's or a function's body only later.
func (a *action) statement(n *pgq.Node) {
	if touchesRows(n) {
		ast.Visit(n, func(m proto.Message) bool {
			if r, ok := m.(*pgq.RangeVar); ok {
				a.Rows = append(a.Rows, r)
			}
			return true
		})
	}
	a.decidedByDatabase(n)
	ast.Visit(n, func(m proto.Message) bool {
		switch m := m.(type) {
		case *pgq.RangeVar:
			if (m.GetSchemaname() == "" || ast.SystemSchema(m.GetSchemaname())) && liveCatalogs.MatchString(m.GetRelname()) {
				a.Live = append(a.Live, m.GetRelname())
			}
		case *pgq.ColumnRef:
			if name := ast.Last(ast.Strings(m.GetFields())); liveColumns[name] {
				a.Live = append(a.Live, name)
			}
		}
		return true
	})
}

func touchesRows(n *pgq.Node) bool {
	switch s := n.GetNode().(type) {
	case *pgq.Node_SelectStmt, *pgq.Node_InsertStmt, *pgq.Node_UpdateStmt, *pgq.Node_DeleteStmt, *pgq.Node_MergeStmt, *pgq.Node_TruncateStmt,
		*pgq.Node_CopyStmt, *pgq.Node_DeclareCursorStmt, *pgq.Node_ExplainStmt, *pgq.Node_CallStmt, *pgq.Node_PrepareStmt:
		return true
	case *pgq.Node_CreateTableAsStmt:
		return !s.CreateTableAsStmt.GetInto().GetSkipData()
	}
	return false
}

// decidedByDatabase: scratch has another name, so only the comparison with what
// a catalog says of itself (table_catalog = current_database()) gives the same.
func (a *action) decidedByDatabase(n *pgq.Node) {
	total, fine := 0, 0
	ast.Visit(n, func(m proto.Message) bool {
		switch m := m.(type) {
		case *pgq.A_Expr:
			if namesDatabase(m.GetLexpr()) && m.GetRexpr().GetColumnRef() != nil || namesDatabase(m.GetRexpr()) && m.GetLexpr().GetColumnRef() != nil {
				fine++
			}
		case *pgq.FuncCall:
			if ast.Last(ast.Strings(m.GetFuncname())) == "current_database" {
				total++
			}
		case *pgq.SQLValueFunction:
			if m.GetOp() == pgq.SQLValueFunctionOp_SVFOP_CURRENT_CATALOG {
				total++
			}
		}
		return true
	})
	a.Database = a.Database || total > fine
}

func namesDatabase(n *pgq.Node) bool {
	n = ast.Uncast(n)
	return ast.Last(ast.Strings(n.GetFuncCall().GetFuncname())) == "current_database" ||
		n.GetSqlvalueFunction().GetOp() == pgq.SQLValueFunctionOp_SVFOP_CURRENT_CATALOG
}

// text notes words of a string that may be executed.
func (a *action) text(s string) {
	s = StripComments(s)
	a.Reading = a.Reading || readWords.MatchString(s) && !storedWords.MatchString(s)
}

// plpgsql notes what the tree of a body holds beside its queries.
func (a *action) plpgsql(tree string) {
	for _, part := range []string{"PLpgSQL_stmt_dynexecute", "PLpgSQL_stmt_dynfors", `"dynquery"`} {
		a.Executes = a.Executes || strings.Contains(tree, part)
	}
	a.Raises = a.Raises || strings.Contains(tree, "PLpgSQL_stmt_raise") || strings.Contains(tree, "PLpgSQL_stmt_assert")
}
