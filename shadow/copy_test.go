package shadow

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// orders is a partition tree of two levels that becomes another one.
func orders(t *testing.T, how way) *world {
	w := how.world(t, `
		CREATE TYPE old AS ENUM ('a', 'b');
		CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY, m int, name text, kind old, big text, twice int GENERATED ALWAYS AS (m * 2) STORED, gone bool) PARTITION BY RANGE (m);
		CREATE TABLE orders_1 PARTITION OF orders FOR VALUES FROM (0) TO (500);
		CREATE TABLE orders_2 PARTITION OF orders FOR VALUES FROM (500) TO (5000) PARTITION BY LIST (kind);
		CREATE TABLE orders_2a (gone bool, x int, kind old, big text, name text, id bigint NOT NULL, m int, twice int GENERATED ALWAYS AS (m * 2) STORED);
		ALTER TABLE orders_2a DROP COLUMN x;
		ALTER TABLE orders_2 ATTACH PARTITION orders_2a FOR VALUES IN ('a');
		CREATE TABLE orders_2b PARTITION OF orders_2 FOR VALUES IN ('b');
		INSERT INTO orders (m, name, kind, big, gone)
		SELECT i % 1000, CASE WHEN i % 3 > 0 THEN 'n' || i END, (ARRAY['a', 'b'])[i % 2 + 1]::old,
		       CASE WHEN i % 100 = 0 THEN (SELECT string_agg(md5((i * j)::text), '') FROM generate_series(1, 300) j) ELSE '' END, i % 10 = 0
		FROM generate_series(1, 4000) i`)
	w.build("TYPE", "kind", "CREATE TYPE @.kind AS ENUM ('b', 'a', 'c');")
	w.build("TABLE", "orders", `CREATE TABLE @.orders (id bigint GENERATED ALWAYS AS IDENTITY NOT NULL, label character varying(20) NOT NULL, kind @.kind, big text, m bigint, thrice bigint GENERATED ALWAYS AS (m * 3) STORED, token uuid DEFAULT gen_random_uuid()) PARTITION BY HASH (id);`)
	for i := range 3 {
		w.build("TABLE", fmt.Sprintf("orders_%d", i), fmt.Sprintf("CREATE TABLE @.orders_%d (id bigint NOT NULL, label character varying(20) NOT NULL, kind @.kind, big text, m bigint, thrice bigint GENERATED ALWAYS AS (m * 3) STORED, token uuid DEFAULT gen_random_uuid());", i))
		w.build("TABLE ATTACH", fmt.Sprintf("orders_%d", i), fmt.Sprintf("ALTER TABLE ONLY @.orders ATTACH PARTITION @.orders_%d FOR VALUES WITH (modulus 3, remainder %d);", i, i))
	}
	tab := w.copied(w.source("orders", plans.Partitioned, "id"), []string{"id"},
		"id = id", "label = coalesce(orders.name, 'none')", "kind = kind::text::"+shopShadow+".kind", "big = big", "m = m")
	tab.Columns[0].Identity = true
	tab.Columns = append(tab.Columns, plans.Column{Shadow: "thrice", Generated: true}, plans.Column{Shadow: "token", Volatile: true})
	tab.Where = "NOT gone -- archived"
	return w
}

const ordersThen = "SELECT id, coalesce(name, 'none'), kind::text, big, m, m * 3 FROM shop.orders WHERE NOT gone"
const ordersNow = "SELECT id, label, kind::text, big, m, thrice FROM " + shopShadow + ".orders"

func TestCopyPartitionsIdentityGeneratedAndTOAST(t *testing.T) {
	bothWays(t, func(t *testing.T, how way) {
		w := orders(t, how)
		w.start()
		c := w.copier()
		var last Progress
		c.Progress = func(p Progress) { last = p }
		must(t, c.Copy(w.t.Context()))
		w.equal(ordersThen, ordersNow)
		w.wants("3600", "SELECT count(DISTINCT token) FROM "+shopShadow+".orders")
		w.wants("keying 3600", "SELECT state || ' ' || rows_copied FROM pgumbra.shadow_table WHERE position IS NOT NULL")
		w.wants("true", "SELECT count(*) > 10 AND count(DISTINCT member) = 3 FROM pgumbra.chunk WHERE done_at IS NOT NULL")
		if !last.Done || last.Rows != 3600 || last.Bytes != last.BytesTotal || last.Bytes == 0 {
			t.Errorf("progress: %+v", last)
		}
	})
}

func TestCopyIsATIDRangeScan(t *testing.T) {
	t.Parallel()
	w := newWorld(t, items)
	w.plain("items")
	w.start()
	rows, err := w.pool.Query(w.t.Context(), "EXPLAIN "+copySQL(w.plan, &w.plan.Tables[0], w.plan.Sources[0].Name, byPages),
		pgx.QueryExecModeExec, "(0,0)", "(2,0)")
	must(t, err)
	plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(t, err)
	if !strings.Contains(strings.Join(plan, "\n"), "Tid Range Scan") {
		t.Error(strings.Join(plan, "\n"))
	}
}

func TestCopyGoesOnWithUnfinishedChunks(t *testing.T) {
	bothWays(t, func(t *testing.T, how way) {
		w := how.world(t, items)
		w.plain("items")
		w.start()
		ctx, cancel := context.WithCancel(w.t.Context())
		c := w.copier()
		c.Run.Plan.Settings.Copy.Workers = 1
		chunks := 0
		c.Progress = func(Progress) {
			if chunks++; chunks == 3 {
				cancel()
			}
		}
		if err := c.Copy(ctx); ctx.Err() == nil || err == nil {
			t.Fatalf("got %v", err)
		}
		w.wants("3", "SELECT count(*) FROM pgumbra.chunk WHERE done_at IS NOT NULL")
		position := w.text("SELECT position FROM pgumbra.shadow_table")
		first := w.text("SELECT array_agg(done_at ORDER BY chunk) FROM pgumbra.chunk WHERE chunk < 3")
		w.copy()
		w.wants(first, "SELECT array_agg(done_at ORDER BY chunk) FROM pgumbra.chunk WHERE chunk < 3")
		w.wants(position, "SELECT position FROM pgumbra.shadow_table")
		w.equal("SELECT * FROM shop.items", "SELECT * FROM "+shopShadow+".items")
		w.wants("3000", "SELECT rows_copied FROM pgumbra.shadow_table")
		w.copy() // nothing is left to do
	})
}

func TestCopyEndsATableWhoseLastChunkWasItsLastAct(t *testing.T) {
	bothWays(t, func(t *testing.T, how way) {
		w := how.world(t, items)
		tab := w.plain("items")
		w.start()
		w.copy()
		w.exec("UPDATE pgumbra.shadow_table SET state = 'copying', rows_copied = 0")
		w.copy()
		if got := w.state(tab); got != "keying" {
			t.Error(got)
		}
		w.wants("3000", "SELECT rows_copied FROM pgumbra.shadow_table")
	})
}

// waitsForLock polls until a session of the pool waits for a lock.
func (w *world) waitsForLock(side *pgxpool.Pool) int {
	w.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for time.Now().Before(deadline) {
		var pid int
		err := side.QueryRow(w.t.Context(), `SELECT pid FROM pg_stat_activity WHERE datname = current_database()
			AND wait_event_type = 'Lock' AND application_name = 'pgumbra/test' LIMIT 1`).Scan(&pid)
		if err == nil {
			return pid
		}
	}
	w.t.Fatal("nobody waits for a lock")
	return 0
}

func TestChunkOfATerminatedBackendIsCopiedOnce(t *testing.T) {
	bothWays(t, func(t *testing.T, how way) {
		w := how.world(t, items)
		w.plain("items")
		w.start()
		tx, err := w.sides.Shadow.Begin(w.t.Context())
		must(t, err)
		_, err = tx.Exec(w.t.Context(), "LOCK TABLE "+shopShadow+".items IN SHARE MODE")
		must(t, err)
		done := make(chan error, 1)
		go func() { done <- w.copier().Copy(w.t.Context()) }()
		pid := w.waitsForLock(w.sides.Shadow)
		_, err = tx.Exec(w.t.Context(), "SELECT pg_terminate_backend($1)", pid)
		must(t, err)
		if err := <-done; pg.State(err) != pgerrcode.AdminShutdown {
			t.Fatalf("got %v", err)
		}
		must(t, tx.Rollback(w.t.Context()))
		w.copy()
		w.equal("SELECT * FROM shop.items", "SELECT * FROM "+shopShadow+".items")
	})
}

func TestRewriteBetweenChunksCopiesTheTableAgain(t *testing.T) {
	t.Parallel()
	for name, sql := range map[string]string{
		"VACUUM FULL": "DELETE FROM shop.items WHERE id <= 1500; VACUUM FULL shop.items",
		"TRUNCATE":    "TRUNCATE shop.items; INSERT INTO shop.items VALUES (1, 'new')",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, items)
			w.plain("items")
			w.start()
			c := w.copier()
			chunks := 0
			c.Progress = func(Progress) {
				if chunks++; chunks == 5 {
					for _, s := range strings.Split(sql, "; ") {
						w.exec(s)
					}
				}
			}
			must(t, c.Copy(w.t.Context()))
			w.equal("SELECT * FROM shop.items", "SELECT * FROM "+shopShadow+".items")
			w.wants("1 true", "SELECT recopied || ' ' || (recopy_reason <> '') FROM pgumbra.shadow_table")
			w.wants("recopy", "SELECT kind FROM pgumbra.event")
		})
	}
}

// journal is a stand-in for capture: keys that changed, with their transaction.
const journal = `CREATE TABLE changed (id bigint, xid xid8 DEFAULT pg_current_xact_id());
	CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		INSERT INTO shop.changed SELECT x.id FROM (SELECT OLD.id UNION SELECT NEW.id) x WHERE x.id IS NOT NULL; RETURN NULL; END $$;
	CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON items FOR EACH ROW EXECUTE FUNCTION note()`

const keysChanged = `SELECT c.id FROM shop.changed c, pgumbra.shadow_table t WHERE NOT pg_visible_in_snapshot(c.xid, t.position)`

// dropChanged is a stand-in for replay's.
func (w *world) dropChanged(ctx context.Context, tx pgx.Tx, _ *plans.Table) error {
	rows, err := w.side(keysChanged).Query(ctx, keysChanged)
	if err != nil {
		return err
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "DELETE FROM "+shopShadow+".items WHERE id = ANY ($1)", keys)
	return err
}

func TestRowsThatMoveOrGoDuringTheCopyAreNeitherDoubledNorKept(t *testing.T) {
	bothWays(t, func(t *testing.T, how way) {
		w := how.world(t, items+";"+journal)
		tab := w.plain("items")
		w.exec("INSERT INTO shop.items VALUES (-1, 'before the position'); DELETE FROM shop.items WHERE id = 5")
		w.plan.Settings.Copy.Workers = 1 // another one could be past the end of the table already
		w.start()
		c := w.copier()
		chunks := 0
		c.Progress = func(Progress) {
			switch chunks++; chunks {
			case 2: // copied ones move to the end, deleted ones stay in the shadow, later ones are never seen
				w.exec("UPDATE shop.items SET v = v || repeat('x', 500) WHERE id BETWEEN 1 AND 50")
				w.exec("DELETE FROM shop.items WHERE id IN (60, 2900)")
				w.exec("INSERT INTO shop.items SELECT i, 'late' FROM generate_series(4000, 4500) i")
				w.exec("UPDATE shop.items SET id = -id WHERE id IN (70, 2800)")
			}
		}
		must(t, c.Copy(w.t.Context()))
		w.wants("true", "SELECT count(*) > count(DISTINCT id) FROM "+shopShadow+".items") // or this proves nothing
		must(t, BuildKeys(w.t.Context(), w.sides, w.run, 2, w.dropChanged))
		if got := w.state(tab); got != "catching_up" {
			t.Error(got)
		}
		w.equal("SELECT * FROM shop.items i WHERE NOT EXISTS (SELECT FROM shop.changed c, pgumbra.shadow_table t WHERE c.id = i.id AND NOT pg_visible_in_snapshot(c.xid, t.position))",
			"SELECT * FROM "+shopShadow+".items")
		w.wants("1", "SELECT count(*) FROM "+shopShadow+".items WHERE id = -1")
	})
}

func TestKeylessTableIsCopiedInOneSnapshot(t *testing.T) {
	bothWays(t, func(t *testing.T, how way) {
		w := how.world(t, "CREATE TABLE log (a int, b text); INSERT INTO log SELECT i % 10, 'x' FROM generate_series(1, 1000) i; CREATE TABLE nothing (); INSERT INTO nothing DEFAULT VALUES")
		w.build("TABLE", "log", "CREATE TABLE @.log (b text, a int);")
		w.build("TABLE", "nothing", "CREATE TABLE @.nothing ();")
		w.copied(w.source("log", plans.Plain), nil, "a = a", "b = b")
		w.copied(w.source("nothing", plans.Plain), nil)
		w.start()
		w.copy()
		w.equal("SELECT a, b FROM shop.log", "SELECT a, b FROM "+shopShadow+".log")
		w.wants("1", "SELECT count(*) FROM "+shopShadow+".nothing")
		w.wants("0", "SELECT count(*) FROM pgumbra.chunk")
		w.wants("2", "SELECT count(*) FROM pgumbra.shadow_table WHERE state = 'keying' AND position IS NOT NULL AND rows_copied > 0")
		must(t, BuildKeys(w.t.Context(), w.sides, w.run, 1, nil))
		w.wants("2", "SELECT count(*) FROM pgumbra.shadow_table WHERE state = 'catching_up'")
	})
}

func TestSnapshotOfAWholeCopyComesAfterItsLocks(t *testing.T) {
	bothWays(t, func(t *testing.T, how way) {
		w := how.world(t, "CREATE TABLE log (a int); INSERT INTO log VALUES (1)")
		w.build("TABLE", "log", "CREATE TABLE @.log (a int);")
		w.copied(w.source("log", plans.Plain), nil, "a = a")
		w.start()
		tx, err := w.pool.Begin(w.t.Context())
		must(t, err)
		_, err = tx.Exec(w.t.Context(), "TRUNCATE shop.log; INSERT INTO shop.log VALUES (2)")
		must(t, err)
		done := make(chan error, 1)
		go func() { done <- w.copier().Copy(w.t.Context()) }()
		w.waitsForLock(w.pool)
		must(t, tx.Commit(w.t.Context()))
		must(t, <-done)
		w.wants("2", "SELECT string_agg(a::text, ',') FROM "+shopShadow+".log")
	})
}

func TestDerivedTableIsFilledFromItsQuery(t *testing.T) {
	bothWays(t, func(t *testing.T, how way) {
		w := how.world(t, items+"; CREATE TABLE rates (f int); INSERT INTO rates VALUES (3)")
		w.build("TABLE", "sums", "CREATE TABLE @.sums (tens bigint, n bigint);")
		s := w.source("items", plans.Plain, "id")
		w.source("rates", plans.Plain)
		w.plan.Sources[1].Frozen = true
		w.plan.Tables = []plans.Table{{Shadow: in("sums"), Final: pg.Name{Schema: "shop", Name: "sums"}, Feed: plans.Derived, Source: -1,
			From:    "SELECT id % 10 AS tens, count(*) * (SELECT f FROM shop.rates) AS n FROM items GROUP BY 1 -- all",
			Columns: []plans.Column{{Shadow: "tens", Expression: `"tens"`}, {Shadow: "n", Expression: "q.n"}},
			Watches: []plans.Watch{{Source: s.N, Columns: []plans.WatchPair{{Column: "id", Shadow: "tens"}}}}}}
		w.start()
		w.copy()
		w.equal("SELECT g::bigint, 900::bigint FROM generate_series(0, 9) g", "SELECT tens, n FROM "+shopShadow+".sums")
	})
}

func TestEmptyTableIsCopiedAtOnce(t *testing.T) {
	bothWays(t, func(t *testing.T, how way) {
		w := how.world(t, "CREATE TABLE items (id bigint PRIMARY KEY, v text)")
		tab := w.plain("items")
		w.start()
		w.copy()
		if got := w.state(tab); got != "keying" {
			t.Error(got)
		}
		w.wants("true", "SELECT position IS NOT NULL FROM pgumbra.shadow_table")
	})
}

func TestCopyStopsAtAPartitionThatThePlanDoesNotKnow(t *testing.T) {
	bothWays(t, func(t *testing.T, how way) {
		w := orders(t, how)
		w.start()
		w.exec("CREATE TABLE shop.orders_3 PARTITION OF shop.orders FOR VALUES FROM (5000) TO (6000)")
		if err := w.copier().Copy(w.t.Context()); err == nil || !strings.Contains(err.Error(), "partition") {
			t.Fatalf("got %v", err)
		}
		w.exec("DROP TABLE shop.orders_3, shop.orders_1")
		if err := w.copier().Copy(w.t.Context()); err == nil || !strings.Contains(err.Error(), "shop.orders_1 is not there") {
			t.Fatalf("got %v", err)
		}
	})
}

func TestDeposedLeaderCopiesNothing(t *testing.T) {
	bothWays(t, func(t *testing.T, how way) {
		w := how.world(t, items+"; CREATE TABLE log (a int); INSERT INTO log VALUES (1)")
		w.plain("items")
		w.build("TABLE", "log", "CREATE TABLE @.log (a int);")
		w.copied(w.source("log", plans.Plain), nil, "a = a")
		w.start()
		c := w.copier()
		var once sync.Once
		c.Progress = func(p Progress) {
			if p.Rows > 1 {
				once.Do(func() { w.exec("UPDATE pgumbra.run SET epoch = epoch + 1") })
			}
		}
		if err := c.Copy(w.t.Context()); err == nil || !strings.Contains(err.Error(), control.ErrFencedOff.Error()) {
			t.Fatalf("got %v", err)
		}
		w.wants("true", "SELECT count(*) < 1500 FROM "+shopShadow+".items")
		w.wants("true", "SELECT (SELECT count(*) FROM "+shopShadow+".items) = (SELECT sum(rows) FROM pgumbra.chunk)")
	})
}

func TestUnloggedTablesAreCopiedAgainAfterACrash(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	server, err := testcontainers.Start(ctx, testcontainers.Options{})
	must(t, err)
	t.Cleanup(func() { _ = server.Stop(context.Background()) })
	w := worldAt(t, server.DSN("postgres"), "", items+"; "+itemsNamed("logged")+"; ALTER TABLE items SET UNLOGGED")
	w.build("TABLE", "items", "CREATE UNLOGGED TABLE @.items (id bigint NOT NULL, v text);")
	lost := w.copied(w.source("items", plans.Plain, "id"), []string{"id"}, "id = id", "v = v")
	lost.Unlogged, w.plan.Sources[0].Unlogged = true, true
	w.plain("logged")
	w.start()
	w.copy()
	w.exec("CHECKPOINT")
	found, err := Lost(ctx, w.sides, w.run)
	if err != nil || len(found) != 0 {
		t.Fatalf("before the crash: %v, %v", found, err)
	}
	must(t, server.Crash(ctx))
	must(t, server.Restart(ctx))
	w.pool.Close()
	w.connect()
	w.exec("INSERT INTO shop.items VALUES (1, 'after')")
	found, err = Lost(ctx, w.sides, w.run)
	if err != nil || len(found) != 1 || found[0].Shadow != in("items") {
		t.Fatalf("after the crash: %v, %v", found, err)
	}
	w.copy()
	w.equal("SELECT * FROM shop.items", "SELECT * FROM "+shopShadow+".items")
	w.equal("SELECT * FROM shop.logged", "SELECT * FROM "+shopShadow+".logged")
	w.wants("1,0", "SELECT string_agg(recopied::text, ',' ORDER BY n) FROM pgumbra.shadow_table")
}
