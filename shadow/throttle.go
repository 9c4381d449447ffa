package shadow

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/disk"
	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/internal/pg"
)

// lookEvery is how often the throttle asks the server, for all workers together.
const lookEvery = time.Second

// busyShare is the part of max_connections that may be active in clients' hands
// before copying pauses. Above it the server is about to refuse connections, and
// each further busy session makes all others slower.
const busyShare = 0.75

// NewThrottle makes a function that returns once production can bear more work:
// standbys replay within max_replica_lag, slots retain no more WAL than
// max_retained_wal, and not most of its connections are busy; and the disks of both
// servers have min_free_disk left. Why it holds back is noted for status, and in the log.
//
// Lag and activity of others are visible to members of pg_read_all_stats only;
// without it only the slots count.
func NewThrottle(sides control.Sides, run *control.Run, log *slog.Logger) func(context.Context) error {
	t := &throttle{pool: sides.Production, run: run, log: log}
	if sides.Remote() {
		t.shadow = sides.Shadow
	}
	return t.wait
}

type throttle struct {
	pool   *pgxpool.Pool
	shadow *pgxpool.Pool // nil: it is in production's database
	run    *control.Run
	log    *slog.Logger

	mu      sync.Mutex
	looked  time.Time
	reason  string
	written []walAt // at earlier looks, oldest first
}

func (t *throttle) wait(ctx context.Context) error {
	for {
		reason, err := t.look(ctx)
		if err != nil || reason == "" {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lookEvery):
		}
	}
}

// look asks the server if nobody did lately.
func (t *throttle) look(ctx context.Context) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Since(t.looked) < lookEvery {
		return t.reason, nil
	}
	reason, err := t.strain(ctx)
	if err != nil {
		return "", fmt.Errorf("look whether production can bear copying: %w", err)
	}
	if kind(reason) != kind(t.reason) {
		if reason == "" {
			t.log.Info("copying goes on")
		} else {
			t.log.Info("copying pauses", "reason", reason)
		}
	}
	if reason != t.reason {
		if err := control.NoteThrottled(ctx, t.pool, t.run, reason); err != nil {
			return "", err
		}
	}
	t.looked, t.reason = time.Now(), reason
	return reason, nil
}

// kind is a reason without its numbers: a log line a second would help nobody.
func kind(reason string) string {
	if len(reason) < 8 {
		return reason
	}
	return reason[:8]
}

// strain is the first reason to hold back, or "".
func (t *throttle) strain(ctx context.Context) (string, error) {
	for _, look := range []func(context.Context) (string, error){t.asked, t.lag, t.retained, t.disk, t.activity} {
		if reason, err := look(ctx); err != nil || reason != "" {
			return reason, err
		}
	}
	return "", nil
}

// asked: somebody wants the copy to pause.
func (t *throttle) asked(ctx context.Context) (string, error) {
	since, err := control.PausedSince(ctx, t.pool, t.run)
	if err != nil || since == "" {
		return "", err
	}
	return "paused by pgumbra pause since " + since + "; pgumbra resume goes on", nil
}

// lag: a standby is further behind than it may be. Its replay_lag alone does not tell: the
// server measures it when the standby has replayed something, so that of one whose replay
// stands still, or whose network does, it says what was. So what was written by the time of
// earlier looks is remembered.
func (t *throttle) lag(ctx context.Context) (string, error) {
	limit := t.run.Plan.Settings.Copy.MaxReplicaLag
	if limit <= 0 {
		return "", nil
	}
	now := walAt{at: time.Now()}
	rows, err := t.pool.Query(ctx, `
		SELECT pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), '0/0')::bigint, coalesce(s.application_name, ''),
		       coalesce(pg_catalog.pg_wal_lsn_diff(s.replay_lsn, '0/0')::bigint, -1), coalesce(extract(epoch FROM s.replay_lag), 0)::float8
		FROM (VALUES (1)) AS one LEFT JOIN pg_catalog.pg_stat_replication s ON s.replay_lsn IS NOT NULL`)
	if err != nil {
		return "", err
	}
	var name, worst string
	var replayed int64
	var measured float64
	most := limit
	_, err = pgx.ForEachRow(rows, []any{&now.lsn, &name, &replayed, &measured}, func() error {
		behind := time.Duration(measured * float64(time.Second))
		if replayed >= 0 {
			behind = max(behind, t.behind(replayed, now.at))
		}
		if behind > most {
			worst, most = name, behind
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	t.remember(now, limit)
	if most == limit {
		return "", nil
	}
	return fmt.Sprintf("standby %s is %.1f s behind (copy.max_replica_lag: %s s)", worst, most.Seconds(), strconv.FormatFloat(limit.Seconds(), 'f', -1, 64)), nil
}

// walAt is how far WAL was written at a moment, in bytes.
type walAt struct {
	at  time.Time
	lsn int64
}

// behind is for how long a standby that has replayed so much has lacked something.
func (t *throttle) behind(replayed int64, now time.Time) time.Duration {
	for _, w := range t.written {
		if w.lsn > replayed {
			return now.Sub(w.at)
		}
	}
	return 0
}

// remember keeps looks as far back as the limit asks for, and the one before.
func (t *throttle) remember(now walAt, limit time.Duration) {
	t.written = append(t.written, now)
	for len(t.written) > 2 && now.at.Sub(t.written[1].at) > 2*limit {
		t.written = t.written[1:]
	}
}

func (t *throttle) retained(ctx context.Context) (string, error) {
	limit := t.run.Plan.Settings.Copy.MaxRetainedWAL
	if limit <= 0 {
		return "", nil
	}
	return t.ask(ctx, `
		SELECT pg_catalog.format('slot %s retains %s of WAL (copy.max_retained_wal: %s)', s.slot_name,
		       pg_catalog.pg_size_pretty(s.held), pg_catalog.pg_size_pretty($1::numeric))
		FROM (SELECT slot_name, pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_insert_lsn(), restart_lsn) AS held
		      FROM pg_catalog.pg_replication_slots WHERE restart_lsn IS NOT NULL AND wal_status IS DISTINCT FROM 'lost') s
		WHERE s.held > $1::numeric ORDER BY s.held DESC LIMIT 1`, limit)
}

func (t *throttle) disk(ctx context.Context) (string, error) {
	limit := t.run.Plan.Settings.Copy.MinFreeDisk
	if limit <= 0 {
		return "", nil
	}
	reason, err := roomOn(ctx, t.pool, "the disk", limit)
	if err != nil || reason != "" || t.shadow == nil {
		return reason, err
	}
	return roomOn(ctx, t.shadow, "the disk of the shadow's server", limit)
}

// roomOn says that a server's disk has less left than the limit, where it can be seen.
func roomOn(ctx context.Context, server pg.Querier, what string, limit int64) (string, error) {
	free, err := disk.Look(ctx, server)
	if err != nil || !free.Known || free.Bytes >= limit {
		return "", err
	}
	return fmt.Sprintf("%s at %s has %s left (copy.min_free_disk: %s)", what, free.Where, human.Bytes(free.Bytes), human.Bytes(limit)), nil
}

func (t *throttle) activity(ctx context.Context) (string, error) {
	return t.ask(ctx, `
		SELECT pg_catalog.format('backends: %s of %s connections are active', a.busy, a.limit)
		FROM (SELECT count(*) AS busy, pg_catalog.current_setting('max_connections')::int AS limit
		      FROM pg_catalog.pg_stat_activity
		      WHERE backend_type = 'client backend' AND state = 'active' AND application_name NOT LIKE 'pgumbra/%') a
		WHERE a.busy > a.limit * $1::float8`, busyShare)
}

func (t *throttle) ask(ctx context.Context, sql string, limit any) (string, error) {
	return askOne(ctx, t.pool, sql, limit)
}

func askOne(ctx context.Context, db pg.Querier, sql string, args ...any) (string, error) {
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return "", err
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(found) == 0 {
		return "", err
	}
	return found[0], nil
}
