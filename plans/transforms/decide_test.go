package transforms_test

import (
	"slices"
	"testing"

	"github.com/pgumbra/pgumbra/plans/syntax"
	"github.com/pgumbra/pgumbra/testcontainers"
)

const at1 = " 000001_x.up.sql:1"

// What a statement does depends on what scratch does not hold: each is named
// with its line, so that it is not believed.
func TestStatementsThatDecideByRowsAreNotUnderstood(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	databases := newBenches(t, 3)
	for name, sql := range map[string]string{
		"if exists":          "DO $$ BEGIN IF EXISTS (SELECT 1 FROM orders WHERE total > 5) THEN ALTER TABLE orders ADD x int; END IF; END $$",
		"count":              "DO $$ DECLARE n int; BEGIN SELECT count(*) INTO n FROM orders; IF n > 3 THEN CREATE INDEX ON orders (note); END IF; END $$",
		"perform, found":     "DO $$ BEGIN PERFORM 1 FROM orders; IF FOUND THEN DROP TABLE lookup; END IF; END $$",
		"case":               "DO $$ BEGIN CASE (SELECT count(*) FROM orders) WHEN 0 THEN CREATE TABLE x (); ELSE NULL; END CASE; END $$",
		"loop over rows":     "DO $$ DECLARE r record; BEGIN FOR r IN SELECT DISTINCT status FROM orders LOOP EXECUTE format('CREATE TABLE %I ()', 'o_' || r.status); END LOOP; END $$",
		"dynamic query":      "DO $$ DECLARE r record; t text := 'orders'; BEGIN FOR r IN EXECUTE 'SELECT id FROM ' || t LOOP EXECUTE 'CREATE TABLE o_' || r.id || ' ()'; END LOOP; END $$",
		"dynamic count":      "DO $$ DECLARE n bigint; BEGIN EXECUTE format('SELECT count(*) FROM %s', 'ord' || 'ers') INTO n; IF n > 0 THEN CREATE TABLE x (); END IF; END $$",
		"every table":        "DO $$ DECLARE t text; n bigint; BEGIN FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename IN ('orders', 'lookup') LOOP EXECUTE 'SELECT count(*) FROM ' || t INTO n; IF n = 0 THEN EXECUTE 'DROP TABLE ' || t || ' CASCADE'; END IF; END LOOP; END $$",
		"raise":              "DO $$ BEGIN IF EXISTS (SELECT FROM orders WHERE total < 0) THEN RAISE EXCEPTION 'no'; END IF; END $$",
		"assert":             "DO $$ BEGIN ASSERT (SELECT count(*) FROM orders) < 1000; END $$",
		"updated, then DDL":  "DO $$ BEGIN UPDATE orders SET note = 'x' WHERE note IS NULL; IF FOUND THEN ALTER TABLE orders ADD x int; END IF; END $$",
		"cursor":             "DO $$ DECLARE c CURSOR FOR SELECT id FROM orders; r record; BEGIN OPEN c; FETCH c INTO r; IF FOUND THEN CREATE TABLE x (); END IF; END $$",
		"view":               "CREATE VIEW v AS SELECT * FROM orders; DO $$ BEGIN IF (SELECT count(*) FROM v) > 0 THEN CREATE TABLE x (); END IF; END $$",
		"function":           "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN IF EXISTS (SELECT FROM orders) THEN CREATE TABLE x (); END IF; END $$; SELECT f();",
		"function's text":    "CREATE FUNCTION f(t text) RETURNS void LANGUAGE plpgsql AS $$ DECLARE n int; BEGIN EXECUTE 'SELECT count(*) FROM ' || t INTO n; IF n > 0 THEN CREATE TABLE x (); END IF; END $$; SELECT f('orders');",
		"nested function":    "CREATE FUNCTION has() RETURNS boolean LANGUAGE sql AS 'SELECT EXISTS (SELECT FROM orders)'; DO $$ BEGIN IF has() THEN CREATE TABLE x (); END IF; END $$",
		"procedure":          "CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN IF EXISTS (SELECT FROM orders) THEN CREATE TABLE x (); END IF; END $$; CALL p();",
		"estimated rows":     "DO $$ BEGIN IF (SELECT reltuples FROM pg_class WHERE relname = 'orders') > 1000 THEN CREATE TABLE x (); END IF; END $$",
		"statistics":         "DO $$ BEGIN IF (SELECT n_live_tup FROM pg_stat_user_tables WHERE relname = 'orders') > 0 THEN CREATE TABLE x (); END IF; END $$",
		"size":               "DO $$ BEGIN IF pg_relation_size('orders') > 0 THEN CREATE TABLE x (); END IF; END $$",
		"sequence's value":   "DO $$ BEGIN IF (SELECT last_value FROM pg_sequences WHERE sequencename = 'customers_id_seq') > 5 THEN CREATE TABLE x (); END IF; END $$",
		"sequence's row":     "DO $$ BEGIN IF (SELECT last_value FROM customers_id_seq) > 5 THEN CREATE TABLE x (); END IF; END $$",
		"next value":         "DO $$ BEGIN IF nextval('customers_id_seq') > 5 THEN CREATE TABLE x (); END IF; END $$",
		"draws":              "SELECT nextval('customers_id_seq');",
		"rows by xml":        "DO $$ BEGIN IF query_to_xml('select 1 from orders', true, true, '')::text <> '' THEN CREATE TABLE x (); END IF; END $$",
		"database's name":    "DO $$ BEGIN IF current_database() = 'production' THEN CREATE TABLE x (); END IF; END $$",
		"setval of rows":     "SELECT setval('customers_id_seq', (SELECT max(id) FROM customers));",
		"setval from":        "SELECT setval('customers_id_seq', max(id)) FROM customers;",
		"setval of a new":    "CREATE SEQUENCE s; SELECT setval('s', coalesce((SELECT max(id) FROM orders), 1), false);",
		"setval by a name":   "SELECT setval(pg_get_serial_sequence('customers', 'id'), (SELECT count(*) FROM customers) + 1);",
		"check by division":  "SELECT 1 / (1 + id) FROM orders;",
		"check by cast":      "SELECT note::int FROM orders;",
		"language not known": "DO LANGUAGE plpgsql $$ BEGIN PERFORM 1 FROM orders WHERE FALSE; CREATE TABLE x (); END $$",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := history{structure: shop, files: []string{sql}}.infer(t, databases.take(t))
			found := slices.ContainsFunc(out.Notices, func(n syntax.Notice) bool {
				return n.Code == "decided-by-rows" && n.Level == "blocker" && n.Opaque && n.Where == "000001_x.up.sql:1" && n.Table == 0
			})
			if !found {
				t.Errorf("%+v", out.Notices)
			}
		})
	}
}

// What is the same in scratch as in production may be decided by.
func TestStatementsThatDecideByStructureAreUnderstood(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	databases := newBenches(t, 3)
	for name, sql := range map[string]string{
		"catalog":            "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE relname = 'x' AND nspname = 'public') THEN CREATE TABLE x (); END IF; END $$",
		"information_schema": "DO $$ BEGIN IF EXISTS (SELECT 1 FROM information_schema.columns WHERE table_catalog = current_database() AND table_name = 'orders' AND column_name = 'note') THEN ALTER TABLE orders RENAME note TO remark; END IF; END $$",
		"type":               "DO $$ BEGIN CREATE TYPE status AS ENUM ('x'); EXCEPTION WHEN duplicate_object THEN NULL; END $$",
		"loop of numbers":    "CREATE TABLE p (id int) PARTITION BY HASH (id); DO $$ BEGIN FOR i IN 0..3 LOOP EXECUTE format('CREATE TABLE p_%s PARTITION OF p FOR VALUES WITH (MODULUS 4, REMAINDER %s)', i, i); END LOOP; END $$",
		"loop of months":     "CREATE TABLE p (d date) PARTITION BY RANGE (d); DO $$ DECLARE m date := '2024-01-01'; BEGIN WHILE m < '2024-06-01' LOOP EXECUTE format('CREATE TABLE %I PARTITION OF p FOR VALUES FROM (%L) TO (%L)', 'p_' || to_char(m, 'YYYYMM'), m, m + interval '1 month'); m := m + interval '1 month'; END LOOP; END $$",
		"loop of tables":     "DO $$ DECLARE t text; BEGIN FOR t IN SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND table_name NOT LIKE 'p%' LOOP EXECUTE format('ALTER TABLE %I ADD COLUMN IF NOT EXISTS tenant int', t); EXECUTE format('GRANT SELECT ON %I TO pg_monitor', t); END LOOP; END $$",
		"dynamic view":       "DO $$ BEGIN EXECUTE 'CREATE OR REPLACE VIEW v AS SELECT id FROM ' || 'orders'; END $$",
		"dynamic key":        "DO $$ BEGIN EXECUTE 'ALTER TABLE orders ADD FOREIGN KEY (id) REFERENCES customers'; END $$",
		"dynamic catalog":    "DO $$ DECLARE n int; BEGIN EXECUTE 'SELECT count(*) FROM pg_tables WHERE tablename = $1' INTO n USING 'x'; IF n = 0 THEN CREATE TABLE x (); END IF; END $$",
		"made rows":          "CREATE TABLE f (n text); INSERT INTO f VALUES ('a'), ('b'); DO $$ DECLARE r record; BEGIN FOR r IN SELECT n FROM f LOOP EXECUTE 'CREATE TABLE t_' || r.n || ' ()'; END LOOP; END $$",
		"setval constant":    "SELECT setval('customers_id_seq', 700); SELECT setval(pg_get_serial_sequence('customers', 'id'), 5, false);",
		"new sequence":       "CREATE SEQUENCE s; SELECT setval('s', 10); SELECT nextval('s');",
		"path":               "SELECT pg_catalog.set_config('search_path', '', false); RESET search_path",
		"asks only":          "SELECT count(*) FROM orders; SELECT upper(note) FROM orders; SELECT now();",
		"function of DDL":    "CREATE FUNCTION f(t regclass) RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE format('ALTER TABLE %s ADD audited text', t); END $$; SELECT f('orders');",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := history{structure: shop, files: []string{sql}}.infer(t, databases.take(t))
			if b := out.blockers(); len(b) > 0 {
				t.Errorf("%+v", out.Notices)
			}
		})
	}
}

// Rows that the migrations make up are production's only if nothing in them is.
func TestRowsMadeOfProductionsStateAreNotCarried(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	databases := newBenches(t, 2)
	const made = "CREATE TABLE n (id bigint, x text); "
	for name, sql := range map[string]string{
		"function of rows":      made + "CREATE FUNCTION f() RETURNS text LANGUAGE sql AS 'SELECT max(note) FROM orders'; INSERT INTO n VALUES (1, f());",
		"table of a function":   "CREATE FUNCTION f() RETURNS SETOF text LANGUAGE sql AS 'SELECT note FROM orders'; CREATE TABLE n AS SELECT 1::bigint AS id, f.f AS x FROM f();",
		"production's sequence": made + "INSERT INTO n VALUES (nextval('customers_id_seq'), 'x');",
		"such a default":        "CREATE TABLE n (id bigint DEFAULT nextval('customers_id_seq'), x text); INSERT INTO n (x) VALUES ('x');",
		"default of rows":       "CREATE FUNCTION f() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM orders'; CREATE TABLE n (id bigint DEFAULT f(), x text); INSERT INTO n (x) VALUES ('x');",
		"updated":               made + "INSERT INTO n VALUES (1); CREATE FUNCTION f() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM orders'; UPDATE n SET id = f();",
		"rule":                  made + "CREATE RULE r AS ON INSERT TO n DO INSTEAD INSERT INTO lookup SELECT id::text, note FROM orders; INSERT INTO n VALUES (1);",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := history{structure: shop, files: []string{sql}}.infer(t, databases.take(t))
			if b := out.blockers(); !slices.Contains(b, "unmapped-backfill public.n"+at1) && !slices.Contains(b, "unmapped-backfill public.n.id"+at1) {
				t.Errorf("%q %+v", b, out.Notices)
			}
		})
	}
}
