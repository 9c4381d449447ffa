package control

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// Doubt is why a table that was proved equal to production no longer counts as
// such.
type Doubt struct {
	N      int
	Why    string
	Recopy bool // a proof alone does not help: capture missed changes
}

// ClearProof takes back that a table was proved equal: a difference was found, or
// something wrote past capture. Until a proof of it succeeds again it counts as not
// verified, for status and for the cutover. Any process may do so, beside a leader:
// it waits for the batch of that table that is under way, and the next one for it.
func ClearProof(ctx context.Context, sides Sides, run *Run, d Doubt) error {
	// Noted first: without the note nobody would know why, nor copy it again.
	_, err := sides.Record().Exec(ctx, `INSERT INTO pgumbra.doubt AS old (run_id, n, why, recopy) VALUES ($1, $2, $3, $4)
		ON CONFLICT (run_id, n) DO UPDATE SET why = EXCLUDED.why, recopy = old.recopy OR EXCLUDED.recopy, at = clock_timestamp()`,
		run.ID, d.N, d.Why, d.Recopy)
	if err != nil {
		return fmt.Errorf("note why table %d is in doubt: %w", d.N, err)
	}
	// The shadow's side says up to which snapshot the table was proved, for which
	// journals keep rows; production's copy of that only follows it.
	_, err = sides.Shadow.Exec(ctx, `UPDATE pgumbra.shadow_table SET verified_at = NULL, proved = NULL, proved_at = NULL
		WHERE run_id = $1 AND n = $2 AND (verified_at IS NOT NULL OR proved IS NOT NULL)`, run.ID, d.N)
	if err == nil {
		_, err = sides.Production.Exec(ctx, `UPDATE pgumbra.shadow_table SET verified_at = NULL WHERE run_id = $1 AND n = $2 AND verified_at IS NOT NULL`, run.ID, d.N)
	}
	if err != nil {
		return fmt.Errorf("take back the proof of table %d: %w", d.N, err)
	}
	return nil
}

// Doubts lists what [ClearProof] noted of tables that no proof has cleared since. A
// control schema of an older version knows none.
func Doubts(ctx context.Context, production pg.Querier, run *Run) (map[int]Doubt, error) {
	var there bool
	err := production.QueryRow(ctx, `SELECT pg_catalog.to_regclass('pgumbra.doubt') IS NOT NULL`).Scan(&there)
	if err != nil || !there {
		return nil, err
	}
	rows, err := production.Query(ctx, `SELECT d.n, d.why, d.recopy FROM pgumbra.doubt d
		JOIN pgumbra.shadow_table t ON t.run_id = d.run_id AND t.n = d.n
		WHERE d.run_id = $1 AND (d.recopy OR t.verified_at IS NULL)`, run.ID)
	if err != nil {
		return nil, fmt.Errorf("read which tables are in doubt: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Doubt])
	if err != nil {
		return nil, fmt.Errorf("read which tables are in doubt: %w", err)
	}
	doubts := map[int]Doubt{}
	for _, d := range all {
		doubts[d.N] = d
	}
	return doubts, nil
}

// Recopied forgets the doubt about a table whose copy has begun anew.
func Recopied(ctx context.Context, production pg.Querier, run *Run, n int) error {
	_, err := production.Exec(ctx, `DELETE FROM pgumbra.doubt WHERE run_id = $1 AND n = $2`, run.ID, n)
	return err
}
