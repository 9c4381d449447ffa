package control

import (
	"context"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// Of each captured table the control schema keeps a fingerprint, which package
// capture makes and compares, on the server and in one statement with what it is
// compared with: that one's text is composed here of SQL that yields it.

// CapturedRow selects from one captured table's row: $1 is the run, $2 the direction
// of the capture, $3 the table's number. Its columns are those of [Captured].
const CapturedRow = " FROM pgumbra.captured WHERE run_id = $1 AND direction = $2 AND n = $3"

// Captured is a relation of what a run captures in one direction, for FROM: n,
// production (the table's name) and fingerprint.
func Captured(run int64, direction plans.Direction) string {
	return "(SELECT n, production, fingerprint FROM pgumbra.captured WHERE " + capturedBy(run, direction) + ")"
}

func capturedBy(run int64, direction plans.Direction) string {
	return "run_id = " + strconv.FormatInt(run, 10) + " AND direction = " + pg.Literal(string(direction))
}

// NoteCaptured notes a table in the transaction that made its triggers. fingerprint is
// SQL of $5 on; kept is SQL of what stays of a row that is there, captured, when the
// new one is EXCLUDED.
func NoteCaptured(ctx context.Context, tx pg.Querier, run int64, direction plans.Direction, n int, production, fingerprint, kept string, args ...any) error {
	_, err := tx.Exec(ctx, `INSERT INTO pgumbra.captured (run_id, direction, n, production, fingerprint)
		VALUES ($1, $2, $3, $4, `+fingerprint+`) ON CONFLICT (run_id, direction, n) DO UPDATE SET fingerprint = `+kept,
		append([]any{run, direction, n, production}, args...)...)
	if err != nil {
		return fmt.Errorf("record the capture of %s: %w", production, err)
	}
	return nil
}

// SetFingerprint is the statement that gives captured tables another fingerprint: SQL
// that may read their row, captured. n is SQL of one table's number, "" of all.
func SetFingerprint(run int64, direction plans.Direction, n, fingerprint string) string {
	text := "UPDATE pgumbra.captured SET fingerprint = " + fingerprint + " WHERE " + capturedBy(run, direction)
	if n != "" {
		text += " AND captured.n = " + n
	}
	return text
}

// ForgetCaptured is the statement that removes the rows of a direction, or of one
// table of it.
func ForgetCaptured(run int64, direction plans.Direction, n ...int) string {
	text := "DELETE FROM pgumbra.captured WHERE " + capturedBy(run, direction)
	for _, one := range n {
		text += " AND n = " + strconv.Itoa(one)
	}
	return text
}

// CapturedTable is a table that some run captures.
type CapturedTable struct {
	Run        int64
	Direction  plans.Direction
	N          int
	Production string
}

// AllCaptured reads what all runs capture.
func AllCaptured(ctx context.Context, db pg.Querier) ([]CapturedTable, error) {
	rows, err := db.Query(ctx, `SELECT run_id, direction, n, production FROM pgumbra.captured`)
	if err != nil {
		return nil, fmt.Errorf("read what is captured: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[CapturedTable])
}
