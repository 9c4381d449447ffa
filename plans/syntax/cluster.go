package syntax

import (
	pgq "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"

	"github.com/pgumbra/pgumbra/plans/syntax/ast"
)

// clusterFunctions act beyond their database when a SELECT calls them.
var clusterFunctions = map[string]bool{
	"pg_create_physical_replication_slot": true, "pg_create_logical_replication_slot": true,
	"pg_copy_physical_replication_slot": true, "pg_copy_logical_replication_slot": true,
	"pg_drop_replication_slot": true, "pg_replication_slot_advance": true,
	"pg_reload_conf": true, "pg_rotate_logfile": true, "pg_terminate_backend": true, "pg_cancel_backend": true,
	"pg_promote": true, "pg_switch_wal": true, "pg_create_restore_point": true,
	"pg_wal_replay_pause": true, "pg_wal_replay_resume": true,
	"pg_replication_origin_create": true, "pg_replication_origin_drop": true,
	"lo_export": true, "pg_file_write": true, "pg_file_unlink": true, "pg_file_rename": true,
	"dblink_exec": true,
}

// isCluster reports whether a statement's effect goes beyond the database it
// runs in: run in scratch on production's server, it would change production.
func isCluster(n *pgq.Node) bool {
	switch s := n.GetNode().(type) {
	case *pgq.Node_CreateRoleStmt, *pgq.Node_AlterRoleStmt, *pgq.Node_AlterRoleSetStmt, *pgq.Node_DropRoleStmt,
		*pgq.Node_GrantRoleStmt, *pgq.Node_ReassignOwnedStmt, *pgq.Node_DropOwnedStmt,
		*pgq.Node_CreatedbStmt, *pgq.Node_DropdbStmt, *pgq.Node_AlterDatabaseStmt, *pgq.Node_AlterDatabaseSetStmt,
		*pgq.Node_AlterDatabaseRefreshCollStmt, *pgq.Node_AlterSystemStmt,
		*pgq.Node_CreateTableSpaceStmt, *pgq.Node_DropTableSpaceStmt, *pgq.Node_AlterTableSpaceOptionsStmt,
		*pgq.Node_CreateSubscriptionStmt, *pgq.Node_AlterSubscriptionStmt, *pgq.Node_DropSubscriptionStmt:
		return true
	case *pgq.Node_GrantStmt:
		return isShared(s.GrantStmt.GetObjtype())
	case *pgq.Node_CommentStmt:
		return isShared(s.CommentStmt.GetObjtype())
	case *pgq.Node_SecLabelStmt:
		return isShared(s.SecLabelStmt.GetObjtype())
	case *pgq.Node_RenameStmt:
		return isShared(s.RenameStmt.GetRenameType())
	case *pgq.Node_AlterOwnerStmt:
		return isShared(s.AlterOwnerStmt.GetObjectType())
	case *pgq.Node_CopyStmt:
		return !s.CopyStmt.GetIsFrom() || s.CopyStmt.GetIsProgram()
	case *pgq.Node_SelectStmt:
		return callsCluster(s.SelectStmt)
	}
	return false
}

func isShared(t pgq.ObjectType) bool {
	switch t {
	case pgq.ObjectType_OBJECT_DATABASE, pgq.ObjectType_OBJECT_ROLE, pgq.ObjectType_OBJECT_TABLESPACE,
		pgq.ObjectType_OBJECT_SUBSCRIPTION, pgq.ObjectType_OBJECT_PARAMETER_ACL:
		return true
	}
	return false
}

func callsCluster(s *pgq.SelectStmt) bool {
	found := false
	ast.Visit(s, func(m proto.Message) bool {
		if call, ok := m.(*pgq.FuncCall); ok && clusterFunctions[ast.Last(ast.Strings(call.GetFuncname()))] {
			found = true
		}
		return !found
	})
	return found
}
