package pg

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"
)

// A process that is stopped, or cut off by a network that swallows it, keeps its
// sessions and with them their locks. A transaction that does all it does in a row is
// bounded by [BoundSilence]. One that reads production while it writes the shadow is
// not: it is idle on one side for as long as the other works, and that is right. What
// tells the two apart is whether the process lives, so a session of its own on the same
// server, the watchdog, listens for that.

// First keys of advisory locks; the second is the process's mark. Session-level ones: a
// session of a pool has its process's ownLock, and the one that pings has one of
// pingLocks, in turn. They say who is whose, and protect nothing.
const ownLock = 0x70676d6f // "pgmo"

var pingLocks = [2]int{0x70676d30, 0x70676d31} // "pgm0", "pgm1"

// mark tells this process's sessions from others'. Not a secret: who bears it may be
// ended by whoever may end him anyway.
var mark = rand.Int32()

// marked notes that a session is this process's, see [Watch].
func marked(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, fmt.Sprintf("SELECT pg_catalog.pg_advisory_lock_shared(%d, %d)", ownLock, mark))
	if err != nil {
		return fmt.Errorf("mark the session: %w", err)
	}
	return nil
}

// How long a process may be silent: never less than a scheduler on a busy machine needs,
// never more than a client should wait for a table.
const (
	leastSilence = 500 * time.Millisecond
	mostSilence  = 2 * time.Second
	// goneAfter: what a process holds beyond locks, the snapshots that keep VACUUM from
	// its work, ends too. Another process may take the lead by then.
	goneAfter = 10 * time.Second
)

// watchdogSQL looks whether the session that pings has changed its lock. Once it has
// not done so for too long, sessions of this process's that somebody else waits for are
// ended, and after ten seconds all of them. It ends when nobody pings any more, and by
// itself after a minute: another such statement is sent by then. A server that is so
// busy that the watchdog itself comes late says nothing of the process.
const watchdogSQL = `DO $watchdog$
DECLARE
	even boolean; odd boolean; ended int; looked timestamptz := clock_timestamp();
	was boolean := nullif(current_setting('pgumbra.was', true), '')::boolean;
	heard timestamptz := coalesce(nullif(current_setting('pgumbra.heard', true), '')::timestamptz, looked);
BEGIN
	FOR i IN 1 .. 60000 / %[5]d LOOP
		even := pg_try_advisory_xact_lock(%[1]d, %[4]d);
		odd := pg_try_advisory_xact_lock(%[2]d, %[4]d);
		COMMIT;
		IF even AND odd THEN RETURN; END IF;
		IF even IS DISTINCT FROM was OR clock_timestamp() - looked > interval '1 ms' * (%[6]d / 2) THEN
			was := even;
			heard := clock_timestamp();
			PERFORM set_config('pgumbra.was', was::text, false), set_config('pgumbra.heard', heard::text, false);
		END IF;
		looked := clock_timestamp();
		IF looked - heard > interval '1 ms' * %[6]d THEN
			WITH own AS (SELECT DISTINCT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = %[3]d AND objid = %[4]d AND objsubid = 2
			                AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())),
			     waited AS (SELECT DISTINCT unnest(pg_blocking_pids(w.pid)) AS pid FROM pg_locks w WHERE NOT w.granted AND w.pid NOT IN (SELECT pid FROM own))
			SELECT count(pg_terminate_backend(o.pid)) INTO ended FROM (SELECT pid FROM own
			WHERE looked - heard > interval '1 ms' * %[7]d OR pid IN (SELECT pid FROM waited) ORDER BY pid = pg_backend_pid()) o;
			COMMIT;
		END IF;
		PERFORM pg_sleep(%[5]d / 1000.0);
	END LOOP;
END $watchdog$`

func watchdogText(limit time.Duration) string {
	return fmt.Sprintf(watchdogSQL, pingLocks[0], pingLocks[1], ownLock, mark, (limit / 8).Milliseconds(), limit.Milliseconds(), goneAfter.Milliseconds())
}

// Watch lets a server look after the sessions that this process's pools have there,
// until ctx ends: once the process is silent for longer than limit (not less than half a
// second, nor more than two), those are ended that others wait for, whatever they do.
// What they did is rolled back, and the process, when it wakes up, finds a lost
// connection ([Unreachable]).
//
// It takes two sessions of a pool, which start with our own search_path. Without a
// server it tries again every second.
func Watch(ctx context.Context, pool *pgxpool.Pool, limit time.Duration, log *slog.Logger) {
	limit = min(max(limit, leastSilence), mostSilence)
	for ctx.Err() == nil {
		if err := watch(ctx, pool, limit, log); err != nil && ctx.Err() == nil {
			log.Debug("nobody watches this process's sessions for a moment", "error", err.Error())
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func watch(ctx context.Context, pool *pgxpool.Pool, limit time.Duration, log *slog.Logger) error {
	pings, err := pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer letGo(ctx, pings)
	dog, err := pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer letGo(ctx, dog)
	if _, err := pings.Exec(ctx, fmt.Sprintf("SELECT pg_catalog.pg_advisory_lock(%d, %d)", pingLocks[0], mark)); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return ping(ctx, pings, limit, log) })
	g.Go(func() error { return guard(ctx, dog.Conn().PgConn(), watchdogText(limit)) })
	return g.Wait()
}

// letGo closes the session: its locks must not outlive the watch.
func letGo(ctx context.Context, conn *pgxpool.Conn) {
	cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = conn.Conn().Close(cleanup)
	conn.Release()
}

// ping changes locks, four times in the time that silence is allowed for.
func ping(ctx context.Context, conn *pgxpool.Conn, limit time.Duration, log *slog.Logger) error {
	tick := time.NewTicker(limit / 4)
	defer tick.Stop()
	last := time.Now()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if silent := time.Since(last); silent > limit {
			log.Warn("this process did not run for a while; the server ended those of its sessions that somebody waited for", "silent", silent.Round(time.Millisecond))
		}
		last = time.Now()
		_, err := conn.Exec(ctx, fmt.Sprintf("SELECT pg_catalog.pg_advisory_lock(%[1]d, %[3]d), pg_catalog.pg_advisory_unlock(%[2]d, %[3]d)", pingLocks[n%2], pingLocks[(n+1)%2], mark))
		if err != nil {
			return err
		}
	}
}

// guard keeps two statements with the server, of which one runs: the other one follows
// it also when this process does not.
func guard(ctx context.Context, conn *pgconn.PgConn, text string) error {
	p := conn.StartPipeline(ctx)
	defer func() { _ = conn.Close(ctx) }() // a pipeline's own Close would wait for its statements
	for range 2 {
		if err := queue(p, text); err != nil {
			return err
		}
	}
	for {
		result, err := p.GetResults()
		if err != nil {
			return err
		}
		switch r := result.(type) {
		case *pgconn.ResultReader:
			if _, err := r.Close(); err != nil {
				return err
			}
		case *pgconn.PipelineSync:
			if err := queue(p, text); err != nil {
				return err
			}
		}
	}
}

func queue(p *pgconn.Pipeline, text string) error {
	p.SendQueryParams(text, nil, nil, nil, nil)
	return p.Sync()
}
