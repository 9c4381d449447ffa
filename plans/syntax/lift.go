package syntax

import (
	pgq "github.com/pganalyze/pg_query_go/v6"
)

// liftable reports whether a statement may be run with rights that the rest of the
// migration lacks: it changes definitions, owners, privileges or settings by
// itself, and evaluates nothing and calls nothing of the user's. What makes a
// function is none, but for one in C: it would be the superuser's.
func liftable(n *pgq.Node) bool {
	switch s := n.GetNode().(type) {
	case *pgq.Node_CreateExtensionStmt, *pgq.Node_AlterExtensionStmt, *pgq.Node_AlterExtensionContentsStmt,
		*pgq.Node_CreateEventTrigStmt, *pgq.Node_AlterEventTrigStmt,
		*pgq.Node_AlterOwnerStmt, *pgq.Node_GrantStmt, *pgq.Node_AlterDefaultPrivilegesStmt, *pgq.Node_CommentStmt, *pgq.Node_SecLabelStmt,
		*pgq.Node_CreatePlangStmt, *pgq.Node_CreateOpClassStmt, *pgq.Node_CreateOpFamilyStmt, *pgq.Node_AlterOpFamilyStmt,
		*pgq.Node_DefineStmt, *pgq.Node_CreateTransformStmt, *pgq.Node_CreateFdwStmt, *pgq.Node_AlterFdwStmt,
		*pgq.Node_CreateForeignServerStmt, *pgq.Node_AlterForeignServerStmt, *pgq.Node_CreateUserMappingStmt,
		*pgq.Node_CreatePublicationStmt, *pgq.Node_AlterPublicationStmt, *pgq.Node_DropStmt, *pgq.Node_CreateCastStmt:
		return true
	case *pgq.Node_VariableSetStmt:
		return sets(n) && s.VariableSetStmt.GetName() != "role" && s.VariableSetStmt.GetName() != "session_authorization"
	case *pgq.Node_CreateFunctionStmt:
		return inC(s.CreateFunctionStmt)
	case *pgq.Node_AlterTableStmt:
		for _, c := range s.AlterTableStmt.GetCmds() {
			if !touchesNoRow(c.GetAlterTableCmd().GetSubtype()) {
				return false
			}
		}
		return true
	}
	return false
}

// sets: the statement sets a parameter of the session.
func sets(n *pgq.Node) bool { return n.GetVariableSetStmt() != nil }

func inC(s *pgq.CreateFunctionStmt) bool {
	for _, o := range s.GetOptions() {
		if d := o.GetDefElem(); d.GetDefname() == "language" {
			language := d.GetArg().GetString_().GetSval()
			return language == "c" || language == "C"
		}
	}
	return false
}

func touchesNoRow(t pgq.AlterTableType) bool {
	switch t {
	case pgq.AlterTableType_AT_EnableTrig, pgq.AlterTableType_AT_EnableAlwaysTrig, pgq.AlterTableType_AT_EnableReplicaTrig, pgq.AlterTableType_AT_DisableTrig,
		pgq.AlterTableType_AT_EnableTrigAll, pgq.AlterTableType_AT_DisableTrigAll, pgq.AlterTableType_AT_EnableTrigUser, pgq.AlterTableType_AT_DisableTrigUser,
		pgq.AlterTableType_AT_ChangeOwner:
		return true
	}
	return false
}
