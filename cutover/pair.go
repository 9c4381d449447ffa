package cutover

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// pair is an attempt's four sessions on one server: locker locks and swaps, observer and
// checker look on, and alarm has the server end locker in time: see [pair.setAlarm].
type pair struct {
	dsn      string
	locker   *pgx.Conn
	observer *pgx.Conn
	checker  *pgx.Conn // asks whether the structure is as it was, while observer asks for the rest
	alarm    *pgx.Conn
	ringing  *pgconn.MultiResultReader // of alarm; nil: it is not set
	pid      uint32                    // locker's backend
	// all, as the server knows them
	backends pg.Backends

	waitedOn []Blocker // last sample of who stood in locker's way
}

func openPair(ctx context.Context, dsn string) (*pair, error) {
	p := &pair{dsn: dsn}
	var err error
	for _, conn := range []**pgx.Conn{&p.locker, &p.observer, &p.checker, &p.alarm} {
		if *conn, err = openSession(ctx, dsn); err != nil {
			p.close(ctx)
			return nil, err
		}
	}
	p.pid = p.locker.PgConn().PID()
	for _, conn := range []*pgx.Conn{p.locker, p.observer, p.checker, p.alarm} {
		b, err := pg.Self(ctx, conn)
		if err != nil {
			p.close(ctx)
			return nil, err
		}
		p.backends = append(p.backends, b)
	}
	return p, nil
}

// openSession opens a session whose statements are cancelled on the server when
// their context ends, so that a lock never outlives the budget it was given. What
// is asked while clients wait was asked before, and is planned then, once: to plan
// a question to the catalogs takes several times as long as to answer it.
func openSession(ctx context.Context, dsn string) (*pgx.Conn, error) {
	config, err := pg.Config(dsn, pg.Options{Component: "cutover", Settings: map[string]string{"plan_cache_mode": "force_generic_plan"}})
	if err != nil {
		return nil, err
	}
	pg.Sign(&config.Config)
	config.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: 2 * time.Second}
	}
	return pgx.ConnectConfig(ctx, config)
}

// yieldOnDeadlock makes us, not a client, the victim of a deadlock, and autovacuum
// give way within the budget for locks: both happen when the waiter's
// deadlock_timeout is over. Without the right to set it the budget alone keeps
// clients safe, and autovacuum is a blocker by name.
func (p *pair) yieldOnDeadlock(ctx context.Context, budget time.Duration, log *slog.Logger) {
	ms := max(budget.Milliseconds()/4, 1)
	_, err := p.locker.Exec(ctx, `SELECT pg_catalog.set_config('deadlock_timeout', $1, false)`, strconv.FormatInt(ms, 10)+"ms")
	if err != nil {
		log.Debug("deadlock_timeout not set", "error", err)
	}
}

// close ends all sessions. Whatever was not committed is rolled back and the
// locks are gone, at the latest when the server notices that we are.
func (p *pair) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if p.alarm != nil {
		_ = p.alarm.PgConn().CancelRequest(ctx)
		_ = p.alarm.PgConn().Close(ctx)
	}
	for _, conn := range []*pgx.Conn{p.locker, p.observer, p.checker} {
		if conn != nil {
			_, _ = conn.Exec(ctx, "ROLLBACK")
			_ = conn.Close(ctx)
		}
	}
}

// begin begins locker's transaction, which ends by itself when it idles
// for longer than idle (should the network swallow us), and keeps VACUUM,
// ANALYZE and their automatic workers off tables that it will lock: nobody else
// uses these, so that costs no stall.
func (p *pair) begin(ctx context.Context, budget, idle time.Duration, lockAgainstVacuum []relation) error {
	script := fmt.Sprintf("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;\nSET LOCAL statement_timeout = %d", max(budget.Milliseconds(), 200))
	if err := pg.ExecScript(ctx, p.locker, script); err != nil {
		return err
	}
	if err := pg.BoundSilence(ctx, p.locker, idle); err != nil {
		return err
	}
	if len(lockAgainstVacuum) == 0 {
		return nil
	}
	return p.watched(ctx, againstVacuum(lockAgainstVacuum))
}

func againstVacuum(tables []relation) string {
	return "LOCK TABLE " + only(tables) + " IN SHARE UPDATE EXCLUSIVE MODE"
}

// watched runs a script that waits for locks while observer notes who is in the way.
func (p *pair) watched(ctx context.Context, script string) error {
	group, groupCtx := errgroup.WithContext(ctx)
	done := make(chan struct{})
	group.Go(func() error {
		defer close(done)
		return pg.ExecScript(groupCtx, p.locker, script)
	})
	group.Go(func() error { return p.sample(groupCtx, done) })
	return group.Wait()
}

// sample notes who blocks locker until done is closed. The first
// look is late enough to cost nothing where the locks are had at once.
func (p *pair) sample(ctx context.Context, done <-chan struct{}) error {
	for {
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return nil
		case <-time.After(15 * time.Millisecond):
		}
		if err := ignoreCancel(p.noteWaitedOn(ctx)); err != nil || ctx.Err() != nil {
			return err
		}
	}
}

func (p *pair) inLockersWay(ctx context.Context) ([]Blocker, error) {
	found, err := sessions(ctx, p.observer, blockingSQL, p.pid)
	if err != nil || len(found) > 0 {
		return blockersOf("lock", found), err
	}
	return preparedInWay(ctx, p.observer, p.pid, forgotten)
}
