package control

import (
	"fmt"
	"strings"
)

// Rows of the new tables that the old ones cannot hold are noted by replay, on the
// server and in one transaction with its batch. That one's statements are composed
// here of SQL.

func unfitOf(run int64, n int) string { return fmt.Sprintf("u.run_id = %d AND u.n = %d", run, n) }

// ForgetUnfit ends a statement that forgets notes of a table: with is what it begins
// with, using and key say of which keys; "" of all.
func ForgetUnfit(run int64, n int, with, using, key string) string {
	text := strings.TrimSpace(with + " DELETE FROM pgumbra.unfit AS u")
	if using != "" {
		return text + " USING " + using + " WHERE " + unfitOf(run, n) + " AND u.key = " + key
	}
	return text + " WHERE " + unfitOf(run, n)
}

// NoteUnfit ends a statement that notes rows: key, why and leftOut are SQL over what
// stands after FROM.
func NoteUnfit(run int64, n int, key, why, leftOut, from string) string {
	return fmt.Sprintf("INSERT INTO pgumbra.unfit (run_id, n, key, why, left_out) SELECT %d, %d, %s, %s, %s FROM %s"+
		" ON CONFLICT (run_id, n, key) DO UPDATE SET (why, left_out) = (EXCLUDED.why, EXCLUDED.left_out)", run, n, key, why, leftOut, from)
}

// LeftOut is a query of the keys that are left out of a table's way back.
func LeftOut(run int64, n int) string {
	return "SELECT u.key FROM pgumbra.unfit AS u WHERE " + unfitOf(run, n) + " AND u.left_out"
}
