package control

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// Standing is where a run stands, but for its tables.
type Standing struct {
	StartedAt  time.Time
	EndedAt    *time.Time
	AsOf       time.Time // the server's clock
	PhaseSince time.Time
	PausedAt   *time.Time // the copy is to pause since then; nil: it is not
	Workers    *int       // that copy, as somebody asked for; nil: as the plan file says
	TryingAt   *time.Time // the leader tries the swap since then; nil: it does not

	Host    string // of the leader, as it was last
	PID     int
	Beat    *time.Time // nil: it ended by itself
	Alive   bool
	Epoch   int64
	RateIn  float64 // changes a second
	RateOut float64

	Throttled string // why copying pauses; empty: it does not
	Suspended string // why it stands still with its group; empty: it does not
	Failure   string
	Cutover   json.RawMessage // its outcome; nil: none

	Attempts int // at the cutover, that took time from clients
	Held     time.Duration
}

// ReadStanding reads where a run stands. A heartbeat that is older than so long is a
// dead leader's. A column that a control schema of an older version lacks, which
// status does not change, counts as empty.
func ReadStanding(ctx context.Context, db pg.Querier, run *Run, young time.Duration) (s Standing, err error) {
	var known []string
	err = db.QueryRow(ctx, `SELECT pg_catalog.array_agg(attname::text) FROM pg_catalog.pg_attribute WHERE attrelid IN ('pgumbra.run'::regclass, 'pgumbra.leader'::regclass, 'pgumbra.event'::regclass)`).Scan(&known)
	if err != nil {
		return s, fmt.Errorf("read where run %s stands: %w", run.Name, err)
	}
	column := func(name, otherwise string) string {
		if slices.Contains(known, name) {
			return name
		}
		return otherwise
	}
	var held float64
	err = db.QueryRow(ctx, `
		SELECT r.created_at, r.ended_at, clock_timestamp(),
		       coalesce((SELECT max(at) FROM pgumbra.event e WHERE e.run_id = r.id AND e.`+column("kind", "message")+` = $3 AND e.phase = r.phase), r.created_at),
		       l.host, l.pid, l.heartbeat, coalesce(l.heartbeat `+within(`$2`)+`, false), r.epoch,
		       l.rate_in, l.rate_out, l.throttled, r.failure, r.cutover,
		       `+column("paused_at", "NULL::timestamptz")+`, `+column("attempts", "0")+`, `+column("held_ms", "0::float8")+`,
		       `+column("suspended", "''")+`, `+column("workers", "NULL::int")+`, `+column("trying_since", "NULL::timestamptz")+`
		FROM pgumbra.run r JOIN pgumbra.leader l ON l.run_id = r.id WHERE r.id = $1`, run.ID, young.Seconds(), PhaseEntered).
		Scan(&s.StartedAt, &s.EndedAt, &s.AsOf, &s.PhaseSince, &s.Host, &s.PID, &s.Beat, &s.Alive, &s.Epoch,
			&s.RateIn, &s.RateOut, &s.Throttled, &s.Failure, &s.Cutover, &s.PausedAt, &s.Attempts, &held, &s.Suspended, &s.Workers, &s.TryingAt)
	if err != nil {
		return s, fmt.Errorf("read where run %s stands: %w", run.Name, err)
	}
	s.Throttled, s.Failure, s.Suspended = pg.FromASCII(s.Throttled), pg.FromASCII(s.Failure), pg.FromASCII(s.Suspended)
	s.Held = time.Duration(held * float64(time.Millisecond))
	return s, nil
}
