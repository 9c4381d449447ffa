package conditions_test

import (
	"context"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/plans/conditions"
	"github.com/pgumbra/pgumbra/testcontainers"
)

func TestMain(m *testing.M) { testcontainers.Run(m) }

// shop is a schema with one object of each kind that something may depend on.
const shop = `
CREATE SCHEMA shop; CREATE SCHEMA other;
CREATE TYPE shop.mood AS ENUM ('sad', 'happy');
CREATE TYPE shop.pair AS (a int, b int);
CREATE DOMAIN shop.positive AS int CHECK (VALUE > 0);
CREATE SEQUENCE shop.ticket;
CREATE TABLE shop.account (id int PRIMARY KEY, mood shop.mood, at date);
CREATE TABLE shop.part (id int, v int) PARTITION BY LIST (id);
CREATE VIEW shop.sight AS SELECT id FROM shop.account;
CREATE FUNCTION shop.f() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE FUNCTION shop.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE FUNCTION shop.fired() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE FUNCTION shop.equal(int, int) RETURNS boolean LANGUAGE internal IMMUTABLE AS 'int4eq';
CREATE FUNCTION shop.compare(int, int) RETURNS int LANGUAGE internal IMMUTABLE AS 'btint4cmp';
CREATE FUNCTION shop.handler(internal) RETURNS index_am_handler LANGUAGE internal AS 'bthandler';
CREATE FUNCTION shop.convert(int, int, cstring, internal, int, bool) RETURNS int LANGUAGE c AS '$libdir/utf8_and_iso8859_1', 'iso8859_1_to_utf8';
CREATE FUNCTION shop.support(internal) RETURNS internal LANGUAGE internal IMMUTABLE AS 'varchar_support';
CREATE FUNCTION shop.call() RETURNS language_handler LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_call_handler';
CREATE FUNCTION shop.wrong(text[], oid) RETURNS void LANGUAGE internal AS 'postgresql_fdw_validator';
CREATE FUNCTION shop.lexize(internal, internal, internal, internal) RETURNS internal LANGUAGE internal AS 'dsimple_lexize';
CREATE FUNCTION shop.as_text(shop.mood) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT ''x''';
CREATE OPERATOR shop.=== (LEFTARG = int, RIGHTARG = int, FUNCTION = shop.equal);
CREATE OPERATOR CLASS shop.ints FOR TYPE int USING btree AS OPERATOR 3 shop.===, FUNCTION 1 shop.compare(int, int);
CREATE COLLATION shop.plain FROM "C";
CREATE TEXT SEARCH TEMPLATE shop.template (LEXIZE = shop.lexize);
CREATE TEXT SEARCH DICTIONARY shop.words (TEMPLATE = pg_catalog.simple);
CREATE TEXT SEARCH PARSER shop.parser (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype);
CREATE TABLE other.book (id int PRIMARY KEY, v int);
`

// outside makes dependents outside of shop, by the catalog that holds them.
var outside = map[string][]string{
	"pg_class": {
		"CREATE TABLE other.x (m shop.mood)", "CREATE TABLE other.x (m shop.mood[])", "CREATE TABLE other.x OF shop.pair", "CREATE TABLE other.x (r shop.account)",
		"CREATE TABLE other.x PARTITION OF shop.part FOR VALUES IN (1)", "CREATE TABLE other.x () INHERITS (shop.account)", "CREATE TYPE other.x AS (m shop.mood)",
		"CREATE TABLE other.x (t text COLLATE shop.plain)", "CREATE INDEX ON other.book ((v + shop.f()))", "CREATE INDEX ON other.book (v shop.ints)",
		"CREATE INDEX ON other.book (id) WHERE shop.f() = 1", "CREATE TABLE other.x (id int) PARTITION BY RANGE (id shop.ints)",
		"CREATE TABLE other.x (id int) PARTITION BY LIST ((id + shop.f()))", "CREATE MATERIALIZED VIEW other.x AS SELECT NULL::shop.mood AS m",
		"CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; CREATE FOREIGN TABLE other.x (m shop.mood) SERVER s"},
	"pg_type": {"CREATE DOMAIN other.x AS shop.positive", "CREATE TYPE other.x AS RANGE (SUBTYPE = shop.mood)", "CREATE DOMAIN other.x AS text COLLATE shop.plain"},
	"pg_proc": {"CREATE FUNCTION other.x(shop.mood) RETURNS int LANGUAGE sql AS 'SELECT 1'", "CREATE FUNCTION other.x() RETURNS SETOF shop.account LANGUAGE sql AS 'TABLE shop.account'",
		"CREATE FUNCTION other.x() RETURNS bigint BEGIN ATOMIC SELECT count(*) FROM shop.account; END", "CREATE FUNCTION other.x(a int DEFAULT shop.f()) RETURNS int LANGUAGE sql AS 'SELECT 1'",
		"CREATE FUNCTION other.x() RETURNS TABLE (r shop.pair) LANGUAGE sql AS 'SELECT NULL::shop.pair'", "CREATE PROCEDURE other.x() BEGIN ATOMIC INSERT INTO shop.account (id) VALUES (1); END",
		"CREATE AGGREGATE other.x(int) (SFUNC = shop.compare, STYPE = int)"},
	"pg_operator": {"CREATE OPERATOR other.==== (LEFTARG = int, RIGHTARG = int, FUNCTION = shop.equal)"},
	"pg_opclass":  {"CREATE OPERATOR CLASS other.x FOR TYPE int USING btree AS OPERATOR 3 =, FUNCTION 1 shop.compare(int, int)", "CREATE OPERATOR CLASS other.x FOR TYPE shop.mood USING hash AS STORAGE shop.mood"},
	"pg_opfamily": {"CREATE FUNCTION shop.h2(internal) RETURNS index_am_handler LANGUAGE internal AS 'bthandler'; CREATE ACCESS METHOD shop_am TYPE INDEX HANDLER shop.h2; CREATE OPERATOR FAMILY other.x USING shop_am"},
	"pg_amop":     {"CREATE OPERATOR FAMILY other.x USING btree; ALTER OPERATOR FAMILY other.x USING btree ADD OPERATOR 3 shop.=== (int, int)"},
	"pg_amproc":   {"CREATE OPERATOR FAMILY other.x USING btree; ALTER OPERATOR FAMILY other.x USING btree ADD FUNCTION 1 shop.compare(int, int)"},
	"pg_am":       {"CREATE ACCESS METHOD x TYPE INDEX HANDLER shop.handler"},
	"pg_attrdef":  {"CREATE TABLE other.x (id int DEFAULT nextval('shop.ticket'))", "CREATE TABLE other.x (id int DEFAULT shop.f())", "CREATE TABLE other.x (id int, g int GENERATED ALWAYS AS (id + shop.f()) STORED)", "CREATE TABLE other.x (t oid DEFAULT 'shop.account'::regclass)"},
	"pg_cast":     {"CREATE CAST (shop.mood AS text) WITH FUNCTION shop.as_text(shop.mood)", "CREATE CAST (shop.pair AS xml) WITH INOUT"},
	"pg_constraint": {"CREATE TABLE other.x (id int REFERENCES shop.account)", "CREATE TABLE other.x (id int CHECK (id > shop.f()))", "CREATE DOMAIN other.x AS int CHECK (VALUE > shop.f())",
		"ALTER TABLE other.book ADD CHECK (v OPERATOR(shop.===) 1)"},
	"pg_conversion":            {"CREATE CONVERSION other.x FOR 'LATIN1' TO 'UTF8' FROM shop.convert"},
	"pg_event_trigger":         {"CREATE EVENT TRIGGER x ON sql_drop EXECUTE FUNCTION shop.fired()"},
	"pg_foreign_data_wrapper":  {"CREATE FOREIGN DATA WRAPPER x VALIDATOR shop.wrong"},
	"pg_language":              {"CREATE LANGUAGE x HANDLER shop.call"},
	"pg_policy":                {"CREATE POLICY x ON other.book USING (shop.f() = 1)", "CREATE POLICY x ON other.book USING (EXISTS (SELECT FROM shop.account))"},
	"pg_publication_rel":       {"CREATE PUBLICATION x FOR TABLE shop.account", "CREATE PUBLICATION x FOR TABLE shop.account WHERE (id > 1)", "CREATE PUBLICATION x FOR TABLE shop.account (id)"},
	"pg_publication_namespace": {"CREATE PUBLICATION x FOR TABLES IN SCHEMA shop"},
	"pg_rewrite": {"CREATE VIEW other.x AS SELECT id FROM shop.account", "CREATE VIEW other.x AS SELECT shop.f()", "CREATE RULE x AS ON UPDATE TO other.book DO ALSO DELETE FROM shop.account",
		"CREATE MATERIALIZED VIEW other.x AS SELECT count(*) FROM shop.sight", "CREATE VIEW other.x AS SELECT 'shop.account'::regclass AS c", "CREATE VIEW other.x AS SELECT nextval('shop.ticket')"},
	"pg_statistic_ext": {"CREATE STATISTICS other.x ON id, at FROM shop.account", "CREATE STATISTICS other.x ON (v + shop.f()) FROM other.book"},
	"pg_transform":     {"CREATE TRANSFORM FOR shop.mood LANGUAGE sql (FROM SQL WITH FUNCTION shop.support(internal))"},
	"pg_trigger":       {"CREATE TRIGGER x BEFORE INSERT ON other.book FOR EACH ROW EXECUTE FUNCTION shop.touch()", "CREATE TRIGGER x BEFORE INSERT ON other.book FOR EACH ROW WHEN (shop.f() = 1) EXECUTE FUNCTION suppress_redundant_updates_trigger()"},
	"pg_ts_config":     {"CREATE TEXT SEARCH CONFIGURATION other.x (PARSER = pg_catalog.default); ALTER TEXT SEARCH CONFIGURATION other.x ADD MAPPING FOR asciiword WITH shop.words", "CREATE TEXT SEARCH CONFIGURATION other.x (PARSER = shop.parser)"},
	"pg_ts_dict":       {"CREATE TEXT SEARCH DICTIONARY other.x (TEMPLATE = shop.template)"},
	"pg_ts_template":   {"CREATE TEXT SEARCH TEMPLATE other.x (LEXIZE = shop.lexize)"},
	"pg_ts_parser": {`CREATE FUNCTION shop.start(internal, int) RETURNS internal LANGUAGE internal AS 'prsd_start';
		CREATE TEXT SEARCH PARSER other.x (START = shop.start, GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype)`},
}

// nothing are catalogs whose objects cannot depend on something in a schema from
// outside of it, and why.
var nothing = map[string]string{
	"pg_attribute": "a part of pg_class", "pg_collation": "made of the operating system's or ICU's locales", "pg_default_acl": "belongs to the schema that it is for",
	"pg_enum": "a part of pg_type", "pg_extension": "moves with its schema, or stays with its members", "pg_foreign_server": "of a foreign data wrapper, which is looked at",
	"pg_largeobject_metadata": "bytes", "pg_namespace": "holds, does not depend", "pg_user_mapping": "of a foreign server",
	"pg_publication": "by its members, which are looked at; FOR ALL TABLES is a condition of its own", "pg_subscription": "by its tables: a condition of its own",
	"pg_authid": "of the cluster", "pg_auth_members": "of the cluster", "pg_database": "of the cluster", "pg_tablespace": "of the cluster", "pg_replication_origin": "of the cluster",
	"pg_parameter_acl": "of the cluster",
}

func database(t *testing.T) *pgx.Conn {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, testcontainers.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(ctx) })
	exec(t, conn, shop+"SET search_path = pg_catalog")
	return conn
}

func exec(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if err := conn.PgConn().Exec(context.Background(), sql).Close(); err != nil {
		t.Fatalf("%v in %s", err, sql)
	}
}

var scope = conditions.Scope{Schemas: []string{"shop"}, Near: []string{"other"}}

// strange begins what a role does that may only create in schema other; forget undoes it.
const (
	strange = `DO $$ BEGIN EXECUTE format('CREATE ROLE %I; GRANT USAGE, CREATE ON SCHEMA other TO %1$I; SET ROLE %1$I', 'stranger ' || current_database()); END $$; `
	forget  = `DO $$ BEGIN EXECUTE format('DROP OWNED BY %I CASCADE; DROP ROLE %1$I', 'stranger ' || current_database()); END $$`
)

func codes(t *testing.T, db conditions.Sender) []string {
	t.Helper()
	found, err := conditions.Ask(context.Background(), db, conditions.Local, conditions.Swapping, scope)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, f := range found {
		all = append(all, f.Condition.Code)
	}
	return slices.Compact(all)
}

// TestEveryKindOfDependentIsFound makes its list from the catalog: an object kind
// that is neither tried here nor known to depend on nothing fails it, a new one of
// a newer server too.
func TestEveryKindOfDependentIsFound(t *testing.T) {
	t.Parallel()
	conn := database(t)
	ctx := context.Background()
	rows, err := conn.Query(ctx, `SELECT c.relname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'oid'
		WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind = 'r' ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	kinds, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(kinds) < 30 {
		t.Fatal(kinds, err)
	}
	if got := codes(t, conn); len(got) > 0 {
		t.Fatalf("before anything is made outside: %v", got)
	}
	for _, kind := range kinds {
		if len(outside[kind]) == 0 && nothing[kind] == "" {
			t.Errorf("%s: no rule for what depends from outside", kind)
		}
		for _, sql := range outside[kind] {
			exec(t, conn, "BEGIN; "+sql)
			found := value[bool](t, conn, `SELECT EXISTS (SELECT FROM pg_depend WHERE classid = $1::regclass AND objid >= 16384)`, kind)
			if got := codes(t, conn); !found || !slices.Contains(got, "outside-dependency") {
				t.Errorf("%s: %v (in %s: %t)", sql, got, kind, found)
			}
			exec(t, conn, "ROLLBACK")
		}
	}
}

// TestEverySchemaColumnHasItsRule: what lives in a schema, by the server's own
// list, is either inside or, where it depends on something inside, outside.
func TestEverySchemaColumnHasItsRule(t *testing.T) {
	t.Parallel()
	conn := database(t)
	rows, err := conn.Query(context.Background(), `SELECT DISTINCT fktable::text FROM pg_get_catalog_foreign_keys() WHERE pktable = 'pg_namespace'::regclass ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	catalogs, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(catalogs) < 10 {
		t.Fatal(catalogs, err)
	}
	query := conditions.All[0].Query
	for _, c := range catalogs {
		if c == "pg_extension" || c == "pg_publication_namespace" {
			continue // refer to a schema and live in none
		}
		if home := "WHEN 'pg_catalog." + c + "'::"; !strings.Contains(query, home) {
			t.Errorf("%s: no rule where it lives", c)
		}
		if inside := "SELECT 'pg_catalog." + c + "'::pg_catalog.regclass, oid FROM"; c != "pg_class" && c != "pg_default_acl" && !strings.Contains(query, inside) {
			t.Errorf("%s: not among what is inside", c)
		}
	}
}

// TestOtherConditionsAreSeen: what no dependency tells of.
func TestOtherConditionsAreSeen(t *testing.T) {
	t.Parallel()
	conn, other := database(t), (*pgx.Conn)(nil)
	other, err := pgx.ConnectConfig(context.Background(), conn.Config())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close(context.Background()) })
	for _, c := range []struct {
		code, do, undo string
	}{
		{"publication-all-tables", "CREATE PUBLICATION x FOR ALL TABLES", "DROP PUBLICATION x"},
		{"event-trigger", "CREATE FUNCTION other.fired() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; CREATE EVENT TRIGGER x ON sql_drop EXECUTE FUNCTION other.fired()", "DROP EVENT TRIGGER x"},
		{"temporary-object", "CREATE TEMP VIEW x AS SELECT id FROM shop.account", "DROP VIEW x"},
		{"temporary-object", "CREATE TEMP TABLE x (m shop.mood)", "DROP TABLE x"},
		{"temporary-object", "CREATE TEMP TABLE x (id int DEFAULT nextval('shop.ticket'))", "DROP TABLE x"},
		{"temporary-object", "CREATE FUNCTION pg_temp.x(shop.mood) RETURNS int LANGUAGE sql AS 'SELECT 1'", "DROP FUNCTION pg_temp.x"},
		{"foreign-code", strange + "CREATE FUNCTION other.lower(varchar) RETURNS text LANGUAGE sql AS 'SELECT $1'; RESET ROLE", forget},
		{"foreign-code", strange + "CREATE FUNCTION other.eq(varchar, varchar) RETURNS bool LANGUAGE sql AS 'SELECT true'; CREATE OPERATOR other.= (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = other.eq); RESET ROLE", forget},
		{"", strange + "CREATE FUNCTION other.unheard_of(varchar) RETURNS text LANGUAGE sql AS 'SELECT $1'; RESET ROLE", forget},
		{"structure-under-way", "BEGIN; CREATE TABLE shop.x (id int)", "ROLLBACK"},
		{"structure-under-way", "BEGIN; CREATE VIEW other.x AS SELECT id FROM shop.account", "ROLLBACK"},
		{"structure-under-way", "BEGIN; CREATE OR REPLACE FUNCTION shop.f() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2'", "ROLLBACK"},
		{"structure-under-way", "BEGIN; GRANT SELECT ON shop.account TO PUBLIC", "ROLLBACK"},
		{"structure-under-way", "BEGIN; CREATE PUBLICATION x FOR ALL TABLES", "ROLLBACK"},
		{"structure-under-way", "BEGIN; INSERT INTO other.book VALUES (1, 1); ALTER TYPE shop.mood ADD VALUE 'x'", "ROLLBACK"},
		{"structure-under-way", "BEGIN; INSERT INTO other.book VALUES (1, 1); CREATE TABLE shop.x (id int)", "ROLLBACK"},
		{"structure-under-way", "BEGIN; INSERT INTO other.book VALUES (1, 1); DROP FUNCTION shop.touch", "ROLLBACK"},
		{"structure-under-way", "BEGIN; INSERT INTO other.book VALUES (1, 1); CREATE OR REPLACE VIEW shop.sight AS SELECT id + 0 AS id FROM shop.account", "ROLLBACK"},
		{"", "BEGIN; INSERT INTO shop.account VALUES (1); INSERT INTO other.book VALUES (1, 1)", "ROLLBACK"},
		{"", "BEGIN; SELECT * FROM other.book FOR UPDATE; SELECT nextval('shop.ticket'); CREATE TEMP TABLE x AS SELECT * FROM shop.account", "ROLLBACK"},
		{"", "BEGIN; CREATE TABLE other.x (id int)", "ROLLBACK"},
		{"", "BEGIN; SELECT lo_from_bytea(0, 'x')", "ROLLBACK"},
	} {
		exec(t, other, c.do)
		if got := codes(t, conn); c.code == "" && len(got) > 0 || c.code != "" && !slices.Equal(got, []string{c.code}) {
			t.Errorf("%s: %v, want %q", c.do, got, c.code)
		}
		exec(t, other, c.undo)
	}
	if got := codes(t, conn); len(got) > 0 {
		t.Error("after all is undone:", got)
	}
}

func value[T any](t *testing.T, conn *pgx.Conn, sql string, args ...any) T {
	t.Helper()
	var v T
	if err := conn.QueryRow(context.Background(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%v in %s", err, sql)
	}
	return v
}

// meanings are statements after which an expression may give another value; left are
// others whose effect a swap would leave behind.
var meanings = []string{
	"CREATE OR REPLACE FUNCTION shop.f() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2'", "ALTER FUNCTION shop.f() SET search_path = other",
	"CREATE FUNCTION other.lower(varchar) RETURNS text LANGUAGE sql AS 'SELECT $1'", "CREATE OPERATOR other.=== (LEFTARG = int, RIGHTARG = int, FUNCTION = shop.equal)",
	"CREATE CAST (shop.mood AS text) WITH FUNCTION shop.as_text(shop.mood)", "ALTER DOMAIN shop.positive ADD CHECK (VALUE > 1)", "ALTER TYPE shop.mood ADD VALUE 'angry'",
	"ALTER TYPE shop.mood RENAME VALUE 'sad' TO 'blue'", "CREATE DOMAIN other.x AS int", "CREATE COLLATION other.x FROM \"C\"",
	"ALTER TEXT SEARCH CONFIGURATION shop.search ADD MAPPING FOR asciiword WITH shop.words", "ALTER TEXT SEARCH DICTIONARY shop.words (Accept = false)",
	"ALTER OPERATOR FAMILY shop.ints USING btree ADD OPERATOR 1 < (int, int)", "ALTER OPERATOR FAMILY shop.ints USING btree ADD FUNCTION 1 (bigint, bigint) btint8cmp(bigint, bigint)",
	"CREATE OPERATOR CLASS other.x FOR TYPE int USING btree AS OPERATOR 3 =", "CREATE AGGREGATE other.max(varchar) (SFUNC = textcat, STYPE = text)",
}

var left = []string{
	"CREATE OR REPLACE FUNCTION shop.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'", "CREATE PROCEDURE shop.p() LANGUAGE sql AS ''",
	"CREATE CONVERSION shop.x FOR 'LATIN1' TO 'UTF8' FROM shop.convert", "CREATE INDEX ON shop.account (at)", "COMMENT ON TABLE shop.account IS 'x'",
	"ALTER TABLE shop.account ALTER COLUMN at SET STATISTICS 7", "ALTER TABLE shop.account CLUSTER ON account_pkey",
	"CREATE RULE x AS ON DELETE TO shop.account DO ALSO SELECT 1", "CREATE STATISTICS shop.x ON id, at FROM shop.account", "ALTER SEQUENCE shop.ticket CYCLE",
	"CREATE OR REPLACE TRIGGER x BEFORE INSERT ON shop.account FOR EACH ROW WHEN (NEW.id > 0) EXECUTE FUNCTION shop.touch()",
	"CREATE OR REPLACE TRIGGER x BEFORE INSERT ON shop.account FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
	"ALTER TABLE shop.account SET (toast.autovacuum_enabled = false)", "ALTER FOREIGN TABLE shop.far OPTIONS (ADD a 'b')",
	"ALTER TYPE shop.pair ADD ATTRIBUTE c int", "GRANT USAGE ON SCHEMA shop TO PUBLIC", "ALTER SEQUENCE shop.ticket OWNED BY shop.account.id",
	"SET LOCAL allow_system_table_mods = on; INSERT INTO pg_seclabel VALUES ('shop.account'::regclass, 'pg_class'::regclass, 0, 'dummy', 'x')", "ALTER TABLE shop.account ENABLE ROW LEVEL SECURITY",
}

// TestSignatureTellsOfAllThatMatters: what it does not tell of nobody compares with the
// plan once the fence stands.
func TestSignatureTellsOfAllThatMatters(t *testing.T) {
	t.Parallel()
	conn := database(t)
	exec(t, conn, `CREATE TEXT SEARCH CONFIGURATION shop.search (PARSER = pg_catalog.default); ALTER TABLE shop.account ADD COLUMN t text;
		CREATE TRIGGER x BEFORE INSERT ON shop.account FOR EACH ROW EXECUTE FUNCTION shop.touch();
		CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; CREATE FOREIGN TABLE shop.far (id int) SERVER s`)
	sign := func() string {
		t.Helper()
		s, err := conditions.Signature(context.Background(), conn, []string{"shop"}, []string{"other", "absent"})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	before := sign()
	changes := func(sql string, part func(string) string, want bool) {
		t.Helper()
		exec(t, conn, "BEGIN; "+sql)
		if got := part(sign()) != part(before); got != want {
			t.Errorf("changed: %t, want %t: %s", got, want, sql)
		}
		exec(t, conn, "ROLLBACK")
	}
	whole := func(s string) string { return s }
	for _, sql := range meanings {
		changes(sql, whole, true)
		changes(sql, conditions.Meaning, true)
	}
	for _, sql := range left {
		changes(sql, whole, true)
		changes(sql, conditions.Meaning, false)
	}
	for _, sql := range []string{"INSERT INTO shop.account VALUES (1); SELECT nextval('shop.ticket')", "TRUNCATE shop.account", "CREATE TABLE other.x (id int)",
		"CREATE FUNCTION other.x() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'", "CREATE TEMP TABLE x (id int)"} {
		changes(sql, whole, false)
	}
}

// unsigned are catalogs whose rows change nothing that is compared with the plan, and why.
var unsigned = map[string]string{
	"pg_aggregate": "changes with its row of pg_proc", "pg_range": "changes with its row of pg_type", "pg_partitioned_table": "stays what it was made",
	"pg_am": "in no schema", "pg_language": "in no schema", "pg_foreign_data_wrapper": "in no schema", "pg_foreign_server": "in no schema", "pg_user_mapping": "in no schema",
	"pg_transform": "in no schema; of a type that moves, a condition", "pg_event_trigger": "a condition", "pg_largeobject": "a condition", "pg_largeobject_metadata": "a condition",
	"pg_publication": "a condition", "pg_publication_rel": "a condition", "pg_publication_namespace": "a condition", "pg_subscription_rel": "a condition",
	"pg_statistic": "ANALYZE writes it", "pg_statistic_ext_data": "ANALYZE writes it", "pg_init_privs": "of initdb and of extensions, which are signed",
}

// TestEveryCatalogIsSigned makes its list from the server: a catalog that the signature
// does not read, a newer server's too, has a reason for it.
func TestEveryCatalogIsSigned(t *testing.T) {
	t.Parallel()
	conn := database(t)
	text, err := os.ReadFile("sql/signature.sql")
	if err != nil {
		t.Fatal(err)
	}
	rows, err := conn.Query(context.Background(), `SELECT relname::text FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind = 'r' AND NOT relisshared ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	catalogs, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(catalogs) < 40 {
		t.Fatal(catalogs, err)
	}
	for _, c := range catalogs {
		if signed := regexp.MustCompile(`FROM pg_catalog\.` + c + `\b|JOIN pg_catalog\.` + c + `\b`).Match(text); signed == (unsigned[c] != "") {
			t.Errorf("%s: signed %t, and left out because: %q", c, signed, unsigned[c])
		}
	}
}
