package lease

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
)

// predecessor is the leader that a run had last.
type predecessor struct {
	host         string
	pid          int
	backends     []int32
	started      []time.Time // of the backends; empty: recorded by an older pgumbra
	beat         time.Time
	silent       time.Duration // by the server's clock
	alive, stale bool
}

// readPredecessor reads the last leader of the live run of a name. An earlier run
// of that name says nothing: whoever holds the lock then is planning a new one. It
// is asked before the control schema is brought up to date, so a column that is
// not there yet counts as empty.
func readPredecessor(ctx context.Context, db pg.Querier, name string) (predecessor, error) {
	var p predecessor
	there, err := control.Exists(ctx, db)
	if err != nil || !there {
		return p, err
	}
	var silent float64
	err = db.QueryRow(ctx, `
		SELECT l.host, l.pid, l.backends, ARRAY(SELECT s.text::timestamptz FROM jsonb_array_elements_text(coalesce(to_jsonb(l)->'started', '[]'))
		       WITH ORDINALITY AS s (text, n) ORDER BY s.n), l.heartbeat,
		       l.heartbeat < clock_timestamp() - make_interval(secs => $2), extract(epoch FROM clock_timestamp() - l.heartbeat)::float8
		FROM pgumbra.leader l JOIN pgumbra.run r ON r.id = l.run_id
		WHERE r.name = $1 AND l.heartbeat IS NOT NULL AND r.phase NOT IN ('finished', 'rolled_back', 'aborted')
		ORDER BY r.id DESC LIMIT 1`,
		name, deadAfter.Seconds()).Scan(&p.host, &p.pid, &p.backends, &p.started, &p.beat, &p.stale, &silent)
	if errors.Is(err, pgx.ErrNoRows) {
		return p, nil
	}
	p.alive, p.silent = !p.stale, time.Duration(silent*float64(time.Second))
	return p, err
}

// endSessions ends what a dead leader left: its recorded backends, known by
// when they started, since pids are given again; and the holder of its lock,
// whose process may have died before it recorded anything. Of the latter and of
// an older pgumbra's the name is all that is known: it keeps others from being
// ended, and lets nobody in.
func (p predecessor) endSessions(ctx context.Context, db pg.Querier, name string) error {
	_, err := db.Exec(ctx, `
		SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a
		WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
		  AND (EXISTS (SELECT FROM unnest($1::int[], $2::timestamptz[]) AS r (pid, started) WHERE r.pid = a.pid AND r.started = a.backend_start)
		    OR a.application_name LIKE 'pgumbra/%'
		       AND (cardinality($2) = 0 AND a.pid = ANY ($1) OR a.pid IN (
		            SELECT k.pid FROM pg_locks k WHERE k.locktype = 'advisory' AND k.granted AND k.objsubid = 2
		               AND k.database = a.datid AND k.classid = $3 AND k.objid = hashtext($4)::int8 & 4294967295)))`,
		p.backends, p.started, lockClass, name)
	if err != nil {
		return fmt.Errorf("end the sessions of a dead leader: %w", err)
	}
	return nil
}

// FenceOff raises the epoch, so that whatever a predecessor's orphan still does
// fails its check, and ends the orphans. What was asked of the predecessor is
// forgotten: who still waits for a cutover asks again. A failure stays only
// where the run is past repair: after the swap it says that the way back is
// closed.
func (l *Lease) FenceOff(ctx context.Context, run *control.Run) error {
	other, err := readPredecessor(ctx, l.Conn, run.Name)
	if err != nil {
		return err
	}
	if err := other.endSessions(ctx, l.Conn, run.Name); err != nil {
		return err
	}
	err = l.Conn.QueryRow(ctx, `
		WITH raised AS (UPDATE pgumbra.run SET epoch = epoch + 1,
		                    failure = CASE WHEN phase = 'watching' THEN failure ELSE '' END WHERE id = $1 RETURNING epoch, phase),
		     known AS (UPDATE pgumbra.leader SET host = $2, pid = $3, backends = '{}', throttled = '', cutover_requested = NULL, heartbeat = clock_timestamp()
		               WHERE run_id = $1)
		SELECT epoch, phase FROM raised`, run.ID, Hostname(), os.Getpid()).Scan(&run.Epoch, &run.Phase)
	if err != nil {
		return fmt.Errorf("raise the epoch: %w", err)
	}
	l.led, l.epoch, l.unled = run.ID, run.Epoch, other.silent
	return l.endSuccession(ctx)
}

// Unled is for how long nobody had led the run before, as far as its last leader did
// not end by itself.
func (l *Lease) Unled() time.Duration { return l.unled }

// Raised notes that the caller has raised the run's epoch further.
func (l *Lease) Raised(epoch int64) { l.epoch = epoch }

// EndLeader ends the sessions of the leader of a name, dead or alive. A live
// process finds its connections gone; the caller has raised the epoch, or there is
// no run yet.
func EndLeader(ctx context.Context, db pg.Querier, name string) error {
	other, err := readPredecessor(ctx, db, name)
	if err != nil {
		return err
	}
	return other.endSessions(ctx, db, name)
}

// Hostname is how this machine is called in the control schema.
func Hostname() string {
	host, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return host
}
