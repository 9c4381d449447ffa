package replay

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// A test hung for half an hour once, and all after it. What takes longer than this
// waits for something.
const deadline = 2 * time.Minute

// bound ends what the test does at the deadline, and tells then who waits for whom.
// Benchmarks take what they take.
func (w *world) bound(dsns ...string) {
	ctx, cancel := context.WithCancelCause(context.Background())
	w.ctx = ctx
	w.t.Cleanup(func() { cancel(nil) })
	if _, benchmark := w.t.(*testing.B); benchmark {
		return
	}
	told := make(chan struct{})
	timer := time.AfterFunc(deadline, func() {
		defer close(told)
		for _, dsn := range slices.Compact(dsns) {
			w.t.Log(waiters(dsn))
		}
		cancel(fmt.Errorf("the test takes longer than %s", deadline))
	})
	w.t.Cleanup(func() {
		if !timer.Stop() {
			<-told
			w.t.Error(context.Cause(ctx))
		}
	})
}

// waiters are the sessions of a database, what each does and waits for, and the locks
// that it has or wants.
func waiters(dsn string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := pg.Connect(ctx, dsn, pg.Options{Component: "deadline"})
	if err != nil {
		return "waiters: " + err.Error()
	}
	defer func() { _ = conn.Close(ctx) }()
	rows, err := conn.Query(ctx, `SELECT format('%s %s %s, %s, waits for %s %s, blocked by %s: %s | locks: %s', a.datname, a.pid, a.application_name, a.state,
		coalesce(a.wait_event_type, ''), coalesce(a.wait_event, 'nothing'), pg_blocking_pids(a.pid)::text, left(regexp_replace(a.query, '\s+', ' ', 'g'), 200),
		(SELECT string_agg(format('%s%s %s', CASE WHEN l.granted THEN '' ELSE 'WANTS ' END, l.mode, coalesce(l.relation::regclass::text, l.locktype)), ', ')
			FROM pg_locks AS l WHERE l.pid = a.pid AND l.locktype <> 'virtualxid' AND (l.relation IS NULL OR l.relation >= 16384)))
		FROM pg_stat_activity AS a WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.state <> 'idle' ORDER BY a.pid`)
	if err != nil {
		return "waiters: " + err.Error()
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return "waiters: " + err.Error()
	}
	return "waiters:\n" + strings.Join(all, "\n")
}
