package control

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// Leader is what the last leader of a live run said of itself.
type Leader struct {
	Host     string
	PID      int
	Backends []int32     // of its sessions, in production
	Started  []time.Time // these, in the same order; empty: noted by an older pgumbra
	Beat     time.Time   // its last heartbeat
	Silent   time.Duration
	// Stale: silent for longer than was asked for. Alive: not so.
	Alive, Stale bool
}

// within is the condition on a moment that it is not longer ago than so many seconds, by
// the server's clock. Nor ahead of it: a clock that is set back would have the heartbeat
// of a dead leader taken for young for as long as it was set back.
func within(seconds string) string {
	return "BETWEEN clock_timestamp() - make_interval(secs => " + seconds + ") AND clock_timestamp() + make_interval(secs => " + seconds + ")"
}

// LastLeader reads the last leader of the live run of a name; a zero Leader where
// nobody leads one, or the last one ended by itself. An earlier run of that name says nothing: whoever
// holds the lock then is planning a new one. It is asked before the control schema
// is brought up to date, so a column that is not there yet counts as empty. Times
// are the server's.
func LastLeader(ctx context.Context, db pg.Querier, name string, stale time.Duration) (l Leader, err error) {
	there, err := Exists(ctx, db)
	if err != nil || !there {
		return l, err
	}
	var silent float64
	err = db.QueryRow(ctx, `
		SELECT l.host, l.pid, l.backends, ARRAY(SELECT s.text::timestamptz FROM jsonb_array_elements_text(coalesce(to_jsonb(l)->'started', '[]'))
		       WITH ORDINALITY AS s (text, n) ORDER BY s.n), l.heartbeat,
		       l.heartbeat NOT `+within(`$2`)+`, extract(epoch FROM clock_timestamp() - l.heartbeat)::float8
		FROM pgumbra.leader l JOIN pgumbra.run r ON r.id = l.run_id
		WHERE r.name = $1 AND l.heartbeat IS NOT NULL AND r.phase <> ALL ($3)
		ORDER BY r.id DESC LIMIT 1`,
		name, stale.Seconds(), over).Scan(&l.Host, &l.PID, &l.Backends, &l.Started, &l.Beat, &l.Stale, &silent)
	if errors.Is(err, pgx.ErrNoRows) {
		return l, nil
	}
	l.Alive, l.Silent = !l.Stale, time.Duration(max(silent, 0)*float64(time.Second))
	return l, err
}

// Succeed makes a process the run's leader: it raises the epoch, so that whatever a
// predecessor's orphan still does fails its check, and forgets what was asked of the
// predecessor: who still waits for a cutover asks again. A failure stays only where
// the run is past repair: after the swap it says that the way back is closed.
func Succeed(ctx context.Context, db pg.Querier, run *Run, host string, pid int) error {
	err := db.QueryRow(ctx, `
		WITH raised AS (UPDATE pgumbra.run SET epoch = epoch + 1,
		                    failure = CASE WHEN phase = 'watching' THEN failure ELSE '' END WHERE id = $1 RETURNING epoch, phase),
		     known AS (UPDATE pgumbra.leader SET host = $2, pid = $3, backends = '{}', throttled = '', cutover_requested = NULL, heartbeat = clock_timestamp()
		               WHERE run_id = $1)
		SELECT epoch, phase FROM raised`, run.ID, host, pid).Scan(&run.Epoch, &run.Phase)
	if err != nil {
		return fmt.Errorf("raise the epoch: %w", err)
	}
	return nil
}

// FenceOff raises the epoch of a run that is in one of some phases, or in any where
// none is named: its leader commits nothing more. False: it is in another phase.
func FenceOff(ctx context.Context, db pg.Querier, run *Run, in ...Phase) (bool, error) {
	tag, err := db.Exec(ctx, `UPDATE pgumbra.run SET epoch = epoch + 1 WHERE id = $1 AND (cardinality($2::text[]) = 0 OR phase = ANY ($2))`,
		run.ID, append([]Phase{}, in...))
	if err != nil {
		return false, fmt.Errorf("raise the epoch: %w", err)
	}
	return tag.RowsAffected() == 1, nil
}

// RaisePast raises the epoch past the one that the shadow knows of: a standby that
// was behind when it was promoted has forgotten leaders, and what they left on the
// shadow must not pass for ours. [ErrFencedOff]: another leader raised it.
func RaisePast(ctx context.Context, production, shadow pg.Querier, run *Run) error {
	var known int64
	err := shadow.QueryRow(ctx, `SELECT coalesce(max(epoch), 0) FROM pgumbra.run WHERE id = $1 AND name = $2`, run.ID, run.Name).Scan(&known)
	if err != nil {
		return fmt.Errorf("read the epoch on the shadow: %w", err)
	}
	if known <= run.Epoch {
		return nil
	}
	tag, err := production.Exec(ctx, `UPDATE pgumbra.run SET epoch = $3 WHERE id = $1 AND epoch = $2`, run.ID, run.Epoch, known+1)
	if err != nil {
		return fmt.Errorf("raise the epoch: %w", err)
	}
	if tag.RowsAffected() != 1 {
		return ErrFencedOff
	}
	run.Epoch = known + 1
	return nil
}

// Beat says that the run's leader lives.
func Beat(ctx context.Context, db pg.Querier, run *Run) error {
	_, err := db.Exec(ctx, `UPDATE pgumbra.leader SET heartbeat = clock_timestamp() WHERE run_id = $1`, run.ID)
	if err != nil {
		return fmt.Errorf("heartbeat: %w", err)
	}
	return nil
}

// Resign says that the leader of an epoch has ended: nobody has to wait for its
// heartbeat to grow old. A successor is let be.
func Resign(ctx context.Context, db pg.Querier, run, epoch int64) error {
	_, err := db.Exec(ctx, `UPDATE pgumbra.leader l SET heartbeat = NULL FROM pgumbra.run r
		WHERE l.run_id = $1 AND r.id = l.run_id AND r.epoch = $2`, run, epoch)
	if err != nil {
		return fmt.Errorf("say that nobody leads the run: %w", err)
	}
	return nil
}

// Leadership is who leads a run, and what is asked of it, at one moment.
type Leadership struct {
	Phase     Phase
	Epoch     int64
	Requested bool // a swap
	Alive     bool
}

// ReadLeadership asks who leads a run. A heartbeat that is older than so long is a dead
// leader's.
func ReadLeadership(ctx context.Context, db pg.Querier, run *Run, young time.Duration) (l Leadership, err error) {
	err = db.QueryRow(ctx, `
		SELECT r.phase, r.epoch, l.cutover_requested IS NOT NULL,
		       coalesce(l.heartbeat `+within(`$2`)+`, false)
		FROM pgumbra.run r JOIN pgumbra.leader l ON l.run_id = r.id WHERE r.id = $1`,
		run.ID, young.Seconds()).Scan(&l.Phase, &l.Epoch, &l.Requested, &l.Alive)
	if err != nil {
		return l, fmt.Errorf("look who leads the run: %w", err)
	}
	return l, nil
}

// NoteThrottled says why copying pauses, for status; "": it does not.
func NoteThrottled(ctx context.Context, db pg.Querier, run *Run, reason string) error {
	_, err := db.Exec(ctx, `UPDATE pgumbra.leader SET throttled = $2 WHERE run_id = $1`, run.ID, pg.ASCII(reason))
	if err != nil {
		return fmt.Errorf("say why copying pauses: %w", err)
	}
	return nil
}

// PausedSince is when somebody asked for the copy to pause, as the server writes it;
// "": nobody does.
func PausedSince(ctx context.Context, db pg.Querier, run *Run) (since string, err error) {
	err = db.QueryRow(ctx, `SELECT coalesce(to_char(paused_at, 'HH24:MI:SS TZ'), '') FROM pgumbra.run WHERE id = $1`, run.ID).Scan(&since)
	if err != nil {
		return "", fmt.Errorf("look whether the copy is to pause: %w", err)
	}
	return since, nil
}

// WorkersWanted is how many sessions are to copy, as somebody asked for; 0: as many as
// the plan file says.
func WorkersWanted(ctx context.Context, db pg.Querier, run *Run) (workers int, err error) {
	err = db.QueryRow(ctx, `SELECT coalesce(workers, 0) FROM pgumbra.run WHERE id = $1`, run.ID).Scan(&workers)
	if err != nil {
		return 0, fmt.Errorf("look how many sessions are to copy: %w", err)
	}
	return workers, nil
}

// NoteRates records how many changes a second are journalled and replayed.
func NoteRates(ctx context.Context, db pg.Querier, run *Run, in, out float64) error {
	_, err := db.Exec(ctx, `UPDATE pgumbra.leader SET rate_in = $2, rate_out = $3 WHERE run_id = $1`, run.ID, in, out)
	if err != nil {
		return fmt.Errorf("note the rates: %w", err)
	}
	return nil
}

// ReplayRate is how many changes a second were replayed at the last count.
func ReplayRate(ctx context.Context, db pg.Querier, run *Run) (rate float64, err error) {
	err = db.QueryRow(ctx, `SELECT rate_out FROM pgumbra.leader WHERE run_id = $1`, run.ID).Scan(&rate)
	if err != nil {
		return 0, fmt.Errorf("read the rate: %w", err)
	}
	return rate, nil
}

// NoteFailure notes what ended the run, unless something has before, or another
// leads it by now.
func NoteFailure(ctx context.Context, db pg.Querier, run *Run, reason string) error {
	return noteFailure(ctx, db, run, " AND epoch = $3", reason, run.Epoch)
}

// NoteBroken is [NoteFailure] whoever leads the run: its capture has a gap.
func NoteBroken(ctx context.Context, db pg.Querier, run *Run, reason string) error {
	return noteFailure(ctx, db, run, "", reason)
}

func noteFailure(ctx context.Context, db pg.Querier, run *Run, only, reason string, args ...any) error {
	_, err := db.Exec(ctx, `UPDATE pgumbra.run SET failure = $2 WHERE id = $1 AND failure = ''`+only, append([]any{run.ID, pg.ASCII(reason)}, args...)...)
	if err != nil {
		return fmt.Errorf("record the failure of run %s: %w", run.Name, err)
	}
	return nil
}

// NotePlan records a plan that has changed in what is not structure: partitions that
// came or went. [ErrFencedOff]: another leads the run.
func NotePlan(ctx context.Context, db pg.Querier, run *Run) error {
	text, err := pg.JSON(run.Plan)
	if err != nil {
		return err
	}
	tag, err := db.Exec(ctx, `UPDATE pgumbra.run SET plan = $3 WHERE id = $1 AND epoch = $2`, run.ID, run.Epoch, text)
	if err != nil {
		return fmt.Errorf("record the plan: %w", err)
	}
	if tag.RowsAffected() != 1 {
		return ErrFencedOff
	}
	return nil
}

// CurrentPhase reads the phase alone.
func CurrentPhase(ctx context.Context, db pg.Querier, run *Run) (phase Phase, err error) {
	err = db.QueryRow(ctx, `SELECT phase FROM pgumbra.run WHERE id = $1`, run.ID).Scan(&phase)
	if err != nil {
		return "", fmt.Errorf("read the phase of run %s: %w", run.Name, err)
	}
	return phase, nil
}
