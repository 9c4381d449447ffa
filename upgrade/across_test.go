package upgrade_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/rehearsal"
	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

const acrossItems = 2000

var across = history{
	structure: fmt.Sprintf(`CREATE SCHEMA shop; CREATE TABLE shop.item (id int PRIMARY KEY, tenant int NOT NULL, stock int NOT NULL DEFAULT 0);
		INSERT INTO shop.item SELECT n, n %% 4 FROM generate_series(1, %d) n;
		CREATE FUNCTION shop.tenant_of(int) RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN RETURN (SELECT tenant FROM shop.item WHERE id = $1); END';`, acrossItems),
	migrations: []string{`ALTER TABLE shop.item ADD COLUMN note text NOT NULL DEFAULT '';`},
	planFile:   "cutover: {max_stall: 5s, lock_timeout: 500ms, attempts: 100}\n",
}

// TestDumpsAndLongStatementsAcrossTheCutover: pg_dump, statements whose STABLE
// function reads the tables again and again through one snapshot, and rows that
// are locked for a while. None sees a table empty, and no change is lost.
func TestDumpsAndLongStatementsAcrossTheCutover(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	w := build(t, across)
	w.run(ctx, upgrade.Options{Until: control.Following})
	group, running := errgroup.WithContext(ctx)
	var over atomic.Bool
	var dumps, statements, locks atomic.Int64
	repeat := func(count *atomic.Int64, once func(context.Context, *pgx.Conn) error) {
		group.Go(func() error {
			conn, err := pgx.Connect(running, w.production)
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close(ctx) }()
			for !over.Load() {
				if err := once(running, conn); err != nil {
					return err
				}
				count.Add(1)
			}
			return nil
		})
	}
	repeat(&dumps, func(context.Context, *pgx.Conn) error { return dumpIsWhole(w.production) })
	repeat(&statements, longStatement)
	repeat(&locks, lockThenUpdate)
	twice := func() { // all of them, from now on
		d, s, l := dumps.Load()+2, statements.Load()+2, locks.Load()+2
		for dumps.Load() < d || statements.Load() < s || locks.Load() < l {
			select {
			case <-running.Done():
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
	twice()
	w.run(ctx, upgrade.Options{Cutover: true})
	twice()
	over.Store(true)
	must(t, group.Wait())
	var stock int64
	must(t, one(w.production, `SELECT sum(stock) FROM shop.item`, &stock))
	if stock != locks.Load() {
		t.Errorf("%d increments were acknowledged, %d are there", locks.Load(), stock)
	}
}

// dumpIsWhole runs pg_dump. Its one snapshot may span the swap: 40001 is right
// then, fewer rows never are.
func dumpIsWhole(dsn string) error {
	path, err := testcontainers.Bin("pg_dump")
	if err != nil {
		return err
	}
	text, err := command(path, "--data-only", "--inserts", "--table=shop.item", dsn)
	if err != nil {
		if strings.Contains(err.Error(), "could not serialize access") {
			return nil
		}
		return err
	}
	if n := strings.Count(text, "INSERT INTO shop.item"); n != acrossItems {
		return fmt.Errorf("a dump of %d rows", n)
	}
	return nil
}

func longStatement(ctx context.Context, conn *pgx.Conn) error {
	var n int
	err := conn.QueryRow(ctx, `SELECT count(shop.tenant_of(g)) FROM (SELECT g, pg_sleep(0.001) FROM generate_series(1, 200) g OFFSET 0) AS slow`).Scan(&n)
	if err == nil && n != 200 {
		err = fmt.Errorf("a statement saw %d of 200 rows", n)
	}
	return err
}

func lockThenUpdate(ctx context.Context, conn *pgx.Conn) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		for _, sql := range []string{`SELECT stock FROM shop.item WHERE id = 7 FOR UPDATE`, `SELECT pg_sleep(0.05)`} {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		tag, err := tx.Exec(ctx, `UPDATE shop.item SET stock = stock + 1 WHERE id = 7`)
		if err == nil && tag.RowsAffected() != 1 {
			err = fmt.Errorf("an update changed %d rows", tag.RowsAffected())
		}
		return err
	})
}

// TestForcedRowSecurityUnderTraffic: the owner writes under a policy that is
// forced on it, through the copy and the cutover. Copy, replay and verification
// see every row, and the owner what its policy lets it see, before and after.
func TestForcedRowSecurityUnderTraffic(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	h := across
	h.structure += `DO $$ BEGIN CREATE ROLE item_owner; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
		GRANT USAGE ON SCHEMA shop TO item_owner; ALTER TABLE shop.item OWNER TO item_owner;
		ALTER TABLE shop.item ENABLE ROW LEVEL SECURITY; ALTER TABLE shop.item FORCE ROW LEVEL SECURITY;
		CREATE POLICY own ON shop.item USING (tenant = current_setting('app.tenant')::int);`
	w := build(t, h)
	group, running := errgroup.WithContext(ctx)
	var over atomic.Bool
	var acknowledged [4]atomic.Int64
	for tenant := range acknowledged {
		group.Go(func() error {
			conn, err := pgx.Connect(running, w.production)
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close(ctx) }()
			if _, err := conn.Exec(ctx, fmt.Sprintf(`SET ROLE item_owner; SET app.tenant = %d`, tenant)); err != nil {
				return err
			}
			for !over.Load() {
				tag, err := conn.Exec(running, `UPDATE shop.item SET stock = stock + 1 WHERE id BETWEEN 1 AND 40`)
				if err != nil {
					return err
				}
				if tag.RowsAffected() != 10 { // the tenant's share of them
					return fmt.Errorf("tenant %d updates %d rows", tenant, tag.RowsAffected())
				}
				acknowledged[tenant].Add(10)
				if _, err := conn.Exec(running, `SELECT pg_sleep(0.02)`); err != nil { // users think
					return err
				}
			}
			return nil
		})
	}
	w.run(ctx, upgrade.Options{Cutover: true})
	over.Store(true)
	must(t, group.Wait())
	for tenant := range acknowledged {
		var stock int64
		must(t, one(w.production, fmt.Sprintf(`SELECT sum(stock) FROM shop.item WHERE tenant = %d`, tenant), &stock))
		if stock != acknowledged[tenant].Load() {
			t.Errorf("tenant %d: %d acknowledged, %d there", tenant, acknowledged[tenant].Load(), stock)
		}
	}
	must(t, upgrade.Finish(ctx, w.file(), cutover.DropOld, upgrade.Purge, w.log))
	must(t, rehearsal.MigrateInPlace(ctx, w.oracleDSN, w.folder, ""))
	w.sameStructure(ctx)
}
