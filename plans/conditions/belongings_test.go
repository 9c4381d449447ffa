package conditions_test

import (
	"context"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/plans/conditions"
)

// beforehand is what a database has of its own when a plan is made.
const beforehand = `CREATE EXTENSION hstore VERSION '1.4' SCHEMA public; CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; CREATE PUBLICATION p FOR TABLE other.book;
	CREATE USER MAPPING FOR PUBLIC SERVER s OPTIONS (password 'a'); ALTER DATABASE DB SET work_mem = '5MB'; COMMENT ON DATABASE DB IS 'mine';
	CREATE EVENT TRIGGER silent ON sql_drop EXECUTE FUNCTION shop.fired(); CREATE SCHEMA beside; ALTER ROLE CURRENT_USER IN DATABASE DB SET app.tenant = 'x'`

// belonging are statements of mid-run by whose effect another database would be
// unlike production's, and what is said of each.
var belonging = []struct{ do, says string }{
	{"ALTER DATABASE DB SET search_path = shop", "setting search_path of the database is new"},
	{"ALTER DATABASE DB SET work_mem = '6MB'", "setting work_mem of the database was changed"},
	{"ALTER DATABASE DB RESET work_mem", "setting work_mem of the database is gone"},
	{"ALTER ROLE CURRENT_USER IN DATABASE DB SET work_mem = '7MB'", "setting work_mem of role ME in the database is new"},
	{"ALTER ROLE CURRENT_USER IN DATABASE DB RESET app.tenant", "setting app.tenant of role ME in the database is gone"},
	{"COMMENT ON DATABASE DB IS 'yours'", "comment on the database was changed"},
	{"COMMENT ON DATABASE DB IS NULL", "comment on the database is gone"},
	{"GRANT CREATE ON DATABASE DB TO pg_monitor", "privileges of pg_monitor on the database is new"},
	{"REVOKE CONNECT ON DATABASE DB FROM PUBLIC", "privileges of PUBLIC on the database was changed"},
	{"REVOKE ALL ON DATABASE DB FROM PUBLIC", "privileges of PUBLIC on the database is gone"},
	{"ALTER DATABASE DB OWNER TO pg_monitor", "owner of the database was changed"},
	{"ALTER DATABASE DB CONNECTION LIMIT 90", "limits of the database was changed"},
	{"SET LOCAL allow_system_table_mods = on; INSERT INTO pg_shseclabel SELECT oid, 'pg_database'::regclass, 'dummy', 'x' FROM pg_database WHERE datname = current_database()",
		"security label of dummy on the database is new"},
	{"GRANT CREATE ON SCHEMA public TO pg_monitor", "privileges of pg_monitor on schema public is new"},
	{"ALTER SCHEMA public OWNER TO pg_monitor", "owner of schema public was changed"},
	{"COMMENT ON SCHEMA public IS 'x'", "comment on schema public was changed"},
	{"CREATE SCHEMA report", "schema report is new"},
	{"ALTER EXTENSION hstore UPDATE TO '1.5'", "version of extension hstore was changed"},
	{"GRANT EXECUTE ON FUNCTION pg_read_file(text) TO pg_monitor", "privileges on function pg_read_file(text) is new"},
	{"REVOKE EXECUTE ON FUNCTION public.akeys(public.hstore) FROM PUBLIC", "privileges on function public.akeys(public.hstore) is new"},
	{"GRANT SELECT ON pg_authid TO pg_monitor", "privileges on table pg_authid is new"},
	{"REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC", "privileges on language plpgsql is new"},
	{"REVOKE USAGE ON TYPE text FROM PUBLIC", "privileges on type text is new"},
	{"CREATE FOREIGN DATA WRAPPER x", "foreign-data wrapper x is new"},
	{"ALTER FOREIGN DATA WRAPPER w OPTIONS (ADD a 'b')", "foreign-data wrapper w was changed"},
	{"CREATE SERVER x FOREIGN DATA WRAPPER w", "foreign server x is new"},
	{"ALTER SERVER s OPTIONS (ADD host 'h')", "foreign server s was changed"},
	{"CREATE USER MAPPING FOR CURRENT_USER SERVER s", "user mapping of ME for server s is new"},
	{"ALTER USER MAPPING FOR PUBLIC SERVER s OPTIONS (SET password 'b')", "user mapping of public for server s was changed"},
	{"CREATE PUBLICATION x FOR TABLE other.book", "publication x is new"},
	{"ALTER PUBLICATION p SET (publish = 'insert')", "publication p was changed"},
	{"ALTER PUBLICATION p ADD TABLE shop.account", "publication p was changed"},
	{"ALTER PUBLICATION p SET TABLE other.book WHERE (id > 7)", "publication p was changed"},
	{"ALTER PUBLICATION p ADD TABLES IN SCHEMA other", "publication p was changed"},
	{"CREATE EVENT TRIGGER x ON sql_drop EXECUTE FUNCTION shop.fired(); ALTER EVENT TRIGGER x DISABLE", "event trigger x is new"},
	{"CREATE SUBSCRIPTION x CONNECTION 'host=/nowhere' PUBLICATION x WITH (connect = false)", "subscription x is new"},
	{"CREATE LANGUAGE x HANDLER plpgsql_call_handler", "language x is new"},
	{"CREATE LANGUAGE x HANDLER plpgsql_call_handler; CREATE FUNCTION shop.from_sql(internal) RETURNS internal LANGUAGE internal IMMUTABLE AS 'varchar_support'; CREATE TRANSFORM FOR shop.mood LANGUAGE x (FROM SQL WITH FUNCTION shop.from_sql(internal))",
		"transform of shop.mood for language x is new"},
	{"CREATE ACCESS METHOD x TYPE INDEX HANDLER bthandler", "access method x is new"},
}

// otherwise are statements of mid-run that another database needs nothing for, or that
// something else speaks of.
var otherwise = []string{
	"CREATE EVENT TRIGGER x ON sql_drop EXECUTE FUNCTION shop.fired()", "DROP EVENT TRIGGER silent", "ALTER EVENT TRIGGER silent DISABLE", "CREATE PUBLICATION x FOR ALL TABLES", "DROP PUBLICATION p",
	"DROP USER MAPPING FOR PUBLIC SERVER s; DROP SERVER s", "DROP FOREIGN DATA WRAPPER w CASCADE", "DROP SCHEMA beside", "DROP EXTENSION hstore", "CREATE EXTENSION citext SCHEMA public",
	"CREATE TABLE beside.x (id int)", "CREATE TABLE shop.x (id int)", "GRANT SELECT ON shop.account TO pg_monitor", "GRANT SELECT ON other.book TO pg_monitor",
	"CREATE SCHEMA pgumbra_x_y; CREATE TEMP TABLE x (id int)", "COMMENT ON DATABASE DB IS 'mine'", "REVOKE CONNECT ON DATABASE DB FROM pg_monitor", "ALTER DATABASE DB RESET search_path",
	"GRANT SELECT ON pg_authid TO pg_monitor; REVOKE SELECT ON pg_authid FROM pg_monitor",
}

// TestWhatADatabaseHasOfItsOwnIsSeen: another server lacks what somebody gives
// production's database after the plan.
func TestWhatADatabaseHasOfItsOwnIsSeen(t *testing.T) {
	t.Parallel()
	conn := database(t)
	ctx := context.Background()
	name := pgx.Identifier{value[string](t, conn, "SELECT current_database()::text")}.Sanitize()
	me := value[string](t, conn, "SELECT current_user::text")
	fill := strings.NewReplacer("DB", name)
	exec(t, conn, fill.Replace(beforehand))
	t.Cleanup(func() { exec(t, conn, fill.Replace("ALTER ROLE CURRENT_USER IN DATABASE DB RESET ALL")) })
	remote := conditions.Scope{Schemas: []string{"shop"}}
	ask := func() []string {
		t.Helper()
		found, err := conditions.Ask(ctx, conn, conditions.Remote, conditions.Following, remote)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, f := range found {
			if f.Condition.Code == "database-changed" {
				all = append(all, f.Object+" "+f.About)
				if strings.Contains(f.Message+f.Fix, "%[") {
					t.Errorf("%s (%s)", f.Message, f.Fix)
				}
			}
		}
		return all
	}
	if got := ask(); len(got) > 0 {
		t.Errorf("by a plan that remembers nothing: %v", got)
	}
	var err error
	if remote.Belongings, err = conditions.Belongings(ctx, conn, remote.Schemas); err != nil {
		t.Fatal(err)
	}
	if got := ask(); len(got) > 0 {
		t.Errorf("before anything is changed: %v", got)
	}
	for _, c := range belonging {
		exec(t, conn, "BEGIN; "+fill.Replace(c.do))
		if got, want := strings.Join(ask(), ", "), strings.ReplaceAll(c.says, "ME", me); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", c.do, got, want)
		}
		exec(t, conn, "ROLLBACK")
	}
	for _, sql := range otherwise {
		exec(t, conn, "BEGIN; "+fill.Replace(sql))
		if got := ask(); len(got) > 0 {
			t.Errorf("%s: %q", sql, got)
		}
		exec(t, conn, "ROLLBACK")
	}
}

// elsewhere are catalogs that no look at what a database has of its own reads, and why
// a swap to another server loses nothing of them.
var elsewhere = map[string]string{
	"pg_cast": "signed, and compared by the dump", "pg_default_acl": "signed, and compared by the dump", "pg_description": "signed; of what is in no schema pg_dump says it with its object",
	"pg_seclabel": "signed", "pg_largeobject": "a condition", "pg_largeobject_metadata": "a condition", "pg_subscription_rel": "a condition",
	"pg_publication_rel": "by what depends on its publication", "pg_publication_namespace": "by what depends on its publication", "pg_user_mapping": "by its view",
	"pg_authid": "of the server: the plan compares roles, and pools are looked at every minute", "pg_auth_members": "of the server: the plan compares roles", "pg_tablespace": "of the server",
	"pg_parameter_acl": "of the server", "pg_replication_origin": "of the server", "pg_shdepend": "changes with what depends",
	"pg_aggregate": "changes with its row of pg_proc", "pg_range": "changes with its row of pg_type", "pg_partitioned_table": "stays what it was made",
	"pg_statistic": "ANALYZE writes it", "pg_statistic_ext_data": "ANALYZE writes it",
}

// TestEveryCatalogIsLookedAtForAnotherServer makes its list from the server, shared
// catalogs too: a catalog that neither the signature nor what a database has of its own
// reads has a reason for it.
func TestEveryCatalogIsLookedAtForAnotherServer(t *testing.T) {
	t.Parallel()
	conn := database(t)
	var text strings.Builder
	for _, file := range []string{"sql/signature.sql", "sql/belongings.sql"} {
		part, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(part)
	}
	rows, err := conn.Query(context.Background(), "SELECT relname::text FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind = 'r' ORDER BY 1")
	if err != nil {
		t.Fatal(err)
	}
	catalogs, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(catalogs) < 60 {
		t.Fatal(catalogs, err)
	}
	for _, c := range catalogs {
		if read := regexp.MustCompile(`(FROM|JOIN) pg_catalog\.` + c + `\b`).MatchString(text.String()); !read && elsewhere[c] == "" {
			t.Errorf("%s: nobody has said what becomes of it on another server", c)
		}
	}
}
