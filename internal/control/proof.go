package control

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// ProofMove says what a batch does to a table's proof.
type ProofMove string

// What a batch does to a proof.
const (
	ProofStays   ProofMove = "stays"   // keys touched by the batch are to be proved again
	ProofMoves   ProofMove = "moves"   // the batch proved what it touched, or touched nothing
	ProofCleared ProofMove = "cleared" // the table is to be proved anew
)

// Proof is how far a shadow table is proved equal to production.
type Proof struct {
	N        int
	State    State
	Begun    bool // since the table was copied or the last proof was taken back
	Complete bool
	// Current: no key was touched since it was proved, as far as batches have come.
	Current bool
	Proved  string        // snapshot; empty: not begun
	Ago     time.Duration // since that snapshot, by the server's clock
	Pass    int           // how often a proof was begun with the first key
	UpTo    []string      // last key that this pass proved; nil: none
	Rows    int64         // that this pass proved
	Took    time.Duration // comparing, of a table that is compared as a whole
}

// Proofs reads the proofs of all shadow tables of a run.
func Proofs(ctx context.Context, db pg.Querier, run *Run) ([]Proof, error) {
	rows, err := db.Query(ctx, `
		SELECT t.n, t.state, coalesce(t.proved::text, ''), t.verified_at IS NOT NULL AND t.proved IS NOT NULL,
		       coalesce(t.proved::text = t.position::text, false),
		       coalesce(extract(epoch FROM clock_timestamp() - t.proved_at), 0)::float8,
		       coalesce(p.pass, 0), p.upto, coalesce(p.rows, 0), coalesce(p.seconds, 0), coalesce(p.done, false)
		FROM pgumbra.shadow_table t LEFT JOIN pgumbra.proof p USING (run_id, n) WHERE t.run_id = $1 ORDER BY t.n`, run.ID)
	if err != nil {
		return nil, fmt.Errorf("read the proofs: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (Proof, error) {
		var p Proof
		var ago, took float64
		var done bool
		err := row.Scan(&p.N, &p.State, &p.Proved, &p.Complete, &p.Current, &ago, &p.Pass, &p.UpTo, &p.Rows, &took, &done)
		p.Ago, p.Took = time.Duration(ago*float64(time.Second)), time.Duration(took*float64(time.Second))
		// Whoever takes a proof back that was complete only clears verified_at.
		p.Begun = p.Proved != "" && p.Pass > 0 && done == p.Complete
		return p, err
	})
}

// BeginProof begins the proof of a table anew, in a transaction that has its row
// by [Lock]: keys touched from its position on are to be proved again.
func BeginProof(ctx context.Context, tx pgx.Tx, run *Run, n int) (pass int, err error) {
	err = tx.QueryRow(ctx, `
		WITH table_ AS (UPDATE pgumbra.shadow_table SET proved = position, proved_at = clock_timestamp(), verified_at = NULL
		                WHERE run_id = $1 AND n = $2)
		INSERT INTO pgumbra.proof AS old (run_id, n, pass) VALUES ($1, $2, 1)
		ON CONFLICT (run_id, n) DO UPDATE SET pass = old.pass + 1, upto = NULL, rows = 0, done = false
		RETURNING pass`, run.ID, n).Scan(&pass)
	if err != nil {
		return 0, fmt.Errorf("begin the proof of table %d: %w", n, err)
	}
	return pass, nil
}

// Ranges that were proved: keys up to UpTo, of the pass so many rows.
type Ranges struct {
	Pass int
	UpTo []string
	Rows int64
	Done bool // it was the last range
	Took time.Duration
}

// RecordRanges records how far a pass came, in a READ COMMITTED transaction that
// checked the epoch. False: the proof was taken back or begun anew meanwhile.
func RecordRanges(ctx context.Context, tx pgx.Tx, run *Run, n int, r Ranges) (recorded bool, err error) {
	tag, err := tx.Exec(ctx, `UPDATE pgumbra.proof SET upto = $4, rows = $5, done = $6, seconds = $7
		WHERE run_id = $1 AND n = $2 AND pass = $3 AND NOT done
		  AND EXISTS (SELECT FROM pgumbra.shadow_table t WHERE t.run_id = $1 AND t.n = $2 AND t.proved IS NOT NULL)`,
		run.ID, n, r.Pass, r.UpTo, r.Rows, r.Done, r.Took.Seconds())
	if err != nil {
		return false, fmt.Errorf("record the proof of table %d: %w", n, err)
	}
	if tag.RowsAffected() == 0 || !r.Done {
		return tag.RowsAffected() == 1, nil
	}
	tag, err = tx.Exec(ctx, `UPDATE pgumbra.shadow_table SET verified_at = proved_at WHERE run_id = $1 AND n = $2 AND proved IS NOT NULL`, run.ID, n)
	if err != nil {
		return false, fmt.Errorf("complete the proof of table %d: %w", n, err)
	}
	if tag.RowsAffected() == 0 {
		return false, fmt.Errorf("complete the proof of table %d: %w", n, errTakenBack)
	}
	return true, nil
}

// errTakenBack ends a transaction that would complete a proof which was taken back
// a moment ago.
var errTakenBack = errors.New("the proof was taken back meanwhile")

// MoveProof notes that the keys touched from one snapshot to another were proved
// again. False: the proof moved, or was taken back, meanwhile. from == "": wherever
// it stands.
func MoveProof(ctx context.Context, tx pgx.Tx, run *Run, n int, from, to string, at time.Time) (moved bool, err error) {
	tag, err := tx.Exec(ctx, `UPDATE pgumbra.shadow_table SET proved = $4::pg_snapshot, proved_at = $5::timestamptz,
		       verified_at = CASE WHEN verified_at IS NOT NULL THEN $5::timestamptz END
		WHERE run_id = $1 AND n = $2 AND proved IS NOT NULL AND ($3::text = '' OR proved::text = $3::text)`, run.ID, n, from, to, at)
	if err != nil {
		return false, fmt.Errorf("move the proof of table %d: %w", n, err)
	}
	return tag.RowsAffected() == 1, nil
}

// Unprove takes a proof back: the table counts as not verified until it is proved
// anew. In a READ COMMITTED transaction.
func Unprove(ctx context.Context, tx pg.Querier, run *Run, n int) error {
	_, err := tx.Exec(ctx, `UPDATE pgumbra.shadow_table SET proved = NULL, proved_at = NULL, verified_at = NULL WHERE run_id = $1 AND n = $2`, run.ID, n)
	if err != nil {
		return fmt.Errorf("take back the proof of table %d: %w", n, err)
	}
	return nil
}

// MirrorProof copies how far the proof of a table came to production's control
// schema, for status. Does nothing where both sides are one.
func MirrorProof(ctx context.Context, sides Sides, run *Run, n int) error {
	if !sides.Apart() {
		return nil
	}
	var row []byte
	err := sides.Shadow.QueryRow(ctx, `SELECT pg_catalog.to_json(p) FROM pgumbra.proof p WHERE run_id = $1 AND n = $2`, run.ID, n).Scan(&row)
	if err == nil {
		_, err = sides.Production.Exec(ctx, `INSERT INTO pgumbra.proof (run_id, n, pass, upto, rows, done, seconds)
			SELECT run_id, n, pass, upto, rows, done, seconds FROM pg_catalog.json_populate_record(NULL::pgumbra.proof, $1)
			ON CONFLICT (run_id, n) DO UPDATE SET pass = EXCLUDED.pass, upto = EXCLUDED.upto, rows = EXCLUDED.rows,
			       done = EXCLUDED.done, seconds = EXCLUDED.seconds`, row)
	}
	if err != nil {
		return fmt.Errorf("mirror the proof of table %d: %w", n, err)
	}
	return nil
}

// RecordAgain notes how long a table took that was compared as a whole once more.
func RecordAgain(ctx context.Context, tx pgx.Tx, run *Run, n, pass int, took time.Duration) error {
	_, err := tx.Exec(ctx, `UPDATE pgumbra.proof SET seconds = $4 WHERE run_id = $1 AND n = $2 AND pass = $3`, run.ID, n, pass, took.Seconds())
	if err != nil {
		return fmt.Errorf("record the proof of table %d: %w", n, err)
	}
	return nil
}

// Led reports whether a run has a leader whose heartbeat is not older than so long.
func Led(ctx context.Context, production pg.Querier, run *Run, young time.Duration) (led bool, err error) {
	err = production.QueryRow(ctx, `SELECT coalesce(heartbeat > clock_timestamp() - make_interval(secs => $2), false)
		FROM pgumbra.leader WHERE run_id = $1`, run.ID, young.Seconds()).Scan(&led)
	if err != nil {
		return false, fmt.Errorf("look for a leader: %w", err)
	}
	return led, nil
}
