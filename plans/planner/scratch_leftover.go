package planner

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/planfile"
)

// DropScratch drops the scratch database that a killed plan left behind; one
// that is not ours by its comment stays. Nothing there is no error.
func DropScratch(ctx context.Context, f *planfile.File) error {
	s := newScratch(f, databaseOf(f.Production.DSN))
	var err error
	if s.admin, err = pg.Connect(ctx, s.dsn, pg.Options{Component: "scratch"}); err != nil {
		return err
	}
	defer func() { _ = s.admin.Close(context.WithoutCancel(ctx)) }()
	_, err = s.clear(ctx)
	return err
}

// databaseOf a connection string, by libpq's rules: the user's own where it
// names none.
func databaseOf(dsn string) string {
	c, err := pgx.ParseConfig(dsn)
	if err != nil {
		return ""
	}
	if c.Database == "" {
		return c.User
	}
	return c.Database
}
