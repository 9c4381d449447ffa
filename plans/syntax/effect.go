package syntax

import (
	pgq "github.com/pganalyze/pg_query_go/v6"

	"github.com/pgumbra/pgumbra/plans/syntax/parser"
)

// Effect is what a statement may do to rows that are there, as far as its text tells.
// The zero value: nothing. What functions that it calls, triggers and cascades write
// is not in it.
type Effect struct {
	Schema, Table string   // that it writes; empty: none
	Columns       []string // that it sets, of UPDATE; empty: whole rows
	Opaque        bool     // it may write each table that it names
}

// EffectOf reads one statement. One that cannot be parsed may do anything.
func EffectOf(sql string) Effect {
	tree, err := parser.Parse(sql)
	if err != nil || len(tree.GetStmts()) != 1 {
		return Effect{Opaque: true}
	}
	switch s := tree.GetStmts()[0].GetStmt().GetNode().(type) {
	case *pgq.Node_UpdateStmt:
		return effectOn(s.UpdateStmt.GetRelation(), s.UpdateStmt.GetWithClause(), targetNames(s.UpdateStmt.GetTargetList()))
	case *pgq.Node_InsertStmt:
		return effectOn(s.InsertStmt.GetRelation(), s.InsertStmt.GetWithClause(), nil)
	case *pgq.Node_DeleteStmt:
		return effectOn(s.DeleteStmt.GetRelation(), s.DeleteStmt.GetWithClause(), nil)
	case *pgq.Node_SelectStmt:
		return Effect{Opaque: s.SelectStmt.GetWithClause() != nil}
	case *pgq.Node_DoStmt, *pgq.Node_CallStmt, *pgq.Node_CreateFunctionStmt, *pgq.Node_MergeStmt, *pgq.Node_CopyStmt,
		*pgq.Node_TruncateStmt, *pgq.Node_RuleStmt, *pgq.Node_ExecuteStmt, *pgq.Node_PrepareStmt:
		return Effect{Opaque: true}
	}
	return Effect{}
}

func effectOn(r *pgq.RangeVar, with *pgq.WithClause, columns []string) Effect {
	if with != nil { // which may write, too
		return Effect{Opaque: true}
	}
	return Effect{Schema: r.GetSchemaname(), Table: r.GetRelname(), Columns: columns}
}
