package shadow

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// indexed is a plain table, a partition tree, a materialized view, and a table
// that nothing feeds, with indexes of all kinds.
func indexed(t *testing.T, how way) *world {
	w := orders(t, how)
	w.exec("SET search_path = shop; " + items)
	w.plain("items")
	w.build("TABLE", "kept", "CREATE TABLE @.kept (id bigint NOT NULL);")
	w.plan.Tables = append(w.plan.Tables, plans.Table{N: 2, Shadow: in("kept"), Feed: plans.Skipped, Source: -1})
	w.build("MATERIALIZED VIEW", "totals", "CREATE MATERIALIZED VIEW @.totals AS SELECT count(*) AS n FROM @.items WITH NO DATA;")
	w.plan.Matviews = []pg.Name{in("totals")}

	w.plan.Tables[0].KeyIndex = w.on(plans.StageKey, "CONSTRAINT", "orders_pkey", "orders",
		"ALTER TABLE ONLY @.orders\n    ADD CONSTRAINT orders_pkey PRIMARY KEY (id);")
	for i := range 3 {
		w.on(plans.StageKey, "CONSTRAINT", fmt.Sprintf("orders_%d_pkey", i), fmt.Sprintf("orders_%d", i),
			fmt.Sprintf("ALTER TABLE ONLY @.orders_%d\n    ADD CONSTRAINT orders_%d_pkey PRIMARY KEY (id);", i, i))
	}
	w.on(plans.StageIndex, "INDEX", "orders_m", "orders", "CREATE INDEX orders_m ON ONLY @.orders USING btree (m);")
	for i := range 3 {
		w.on(plans.StageIndex, "INDEX", fmt.Sprintf("orders_%d_m", i), fmt.Sprintf("orders_%d", i),
			fmt.Sprintf("CREATE INDEX orders_%d_m ON @.orders_%d USING btree (m);", i, i))
		w.on(plans.StageIndex, "INDEX ATTACH", fmt.Sprintf("orders_%d_m", i), fmt.Sprintf("orders_%d", i),
			fmt.Sprintf("ALTER INDEX @.orders_m ATTACH PARTITION @.orders_%d_m;", i))
		w.on(plans.StageKey, "INDEX ATTACH", fmt.Sprintf("orders_%d_pkey", i), fmt.Sprintf("orders_%d", i),
			fmt.Sprintf("ALTER INDEX @.orders_pkey ATTACH PARTITION @.orders_%d_pkey;", i))
	}
	w.on(plans.StageIndex, "INDEX", "items_v", "items", "SET default_tablespace = '';\nCREATE INDEX items_v ON @.items USING btree (v text_pattern_ops) INCLUDE (id) WHERE (v IS NOT NULL);")
	w.on(plans.StageIndex, "INDEX", "items_lower", "items", "CREATE UNIQUE INDEX items_lower ON @.items USING btree (lower(v));\nALTER TABLE @.items CLUSTER ON items_lower;")
	w.on(plans.StageIndex, "STATISTICS", "items_s", "items", "CREATE STATISTICS @.items_s (dependencies) ON id, v FROM @.items;")
	w.on(plans.StageKey, "CONSTRAINT", "kept_pkey", "kept", "ALTER TABLE ONLY @.kept ADD CONSTRAINT kept_pkey PRIMARY KEY (id);")
	w.on(plans.StageIndex, "INDEX", "totals_n", "totals", "CREATE UNIQUE INDEX totals_n ON @.totals USING btree (n);")
	w.on(plans.StageLate, "COMMENT", "items_v", "items", "COMMENT ON INDEX @.items_v IS 'fast';")
	w.on(plans.StageLate, "POLICY", "mine", "items", "CREATE POLICY mine ON @.items;")
	return w
}

const indexesNow = `SELECT count(*) FILTER (WHERE i.indisvalid) || ' of ' || count(*) FROM pg_index i
	JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relnamespace = '` + shopShadow + `'::regnamespace`

func TestIndexesOfTreesTablesAndViewsAreBuiltOnce(t *testing.T) {
	bothWays(t, func(t *testing.T, how way) {
		w := indexed(t, how)
		w.start()
		w.copy()
		must(t, BuildKeys(w.t.Context(), w.sides, w.run, 2, nothingJournalled))
		w.wants("catching_up,catching_up", "SELECT string_agg(state, ',') FROM pgumbra.shadow_table")
		w.wants("5 of 5", indexesNow)
		w.exec("UPDATE pgumbra.shadow_table SET state = 'indexing'")

		// an index that fails leaves the others standing
		w.exec("UPDATE " + shopShadow + ".items SET v = 'V8' WHERE id = 7")
		err := BuildIndexes(w.t.Context(), w.sides, w.run, 2)
		var e *DuplicateError
		if !errors.As(err, &e) || e.Table.String() != "shop.items" || e.Object != "items_lower" || !strings.Contains(e.Detail, "(lower(v))=(v8)") {
			t.Fatalf("got %v", err)
		}
		w.wants("indexing,indexing", "SELECT string_agg(state, ',') FROM pgumbra.shadow_table")
		w.exec("UPDATE " + shopShadow + ".items SET v = 'v7' WHERE id = 7")
		must(t, BuildIndexes(w.t.Context(), w.sides, w.run, 2))
		w.wants("following,following", "SELECT string_agg(state, ',') FROM pgumbra.shadow_table")
		w.wants("13 of 13", indexesNow)
		w.wants("3000", "SELECT n FROM "+shopShadow+".totals")
		w.wants("fast", "SELECT obj_description('"+shopShadow+".items_v'::regclass)")
		// not relallvisible: an open transaction of another test may keep it at 0
		w.wants("true 3000", "SELECT (pg_stat_get_last_vacuum_time(oid) IS NOT NULL) || ' ' || reltuples FROM pg_class WHERE oid = '"+shopShadow+".items'::regclass")
		must(t, BuildIndexes(w.t.Context(), w.sides, w.run, 2)) // nothing is left to do
	})
}

func TestIndexBuildGoesOnAfterItWasCancelled(t *testing.T) {
	t.Parallel()
	w := indexed(t, local)
	w.start()
	w.copy()
	must(t, BuildKeys(w.t.Context(), w.sides, w.run, 2, nothingJournalled))
	w.exec("UPDATE pgumbra.shadow_table SET state = 'indexing'")
	tx, err := w.pool.Begin(w.t.Context())
	must(t, err)
	_, err = tx.Exec(w.t.Context(), "LOCK TABLE "+shopShadow+".orders_1 IN ROW EXCLUSIVE MODE")
	must(t, err)
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- BuildIndexes(ctx, w.sides, w.run, 2) }()
	w.waitsForLock(w.pool)
	cancel()
	if err := <-done; err == nil {
		t.Fatal("was not cancelled")
	}
	must(t, tx.Rollback(w.t.Context()))
	must(t, BuildIndexes(w.t.Context(), w.sides, w.run, 2))
	w.wants("13 of 13", indexesNow)
}

func TestRecopyOfAFollowingTableBuildsItsIndexesAgain(t *testing.T) {
	testcontainers.InTurn(t, 5)
	bothWays(t, func(t *testing.T, how way) {
		w := indexed(t, how)
		w.start()
		w.copy()
		w.settle()
		w.exec("UPDATE shop.orders SET m = m + 1 WHERE id < 100; UPDATE shop.items SET v = v || 'x'")
		for i := range 2 {
			must(t, w.copier().Recopy(w.t.Context(), &w.plan.Tables[i], "test"))
		}
		w.wants("2 of 2", indexesNow) // kept's and the view's
		w.wants("waiting1waiting1", "SELECT string_agg(concat(state, position, recopied), '') FROM pgumbra.shadow_table")
		w.copy()
		w.settle()
		w.equal(ordersThen, ordersNow)
		w.equal("SELECT * FROM shop.items", "SELECT * FROM "+shopShadow+".items")
		w.wants("13 of 13", indexesNow)
		w.wants("fast", "SELECT obj_description('"+shopShadow+".items_v'::regclass)")
		w.wants("3000", "SELECT n FROM "+shopShadow+".totals")
	})
}

func TestRecopyKeepsIndexesThatAViewNeeds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, items)
	tab := w.plain("items")
	w.entry("VIEW", in("grouped"), pg.Name{}, plans.StageLate, "CREATE VIEW @.grouped AS SELECT id, v FROM @.items GROUP BY id;")
	w.start()
	w.copy()
	w.settle()
	must(t, w.copier().Recopy(w.t.Context(), tab, "test"))
	w.exec("UPDATE shop.items SET v = 'again'")
	w.copy()
	w.wants("0", "SELECT count(*) FROM pgumbra.chunk") // in one snapshot
	w.settle()
	w.equal("SELECT * FROM shop.items", "SELECT * FROM "+shopShadow+".items")
	w.equal("SELECT * FROM shop.items", "SELECT * FROM "+shopShadow+".grouped")
}

func TestKeyIsNotBuiltByADeposedLeader(t *testing.T) {
	t.Parallel()
	w := newWorld(t, items)
	tab := w.plain("items")
	w.start()
	w.copy()
	err := BuildKeys(w.t.Context(), w.sides, w.run, 1, func(context.Context, pgx.Tx, *plans.Table) error {
		w.exec("UPDATE pgumbra.run SET epoch = epoch + 1") // does not wait for the transaction that calls
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "leads this run") {
		t.Fatalf("got %v", err)
	}
	if got := w.state(tab); got != "keying" {
		t.Error(got)
	}
	w.wants("0 of 0", indexesNow)
}

func TestSettingsOfStructureDoNotStayInThePool(t *testing.T) {
	t.Parallel()
	w := newWorld(t, items)
	w.plain("items")
	w.build("TABLE", "x", "SET default_table_access_method = heap;\nSELECT pg_catalog.set_config('search_path', 'pg_temp', false);\nSET client_min_messages = error;\nCREATE TABLE @.x ();")
	w.start()
	for range 6 {
		w.wants("shop, public notice", "SELECT current_setting('search_path') || ' ' || current_setting('client_min_messages')")
	}
}

func TestWhatNeedsAKeyIsMadeLateAndWithoutDefaultPrivileges(t *testing.T) {
	t.Parallel()
	w := newWorld(t, items)
	role := "reader_" + w.text("SELECT oid FROM pg_database WHERE datname = current_database()")
	w.exec("CREATE ROLE " + role + "; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO " + role)
	w.plain("items")
	w.build("ACL", "items", "GRANT SELECT ON @.items TO "+role+";")
	w.on(plans.StageLate, "MATERIALIZED VIEW", "grouped", "grouped", "CREATE MATERIALIZED VIEW @.grouped AS SELECT id, v FROM @.items GROUP BY id WITH NO DATA;")
	w.on(plans.StageIndex, "INDEX", "grouped_v", "grouped", "CREATE INDEX grouped_v ON @.grouped USING btree (v);")
	w.on(plans.StageLate, "COMMENT", "grouped", "grouped", "COMMENT ON INDEX @.grouped_v IS 'x';")
	w.on(plans.StageLate, "VIEW", "v", "v", "CREATE VIEW @.v AS SELECT 1;")
	w.on(plans.StageLate, "ACL", "v", "v", "GRANT UPDATE ON @.v TO "+role+";")
	w.plan.Matviews = []pg.Name{in("grouped")}
	w.start()
	w.copy()
	w.settle()
	w.wants("3000", "SELECT count(*) FROM "+shopShadow+".grouped")
	w.wants("items=r,v=w", `SELECT string_agg(relname || '=' || substring(relacl::text FROM '`+role+`=(\w+)/'), ',' ORDER BY relname)
		FROM pg_class WHERE relnamespace = '`+shopShadow+`'::regnamespace`)
	w.exec("DROP OWNED BY " + role + "; DROP ROLE " + role)
}
