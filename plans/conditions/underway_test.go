package conditions_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/testcontainers"
)

// TestQuickTransactionsChangeNoStructure: short transactions begin and end while
// sessions and locks are looked at, one after the other.
func TestQuickTransactionsChangeNoStructure(t *testing.T) {
	t.Parallel()
	dsn := testcontainers.Database(t)
	ctx, stop := context.WithCancel(context.Background())
	look, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = look.Close(context.Background()) }()
	exec(t, look, shop+"SET search_path = pg_catalog")
	var clients errgroup.Group
	defer func() {
		stop()
		_ = clients.Wait() // ended by us
	}()
	for i := range 8 {
		clients.Go(func() error {
			conn, err := pgx.Connect(ctx, dsn)
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close(context.Background()) }()
			for n := 0; ctx.Err() == nil; n++ {
				sql := fmt.Sprintf("BEGIN; SAVEPOINT a; INSERT INTO shop.account VALUES (%d); RELEASE a; COMMIT", n*8+i)
				if err := conn.PgConn().Exec(ctx, sql).Close(); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for range 300 {
		if found := codes(t, look); len(found) > 0 {
			t.Fatalf("found %v", found)
		}
	}
	other, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close(context.Background()) }()
	exec(t, other, "BEGIN; CREATE OR REPLACE FUNCTION shop.f() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2'")
	if found := codes(t, look); !slices.Contains(found, "structure-under-way") {
		t.Errorf("a function that is replaced is not found: %v", found)
	}
}
