package syntax

import (
	"regexp"
	"strings"

	pgq "github.com/pganalyze/pg_query_go/v6"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// temporaryInCode finds temporary tables that a DO block makes for one transaction.
var temporaryInCode = regexp.MustCompile(`(?is)\bcreate\s+(?:(?:local|global)\s+)?temp(?:orary)?\s+table\s+(?:if\s+not\s+exists\s+)?(?:pg_temp\s*\.\s*)?("[^"]+"|\w+)[^;]*?\bon\s+commit\s+(drop|delete\s+rows)\b`)

// onCommit is what the end of the transaction does to temporary tables that a statement
// makes. PostgreSQL notes that in no catalog. Files behind the fence share one
// transaction, whose end comes too late: the next file would find the table.
func onCommit(n *pgq.Node, sql string) string {
	switch s := n.GetNode().(type) {
	case *pgq.Node_CreateStmt:
		return atEnd(s.CreateStmt.GetRelation().GetRelname(), s.CreateStmt.GetOncommit())
	case *pgq.Node_CreateTableAsStmt:
		into := s.CreateTableAsStmt.GetInto()
		return atEnd(into.GetRel().GetRelname(), into.GetOnCommit())
	case *pgq.Node_DoStmt:
		var all []string
		for _, m := range temporaryInCode.FindAllStringSubmatch(sql, -1) {
			action, name := pgq.OnCommitAction_ONCOMMIT_DROP, strings.ToLower(m[1])
			if strings.HasPrefix(m[1], `"`) {
				name = strings.Trim(m[1], `"`)
			}
			if !strings.EqualFold(m[2], "drop") {
				action = pgq.OnCommitAction_ONCOMMIT_DELETE_ROWS
			}
			all = append(all, atEnd(name, action))
		}
		return strings.Join(all, "; ")
	}
	return ""
}

func atEnd(name string, action pgq.OnCommitAction) string {
	table := "pg_temp." + pg.Ident(name)
	switch action {
	case pgq.OnCommitAction_ONCOMMIT_DROP:
		return "DROP TABLE IF EXISTS " + table + " CASCADE"
	case pgq.OnCommitAction_ONCOMMIT_DELETE_ROWS:
		return "DO " + pg.Literal("BEGIN IF pg_catalog.to_regclass("+pg.Literal(table)+") IS NOT NULL THEN TRUNCATE "+table+"; END IF; END")
	}
	return ""
}

// labelBlock is the way of many teams to add a label that may be there already.
var labelBlock = regexp.MustCompile(`(?is)^\s*begin\s+(?:alter\s+type\s+[^;']+\s+add\s+value\s+[^;]+;\s*)+exception\s+when\s+duplicate_object\s+then\s+(?:null|raise\s+notice\s+[^;]*)\s*;\s*end\s*;?\s*$`)

// addsLabels: a DO block does nothing but ALTER TYPE … ADD VALUE.
func addsLabels(block *pgq.DoStmt) bool {
	for _, arg := range block.GetArgs() {
		if e := arg.GetDefElem(); e.GetDefname() == "as" {
			return labelBlock.MatchString(e.GetArg().GetString_().GetSval())
		}
	}
	return false
}
