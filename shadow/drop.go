package shadow

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
)

//go:embed externaldependents.sql
var externalDependentsSQL string

// DependedOnError says that something outside the shadow depends on it, which
// dropping the shadow would damage: a column of a table of the user's, a view.
// The user removes it.
type DependedOnError struct{ Objects []string }

func (e *DependedOnError) Error() string {
	return "the shadow can't be dropped, these depend on it: " + strings.Join(e.Objects, "; ")
}

// Drop removes the shadow's schemas with all they hold, a bounded number of
// relations in each transaction; remote also the skeleton in production. Schemas
// that this run did not make stay, and so does everything outside them; if
// something there depends on the shadow, nothing is dropped: [*DependedOnError].
// Idempotent. Before the swap only: after it, what was the shadow bears
// production's names and is not found.
func Drop(ctx context.Context, sides control.Sides, run *control.Run) error {
	if sides.Remote() {
		if err := dropFrom(ctx, sides.Shadow, run); err != nil {
			return inShadow(err)
		}
	}
	return dropFrom(ctx, sides.Production, run)
}

// DropSkeleton removes the empty structure that stands in production for a shadow
// in another database, also after the swap. Does nothing where both sides are one.
func DropSkeleton(ctx context.Context, sides control.Sides, run *control.Run) error {
	if !sides.Remote() {
		return nil
	}
	return dropFrom(ctx, sides.Production, run)
}

func dropFrom(ctx context.Context, pool *pgxpool.Pool, run *control.Run) error {
	mine, err := owned(ctx, pool, run)
	if err != nil || !mine {
		return err
	}
	if err := DropTransforms(ctx, pool, run); err != nil {
		return err
	}
	if err := refuseDependents(ctx, pool, run); err != nil {
		return err
	}
	for {
		left, err := dropSome(ctx, pool, run)
		if err != nil {
			return fmt.Errorf("drop the shadow: %w", err)
		}
		if left == 0 {
			break
		}
	}
	if err := dropSchemas(ctx, pool, run); err != nil {
		return fmt.Errorf("drop the shadow: %w", err)
	}
	return nil
}

func refuseDependents(ctx context.Context, db pg.Querier, run *control.Run) error {
	rows, err := db.Query(ctx, externalDependentsSQL, run.Plan.ShadowSchemas())
	if err != nil {
		return fmt.Errorf("look for what depends on the shadow: %w", err)
	}
	outside, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("look for what depends on the shadow: %w", err)
	}
	if len(outside) > 0 {
		return &DependedOnError{Objects: outside}
	}
	return nil
}

// dropSome drops the next relations and says how many it found. Partitions go
// before their roots: dropping a root locks its whole tree at once.
func dropSome(ctx context.Context, pool *pgxpool.Pool, run *control.Run) (int, error) {
	var found int
	err := pg.ReadCommitted(ctx, pool, func(tx pgx.Tx) error {
		if err := prepareDrop(ctx, tx, run); err != nil {
			return err
		}
		names, err := nextRelations(ctx, tx, run)
		if err != nil || len(names) == 0 {
			return err
		}
		found = len(names)
		_, err = tx.Exec(ctx, "DROP TABLE "+strings.Join(names, ", ")+" CASCADE")
		return err
	})
	return found, err
}

func prepareDrop(ctx context.Context, tx pgx.Tx, run *control.Run) error {
	if err := control.CheckEpoch(ctx, tx, run); err != nil {
		return err
	}
	return set(ctx, tx, "lock_timeout", ddlBudget)
}

func nextRelations(ctx context.Context, tx pgx.Tx, run *control.Run) ([]string, error) {
	rows, err := tx.Query(ctx, `
		SELECT n.nspname, c.relname
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = ANY ($1) AND c.relkind IN ('r', 'p')
		  AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid)
		ORDER BY c.oid LIMIT $2`, run.Plan.ShadowSchemas(), piece)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		var n pg.Name
		err := row.Scan(&n.Schema, &n.Name)
		return n.Quoted(), err
	})
}

// dropSchemas ends it: with the schemas goes the record of having made them.
func dropSchemas(ctx context.Context, pool *pgxpool.Pool, run *control.Run) error {
	return pg.ReadCommitted(ctx, pool, func(tx pgx.Tx) error {
		if err := prepareDrop(ctx, tx, run); err != nil {
			return err
		}
		there, err := existing(ctx, tx, run)
		if err != nil {
			return err
		}
		if len(there) > 0 {
			if _, err := tx.Exec(ctx, "DROP SCHEMA "+pg.Idents(there)+" CASCADE"); err != nil {
				return err
			}
		}
		if err := dropExtensions(ctx, tx, run); err != nil {
			return err
		}
		return control.ForgetShadow(ctx, tx, run)
	})
}
