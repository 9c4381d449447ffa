package shadow

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// Extensions that the migrations bring are made in production's database while
// the shadow is built, since its tables need their types. They are the only
// thing of a build outside the shadow's schemas. The record in
// pgumbra.structure says which of them this run made: only these does Drop take
// away again.

const extensionTag = "EXTENSION"

// absent reports whether an extension's entry has something to do. One that
// somebody else made meanwhile is not ours, and is not recorded as such.
func absent(ctx context.Context, tx pgx.Tx, e *plans.Entry) (bool, error) {
	var there bool
	err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = $1)`, e.Name.Name).Scan(&there)
	if err != nil {
		return false, fmt.Errorf("look for extension %s: %w", e.Name.Name, err)
	}
	return !there, nil
}

// dropExtensions drops those that this run made, the last one first. One that
// something in production uses by now stays.
func dropExtensions(ctx context.Context, tx pgx.Tx, run *control.Run) error {
	rows, err := tx.Query(ctx, `SELECT toc FROM pgumbra.structure WHERE run_id = $1`, run.ID)
	if err != nil {
		return err
	}
	numbers, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		return err
	}
	made := map[int]bool{}
	for _, n := range numbers {
		made[n] = true
	}
	for i := len(run.Plan.Entries) - 1; i >= 0; i-- {
		e := &run.Plan.Entries[i]
		if e.Tag != extensionTag || !made[e.TOC] {
			continue
		}
		err := pgx.BeginFunc(ctx, tx, func(inner pgx.Tx) error {
			_, err := inner.Exec(ctx, "DROP EXTENSION IF EXISTS "+pg.Ident(e.Name.Name))
			return err
		})
		if err != nil && pg.State(err) != dependentObjects {
			return fmt.Errorf("drop extension %s: %w", e.Name.Name, err)
		}
	}
	return nil
}
