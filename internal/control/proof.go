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
	ProofWhole   ProofMove = "whole"   // the batch compared every row
	ProofCleared ProofMove = "cleared" // the table is to be proved anew
)

// Proof is how far a shadow table is proved equal to production.
type Proof struct {
	N        int
	State    State
	Begun    bool // since the table was copied or the last proof was taken back
	Complete bool
	// Renewing: all keys are compared once more, while the proof stands.
	Renewing bool
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
	return proofs(ctx, db, run, nil)
}

// ProofOf reads the proof of one of them.
func ProofOf(ctx context.Context, db pg.Querier, run *Run, n int) (Proof, error) {
	all, err := proofs(ctx, db, run, &n)
	if err != nil || len(all) == 0 {
		return Proof{N: n}, err
	}
	return all[0], nil
}

// proofs of all tables, or of one.
func proofs(ctx context.Context, db pg.Querier, run *Run, n *int) ([]Proof, error) {
	rows, err := db.Query(ctx, `
		SELECT t.n, t.state, coalesce(t.proved::text, ''), t.verified_at IS NOT NULL AND t.proved IS NOT NULL,
		       coalesce(t.proved::text = t.position::text, false),
		       coalesce(extract(epoch FROM clock_timestamp() - t.proved_at), 0)::float8,
		       coalesce(p.pass, 0), p.upto, coalesce(p.rows, 0), coalesce(p.seconds, 0), coalesce(p.renewal IS NOT NULL AND NOT p.done, false), coalesce(p.done, false)
		FROM pgumbra.shadow_table t LEFT JOIN pgumbra.proof p USING (run_id, n)
		WHERE t.run_id = $1 AND ($2::integer IS NULL OR t.n = $2) ORDER BY t.n`, run.ID, n)
	if err != nil {
		return nil, fmt.Errorf("read the proofs: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (Proof, error) {
		var p Proof
		var ago, took float64
		var done bool
		err := row.Scan(&p.N, &p.State, &p.Proved, &p.Complete, &p.Current, &ago, &p.Pass, &p.UpTo, &p.Rows, &took, &p.Renewing, &done)
		p.Ago, p.Took = time.Duration(ago*float64(time.Second)), time.Duration(took*float64(time.Second))
		p.Begun = p.Proved != "" && p.Pass > 0 && (p.Complete || !done)
		p.Renewing = p.Renewing && p.Complete
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
		ON CONFLICT (run_id, n) DO UPDATE SET pass = old.pass + 1, upto = NULL, rows = 0, done = false, renewal = NULL, renewal_at = NULL
		RETURNING pass`, run.ID, n).Scan(&pass)
	if err != nil {
		return 0, fmt.Errorf("begin the proof of table %d: %w", n, err)
	}
	return pass, nil
}

// BeginRenewal begins another pass over all keys of a table whose proof is
// complete, and stays so, in a transaction that has the table's row by [Lock]. 0:
// there is no such proof, or a renewal is under way.
func BeginRenewal(ctx context.Context, tx pgx.Tx, run *Run, n int) (pass int, err error) {
	err = tx.QueryRow(ctx, `UPDATE pgumbra.proof p SET pass = p.pass + 1, upto = NULL, rows = 0, done = false,
		       renewal = t.position, renewal_at = clock_timestamp()
		FROM pgumbra.shadow_table t WHERE p.run_id = $1 AND p.n = $2 AND t.run_id = $1 AND t.n = $2
		  AND t.proved IS NOT NULL AND t.verified_at IS NOT NULL AND (p.done OR p.renewal IS NULL)
		RETURNING p.pass`, run.ID, n).Scan(&pass)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return 0, fmt.Errorf("begin to renew the proof of table %d: %w", n, err)
	}
	return pass, nil
}

// ProofFromRenewal takes a complete proof back in favour of the renewal under way:
// what that one compared counts, and journals need to reach back to its beginning
// only. In a READ COMMITTED transaction.
func ProofFromRenewal(ctx context.Context, tx pgx.Tx, run *Run, n int) error {
	_, err := tx.Exec(ctx, `WITH renewal AS (
			UPDATE pgumbra.shadow_table t SET proved = p.renewal, proved_at = p.renewal_at, verified_at = NULL
			FROM pgumbra.proof p WHERE t.run_id = $1 AND t.n = $2 AND p.run_id = $1 AND p.n = $2 AND p.renewal IS NOT NULL AND NOT p.done)
		UPDATE pgumbra.proof SET renewal = NULL, renewal_at = NULL WHERE run_id = $1 AND n = $2 AND NOT done`, run.ID, n)
	if err != nil {
		return fmt.Errorf("take back the proof of table %d: %w", n, err)
	}
	return nil
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
	// A renewal carries the proof on, unless batches have carried it further.
	tag, err = tx.Exec(ctx, `UPDATE pgumbra.shadow_table t SET (proved, proved_at, verified_at) = (
			SELECT coalesce(p.renewal, t.proved), coalesce(p.renewal_at, t.proved_at), coalesce(p.renewal_at, t.proved_at) FROM (
				SELECT CASE WHEN later THEN renewal END AS renewal, CASE WHEN later THEN renewal_at END AS renewal_at FROM (
					SELECT renewal, renewal_at, pg_catalog.pg_snapshot_xmax(renewal) > pg_catalog.pg_snapshot_xmax(t.proved) AS later
					FROM pgumbra.proof WHERE run_id = $1 AND n = $2) r) p)
		WHERE t.run_id = $1 AND t.n = $2 AND t.proved IS NOT NULL`, run.ID, n)
	if err != nil {
		return false, fmt.Errorf("complete the proof of table %d: %w", n, err)
	}
	return tag.RowsAffected() == 1, nil // 0: taken back a moment ago; the next one begins anew
}

// MoveProof notes that the keys touched from one snapshot to another were proved
// again. False: the proof moved, or was taken back, meanwhile. from == "": wherever
// it stands, unless that is later.
func MoveProof(ctx context.Context, tx pgx.Tx, run *Run, n int, from, to string, at time.Time) (moved bool, err error) {
	tag, err := tx.Exec(ctx, `UPDATE pgumbra.shadow_table SET proved = $4::pg_snapshot, proved_at = $5::timestamptz,
		       verified_at = CASE WHEN verified_at IS NOT NULL THEN $5::timestamptz END
		WHERE run_id = $1 AND n = $2 AND proved IS NOT NULL AND (proved::text = $3::text
		       OR $3::text = '' AND pg_catalog.pg_snapshot_xmax(proved) <= pg_catalog.pg_snapshot_xmax($4::pg_snapshot))`, run.ID, n, from, to, at)
	if err != nil {
		return false, fmt.Errorf("move the proof of table %d: %w", n, err)
	}
	return tag.RowsAffected() == 1, nil
}

// Unprove takes a proof back: the table counts as not verified until it is proved
// anew. In a READ COMMITTED transaction.
func Unprove(ctx context.Context, tx pgx.Tx, run *Run, n int) error {
	_, err := tx.Exec(ctx, `UPDATE pgumbra.shadow_table SET proved = NULL, proved_at = NULL, verified_at = NULL WHERE run_id = $1 AND n = $2`, run.ID, n)
	if err != nil {
		return fmt.Errorf("take back the proof of table %d: %w", n, err)
	}
	return nil
}

// UnproveAll takes the proofs of all of a run's tables back.
func UnproveAll(ctx context.Context, tx pg.Querier, run *Run) error {
	_, err := tx.Exec(ctx, `UPDATE pgumbra.shadow_table SET verified_at = NULL, proved = NULL, proved_at = NULL WHERE run_id = $1`, run.ID)
	if err != nil {
		return fmt.Errorf("take back the proofs: %w", err)
	}
	return nil
}

// MirrorProof copies how far the proof of a table came to production's control
// schema, for status. Does nothing where both sides are one.
func MirrorProof(ctx context.Context, sides Sides, run *Run, n int) error {
	if !sides.Remote() {
		return nil
	}
	var row []byte
	err := sides.Shadow.QueryRow(ctx, `SELECT pg_catalog.to_json(p) FROM pgumbra.proof p WHERE run_id = $1 AND n = $2`, run.ID, n).Scan(&row)
	if err == nil {
		_, err = sides.Production.Exec(ctx, `INSERT INTO pgumbra.proof (run_id, n, pass, upto, rows, done, seconds, renewal, renewal_at)
			SELECT run_id, n, pass, upto, rows, done, seconds, renewal, renewal_at FROM pg_catalog.json_populate_record(NULL::pgumbra.proof, $1)
			ON CONFLICT (run_id, n) DO UPDATE SET pass = EXCLUDED.pass, upto = EXCLUDED.upto, rows = EXCLUDED.rows,
			       done = EXCLUDED.done, seconds = EXCLUDED.seconds,
			       renewal = EXCLUDED.renewal, renewal_at = EXCLUDED.renewal_at`, row)
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
	err = production.QueryRow(ctx, `SELECT coalesce(heartbeat `+within(`$2`)+`, false)
		FROM pgumbra.leader WHERE run_id = $1`, run.ID, young.Seconds()).Scan(&led)
	if err != nil {
		return false, fmt.Errorf("look for a leader: %w", err)
	}
	return led, nil
}
