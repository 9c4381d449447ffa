package upgrade_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

// TestViewsOfProductionDoNotGoBackInTime: production refreshes its view again and
// again, with hardly a pause, while attempts are made.
func TestViewsOfProductionDoNotGoBackInTime(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	w := build(t, history{
		structure: `CREATE SCHEMA shop; CREATE TABLE shop.a (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, b text);
			CREATE MATERIALIZED VIEW shop.last AS SELECT 1 AS one, max(id) AS id FROM shop.a;
			CREATE UNIQUE INDEX ON shop.last (one);`,
		migrations: []string{`ALTER TABLE shop.a ADD COLUMN c bigint;`},
	})
	client, err := pgx.Connect(ctx, w.production)
	must(t, err)
	defer func() { _ = client.Close(ctx) }()
	swapped, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- func() error {
			var before int64
			for {
				for _, sql := range []string{`INSERT INTO shop.a (b) VALUES ('x')`, `REFRESH MATERIALIZED VIEW CONCURRENTLY shop.last`} {
					if _, err := client.Exec(ctx, sql); err != nil && state(err) != "40001" { // REFRESH reads with the snapshot that it waited with
						return err
					}
				}
				for range 20 { // it shows what it showed or more, whichever view it is
					var now int64
					if err := client.QueryRow(ctx, `SELECT id FROM shop.last`).Scan(&now); err != nil {
						return err
					}
					if now < before {
						t.Errorf("the view showed %d, and then %d", before, now)
					}
					before = now
				}
				select {
				case <-swapped:
					return nil
				case <-time.After(5 * time.Millisecond):
				}
			}
		}()
	}()
	w.run(ctx, upgrade.Options{Cutover: true})
	close(swapped)
	must(t, <-done)
}
