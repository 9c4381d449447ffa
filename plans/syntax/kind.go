package syntax

import (
	pgq "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"

	"github.com/pgumbra/pgumbra/plans/syntax/ast"
)

// kindOf tells what a statement may do to rows; "" is nothing of interest.
func kindOf(n *pgq.Node) Kind {
	switch s := n.GetNode().(type) {
	case *pgq.Node_AlterTableStmt:
		return Alter
	case *pgq.Node_UpdateStmt:
		return Update
	case *pgq.Node_DeleteStmt:
		return Delete
	case *pgq.Node_InsertStmt:
		return Insert
	case *pgq.Node_TruncateStmt:
		return Truncate
	case *pgq.Node_CreateTableAsStmt:
		if s.CreateTableAsStmt.GetObjtype() == pgq.ObjectType_OBJECT_TABLE && !s.CreateTableAsStmt.GetInto().GetSkipData() {
			return Create
		}
	case *pgq.Node_SelectStmt:
		return selectKind(s.SelectStmt)
	case *pgq.Node_DoStmt, *pgq.Node_CallStmt, *pgq.Node_MergeStmt, *pgq.Node_ExecuteStmt, *pgq.Node_ExplainStmt:
		return Opaque
	case *pgq.Node_CopyStmt:
		return Opaque
	case *pgq.Node_IndexStmt:
		if !s.IndexStmt.GetConcurrent() {
			return Index
		}
	case *pgq.Node_AlterEnumStmt:
		if s.AlterEnumStmt.GetOldVal() != "" {
			return Relabel
		}
	case *pgq.Node_RenameStmt:
		if renamesColumn(s.RenameStmt) {
			return Rename
		}
	}
	return ""
}

func renamesColumn(s *pgq.RenameStmt) bool {
	return s.GetRenameType() == pgq.ObjectType_OBJECT_COLUMN && s.GetRelationType() == pgq.ObjectType_OBJECT_TABLE
}

// selectKind: SELECT INTO makes a table; one that calls functions or holds
// data-changing CTEs may do anything.
func selectKind(s *pgq.SelectStmt) Kind {
	if s.GetIntoClause() != nil {
		return Create
	}
	found := Kind("")
	ast.Visit(s, func(m proto.Message) bool {
		switch m.(type) {
		case *pgq.FuncCall, *pgq.InsertStmt, *pgq.UpdateStmt, *pgq.DeleteStmt, *pgq.MergeStmt:
			found = Opaque
		}
		return found == ""
	})
	if found == "" && MayFail(&pgq.Node{Node: &pgq.Node_SelectStmt{SelectStmt: s}}) {
		return Opaque
	}
	return found
}

// MayFail reports whether a query over rows divides or casts: some migrations stop by one
// where the rows are not as they should be.
func MayFail(n *pgq.Node) bool {
	reads, fails := false, false
	ast.Visit(n, func(m proto.Message) bool {
		switch m := m.(type) {
		case *pgq.RangeVar:
			reads = true
		case *pgq.TypeCast:
			fails = fails || m.GetArg().GetAConst() == nil
		case *pgq.A_Expr:
			op := ast.Last(ast.Strings(m.GetName()))
			fails = fails || op == "/" || op == "%"
		}
		return true
	})
	return reads && fails
}

// isConcurrent: statements with the word CONCURRENTLY that refuse transactions.
func isConcurrent(n *pgq.Node) bool {
	switch s := n.GetNode().(type) {
	case *pgq.Node_IndexStmt:
		return s.IndexStmt.GetConcurrent()
	case *pgq.Node_DropStmt:
		return s.DropStmt.GetConcurrent()
	case *pgq.Node_ReindexStmt:
		for _, p := range s.ReindexStmt.GetParams() {
			if p.GetDefElem().GetDefname() == "concurrently" {
				return true
			}
		}
	case *pgq.Node_AlterTableStmt:
		for _, c := range s.AlterTableStmt.GetCmds() {
			if c.GetAlterTableCmd().GetDef().GetPartitionCmd().GetConcurrent() {
				return true
			}
		}
	}
	return false
}

// needsNoTransaction: maintenance that refuses transactions and changes no
// structure.
func needsNoTransaction(n *pgq.Node) bool {
	switch s := n.GetNode().(type) {
	case *pgq.Node_VacuumStmt:
		return s.VacuumStmt.GetIsVacuumcmd()
	case *pgq.Node_ReindexStmt:
		k := s.ReindexStmt.GetKind()
		return k == pgq.ReindexObjectType_REINDEX_OBJECT_DATABASE || k == pgq.ReindexObjectType_REINDEX_OBJECT_SYSTEM ||
			k == pgq.ReindexObjectType_REINDEX_OBJECT_SCHEMA
	case *pgq.Node_ClusterStmt:
		return s.ClusterStmt.GetRelation() == nil
	}
	return false
}
