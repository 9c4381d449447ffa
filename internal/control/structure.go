package control

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// NoteBuilt notes that entries of the shadow's structure were run, in the transaction
// that ran them.
func NoteBuilt(ctx context.Context, tx pg.Querier, run *Run, entries ...*plans.Entry) error {
	_, err := tx.Exec(ctx, `INSERT INTO pgumbra.structure (run_id, toc)
		SELECT $1, t FROM pg_catalog.unnest($2::int[]) AS t ON CONFLICT DO NOTHING`, run.ID, tocOf(entries))
	if err != nil {
		return fmt.Errorf("record structure: %w", err)
	}
	return nil
}

// ForgetBuilt lets entries be run again, in the transaction that dropped what they
// had made.
func ForgetBuilt(ctx context.Context, tx pg.Querier, run *Run, entries ...*plans.Entry) error {
	_, err := tx.Exec(ctx, `DELETE FROM pgumbra.structure WHERE run_id = $1 AND toc = ANY ($2)`, run.ID, tocOf(entries))
	if err != nil {
		return fmt.Errorf("forget structure: %w", err)
	}
	return nil
}

func tocOf(entries []*plans.Entry) []int32 {
	numbers := make([]int32, len(entries))
	for i, e := range entries {
		numbers[i] = int32(e.TOC)
	}
	return numbers
}

// Built reads which entries were run, by their TOC numbers.
func Built(ctx context.Context, db pg.Querier, run *Run) (map[int]bool, error) {
	rows, err := db.Query(ctx, `SELECT toc FROM pgumbra.structure WHERE run_id = $1`, run.ID)
	if err != nil {
		return nil, fmt.Errorf("read what was built: %w", err)
	}
	return numbers(rows, "read what was built")
}

// numbers collects a column of numbers.
func numbers(rows pgx.Rows, act string) (map[int]bool, error) {
	all := map[int]bool{}
	var n int
	_, err := pgx.ForEachRow(rows, []any{&n}, func() error {
		all[n] = true
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", act, err)
	}
	return all, nil
}

// NoteUnlogged marks a table that a crash empties, or that is copied from one, on the
// side where that is: the mark goes with its contents.
func NoteUnlogged(ctx context.Context, tx pg.Querier, run *Run, n int) error {
	_, err := tx.Exec(ctx, `INSERT INTO pgumbra.unlogged (run_id, n) VALUES ($1, $2) ON CONFLICT DO NOTHING`, run.ID, n)
	if err != nil {
		return fmt.Errorf("mark table %d as unlogged: %w", n, err)
	}
	return nil
}

// ForgetUnlogged takes the mark of [NoteUnlogged] away: the copy begins anew.
func ForgetUnlogged(ctx context.Context, tx pg.Querier, run *Run, n int) error {
	_, err := tx.Exec(ctx, `DELETE FROM pgumbra.unlogged WHERE run_id = $1 AND n = $2`, run.ID, n)
	if err != nil {
		return fmt.Errorf("forget the mark of table %d: %w", n, err)
	}
	return nil
}

// Unlogged reads which tables one side has marked, and no crash has emptied since.
func Unlogged(ctx context.Context, db pg.Querier, run *Run) (map[int]bool, error) {
	rows, err := db.Query(ctx, `SELECT n FROM pgumbra.unlogged WHERE run_id = $1`, run.ID)
	if err != nil {
		return nil, fmt.Errorf("look for tables lost in a crash: %w", err)
	}
	return numbers(rows, "look for tables lost in a crash")
}

// ForgetShadow forgets what was built and copied, in the transaction that drops it. After
// a swap to another server only the empty structure in production goes: marks of
// [NoteUnlogged] are then those of the old tables. Without them the watch took each of
// these for one that a crash had emptied, and closed the way back.
func ForgetShadow(ctx context.Context, tx pg.Querier, run *Run) error {
	for _, sql := range []string{
		`DELETE FROM pgumbra.structure WHERE run_id = $1`,
		`DELETE FROM pgumbra.chunk WHERE run_id = $1`,
		`DELETE FROM pgumbra.unlogged u WHERE run_id = $1 AND NOT EXISTS (SELECT FROM pgumbra.run r WHERE r.id = u.run_id AND r.flow = 'reverse')`,
	} {
		if _, err := tx.Exec(ctx, sql, run.ID); err != nil {
			return fmt.Errorf("forget the shadow: %w", err)
		}
	}
	return nil
}
