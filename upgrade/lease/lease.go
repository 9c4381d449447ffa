// Package lease is who leads a run: one process at a time, by a session-level
// advisory lock and a heartbeat, fenced by an epoch that each new leader raises.
// Sessions of a predecessor, dead or stopped, are ended by what was noted of them.
//
// In this order: [Take], or [OpenWatch] and [Watch.Look] for a standby; then [Lease.FenceOff] once the run is known, [Lease.Pool]
// for the sessions that work, [Lease.Beat] about once a second while they do, and
// [Lease.Release]. It never looks into a run's phases, and knows no shadow.
package lease

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
)

const (
	// lockClass is the first key of the advisory lock that a leader holds; the
	// second is a hash of the run's name.
	lockClass = 0x70676d62 // "pgmb"
	// Heartbeat is how often a leader says that it lives.
	Heartbeat = time.Second
	// LiveFor is how young the heartbeat of a leader is that is taken to be at work.
	LiveFor = 4 * Heartbeat
	// A leader whose heartbeat has not moved for this long by the server's
	// clock is dead: its sessions are ended. Ten beats, so that a machine that
	// swaps or a slow commit is not taken for a death.
	deadAfter = 10 * Heartbeat
	// How long a new leader waits for a dead one's sessions to go.
	takeover = 15 * time.Second
)

// ErrLed says that another live process leads the run. The caller leaves it
// alone, or asks it for something through the control schema.
type ErrLed struct {
	Host string
	PID  int
}

func (e *ErrLed) Error() string {
	if e.Host == "" {
		return "another live process leads this run"
	}
	return fmt.Sprintf("another live process leads this run: pid %d on %s", e.PID, e.Host)
}

// ErrNotPrimary says that production.dsn leads to a server that only follows
// another one. A run that leads already waits for its promotion.
var ErrNotPrimary = errors.New("production.dsn leads to a standby, which takes no writes")

// primary makes sure that a session's server takes writes.
func primary(ctx context.Context, conn *pgx.Conn) error {
	var follows bool
	err := conn.QueryRow(ctx, `SELECT pg_catalog.pg_is_in_recovery()`).Scan(&follows)
	if err == nil && follows {
		return ErrNotPrimary
	}
	return err
}

// Away reports whether an error says that production is not there for now: its
// server cannot be reached, or another one in its place is not promoted yet.
func Away(ctx context.Context, dsn string, err error) bool {
	if pg.Unreachable(err) || errors.Is(err, ErrNotPrimary) {
		return true
	}
	if state := pg.State(err); state != pgerrcode.ReadOnlySQLTransaction && state != pgerrcode.ObjectNotInPrerequisiteState {
		return false
	}
	conn, err := pg.Connect(ctx, dsn, pg.Options{Component: "leader"})
	if err != nil {
		return pg.Unreachable(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	return errors.Is(primary(ctx, conn), ErrNotPrimary)
}

// Lease is a session-level advisory lock and what the leader says of itself. The
// lock dies with its session; writes of orphaned backends are fenced by the epoch.
type Lease struct {
	// Conn is the lock's own session: for a statement at a time, between beats.
	Conn *pgx.Conn

	name     string // of the run
	succeeds *share // holds the succession's lock

	self pg.Backend
	open pg.Register // sessions of the pool

	led, epoch int64 // the run that is led, once its epoch is raised
	unled      time.Duration
}

// Take takes the lead of a run's name in production, ending the sessions of a dead
// predecessor. Returns [*ErrLed] while a live process holds it.
func Take(ctx context.Context, dsn, name string) (*Lease, error) {
	return TakeIn(ctx, "production", dsn, name)
}

// TakeIn is [Take] in a database that errors call by another name.
func TakeIn(ctx context.Context, side, dsn, name string) (*Lease, error) {
	l, err := open(ctx, side, dsn, name)
	if err != nil {
		return nil, err
	}
	if err := l.acquire(ctx); err != nil {
		l.Release(ctx)
		return nil, err
	}
	return l, nil
}

// open opens the session that is to hold the lock.
func open(ctx context.Context, side, dsn, name string) (*Lease, error) {
	conn, err := pg.Connect(ctx, dsn, pg.Options{Component: "leader"})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", side, err)
	}
	l := &Lease{Conn: conn, name: name}
	if err = primary(ctx, conn); err == nil {
		l.self, err = pg.Self(ctx, conn)
	}
	if err != nil {
		l.Release(ctx)
		return nil, err
	}
	return l, nil
}

func (l *Lease) acquire(ctx context.Context) error {
	defer func() { _ = l.endSuccession(ctx) }() // if that fails the session is gone, and the lock with it
	deadline := time.Now().Add(takeover)
	var last time.Time
	for {
		// Standbys stand back. One that is taking the lead is met as the leader.
		if _, err := l.succession(ctx, shared); err != nil {
			return err
		}
		got, err := l.try(ctx)
		if err != nil || got {
			return err
		}
		other, err := lastLeader(ctx, l.Conn, l.name)
		if err != nil {
			return err
		}
		switch {
		case other.Alive && !last.IsZero() && other.Beat.After(last):
			return &ErrLed{Host: other.Host, PID: other.PID}
		case other.Stale:
			if err := endSessions(ctx, l.Conn, l.name, other); err != nil {
				return err
			}
		}
		last = other.Beat
		if time.Now().After(deadline) {
			return &ErrLed{Host: other.Host, PID: other.PID}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(300 * time.Millisecond):
		}
	}
}

// try takes the lock if nobody has it.
func (l *Lease) try(ctx context.Context) (got bool, err error) {
	err = l.Conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1, hashtext($2))`, lockClass, l.name).Scan(&got)
	if err != nil {
		return false, fmt.Errorf("take the leader's lock: %w", err)
	}
	return got, nil
}

// Since is since when a session holds the leader's lock of a run's name; nil: nobody
// does. A run that is only planned has no other trace.
func Since(ctx context.Context, db pg.Querier, name string) (since *time.Time, err error) {
	err = db.QueryRow(ctx, `SELECT min(a.backend_start) FROM pg_catalog.pg_locks k JOIN pg_catalog.pg_stat_activity a USING (pid)
		WHERE k.locktype = 'advisory' AND k.granted AND k.objsubid = 2 AND k.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
		  AND k.classid = $1 AND k.objid = hashtext($2)::int8 & 4294967295`, lockClass, name).Scan(&since)
	if err != nil {
		return nil, fmt.Errorf("look for a leader: %w", err)
	}
	return since, nil
}

// Beat says that the leader lives. If it fails the lock may be gone: the caller
// stops.
func (l *Lease) Beat(ctx context.Context, run *control.Run) error {
	return control.Beat(ctx, l.Conn, run)
}

// Release gives the lead up, and says so: nobody has to wait for the heartbeat to
// grow old. Safe on a lost session.
func (l *Lease) Release(ctx context.Context) {
	cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if l.led != 0 {
		_ = control.Resign(cleanup, l.Conn, l.led, l.epoch)
	}
	_ = l.Conn.Close(cleanup)
}

// KeepLease lets Release say nothing: this process is back in a moment, and a
// command that waits for its leader should not take its place meanwhile.
func (l *Lease) KeepLease() { l.led = 0 }
