package upgrade

import (
	"context"
	"fmt"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/planfile"
)

// OldSide is what stays of production as it was before the swap.
type OldSide struct {
	Schemas []string // that are there
	Bytes   int64    // indexes and TOAST included
}

// ReadOldSide measures the old side of a run that is swapped. Where the old server
// cannot be reached there is nothing to say of it.
func ReadOldSide(ctx context.Context, file *planfile.File) (OldSide, error) {
	var old OldSide
	conn, err := pg.Connect(ctx, file.Production.DSN, pg.Options{Component: "status"})
	if err != nil {
		return old, fmt.Errorf("production: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	run, err := control.Find(ctx, conn, file.Name)
	if err != nil {
		return old, err
	}
	if !run.Phase.Swapped() {
		return old, fmt.Errorf("%w: %s: finish is for after the cutover", ErrWrongPhase, run.Phase)
	}
	var names []string
	for _, s := range run.Plan.Schemas {
		names = append(names, s.Old)
		if run.Plan.Remote {
			names = append(names, s.Production)
		}
	}
	err = conn.QueryRow(ctx, `SELECT coalesce(array_agg(DISTINCT n.nspname::text), '{}'),
		       coalesce(sum(pg_catalog.pg_total_relation_size(c.oid)) FILTER (WHERE c.relkind IN ('r', 'm')), 0)::bigint
		FROM pg_catalog.pg_namespace n LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid
		WHERE n.nspname = ANY ($1)`, names).Scan(&old.Schemas, &old.Bytes)
	if err != nil {
		return old, fmt.Errorf("measure the old side: %w", err)
	}
	return old, nil
}
