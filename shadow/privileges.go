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
// Objects that had theirs already are named by known.
func resetPrivileges(ctx context.Context, tx pgx.Tx, run *control.Run, known []uint32) error {
	if known == nil {
		known = []uint32{}
	}
	rows, err := tx.Query(ctx, privilegesSQL, run.Plan.ShadowSchemas(), known)
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

// objects reads the oids of what has privileges in the shadow's schemas. An oid
// is unique in its catalog only; that two objects of one shadow share one is as
// unlikely as harmless: the grants of the second would not be taken back.
func objects(ctx context.Context, tx pgx.Tx, run *control.Run) ([]uint32, error) {
	rows, err := tx.Query(ctx, `
		WITH inside AS (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = ANY ($1))
		SELECT oid FROM inside
		UNION SELECT oid FROM pg_catalog.pg_class WHERE relnamespace IN (SELECT oid FROM inside)
		UNION SELECT oid FROM pg_catalog.pg_proc WHERE pronamespace IN (SELECT oid FROM inside)
		UNION SELECT oid FROM pg_catalog.pg_type WHERE typnamespace IN (SELECT oid FROM inside)`, run.Plan.ShadowSchemas())
	if err != nil {
		return nil, fmt.Errorf("read the shadow's objects: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[uint32])
}
