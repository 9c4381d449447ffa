package upgrade_test

import (
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/upgrade"
)

// TestMaterializedViewsAreCurrentAtTheSwap: rows that were written while the
// run followed are in them, as in views that a migration has just made.
func TestMaterializedViewsAreCurrentAtTheSwap(t *testing.T) {
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	w := build(t, history{
		structure: `CREATE SCHEMA shop; CREATE TABLE shop.a (id int PRIMARY KEY, b text);
			INSERT INTO shop.a SELECT n, n % 3 FROM generate_series(1, 100) n;
			CREATE MATERIALIZED VIEW shop.counts AS SELECT b, count(*) AS n FROM shop.a GROUP BY b;`,
		migrations: []string{`DROP MATERIALIZED VIEW shop.counts; ALTER TABLE shop.a ALTER COLUMN id TYPE bigint;
			CREATE MATERIALIZED VIEW shop.counts AS SELECT b, count(*) AS n FROM shop.a GROUP BY b;`},
	})
	w.run(ctx, upgrade.Options{Until: control.Following})
	for _, dsn := range []string{w.production, w.oracleDSN} {
		exec(t, dsn, `INSERT INTO shop.a SELECT n, 'new' FROM generate_series(101, 200) n; DELETE FROM shop.a WHERE id < 50`)
	}
	w.run(ctx, upgrade.Options{Cutover: true})
	must(t, upgrade.Finish(ctx, w.file(), cutover.DropOld, upgrade.Purge, w.log))
	w.upgraded(ctx)
}
