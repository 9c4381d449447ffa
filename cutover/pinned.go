package cutover

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// pinned runs f in a transaction that looks for catalogs and operators in
// pg_catalog alone, whatever the pool's sessions have.
func pinned(ctx context.Context, pool *pgxpool.Pool, f func(pgx.Tx) error) error {
	return pg.ReadCommitted(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL search_path = pg_catalog"); err != nil {
			return fmt.Errorf("set the search_path: %w", err)
		}
		return f(tx)
	})
}
