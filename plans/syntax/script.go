package syntax

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	pgq "github.com/pganalyze/pg_query_go/v6"

	"github.com/pgumbra/pgumbra/plans/syntax/parser"
)

// CodeNotBehind is of a statement that cannot run in the swapping transaction.
const CodeNotBehind = "cannot-run-behind-fence"

// Manner is what becomes of a statement that runs in a transaction which is not
// the migration's own.
type Manner string

// The manners.
const (
	// Run: as its text says.
	Run Manner = "run"
	// Local is SET LOCAL: run, and undone at the end of the file, which in place
	// is the end of its transaction.
	Local Manner = "local"
	// Session is SET for the session: run, and in force from then on.
	Session Manner = "session"
	// Begin is BEGIN: not run, and nothing ends with it, for statements before it in
	// the file are of the same transaction.
	Begin Manner = "begin"
	// Boundary is COMMIT and its like: not run. What it ends is
	// checked (deferred constraints) and undone (SET LOCAL).
	Boundary Manner = "boundary"
	// Hoist is ALTER TYPE … ADD VALUE: the label cannot be used in the
	// transaction that adds it, so the shadow's type has it from the start. Run
	// where the type is made in the same transaction.
	Hoist Manner = "hoist"
	// Later is maintenance that refuses transactions and changes no content
	// (VACUUM): the swap is followed by a VACUUM anyway. Also SET TRANSACTION.
	Later Manner = "later"
)

// ScriptStatement is one statement of a migration as it runs in a transaction
// that is not the migration's own.
type ScriptStatement struct {
	Line   int    `json:"line"` // of its first token in the file, from 1
	SQL    string `json:"sql"`  // without CONCURRENTLY
	Manner Manner `json:"manner"`
	// AtEnd is SQL for the end of the transaction that it has in place: what becomes
	// of a temporary table with ON COMMIT then. Empty: nothing.
	AtEnd string `json:"at_end,omitempty"`
}

// At is where the statement stands, file:line.
func (s ScriptStatement) At(file string) string { return fmt.Sprintf("%s:%d", file, s.Line) }

// Script splits a migration file for a transaction that is not its own. What
// cannot run there comes as notices of level blocker. A file that cannot be
// parsed is one statement, unless a word in it could end the transaction.
func Script(file, sql string) ([]ScriptStatement, []Notice, error) {
	f := &instrumentation{file: file, sql: sql}
	err := f.read()
	if refused := new(parser.Refusal); errors.As(err, &refused) {
		return wholeFile(file, sql, refused)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", file, err)
	}
	var all []ScriptStatement
	for _, p := range f.pieces {
		s := ScriptStatement{Line: f.line(p.start), SQL: sql[p.start:p.end], Manner: mannerOf(p.node), AtEnd: onCommit(p.node, sql[p.start:p.end])}
		if why := whyNotBehind(p.node); why != "" {
			f.notices = append(f.notices, notBehind(f.where(p), s.SQL, why))
		}
		if isConcurrent(p.node) {
			s.SQL = f.plain(p)
		}
		all = append(all, s)
	}
	return all, f.notices, nil
}

func notBehind(where, sql, why string) Notice {
	return Notice{Level: Blocker, Code: CodeNotBehind, Object: firstWords(sql), Where: where,
		Message: why + ", so it cannot run behind the fence, in the transaction of the swap",
		Fix:     "run it by hand before or after the upgrade, in a migration of its own, or describe what earlier statements do in the plan file under tables so that nothing has to run behind the fence"}
}

// wholeFile is a file that the parser cannot read; the server may. A COMMIT in
// it would end the swap half way.
func wholeFile(file, sql string, why *parser.Refusal) ([]ScriptStatement, []Notice, error) {
	all := []ScriptStatement{{Line: 1, SQL: sql, Manner: Run}}
	tokens, err := parser.Scan(sql)
	if err == nil && !slices.ContainsFunc(tokens, endsTransaction) {
		return all, nil, nil
	}
	return all, []Notice{notBehind(file+":1", sql, "the parser cannot read this file ("+why.Message+"), and it may end its transaction")}, nil
}

func endsTransaction(t *pgq.ScanToken) bool {
	switch t.GetToken() {
	case pgq.Token_COMMIT, pgq.Token_ROLLBACK, pgq.Token_ABORT_P, pgq.Token_END_P, pgq.Token_PREPARE:
		return true
	}
	return false
}

func mannerOf(n *pgq.Node) Manner {
	switch s := n.GetNode().(type) {
	case *pgq.Node_TransactionStmt:
		switch s.TransactionStmt.GetKind() {
		case pgq.TransactionStmtKind_TRANS_STMT_BEGIN, pgq.TransactionStmtKind_TRANS_STMT_START:
			return Begin
		case pgq.TransactionStmtKind_TRANS_STMT_COMMIT:
			return Boundary
		}
	case *pgq.Node_VariableSetStmt:
		switch {
		case s.VariableSetStmt.GetName() == "TRANSACTION": // too late for it, and nobody else is there
			return Later
		case s.VariableSetStmt.GetIsLocal():
			return Local
		}
		return Session
	case *pgq.Node_AlterEnumStmt:
		if s.AlterEnumStmt.GetOldVal() == "" {
			return Hoist
		}
	case *pgq.Node_DoStmt:
		if addsLabels(s.DoStmt) {
			return Hoist
		}
	}
	if needsNoTransaction(n) {
		return Later
	}
	return Run
}

// whyNotBehind tells what keeps a statement from running in a transaction. A
// procedure or a DO block that commits is refused by the server.
func whyNotBehind(n *pgq.Node) string {
	switch s := n.GetNode().(type) {
	case *pgq.Node_TransactionStmt:
		switch s.TransactionStmt.GetKind() {
		case pgq.TransactionStmtKind_TRANS_STMT_ROLLBACK:
			return "it takes back what the file did before it"
		case pgq.TransactionStmtKind_TRANS_STMT_PREPARE, pgq.TransactionStmtKind_TRANS_STMT_COMMIT_PREPARED, pgq.TransactionStmtKind_TRANS_STMT_ROLLBACK_PREPARED:
			return "it belongs to two-phase commit"
		}
	case *pgq.Node_AlterSystemStmt, *pgq.Node_CreatedbStmt, *pgq.Node_DropdbStmt, *pgq.Node_CreateTableSpaceStmt, *pgq.Node_DropTableSpaceStmt,
		*pgq.Node_CreateSubscriptionStmt, *pgq.Node_DropSubscriptionStmt:
		return "PostgreSQL refuses it inside a transaction"
	case *pgq.Node_AlterSubscriptionStmt:
		return "PostgreSQL may refuse it inside a transaction"
	case *pgq.Node_DiscardStmt:
		if s.DiscardStmt.GetTarget() == pgq.DiscardMode_DISCARD_ALL {
			return "PostgreSQL refuses it inside a transaction"
		}
	}
	return ""
}

// plain takes the word CONCURRENTLY out: nobody else sees the table yet.
func (f *instrumentation) plain(p piece) string {
	text := f.sql[p.start:p.end]
	for i, t := range p.tokens {
		if t.GetToken() != pgq.Token_CONCURRENTLY {
			continue
		}
		start, end := int(t.GetStart())-p.start, int(t.GetEnd())-p.start
		if parenthesised(p.tokens, i) { // REINDEX (CONCURRENTLY, VERBOSE): an option may say false
			return text[:end] + " false" + text[end:]
		}
		return text[:start] + strings.Repeat(" ", end-start) + text[end:]
	}
	return text
}

// parenthesised: the word stands in a list of options.
func parenthesised(tokens []*pgq.ScanToken, i int) bool {
	if i == 0 || i+1 >= len(tokens) {
		return false
	}
	before, after := tokens[i-1].GetToken(), tokens[i+1].GetToken()
	return (before == pgq.Token_ASCII_40 || before == pgq.Token_ASCII_44) && (after == pgq.Token_ASCII_41 || after == pgq.Token_ASCII_44)
}
