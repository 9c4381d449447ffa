package rehearsal_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/testcontainers"
)

func TestMain(m *testing.M) { testcontainers.Run(m) }

func execute(ctx context.Context, t *testing.T, dsn, sql string) {
	t.Helper()
	conn, err := pgx.Connect(ctx, dsn)
	must(t, err)
	defer func() { _ = conn.Close(ctx) }()
	must(t, conn.PgConn().Exec(ctx, sql).Close())
}

// one reads a single value.
func one(ctx context.Context, dsn, query string, into any) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	return conn.QueryRow(ctx, query).Scan(into)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
