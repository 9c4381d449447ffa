package syntax

import (
	pgq "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"

	"github.com/pgumbra/pgumbra/plans/syntax/ast"
	"github.com/pgumbra/pgumbra/plans/syntax/parser"
)

// Effect is what a statement may do to rows that are there, as far as its text tells.
// The zero value: nothing. What functions that it calls, triggers and cascades write
// is not in it.
type Effect struct {
	Schema, Table string   // that it writes; empty: none
	Columns       []string // that it sets, of UPDATE; empty: whole rows
	Opaque        bool     // it may write each table that it names
	// Updates are all that it says of rows which get other values, in WITH, ON CONFLICT and
	// DO blocks, too.
	Updates []Write
}

// EffectOf reads one statement. One that cannot be parsed may do anything.
func EffectOf(sql string) Effect {
	tree, err := parser.Parse(sql)
	if err != nil || len(tree.GetStmts()) != 1 {
		return Effect{Opaque: true}
	}
	n := tree.GetStmts()[0].GetStmt()
	e := effectOf(n)
	e.Updates = updatesOf(n, sql)
	return e
}

func updatesOf(n *pgq.Node, sql string) (all []Write) {
	var c Code
	if do := n.GetDoStmt(); do != nil {
		c, _ = ReadBlock(sql, do) // what cannot be read is opaque
	} else {
		c.Add(n)
	}
	for _, w := range c.Writes {
		if w.Kind == Update {
			all = append(all, w)
		}
	}
	ast.Visit(n, func(m proto.Message) bool {
		if in, ok := m.(*pgq.InsertStmt); ok && in.GetOnConflictClause() != nil {
			all = append(all, Write{Update, in.GetRelation(), targetNames(in.GetOnConflictClause().GetTargetList())})
		}
		return true
	})
	return all
}

func effectOf(n *pgq.Node) Effect {
	switch s := n.GetNode().(type) {
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
