package control

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// Past is a run as its record says, over or not.
type Past struct {
	ID                     int64
	Name                   string
	Phase                  Phase
	FromVersion, ToVersion *int64
	CreatedAt              time.Time
	EndedAt                *time.Time
	Cutover                json.RawMessage // as [Outcome]; nil: none
	Rollback               json.RawMessage // likewise
	Earlier                json.RawMessage // those before the last of their kind, and perhaps those: see [KeepOutcomes]
	Attempts               int             // that held clients
	HeldMS                 float64         // for how long in all
	Failure                string
	ReadyAt                *time.Time // first; nil: never, or an older pgumbra led it
	Rows, Bytes            int64      // that the plan wanted to copy
	EstimatedSeconds       float64
	Locks                  int // that the dry run counted
}

// History reads all runs that the control schema knows, the newest first; none
// where there is no control schema. Errors as of [Find].
func History(ctx context.Context, db pg.Querier) ([]Past, error) {
	there, err := Exists(ctx, db)
	if err != nil || !there {
		return nil, err
	}
	now, _, err := version(ctx, db)
	if err != nil {
		return nil, err
	}
	if _, err := refuseNewer(now); err != nil {
		return nil, err
	}
	ours := "origin IS NULL"
	if now < adoptedSince {
		ours = "true"
	}
	rollback := "r.rollback"
	if now < flowSince {
		rollback = "NULL::json"
	}
	earlier, attempts := "r.earlier", "r.attempts, r.held_ms"
	if now < earlierSince {
		earlier = "'[]'::jsonb"
	}
	if now < attemptsSince {
		attempts = "0, 0::float8"
	}
	rows, err := db.Query(ctx, `SELECT r.id, r.name, r.phase, r.from_version, r.to_version, r.created_at, r.ended_at, r.cutover, `+rollback+`, `+earlier+`, `+attempts+`, r.failure,
		       coalesce((r.plan->'estimates'->>'rows')::bigint, 0), coalesce((r.plan->'estimates'->>'bytes')::bigint, 0),
		       coalesce((r.plan->'estimates'->>'copy_seconds')::float8, 0), coalesce((r.plan->'estimates'->>'locks')::int, 0),
		       (SELECT min(at) FROM pgumbra.event e WHERE e.run_id = r.id AND e.`+kindColumn(now)+` = $1)
		FROM pgumbra.run r WHERE `+ours+` ORDER BY r.id DESC`, BecameReady)
	if err != nil {
		return nil, fmt.Errorf("read the history of runs: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (Past, error) {
		var p Past
		err := row.Scan(&p.ID, &p.Name, &p.Phase, &p.FromVersion, &p.ToVersion, &p.CreatedAt, &p.EndedAt, &p.Cutover, &p.Rollback, &p.Earlier, &p.Attempts, &p.HeldMS, &p.Failure,
			&p.Rows, &p.Bytes, &p.EstimatedSeconds, &p.Locks, &p.ReadyAt)
		p.Failure = pg.FromASCII(p.Failure)
		return p, err
	})
}

// NoteReady records that a cutover could be tried. False: that was so before.
func NoteReady(ctx context.Context, db pg.Querier, run *Run) (first bool, err error) {
	var detail map[string]any
	if noted, err := LastEvent(ctx, db, run, &detail, BecameReady); err != nil || noted {
		return false, err
	}
	return true, Event(ctx, db, run, BecameReady, nil)
}

// Entry is when a run entered a phase: first, and again after a rollback.
type Entry struct {
	Phase Phase
	At    time.Time
}

// Entries reads when a run entered its phases, in order. It began in building. An older
// control schema will do.
func Entries(ctx context.Context, db pg.Querier, runID int64) ([]Entry, error) {
	now, _, err := version(ctx, db)
	if err != nil {
		return nil, err
	}
	rows, err := db.Query(ctx, `SELECT phase, min(at) FROM (
			SELECT phase, at, count(*) FILTER (WHERE phase = 'watching') OVER (ORDER BY at) AS swaps FROM (
				SELECT phase, at FROM pgumbra.event WHERE run_id = $1 AND `+kindColumn(now)+` = $2
				UNION ALL SELECT 'building', created_at FROM pgumbra.run WHERE id = $1) e) e
		GROUP BY swaps, phase ORDER BY min(at)`, runID, PhaseEntered)
	if err != nil {
		return nil, fmt.Errorf("read when the run entered its phases: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Entry])
}

// Refused is an attempt at a swap, or a look before one, that came to nothing.
type Refused struct {
	At time.Time `json:"at"`
	// Swap is what was tried: cutover or rollback.
	Swap    string  `json:"swap"`
	Attempt int     `json:"attempt"` // of its series, looks counted too
	HeldMS  float64 `json:"held_ms"` // what it took from clients; 0: nothing, or an older pgumbra made it
	Reason  string  `json:"reason"`

	ID int64 `json:"-"` // of its event
}

// ReadRefused reads which attempts came to nothing after an event, 0 for all, the first one
// first, of an older control schema too.
func ReadRefused(ctx context.Context, db pg.Querier, runID, after int64) ([]Refused, error) {
	now, _, err := version(ctx, db)
	if err != nil {
		return nil, err
	}
	rows, err := db.Query(ctx, `SELECT at, CASE phase WHEN 'watching' THEN 'rollback' ELSE 'cutover' END, coalesce((detail->>'attempt')::int, 0),
		       coalesce((detail->>'held_ms')::float8, 0), coalesce(detail->>'reason', ''), id
		FROM pgumbra.event WHERE run_id = $1 AND `+kindColumn(now)+` = $2 AND id > $3 ORDER BY id`, runID, refusedKind(now), after)
	if err != nil {
		return nil, fmt.Errorf("read which attempts came to nothing: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Refused])
}

// Sample is where a run stood at a moment.
type Sample struct {
	At           time.Time `json:"at"`
	Phase        Phase     `json:"phase"`
	RowsCopied   int64     `json:"rows_copied"`
	RowsVerified int64     `json:"rows_verified"`
	Pending      int64     `json:"pending"` // changes that were not replayed yet, at the last count
	JournalBytes int64     `json:"journal_bytes"`
	RateIn       float64   `json:"rate_in"` // changes a second
	RateOut      float64   `json:"rate_out"`
}

// TakeSample records where a run stands now, unless it is swapped or over.
func TakeSample(ctx context.Context, db pg.Querier, run int64, pending, bytes int64) error {
	_, err := db.Exec(ctx, `INSERT INTO pgumbra.sample (run_id, phase, rows_copied, rows_verified, pending, journal_bytes, rate_in, rate_out)
		SELECT r.id, r.phase, t.copied, t.verified, $2, $3, l.rate_in, l.rate_out
		FROM pgumbra.run r JOIN pgumbra.leader l ON l.run_id = r.id, LATERAL (
			SELECT coalesce(sum(greatest(t.rows_copied, (SELECT coalesce(sum(c.rows), 0) FROM pgumbra.chunk c WHERE c.run_id = t.run_id AND c.n = t.n))), 0)::bigint AS copied,
			       coalesce(sum(CASE WHEN t.proved IS NULL THEN 0 WHEN t.verified_at IS NOT NULL THEN greatest(p.rows, t.rows_total) ELSE coalesce(p.rows, 0) END), 0)::bigint AS verified
			FROM pgumbra.shadow_table t LEFT JOIN pgumbra.proof p USING (run_id, n) WHERE t.run_id = r.id) t
		WHERE r.id = $1 AND r.phase <> ALL ($4) ON CONFLICT DO NOTHING`, run, pending, bytes, append([]Phase{Watching}, over...))
	if err != nil {
		return fmt.Errorf("take a sample: %w", err)
	}
	return nil
}

// Samples of a run, in order. None where the control schema is of a pgumbra that
// took none.
func Samples(ctx context.Context, db pg.Querier, runID int64) ([]Sample, error) {
	var there bool
	err := db.QueryRow(ctx, `SELECT pg_catalog.to_regclass('pgumbra.sample') IS NOT NULL`).Scan(&there)
	if err != nil || !there {
		return nil, err
	}
	rows, err := db.Query(ctx, `SELECT at, phase, rows_copied, rows_verified, pending, journal_bytes, rate_in, rate_out
		FROM pgumbra.sample WHERE run_id = $1 ORDER BY at`, runID)
	if err != nil {
		return nil, fmt.Errorf("read the samples of a run: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Sample])
}

// SetPaused asks the copy of a live run to pause, or to go on.
func SetPaused(ctx context.Context, db pg.Querier, run *Run, at *time.Time) error {
	_, err := db.Exec(ctx, `UPDATE pgumbra.run SET paused_at = $2 WHERE id = $1`, run.ID, at)
	if err != nil {
		return fmt.Errorf("ask run %s to pause or go on: %w", run.Name, err)
	}
	return nil
}

// SetWorkers asks for so many sessions that copy; nil: as many as the plan file says.
func SetWorkers(ctx context.Context, db pg.Querier, run *Run, workers *int) error {
	_, err := db.Exec(ctx, `UPDATE pgumbra.run SET workers = $2 WHERE id = $1`, run.ID, workers)
	if err != nil {
		return fmt.Errorf("ask for another number of workers in run %s: %w", run.Name, err)
	}
	return nil
}

// LiveRun is a run that is not over, with the names of the schemas that it holds.
type LiveRun struct {
	Name    string
	Schemas []string // production's
}

// LiveRuns reads the runs that are not over; none where there is no control schema,
// or none that this role may read.
func LiveRuns(ctx context.Context, db pg.Querier) ([]LiveRun, error) {
	there, err := Exists(ctx, db)
	if err != nil || !there {
		return nil, err
	}
	rows, err := db.Query(ctx, `SELECT name, plan FROM pgumbra.run WHERE phase NOT IN ('finished', 'rolled_back', 'aborted')`)
	if err == nil {
		var all []LiveRun
		all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (LiveRun, error) {
			var plan struct{ Schemas []plans.Schema }
			var r LiveRun
			err := row.Scan(&r.Name, &plan)
			for _, s := range plan.Schemas {
				r.Schemas = append(r.Schemas, s.Production)
			}
			return r, err
		})
		if err == nil {
			return all, nil
		}
	}
	if pg.State(err) == pgerrcode.InsufficientPrivilege {
		return nil, nil
	}
	return nil, fmt.Errorf("read the runs: %w", err)
}
