package upgrade

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/planfile"
)

// OldSide is the side that is not production any more, and stays: production as it was
// before the swap; after a rollback, what was built.
type OldSide struct {
	Schemas []string `json:"schemas"` // that are there
	Bytes   int64    `json:"bytes"`   // indexes and TOAST included
	New     bool     `json:"-"`       // what was built, after a rollback
	// Server is where it is, as a URL without password, of a run to another one: the same
	// names are production's on the other side. Empty: in the one database.
	Server string `json:"-"`
}

// ReadOldSide measures the old side of a run that is swapped or rolled back. Where the
// old server cannot be reached there is nothing to say of it.
func ReadOldSide(ctx context.Context, file *planfile.File) (OldSide, error) {
	var old OldSide
	conn, err := pg.Connect(ctx, file.Production.DSN, lookOptions())
	if err != nil {
		return old, fmt.Errorf("production: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	run, err := control.Find(ctx, conn, file.Name)
	if err != nil {
		return old, err
	}
	var names []string
	switch {
	case run.Phase == control.RolledBack && run.Plan.Remote:
		old.New = true
		return old, old.measureThere(ctx, file, run)
	case run.Phase == control.RolledBack:
		old.New, names = true, run.Plan.ShadowSchemas()
	case !run.Phase.Swapped():
		return old, notIn(run.Phase, "finish is for after the cutover")
	default:
		names = oldSchemas(run)
	}
	if run.Plan.Remote {
		old.Server = pg.Address(&conn.Config().Config)
	}
	return old, old.measure(ctx, conn, names)
}

// measureThere measures what was built on another server, under the true names, as long
// as the run's record is there.
func (old *OldSide) measureThere(ctx context.Context, file *planfile.File, run *control.Run) error {
	conn, err := pg.Connect(ctx, file.Shadow.DSN, lookOptions())
	if err != nil {
		return fmt.Errorf("the shadow: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	adopted, err := control.FindAdopted(ctx, conn, file.Name)
	if errors.Is(err, control.ErrNoRun) || err == nil && adopted.ID != run.ID {
		return nil
	}
	if err != nil {
		return err
	}
	var names []string
	for _, s := range run.Plan.Schemas {
		names = append(names, s.Production)
	}
	old.Server = pg.Address(&conn.Config().Config)
	return old.measure(ctx, conn, names)
}

func (old *OldSide) measure(ctx context.Context, conn *pgx.Conn, names []string) error {
	err := pg.ReadCommitted(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL lock_timeout = '50ms'"); err != nil {
			return err
		}
		return tx.QueryRow(ctx, `SELECT coalesce(array_agg(DISTINCT n.nspname::text), '{}'),
		       coalesce(sum(pg_catalog.pg_total_relation_size(c.oid)) FILTER (WHERE c.relkind IN ('r', 'm')), 0)::bigint
		FROM pg_catalog.pg_namespace n LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid
		WHERE n.nspname = ANY ($1)`, names).Scan(&old.Schemas, &old.Bytes)
	})
	if err != nil {
		return fmt.Errorf("measure the old side: %w", err)
	}
	return nil
}

func oldSchemas(run *control.Run) (names []string) {
	for _, s := range run.Plan.Schemas {
		names = append(names, s.Old)
		if run.Plan.Remote {
			names = append(names, s.Production)
		}
	}
	return names
}

// ReadLeft measures what stays of the side that is not production any more.
func (s *Status) ReadLeft(ctx context.Context, file *planfile.File) error {
	if s.Phase == nil || !s.Phase.Swapped() && *s.Phase != control.RolledBack || s.Away != "" {
		return nil
	}
	left, err := ReadOldSide(ctx, file)
	if err == nil {
		s.Left = &left
	}
	return err
}
