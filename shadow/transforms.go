package shadow

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
)

// makeTransforms makes the functions that transforms of the plan call, in
// production, where transforms are evaluated. What an earlier run of the name
// left is replaced. Names in them are resolved as production's sessions do.
func makeTransforms(ctx context.Context, pool *pgxpool.Pool, run *control.Run) error {
	if len(run.Plan.Transforms) == 0 {
		return nil
	}
	if err := DropTransforms(ctx, pool, run); err != nil {
		return err
	}
	return pg.ReadCommitted(ctx, pool, func(tx pgx.Tx) error {
		if err := control.CheckEpoch(ctx, tx, run); err != nil {
			return err
		}
		if err := setAll(ctx, tx, append(productionPath(run), setting{"lock_timeout", ddlBudget})...); err != nil {
			return err
		}
		for _, f := range run.Plan.Transforms {
			if _, err := tx.Exec(ctx, f.SQL); err != nil {
				return fmt.Errorf("make function %s: %w", f.Name, err)
			}
		}
		return nil
	})
}

// DropTransforms drops the functions that transforms call. Idempotent. To be
// called once nothing is copied, replayed or verified any more.
func DropTransforms(ctx context.Context, pool *pgxpool.Pool, run *control.Run) error {
	for _, f := range run.Plan.Transforms {
		if _, err := pool.Exec(ctx, "DROP FUNCTION IF EXISTS "+f.Name.Quoted()); err != nil {
			return fmt.Errorf("drop function %s: %w", f.Name, err)
		}
	}
	return nil
}
