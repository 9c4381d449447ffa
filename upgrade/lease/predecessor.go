package lease

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
)

// lastLeader is the leader that the live run of a name had last.
func lastLeader(ctx context.Context, db pg.Querier, name string) (control.Leader, error) {
	return control.LastLeader(ctx, db, name, deadAfter)
}

// endSessions ends what a dead leader left: its recorded backends, known by
// when they started, since pids are given again; and the holder of its lock,
// whose process may have died before it recorded anything. Of the latter and of
// an older pgumbra's the name is all that is known: it keeps others from being
// ended, and lets nobody in.
func endSessions(ctx context.Context, db pg.Querier, name string, l control.Leader) error {
	_, err := db.Exec(ctx, `
		SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a
		WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
		  AND (EXISTS (SELECT FROM unnest($1::int[], $2::timestamptz[]) AS r (pid, started) WHERE r.pid = a.pid AND r.started = a.backend_start)
		    OR a.application_name LIKE 'pgumbra/%'
		       AND (cardinality($2) = 0 AND a.pid = ANY ($1) OR a.pid IN (
		            SELECT k.pid FROM pg_locks k WHERE k.locktype = 'advisory' AND k.granted AND k.objsubid = 2
		               AND k.database = a.datid AND k.classid = $3 AND k.objid = hashtext($4)::int8 & 4294967295)))`,
		l.Backends, l.Started, lockClass, name)
	if err != nil {
		return fmt.Errorf("end the sessions of a dead leader: %w", err)
	}
	return nil
}

// FenceOff ends what predecessors left, and makes this process the leader on record:
// see [control.Succeed].
func (l *Lease) FenceOff(ctx context.Context, run *control.Run) error {
	other, err := lastLeader(ctx, l.Conn, run.Name)
	if err != nil {
		return err
	}
	if err := endSessions(ctx, l.Conn, run.Name, other); err != nil {
		return err
	}
	if err := control.Succeed(ctx, l.Conn, run, Hostname(), os.Getpid()); err != nil {
		return err
	}
	l.led, l.epoch, l.unled = run.ID, run.Epoch, other.Silent
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
	other, err := lastLeader(ctx, db, name)
	if err != nil {
		return err
	}
	return endSessions(ctx, db, name, other)
}

// Hostname is how this machine is called in the control schema.
func Hostname() string {
	host, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return host
}
