package pg

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// Silence is for how long a transaction of ours that makes others wait may be
// silent before its server ends it. Between two of its statements we do next to
// nothing; a process that was stopped, or a network that swallows us, would
// otherwise keep the locks for ever.
const Silence = time.Second

// silenceSettings are those by which a server ends a session that is silent for so long while it
// holds locks. Keepalives find a machine that is gone, the user timeout one that
// takes no answer, idle_in_transaction_session_timeout a process that was stopped.
// A statement that runs is finished first: statement_timeout or lock_timeout, of
// its own, bound that.
func silenceSettings(limit time.Duration) map[string]string {
	ms := strconv.FormatInt(max(limit.Milliseconds(), 1), 10)
	third := strconv.Itoa(max(int(limit.Seconds()/3), 1))
	return map[string]string{
		"idle_in_transaction_session_timeout": ms + "ms",
		"tcp_user_timeout":                    ms + "ms",
		"tcp_keepalives_idle":                 third,
		"tcp_keepalives_interval":             third,
		"tcp_keepalives_count":                "2",
	}
}

// BoundSilence lets the server end a transaction, and its session, that is silent
// for longer than limit. For each transaction that takes locks which others wait
// for. What it did is rolled back then, and the next statement fails: see
// [SilentTooLong].
func BoundSilence(ctx context.Context, tx Querier, limit time.Duration) error {
	s := silenceSettings(limit)
	_, err := tx.Exec(ctx, `SELECT pg_catalog.set_config('idle_in_transaction_session_timeout', $1, true), pg_catalog.set_config('tcp_user_timeout', $2, true),
		pg_catalog.set_config('tcp_keepalives_idle', $3, true), pg_catalog.set_config('tcp_keepalives_interval', $4, true),
		pg_catalog.set_config('tcp_keepalives_count', $5, true)`,
		s["idle_in_transaction_session_timeout"], s["tcp_user_timeout"], s["tcp_keepalives_idle"], s["tcp_keepalives_interval"], s["tcp_keepalives_count"])
	if err != nil {
		return fmt.Errorf("bound our own silence: %w", err)
	}
	return nil
}

// SilentTooLong reports whether the server ended a transaction because it was
// silent: it is rolled back, and may be repeated.
func SilentTooLong(err error) bool { return State(err) == idleInTransaction }
