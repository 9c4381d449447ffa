package control

import (
	"context"
	"fmt"
	"time"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// NoteSession notes the session that it runs in as its leader's, before that one
// works: a successor ends the sessions that are noted. Until a heartbeat noted
// them, what a process had opened just before it was stopped kept its row locks
// for ever, and its successor waited. Sessions that are gone are forgotten.
func NoteSession(ctx context.Context, session pg.Querier, run int64) error {
	_, err := session.Exec(ctx, `UPDATE pgumbra.leader l SET (backends, started) = (
			SELECT pg_catalog.array_agg(a.pid ORDER BY a.pid), pg_catalog.array_agg(a.backend_start ORDER BY a.pid)
			FROM pg_catalog.pg_stat_activity a
			WHERE a.pid = pg_catalog.pg_backend_pid() OR EXISTS (
				SELECT FROM ROWS FROM (pg_catalog.unnest(l.backends), pg_catalog.unnest(l.started)) AS r (pid, started)
				WHERE r.pid = a.pid AND r.started = a.backend_start))
		WHERE l.run_id = $1`, run)
	if err != nil {
		return fmt.Errorf("note the session as the leader's: %w", err)
	}
	return nil
}

// EndLeaderSessions ends those that a leader noted in one database, dead or alive.
// Of an older pgumbra's the pid and the name are all that is known.
func EndLeaderSessions(ctx context.Context, db pg.Querier, run *Run) error {
	_, err := db.Exec(ctx, `SELECT pg_catalog.pg_terminate_backend(a.pid)
		FROM pg_catalog.pg_stat_activity a JOIN pgumbra.leader l ON l.run_id = $1
		WHERE a.datname = pg_catalog.current_database() AND a.pid <> pg_catalog.pg_backend_pid()
		  AND (EXISTS (SELECT FROM unnest(l.backends, l.started) AS r (pid, started) WHERE r.pid = a.pid AND r.started = a.backend_start)
		    OR l.started = '{}' AND a.pid = ANY (l.backends) AND a.application_name LIKE 'pgumbra/%')`, run.ID)
	if err != nil {
		return fmt.Errorf("end the sessions of a dead leader: %w", err)
	}
	return nil
}

// ForgetLeaderSessions lets a leader note its own, in the database of its shadow.
func ForgetLeaderSessions(ctx context.Context, db pg.Querier, run *Run) error {
	_, err := db.Exec(ctx, `INSERT INTO pgumbra.leader (run_id) VALUES ($1) ON CONFLICT (run_id) DO UPDATE SET backends = '{}', started = '{}'`, run.ID)
	if err != nil {
		return fmt.Errorf("forget the sessions of a dead leader: %w", err)
	}
	return nil
}

// LeaderSessions are the sessions in production that the leader noted, alive or
// not.
func LeaderSessions(ctx context.Context, db pg.Querier, run *Run) (pg.Backends, error) {
	var pids []int32
	var started []time.Time
	err := db.QueryRow(ctx, `SELECT backends, started FROM pgumbra.leader WHERE run_id = $1`, run.ID).Scan(&pids, &started)
	if err != nil {
		return nil, fmt.Errorf("read the leader's sessions: %w", err)
	}
	var all pg.Backends
	for i := range min(len(pids), len(started)) {
		all = append(all, pg.Backend{PID: pids[i], Started: started[i]})
	}
	return all, nil
}
