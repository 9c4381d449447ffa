package pg

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgerrcode"
)

// StallSetting is a setting that says, in a session, for how many milliseconds clients may wait at
// the most. [BoundSilence] allows no more, whatever it is asked for.
const StallSetting = "pgumbra.max_stall"

// Silence is for how long a transaction of ours that makes others wait may be
// silent before its server ends it. Between two of its statements we do next to
// nothing; a process that was stopped, or a network that swallows us, would
// otherwise keep the locks for ever.
const Silence = time.Second

// boundSQL sets those by which a server ends a session that is silent for so many
// milliseconds while it holds locks. Keepalives find a machine that is gone, the user
// timeout one that takes no answer, idle_in_transaction_session_timeout a process
// that was stopped. A statement that runs is finished first: statement_timeout or
// lock_timeout, of its own, bound that.
const boundSQL = `SELECT pg_catalog.set_config('idle_in_transaction_session_timeout', l.ms || 'ms', true), pg_catalog.set_config('tcp_user_timeout', l.ms || 'ms', true),
	pg_catalog.set_config('tcp_keepalives_idle', l.third, true), pg_catalog.set_config('tcp_keepalives_interval', l.third, true),
	pg_catalog.set_config('tcp_keepalives_count', '2', true)
	FROM (SELECT ms::text, greatest(ms / 3000, 1)::text FROM (SELECT greatest(least($1::int, nullif(pg_catalog.current_setting($2, true), '')::int), 1)) AS s (ms)) AS l (ms, third)`

// BoundSilence lets the server end a transaction, and its session, that is silent
// for longer than limit. For each transaction that takes locks which others wait
// for. What it did is rolled back then, and the next statement fails: see
// [SilentTooLong].
func BoundSilence(ctx context.Context, tx Querier, limit time.Duration) error {
	if _, err := tx.Exec(ctx, boundSQL, limit.Milliseconds(), StallSetting); err != nil {
		return fmt.Errorf("bound our own silence: %w", err)
	}
	return nil
}

// Looking are settings of a session that only looks, one statement right after the
// other. A process that is silent for longer within a transaction was stopped, and its
// server ends the session with the locks that a TRUNCATE would wait for.
func Looking() map[string]string {
	return map[string]string{"idle_in_transaction_session_timeout": "5s"}
}

// SilentTooLong reports whether the server ended a transaction because it was
// silent: it is rolled back, and may be repeated.
func SilentTooLong(err error) bool { return State(err) == pgerrcode.IdleInTransactionSessionTimeout }
