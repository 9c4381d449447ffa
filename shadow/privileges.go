package shadow

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
)

//go:embed privileges.sql
var privilegesSQL string

// resetPrivileges takes back what ALTER DEFAULT PRIVILEGES in production's
// database gave the shadow's objects, and gives back what it took. The plan's
// own grants come after; they already contain what scratch's defaults gave.
func resetPrivileges(ctx context.Context, tx pgx.Tx, run *control.Run) error {
	rows, err := tx.Query(ctx, privilegesSQL, shadowSchemas(run.Plan))
	if err != nil {
		return fmt.Errorf("read the shadow's privileges: %w", err)
	}
	statements, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("read the shadow's privileges: %w", err)
	}
	for _, sql := range statements {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return fmt.Errorf("take default privileges back (%s): %w", sql, err)
		}
	}
	return nil
}
