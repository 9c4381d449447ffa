package upgrade_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/upgrade"
)

// TestMaterializedViewsAreAsFreshAsTheyWere: what a migration makes shows the
// moment of the swap, as in place; what it leaves shows at least what production's
// showed, however that was refreshed; and one that holds nothing goes on to.
func TestMaterializedViewsAreAsFreshAsTheyWere(t *testing.T) {
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	w := build(t, history{
		structure: `CREATE SCHEMA shop; CREATE TABLE shop.a (id int PRIMARY KEY, b text);
			INSERT INTO shop.a SELECT n, n % 3 FROM generate_series(1, 100) n;
			CREATE MATERIALIZED VIEW shop.counts AS SELECT b, count(*) AS n FROM shop.a GROUP BY b;
			CREATE MATERIALIZED VIEW shop.plain AS SELECT count(*) AS n FROM shop.a;
			CREATE MATERIALIZED VIEW shop.concurrent AS SELECT b, count(*) AS n FROM shop.a GROUP BY b;
			CREATE UNIQUE INDEX ON shop.concurrent (b);
			COMMENT ON MATERIALIZED VIEW shop.plain IS 'it''s counted';
			CREATE MATERIALIZED VIEW shop.empty AS SELECT count(*) AS n FROM shop.a WITH NO DATA;
			CREATE MATERIALIZED VIEW shop.late AS SELECT count(*) AS n FROM shop.a WITH NO DATA;
			CREATE MATERIALIZED VIEW shop.emptied AS SELECT count(*) AS n FROM shop.a;`,
		migrations: []string{`DROP MATERIALIZED VIEW shop.counts; ALTER TABLE shop.a ADD COLUMN c bigint;
			CREATE MATERIALIZED VIEW shop.counts AS SELECT b, count(*) AS n FROM shop.a GROUP BY b;`},
	})
	w.run(ctx, upgrade.Options{Until: control.Following})
	for _, dsn := range []string{w.production, w.oracleDSN} {
		exec(t, dsn, `INSERT INTO shop.a SELECT n, 'new' FROM generate_series(101, 200) n; DELETE FROM shop.a WHERE id < 50`)
		for _, sql := range []string{`shop.plain`, `CONCURRENTLY shop.concurrent`, `shop.late`, `shop.emptied WITH NO DATA`} {
			exec(t, dsn, `REFRESH MATERIALIZED VIEW `+sql)
		}
	}
	w.run(ctx, upgrade.Options{Cutover: true})
	must(t, upgrade.Finish(ctx, w.file(), cutover.DropOld, upgrade.Purge, w.log))
	w.upgraded(ctx)
	client, err := pgx.Connect(ctx, w.production)
	must(t, err)
	defer func() { _ = client.Close(ctx) }()
	for _, view := range []string{"empty", "emptied"} {
		if _, err := client.Exec(ctx, `TABLE shop.`+view); state(err) != "55000" {
			t.Errorf("shop.%s, without data: %v", view, err)
		}
	}
}

// TestViewsOfProductionDoNotGoBackInTime: production refreshes its view again and
// again, with hardly a pause, while attempts are made.
func TestViewsOfProductionDoNotGoBackInTime(t *testing.T) {
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
