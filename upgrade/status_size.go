package upgrade

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/planfile"
)

// ReadShadowSize asks what the shadow takes on disk, indexes and TOAST included. It
// stays unknown where that would mean waiting: an index that is added by ALTER TABLE
// locks its table for as long as it is built.
func (s *Status) ReadShadowSize(ctx context.Context, file *planfile.File) error {
	if s.Phase == nil || s.Phase.Over() || s.Phase.Swapped() || s.Away != "" {
		return nil
	}
	production, err := connect(ctx, file, "status")
	if err != nil {
		return err
	}
	defer func() { _ = production.Close(context.WithoutCancel(ctx)) }()
	run, err := control.Find(ctx, production, file.Name)
	if err != nil {
		return err
	}
	conn := production
	if run.Plan.Remote {
		if conn, err = pg.Connect(ctx, file.Shadow.DSN, pg.Options{Component: "status"}); err != nil {
			return fmt.Errorf("the shadow: %w", err)
		}
		defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	}
	return pg.ReadCommitted(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL lock_timeout = '50ms'"); err != nil {
			return err
		}
		var bytes int64
		err := tx.QueryRow(ctx, `SELECT coalesce(sum(pg_catalog.pg_total_relation_size(c.oid)), 0)::bigint
			FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
			WHERE n.nspname = ANY ($1) AND c.relkind IN ('r', 'm')`, run.Plan.ShadowSchemas()).Scan(&bytes)
		if err != nil {
			return fmt.Errorf("measure the shadow: %w", err)
		}
		s.ShadowBytes = &bytes
		return nil
	})
}
