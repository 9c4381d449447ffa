package capture

import (
	"testing"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/testcontainers"
)

func TestReverseCaptureInAnotherDatabase(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "CREATE SCHEMA shop; CREATE TABLE shop.orders (id int PRIMARY KEY, total int)", plans.Source{Name: pg.Name{Schema: "shop", Name: "orders"}})
	f.install()
	intact, err := Signature(f.ctx, f.pool, f.run)
	f.must(err)
	there := &fixture{TB: t, ctx: f.ctx, dsn: testcontainers.Database(t), run: f.run}
	f.must(control.Migrate(f.ctx, there.dsn))
	there.pool, err = pg.NewPool(f.ctx, there.dsn, 8, pg.Options{Component: "test"})
	f.must(err)
	t.Cleanup(there.pool.Close)
	there.exec("CREATE SCHEMA pgumbra_shop_v2_shop; CREATE TABLE pgumbra_shop_v2_shop.orders (id bigint PRIMARY KEY, total int)")
	f.run.Plan.Tables = []plans.Table{{Shadow: pg.Name{Schema: "pgumbra_shop_v2_shop", Name: "orders"}, Final: pg.Name{Schema: "shop", Name: "orders"},
		Feed: plans.Copied, Key: []plans.Pair{{Production: "id", Shadow: "id", Type: "bigint"}}}}
	origin, err := control.ReadOrigin(f.ctx, f.pool)
	f.must(err)
	f.must(control.Adopt(f.ctx, there.pool, f.run, origin))
	for range 2 {
		f.must(PrepareReverse(f.ctx, there.pool, f.run))
	}
	there.exec("BEGIN; " + ReverseTriggers(f.run) + "; ALTER SCHEMA pgumbra_shop_v2_shop RENAME TO shop; COMMIT; INSERT INTO shop.orders VALUES (1, 10)")
	f.must(RecordReverse(f.ctx, there.pool, f.run))
	changes, err := CheckReverse(f.ctx, there.pool, f.run, &f.run.Plan.Tables[0])
	if err != nil || len(changes) > 0 {
		t.Error(changes, err)
	}
	if n := there.one("SELECT count(*) FROM pgumbra.journal"); n != "1" {
		t.Errorf("%s entries", n)
	}
	if now, err := Signature(f.ctx, f.pool, f.run); err != nil || now != intact {
		t.Error("production's signature changed", err)
	}
	f.must(Remove(f.ctx, there.pool, f.run))
	there.exec("DELETE FROM shop.orders")
	if n := there.one("SELECT count(*) FROM pg_proc WHERE pronamespace = 'pgumbra'::regnamespace AND proname !~ '^ours_'"); n != "0" {
		t.Errorf("%s functions are left", n)
	}
}
