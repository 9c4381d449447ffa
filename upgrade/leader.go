package upgrade

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
)

const (
	// lockClass is the first key of the advisory lock that a leader holds; the
	// second is a hash of the run's name.
	lockClass = 0x70676d62 // "pgmb"
	heartbeat = time.Second
	// A leader whose heartbeat is this young is taken to be at work.
	liveFor = 4 * heartbeat
	// A leader whose heartbeat has not moved for this long by the server's
	// clock is dead: its sessions are ended. Ten beats, so that a machine that
	// swaps or a slow commit is not taken for a death.
	deadAfter = 10 * heartbeat
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

// ErrStandby says that production.dsn leads to a server that only follows
// another one. A run that leads already waits for its promotion.
var ErrStandby = errors.New("production.dsn leads to a standby, which takes no writes")

// primary makes sure that a session's server takes writes.
func primary(ctx context.Context, conn *pgx.Conn) error {
	var follows bool
	err := conn.QueryRow(ctx, `SELECT pg_catalog.pg_is_in_recovery()`).Scan(&follows)
	if err == nil && follows {
		return ErrStandby
	}
	return err
}

// away reports whether an error says that production is not there for now: its
// server cannot be reached, or another one in its place is not promoted yet.
func away(ctx context.Context, dsn string, err error) bool {
	if pg.Unreachable(err) || errors.Is(err, ErrStandby) {
		return true
	}
	if state := pg.State(err); state != pg.ReadOnlyTransaction && state != pg.NotInPrerequisiteState {
		return false
	}
	conn, err := pg.Connect(ctx, dsn, pg.Options{Component: "leader"})
	if err != nil {
		return pg.Unreachable(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	return errors.Is(primary(ctx, conn), ErrStandby)
}

// leadership is a session-level advisory lock and what the leader says of
// itself. The lock dies with its session; writes of orphaned backends are
// fenced by the epoch.
type leadership struct {
	conn *pgx.Conn
	mu   sync.Mutex
	self pg.Backend
	open map[uint32]pg.Backend // sessions of the pool, by pid

	led, epoch int64 // the run that is led, once its epoch is raised
}

// lead takes the leadership of a run's name, ending the sessions of a dead
// predecessor. Returns [*ErrLed] while a live process holds it.
func lead(ctx context.Context, dsn, name string) (*leadership, error) {
	return leadIn(ctx, "production", dsn, name)
}

func leadIn(ctx context.Context, side, dsn, name string) (*leadership, error) {
	conn, err := pg.Connect(ctx, dsn, pg.Options{Component: "leader"})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", side, err)
	}
	l := &leadership{conn: conn, open: map[uint32]pg.Backend{}}
	if err = primary(ctx, conn); err == nil {
		l.self, err = pg.Self(ctx, conn)
	}
	if err == nil {
		err = l.acquire(ctx, name)
	}
	if err != nil {
		l.release(ctx)
		return nil, err
	}
	return l, nil
}

func (l *leadership) acquire(ctx context.Context, name string) error {
	deadline := time.Now().Add(takeover)
	var last time.Time
	for {
		var got bool
		err := l.conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1, hashtext($2))`, lockClass, name).Scan(&got)
		if err != nil {
			return fmt.Errorf("take the leader's lock: %w", err)
		}
		if got {
			return nil
		}
		other, err := l.predecessor(ctx, name)
		if err != nil {
			return err
		}
		switch {
		case other.alive && !last.IsZero() && other.beat.After(last):
			return &ErrLed{Host: other.host, PID: other.pid}
		case other.stale:
			if err := l.endSessions(ctx, name, other); err != nil {
				return err
			}
		}
		last = other.beat
		if time.Now().After(deadline) {
			return &ErrLed{Host: other.host, PID: other.pid}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(300 * time.Millisecond):
		}
	}
}

type predecessor struct {
	host         string
	pid          int
	backends     []int32
	started      []time.Time // of the backends; empty: recorded by an older pgumbra
	beat         time.Time
	alive, stale bool
}

// predecessor reads the last leader of the live run of a name. An earlier run of
// that name says nothing: whoever holds the lock then is planning a new one. It
// is asked before the control schema is brought up to date, so a column that is
// not there yet counts as empty.
func (l *leadership) predecessor(ctx context.Context, name string) (predecessor, error) {
	var p predecessor
	there, err := control.Exists(ctx, l.conn)
	if err != nil || !there {
		return p, err
	}
	err = l.conn.QueryRow(ctx, `
		SELECT l.host, l.pid, l.backends, ARRAY(SELECT s.text::timestamptz FROM jsonb_array_elements_text(coalesce(to_jsonb(l)->'started', '[]'))
		       WITH ORDINALITY AS s (text, n) ORDER BY s.n), l.heartbeat,
		       l.heartbeat < clock_timestamp() - make_interval(secs => $2)
		FROM pgumbra.leader l JOIN pgumbra.run r ON r.id = l.run_id
		WHERE r.name = $1 AND l.heartbeat IS NOT NULL AND r.phase NOT IN ('finished', 'rolled_back', 'aborted')
		ORDER BY r.id DESC LIMIT 1`,
		name, deadAfter.Seconds()).Scan(&p.host, &p.pid, &p.backends, &p.started, &p.beat, &p.stale)
	if errors.Is(err, pgx.ErrNoRows) {
		return p, nil
	}
	p.alive = !p.stale
	return p, err
}

// endSessions ends what a dead leader left: its recorded backends, known by
// when they started, since pids are given again; and the holder of its lock,
// whose process may have died before it recorded anything. Of the latter and of
// an older pgumbra's the name is all that is known: it keeps others from being
// ended, and lets nobody in.
func (l *leadership) endSessions(ctx context.Context, name string, left predecessor) error {
	_, err := l.conn.Exec(ctx, `
		SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a
		WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
		  AND (EXISTS (SELECT FROM unnest($1::int[], $2::timestamptz[]) AS r (pid, started) WHERE r.pid = a.pid AND r.started = a.backend_start)
		    OR a.application_name LIKE 'pgumbra/%'
		       AND (cardinality($2) = 0 AND a.pid = ANY ($1) OR a.pid IN (
		            SELECT k.pid FROM pg_locks k WHERE k.locktype = 'advisory' AND k.granted AND k.objsubid = 2
		               AND k.database = a.datid AND k.classid = $3 AND k.objid = hashtext($4)::int8 & 4294967295)))`,
		left.backends, left.started, lockClass, name)
	if err != nil {
		return fmt.Errorf("end the sessions of a dead leader: %w", err)
	}
	return nil
}

// depose raises the epoch, so that whatever a predecessor's orphan still does
// fails its check, and ends the orphans. What was asked of the predecessor is
// forgotten: who still waits for a cutover asks again. A failure stays only
// where the run is past repair: after the swap it says that the way back is
// closed.
func (l *leadership) depose(ctx context.Context, run *control.Run) error {
	other, err := l.predecessor(ctx, run.Name)
	if err != nil {
		return err
	}
	if err := l.endSessions(ctx, run.Name, other); err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	err = l.conn.QueryRow(ctx, `
		WITH raised AS (UPDATE pgumbra.run SET epoch = epoch + 1,
		                    failure = CASE WHEN phase = 'watching' THEN failure ELSE '' END WHERE id = $1 RETURNING epoch, phase),
		     known AS (UPDATE pgumbra.leader SET host = $2, pid = $3, backends = '{}', throttled = '', cutover_requested = NULL, heartbeat = clock_timestamp()
		               WHERE run_id = $1)
		SELECT epoch, phase FROM raised`, run.ID, host, os.Getpid()).Scan(&run.Epoch, &run.Phase)
	if err != nil {
		return fmt.Errorf("raise the epoch: %w", err)
	}
	l.led, l.epoch = run.ID, run.Epoch
	return nil
}

// pool opens the sessions that do the work, each noted for the next leader.
func (l *leadership) pool(ctx context.Context, dsn string, limit int, o pg.Options) (*pgxpool.Pool, error) {
	return pg.NewPoolWith(ctx, dsn, limit, o, func(c *pgxpool.Config) {
		c.AfterConnect = l.opened
		c.BeforeClose = func(conn *pgx.Conn) {
			l.mu.Lock()
			defer l.mu.Unlock()
			delete(l.open, conn.PgConn().PID())
		}
	})
}

func (l *leadership) opened(ctx context.Context, conn *pgx.Conn) error {
	b, err := pg.Self(ctx, conn)
	if err == nil {
		err = control.NoteSession(ctx, conn, l.led)
	}
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[conn.PgConn().PID()] = b
	return nil
}

// backends are this process's sessions in production.
func (l *leadership) backends() pg.Backends {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := pg.Backends{l.self}
	for _, b := range l.open {
		all = append(all, b)
	}
	return all
}

// whileBeating runs f with a heartbeat beside it on the lock's own session. If
// the heartbeat fails the lock may be gone: f's context ends.
func (l *leadership) whileBeating(ctx context.Context, run *control.Run, f func(context.Context) error) error {
	return beside(ctx, heartbeat, func(ctx context.Context) error { return l.beat(ctx, run) }, f)
}

// beside runs f and, at once and then every so often until f ends, something
// beside it, whose failure ends f's context.
func beside(ctx context.Context, every time.Duration, often, f func(context.Context) error) error {
	group, ctx := errgroup.WithContext(ctx)
	done := make(chan struct{})
	group.Go(func() error {
		defer close(done)
		return f(ctx)
	})
	group.Go(func() error {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			if err := often(ctx); err != nil && ctx.Err() == nil {
				return err
			}
			select {
			case <-done:
				return nil
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
		}
	})
	return group.Wait()
}

func (l *leadership) beat(ctx context.Context, run *control.Run) error {
	_, err := l.conn.Exec(ctx, `UPDATE pgumbra.leader SET heartbeat = clock_timestamp() WHERE run_id = $1`, run.ID)
	if err != nil {
		return fmt.Errorf("heartbeat: %w", err)
	}
	return nil
}

// release gives the leadership up, and says so: nobody has to wait for the
// heartbeat to grow old. Safe on a lost session.
func (l *leadership) release(ctx context.Context) {
	cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if l.led != 0 {
		_, _ = l.conn.Exec(cleanup, `UPDATE pgumbra.leader l SET heartbeat = NULL FROM pgumbra.run r
			WHERE l.run_id = $1 AND r.id = l.run_id AND r.epoch = $2`, l.led, l.epoch)
	}
	_ = l.conn.Close(cleanup)
}

// keepSeat lets release say nothing: this process is back in a moment, and a
// command that waits for its leader should not take its place meanwhile.
func (l *leadership) keepSeat() { l.led = 0 }
