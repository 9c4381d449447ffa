package control

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// Landing is the phase that a swap of this run ends in.
func (r *Run) Landing() Phase {
	switch {
	case r.Plan.Backwards() && r.ToFollow:
		return Following
	case r.Plan.Backwards():
		return RolledBack
	}
	return Watching
}

// outcome is the column that holds what came of the swap.
func (r *Run) outcome() string {
	if r.Plan.Backwards() {
		return "rollback"
	}
	return "cutover"
}

// Decision is a transaction whose COMMIT decides which side is production. A server that
// crashes may give its number to another one afterwards, and so may a standby that is
// promoted without it; the latter begins a new timeline.
type Decision struct {
	XID      string `json:"xid,omitempty"`
	Timeline string `json:"timeline,omitempty"` // of the server's write-ahead log, as its files' names begin
}

// onTimeline is the timeline that a server writes.
const onTimeline = `pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 8)`

// NoteSwap notes the swap in the transaction that it is, which has moved the phase:
// by the row and by the transaction's number everybody learns later whether it
// happened. report is the outcome for status, to which the moment is added.
func NoteSwap(ctx context.Context, tx pg.Querier, run *Run, report []byte) (d Decision, at time.Time, err error) {
	column := run.outcome()
	err = tx.QueryRow(ctx, `UPDATE pgumbra.run SET swap_xid = pg_current_xact_id(),
		`+column+` = ($2::jsonb || jsonb_build_object('at', clock_timestamp()))::json WHERE id = $1
		RETURNING swap_xid::text, `+onTimeline+`, (`+column+`->>'at')::timestamptz`, run.ID, report).Scan(&d.XID, &d.Timeline, &at)
	if err != nil {
		return d, at, fmt.Errorf("record the swap: %w", err)
	}
	return d, at, nil
}

// NoteSwapThere is [NoteSwap] on the side of a shadow in another database, whose phase
// it moves: that commit decides. Of a cutover it is the record that [Adopt] made there,
// of a rollback the run's own. [ErrFencedOff] when another leader took over.
func NoteSwapThere(ctx context.Context, tx pg.Querier, run *Run) (d Decision, at time.Time, err error) {
	landed, column := *run, run.outcome()
	landed.Phase = run.Landing()
	err = tx.QueryRow(ctx, `UPDATE pgumbra.run SET phase = $3, swap_xid = pg_current_xact_id(), ended_at = CASE WHEN $4 THEN clock_timestamp() END,
		`+column+` = json_build_object('at', clock_timestamp()) WHERE id = $1 AND epoch = $2
		RETURNING swap_xid::text, `+onTimeline+`, (`+column+`->>'at')::timestamptz`, run.ID, run.Epoch, landed.Phase, landed.Phase.Over()).Scan(&d.XID, &d.Timeline, &at)
	if errors.Is(err, pgx.ErrNoRows) {
		return d, at, ErrFencedOff
	}
	if err == nil && run.Plan.Backwards() {
		err = Event(ctx, tx, &landed, PhaseEntered, nil)
	}
	if err != nil {
		return d, at, fmt.Errorf("record the swap on the shadow: %w", err)
	}
	return d, at, nil
}

// NoteOutcome writes what status shows of a swap, as JSON.
func NoteOutcome(ctx context.Context, db pg.Querier, run *Run, report []byte) error {
	_, err := db.Exec(ctx, `UPDATE pgumbra.run SET `+run.outcome()+` = $2 WHERE id = $1`, run.ID, report)
	if err != nil {
		return fmt.Errorf("record the swap: %w", err)
	}
	return nil
}

// CorrectOutcome writes it once more, by whoever has swapped, when all is measured. What
// was noted meanwhile of the same swap stays, as that it is tidied up. Does nothing when
// another leader took over: one that was stopped after its COMMIT may wake up a swap later.
func CorrectOutcome(ctx context.Context, db pg.Querier, run *Run, report []byte) error {
	_, err := db.Exec(ctx, `UPDATE pgumbra.run SET `+run.outcome()+` = (coalesce(`+run.outcome()+`::jsonb, '{}') || $3::jsonb)::json WHERE id = $1 AND epoch = $2`,
		run.ID, run.Epoch, report)
	if err != nil {
		return fmt.Errorf("record the swap: %w", err)
	}
	return nil
}

// Outcome is what [NoteOutcome] or [NoteSwap] wrote of the run's swap; "{}":
// nothing.
func Outcome(ctx context.Context, db pg.Querier, run *Run) (report []byte, err error) {
	err = db.QueryRow(ctx, `SELECT coalesce(`+run.outcome()+`, '{}') FROM pgumbra.run WHERE id = $1`, run.ID).Scan(&report)
	if err != nil {
		return nil, fmt.Errorf("read the swap's record: %w", err)
	}
	return report, nil
}

// SwapMoment reads when a swap was, and the transaction whose snapshot tells who
// sees it: the guard's, or else its own.
func SwapMoment(ctx context.Context, db pg.Querier, run *Run) (at time.Time, guard string, err error) {
	column := run.outcome()
	err = db.QueryRow(ctx, `SELECT (`+column+`->>'at')::timestamptz, coalesce(`+column+`->>'guard', swap_xid::text)
		FROM pgumbra.run WHERE id = $1`, run.ID).Scan(&at, &guard)
	if err != nil {
		return at, "", fmt.Errorf("read the swap's record: %w", err)
	}
	return at, guard, nil
}

// Swaps are what one side knows of a run's swaps: its phase, and when its last cutover was.
type Swaps struct {
	Phase   Phase
	Cutover time.Time // zero: none
}

// ReadSwaps reads what one side knows. Where the two of a run disagree, it tells which
// of them lost its last commits.
func ReadSwaps(ctx context.Context, db pg.Querier, run *Run) (s Swaps, err error) {
	err = db.QueryRow(ctx, `SELECT phase, coalesce((cutover->>'at')::timestamptz, '0001-01-01 00:00:00+00') FROM pgumbra.run WHERE id = $1`, run.ID).Scan(&s.Phase, &s.Cutover)
	if err != nil {
		return s, fmt.Errorf("read the swap's record: %w", err)
	}
	return s, nil
}

// Fate is what a server says of a transaction that decides.
type Fate struct {
	// Status is one of pg_xact_status; "": it is too old to be known; [NotAssigned].
	Status string
	// Moved: the run's row was moved to its landing by just that transaction.
	Moved bool
	// SameLog: the server goes on with the write-ahead log that it was noted on.
	SameLog bool
}

// NotAssigned says that the server has not come to the number, or not again after a
// crash.
const NotAssigned = "not assigned"

// FateOf asks a server what became of a transaction. Its status is read first: when that is
// final, so is the row that is read after it. No such row: it was not moved.
func FateOf(ctx context.Context, db pg.Querier, run *Run, d Decision) (f Fate, err error) {
	if err := db.QueryRow(ctx, `SELECT `+onTimeline+` = $1`, d.Timeline).Scan(&f.SameLog); err != nil {
		return f, fmt.Errorf("read the server's timeline: %w", err)
	}
	err = db.QueryRow(ctx, `SELECT coalesce(pg_catalog.pg_xact_status($1::xid8), '')`, d.XID).Scan(&f.Status)
	switch {
	case pg.State(err) == pgerrcode.InvalidParameterValue: // "is in the future"
		f.Status = NotAssigned
	case err != nil:
		return f, fmt.Errorf("ask what became of transaction %s: %w", d.XID, err)
	}
	err = db.QueryRow(ctx, `SELECT phase = $3 AND coalesce(swap_xid = $2::xid8, false) FROM pgumbra.run WHERE id = $1`,
		run.ID, d.XID, run.Landing()).Scan(&f.Moved)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return f, fmt.Errorf("read the swap's record: %w", err)
	}
	return f, nil
}

// EndAdopted ends the run in the record that [Adopt] made, unless another leads it.
func EndAdopted(ctx context.Context, shadow pg.Querier, run *Run) error {
	_, err := shadow.Exec(ctx, `UPDATE pgumbra.run SET phase = $3, ended_at = coalesce(ended_at, clock_timestamp())
		WHERE id = $1 AND epoch = $2`, run.ID, run.Epoch, Finished)
	if err != nil {
		return fmt.Errorf("end the run on the shadow: %w", err)
	}
	return nil
}

// NoteSwitch notes in production, or on the new side of a rollback from there, how far
// a cutover to another database came, as JSON. [ErrFencedOff] when another leader took over: then it decides. nil: the cutover is undone.
func NoteSwitch(ctx context.Context, db pg.Querier, run *Run, progress []byte) error {
	tag, err := db.Exec(ctx, `UPDATE pgumbra.run SET switch = $3 WHERE id = $1 AND epoch = $2`, run.ID, run.Epoch, progress)
	if err != nil {
		return fmt.Errorf("note how far the cutover came: %w", err)
	}
	if tag.RowsAffected() != 1 {
		return ErrFencedOff
	}
	return nil
}

// Switch is what [NoteSwitch] noted; nil: no such cutover is under way.
func Switch(ctx context.Context, db pg.Querier, run *Run) (progress []byte, err error) {
	err = db.QueryRow(ctx, `SELECT switch FROM pgumbra.run WHERE id = $1`, run.ID).Scan(&progress)
	if err != nil {
		return nil, fmt.Errorf("read how far the cutover came: %w", err)
	}
	return progress, nil
}

// EndSwitch forgets the note of a cutover that is done, and writes what came of it.
// Does nothing when another leader took over.
func EndSwitch(ctx context.Context, db pg.Querier, run *Run, report []byte) error {
	_, err := db.Exec(ctx, `UPDATE pgumbra.run SET `+run.outcome()+` = $3, switch = NULL WHERE id = $1 AND epoch = $2`, run.ID, run.Epoch, report)
	if err != nil {
		return fmt.Errorf("record the swap: %w", err)
	}
	return nil
}

// Idle reports whether no cutover is noted on one side. [ErrFencedOff]: another leads
// the run, or the record is gone, which whoever came after has taken away.
func Idle(ctx context.Context, db pg.Querier, run *Run) (idle bool, err error) {
	var epoch int64
	err = db.QueryRow(ctx, `SELECT epoch, switch IS NULL FROM pgumbra.run WHERE id = $1`, run.ID).Scan(&epoch, &idle)
	if errors.Is(err, pgx.ErrNoRows) || pg.State(err) == pgerrcode.UndefinedTable {
		return true, ErrFencedOff
	}
	if err == nil && epoch != run.Epoch {
		err = ErrFencedOff
	}
	return idle, err
}

// Decided reports whether the swap that the run is for is under way or done, on one side.
func Decided(ctx context.Context, tx pg.Querier, run *Run) (decided bool, err error) {
	err = tx.QueryRow(ctx, `SELECT switch IS NOT NULL OR phase IN ('finished', 'rolled_back') OR phase = 'watching' AND NOT $2 FROM pgumbra.run WHERE id = $1`,
		run.ID, run.Plan.Backwards()).Scan(&decided)
	if err != nil {
		return false, fmt.Errorf("look whether a cutover is under way: %w", err)
	}
	return decided, nil
}

// LockPhase reads the phase and keeps it, until the end of the transaction.
func LockPhase(ctx context.Context, tx pgx.Tx, run *Run) (phase Phase, err error) {
	err = tx.QueryRow(ctx, `SELECT phase FROM pgumbra.run WHERE id = $1 FOR UPDATE`, run.ID).Scan(&phase)
	if err != nil {
		return "", fmt.Errorf("lock the phase of run %s: %w", run.Name, err)
	}
	return phase, nil
}

// CountAttempt adds an attempt, and how long it held clients, to those of the run.
func CountAttempt(ctx context.Context, db pg.Querier, run *Run, held time.Duration) error {
	_, err := db.Exec(ctx, `UPDATE pgumbra.run SET attempts = attempts + 1, held_ms = held_ms + $2 WHERE id = $1`,
		run.ID, float64(held.Microseconds())/1000)
	return err
}

// KeepOutcomes keeps what came of the run's last cutover and rollback, for [History]: the
// next swap of their kind writes over it. To be called before an attempt, while nobody waits
// yet; what is kept already is not kept again.
func KeepOutcomes(ctx context.Context, db pg.Querier, run *Run) error {
	_, err := db.Exec(ctx, `UPDATE pgumbra.run SET earlier = earlier || kept.outcomes
		FROM (SELECT jsonb_agg(o.outcome ORDER BY (o.outcome->>'at')::timestamptz) AS outcomes
			FROM pgumbra.run r, LATERAL (VALUES (r.cutover::jsonb || '{"swap": "cutover"}'), (r.rollback::jsonb || '{"swap": "rollback"}')) o (outcome)
			WHERE r.id = $1 AND o.outcome->>'at' IS NOT NULL
			  AND NOT r.earlier @> jsonb_build_array(jsonb_build_object('at', o.outcome->'at', 'swap', o.outcome->'swap'))) kept
		WHERE id = $1 AND kept.outcomes IS NOT NULL`, run.ID)
	if err != nil {
		return fmt.Errorf("keep what came of the swap before: %w", err)
	}
	return nil
}

// Attempts are how many attempts held clients, and for how long in all.
func Attempts(ctx context.Context, db pg.Querier, run *Run) (n int, held time.Duration, err error) {
	var ms float64
	err = db.QueryRow(ctx, `SELECT attempts, held_ms FROM pgumbra.run WHERE id = $1`, run.ID).Scan(&n, &ms)
	if err != nil {
		return 0, 0, fmt.Errorf("read what attempts have taken: %w", err)
	}
	return n, time.Duration(ms * float64(time.Millisecond)), nil
}
