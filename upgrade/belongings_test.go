package upgrade_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

// belongings are what a database has besides objects, and the schemas that are
// there whatever a run does.
const belongings = `SELECT coalesce((SELECT rolname FROM pg_roles WHERE oid = setrole), '-') || ': ' || x FROM pg_db_role_setting, unnest(setconfig) x
		WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
	UNION ALL SELECT 'database ' || coalesce((SELECT rolname FROM pg_roles WHERE oid = grantee), 'PUBLIC') || ' ' || privilege_type || ' ' || is_grantable
		FROM pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) WHERE datname = current_database() AND grantee <> datdba
	UNION ALL SELECT nspname || ' ' || coalesce((SELECT rolname FROM pg_roles WHERE oid = grantee), 'PUBLIC') || ' ' || privilege_type || ' ' || is_grantable
		FROM pg_namespace, aclexplode(coalesce(nspacl, acldefault('n', nspowner))) WHERE nspname IN ('public', 'ext', 'there') AND grantee <> nspowner
	UNION ALL SELECT 'comment ' || coalesce(shobj_description(oid, 'pg_database'), '-') FROM pg_database WHERE datname = current_database()
	UNION ALL SELECT nspname || ' of ' || nspowner::regrole || ': ' || coalesce(obj_description(oid, 'pg_namespace'), '-') FROM pg_namespace WHERE nspname IN ('ext', 'there')
	ORDER BY 1`

func lines(t *testing.T, dsn, sql string) []string {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, dsn)
	must(t, err)
	defer func() { _ = conn.Close(ctx) }()
	rows, err := conn.Query(ctx, sql)
	must(t, err)
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(t, err)
	return all
}

// TestDatabaseComesOverWithTheSwap: what belongs to the database and to none of
// its tables is as it was there until the cutover, and then as production's. What
// sessions find set in production, checks find set while the shadow is filled.
func TestDatabaseComesOverWithTheSwap(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	shadow := testcontainers.Database(t)
	w := build(t, history{
		structure: `CREATE SCHEMA shop; CREATE FUNCTION shop.tenant() RETURNS text LANGUAGE sql STABLE AS $$SELECT current_setting('app.tenant')$$;
			CREATE TABLE shop.a (id int PRIMARY KEY, v text); INSERT INTO shop.a SELECT n, n FROM generate_series(1, 100) n;
			CREATE SCHEMA ext; CREATE EXTENSION hstore SCHEMA ext; CREATE SCHEMA there; CREATE EXTENSION citext SCHEMA there`,
		migrations: []string{"ALTER TABLE shop.a ADD COLUMN w ext.hstore;"},
		remote:     shadow,
	})
	var database, there string
	must(t, one(w.production, "SELECT current_database()", &database))
	must(t, one(shadow, "SELECT current_database()", &there))
	role := "app_" + database
	production := func(sql string) { exec(t, w.production, strings.NewReplacer("DB", database, "APP", role).Replace(sql)) }
	t.Cleanup(func() { exec(t, w.production, "DROP ROLE "+role) })
	for _, dsn := range []string{w.production, w.oracleDSN, shadow} {
		t.Cleanup(func() { exec(t, dsn, "DROP OWNED BY "+role+" CASCADE") })
	}
	production(`CREATE ROLE APP; GRANT USAGE, CREATE ON SCHEMA ext TO APP; ALTER SCHEMA there OWNER TO APP; GRANT USAGE ON SCHEMA there TO PUBLIC; COMMENT ON SCHEMA there IS 'of APP';
		ALTER DATABASE DB SET search_path = "$user", 'Odd, one', public; ALTER DATABASE DB SET work_mem = '5MB'; ALTER DATABASE DB SET app.tenant = 'it''s \ me';
		ALTER DATABASE DB SET timezone = 'UTC'; ALTER ROLE APP IN DATABASE DB SET statement_timeout = '7s';
		COMMENT ON DATABASE DB IS 'the shop''s'; GRANT CREATE ON DATABASE DB TO APP WITH GRANT OPTION; REVOKE TEMP ON DATABASE DB FROM PUBLIC;
		GRANT CREATE ON SCHEMA public TO PUBLIC; GRANT USAGE ON SCHEMA public TO APP`)
	production(`ALTER TABLE shop.a ADD CHECK (shop.tenant() <> '')`)
	exec(t, shadow, strings.NewReplacer("DB", there, "APP", role).Replace(`ALTER DATABASE DB SET timezone = 'Europe/Zurich'; GRANT TEMPORARY ON DATABASE DB TO pg_monitor; CREATE SCHEMA there`))
	own := func() []string { return lines(t, shadow, belongings) }
	before := own()
	w.run(ctx, upgrade.Options{Until: control.Following})
	exec(t, w.production, "INSERT INTO shop.a VALUES (101, 'x')")
	now := slices.DeleteFunc(own(), func(line string) bool { return strings.HasPrefix(line, "ext ") }) // which the build makes
	if diff := cmp.Diff(before, now); diff != "" {
		t.Errorf("until the cutover:\n%s", diff)
	}
	w.run(ctx, upgrade.Options{Cutover: true})
	want := append(lines(t, w.production, belongings), "database pg_monitor TEMPORARY false")
	slices.Sort(want)
	now = own()
	slices.Sort(now) // as Go does
	if diff := cmp.Diff(want, now); diff != "" {
		t.Errorf("after it (-production +shadow):\n%s", diff)
	}
	must(t, upgrade.Finish(ctx, w.file(), cutover.KeepOld, upgrade.Purge, w.log))
	var rows int
	must(t, one(shadow, "SELECT count(*) FROM shop.a", &rows))
	if rows != 101 {
		t.Errorf("%d rows", rows)
	}
}

// TestDatabaseComesOverByARoleThatOwnsTheShadows, and that is no superuser. Who
// may create in public changed in 15.
func TestDatabaseComesOverByARoleThatOwnsTheShadows(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, 3*time.Minute)
	start := func(major int, database string) *testcontainers.Server {
		s, err := testcontainers.Start(ctx, testcontainers.Options{Major: major})
		must(t, err)
		t.Cleanup(func() { _ = s.Stop(context.Background()) })
		exec(t, s.DSN("postgres"), "CREATE ROLE owner; CREATE ROLE deploy LOGIN CREATEDB; GRANT owner, pg_read_all_stats TO deploy")
		exec(t, s.DSN("postgres"), database)
		return s
	}
	old := start(14, "CREATE DATABASE shop")
	next := start(17, "CREATE DATABASE shop OWNER deploy")
	as := func(s *testcontainers.Server) string {
		return strings.Replace(s.DSN("shop"), "://postgres@", "://deploy@", 1)
	}
	w := build(t, history{
		structure:  "CREATE SCHEMA shop; CREATE TABLE shop.a (id int PRIMARY KEY); INSERT INTO shop.a SELECT generate_series(1, 100);",
		migrations: []string{"ALTER TABLE shop.a ADD COLUMN v text;"},
		here:       old.DSN("shop"), remote: as(next),
	})
	w.edit(w.production, as(old))
	exec(t, w.production, `ALTER SCHEMA shop OWNER TO owner; ALTER TABLE shop.a OWNER TO owner; ALTER TABLE public.schema_migrations OWNER TO owner;
		ALTER DATABASE shop SET work_mem = '5MB'; REVOKE ALL ON DATABASE shop FROM PUBLIC; GRANT CONNECT ON DATABASE shop TO owner; COMMENT ON DATABASE shop IS 'shop';
		GRANT CREATE ON DATABASE shop TO deploy`)
	w.run(ctx, upgrade.Options{Cutover: true})
	want := []string{"-: work_mem=5MB", "comment shop", "database owner CONNECT false", "public PUBLIC CREATE false", "public PUBLIC USAGE false"}
	if diff := cmp.Diff(want, lines(t, next.DSN("shop"), belongings)); diff != "" {
		t.Error(diff)
	}
	must(t, upgrade.Finish(ctx, w.file(), cutover.KeepOld, upgrade.Purge, w.log))
}

// TestWhatADatabaseGetsInMidRunStandsAgainstTheCutover: the swap to another server
// brings what the plan knew, and nothing that came since. Code of others in the shadow's
// own database is not called there.
func TestWhatADatabaseGetsInMidRunStandsAgainstTheCutover(t *testing.T) {
	testcontainers.InTurn(t, 3)
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	shadow := testcontainers.Database(t)
	elsewhere := orders
	elsewhere.remote = shadow
	elsewhere.structure += "CREATE EXTENSION hstore VERSION '1.7';"
	w := build(t, elsewhere)
	fill := strings.NewReplacer("DB", pgx.Identifier{lines(t, w.production, "SELECT current_database()")[0]}.Sanitize())
	w.run(ctx, upgrade.Options{Until: control.Following})
	leader := w.leads(ctx)
	for _, c := range []struct{ do, says, undo string }{
		{"ALTER DATABASE DB SET work_mem = '5MB'", "setting work_mem of the database: it is new", "ALTER DATABASE DB RESET work_mem"},
		{"ALTER ROLE CURRENT_USER IN DATABASE DB SET work_mem = '5MB'", "setting work_mem of role", "ALTER ROLE CURRENT_USER IN DATABASE DB RESET work_mem"},
		{"COMMENT ON DATABASE DB IS 'x'", "comment on the database", "COMMENT ON DATABASE DB IS NULL"},
		{"GRANT CREATE ON DATABASE DB TO pg_monitor", "privileges of pg_monitor on the database", "REVOKE CREATE ON DATABASE DB FROM pg_monitor"},
		{"ALTER DATABASE DB OWNER TO pg_monitor", "owner of the database", "ALTER DATABASE DB OWNER TO CURRENT_USER"},
		{"ALTER EXTENSION hstore UPDATE TO '1.8'", "version of extension hstore", "DROP EXTENSION hstore; CREATE EXTENSION hstore VERSION '1.7'"},
		{"CREATE FOREIGN DATA WRAPPER x; CREATE SERVER x FOREIGN DATA WRAPPER x; CREATE USER MAPPING FOR PUBLIC SERVER x", "user mapping of public for server x", "DROP FOREIGN DATA WRAPPER x CASCADE"},
		{"CREATE PUBLICATION x FOR TABLE shop.orders", "publication x", "DROP PUBLICATION x"},
		{"SELECT lo_from_bytea(7, 'x')", "1 large objects", "SELECT lo_unlink(7)"},
	} {
		exec(t, w.production, fill.Replace(c.do))
		if s, err := upgrade.ReadStatus(ctx, w.file()); err != nil || s.Ready || !strings.Contains(strings.Join(s.Blockers, " "), c.says) {
			t.Errorf("%s: %v, %v", c.do, s, err)
		}
		if c.says == "comment on the database" {
			w.unready(ctx, c.says)
		}
		exec(t, w.production, fill.Replace(c.undo))
	}
	exec(t, shadow, strange)
	t.Cleanup(func() { exec(t, shadow, forget) })
	await(ctx, t, w.production, "SELECT throttled LIKE 'foreign-code public.upper(character varying)%' FROM pgumbra.leader")
	exec(t, shadow, "DROP FUNCTION public.upper(varchar)")
	await(ctx, t, w.production, "SELECT throttled = '' FROM pgumbra.leader")
	must(t, upgrade.Cutover(ctx, w.file(), upgrade.Options{Log: w.log}))
	must(t, upgrade.Finish(ctx, w.file(), cutover.KeepOld, upgrade.Purge, w.log))
	must(t, leader.Wait())
}

// TestWhatTheNewDatabaseGetsStandsAgainstTheRollback: while the old server is kept
// current, the new one's database gets what rows do not carry back.
func TestWhatTheNewDatabaseGetsStandsAgainstTheRollback(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	elsewhere := orders
	elsewhere.remote = testcontainers.Database(t)
	w := build(t, elsewhere)
	exec(t, w.production, `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem = ''5MB''; COMMENT ON DATABASE %1$I IS ''shop''; GRANT CREATE ON DATABASE %1$I TO pg_monitor', current_database()); END $$`)
	exec(t, w.served, `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET timezone = ''Europe/Zurich''; GRANT TEMPORARY ON DATABASE %1$I TO pg_monitor', current_database()); END $$`)
	w.run(ctx, upgrade.Options{Cutover: true})
	leader := w.leads(ctx)
	w.keptCurrent(ctx)
	against := func() []string {
		t.Helper()
		s, err := upgrade.ReadStatus(ctx, w.file())
		must(t, err)
		if s.Away != "" || !s.WayBack.Open {
			t.Errorf("%s, %+v", s.Away, s.WayBack)
		}
		return s.WayBack.Against
	}
	if got := against(); len(got) > 0 {
		t.Errorf("what the swap brought stands against going back: %q", got)
	}
	fill := strings.NewReplacer("DB", pgx.Identifier{lines(t, w.served, "SELECT current_database()")[0]}.Sanitize())
	for _, c := range []struct{ do, says, undo string }{
		{"ALTER DATABASE DB SET work_mem = '6MB'", "setting work_mem of the database: it was changed since the cutover", "ALTER DATABASE DB SET work_mem = '5MB'"},
		{"GRANT CREATE ON DATABASE DB TO pg_read_all_data", "privileges of pg_read_all_data on the database: it is new", "REVOKE CREATE ON DATABASE DB FROM pg_read_all_data"},
		{"CREATE PUBLICATION x FOR TABLE shop.orders", "publication x: it is new since the cutover, and the old server would not have it", "DROP PUBLICATION x"},
		{"CREATE SCHEMA beside", "make it on the old server after it: DROP SCHEMA beside", ""},
	} {
		exec(t, w.served, fill.Replace(c.do))
		if got := strings.Join(against(), " "); !strings.Contains(got, c.says) {
			t.Errorf("%s: %q", c.do, got)
		}
		if c.undo != "" {
			exec(t, w.served, fill.Replace(c.undo))
		}
	}
	var refused *upgrade.NotNow
	err := upgrade.Rollback(ctx, w.file(), upgrade.Options{Log: w.log})
	if !errors.As(err, &refused) || !refused.AcceptLoss || !strings.Contains(refused.Reason, "schema beside: it is new") || !strings.Contains(refused.Reason, "--accept-loss") {
		t.Fatalf("rollback: %v", err)
	}
	must(t, upgrade.Rollback(ctx, w.file(), upgrade.Options{As: control.RollbackAs{AcceptLoss: true}, Log: w.log}))
	must(t, leader.Wait())
	must(t, upgrade.Finish(ctx, w.file(), cutover.DropOld, upgrade.Purge, w.log))
}

// strange begins what a role does that may only create in public; forget undoes it.
const (
	strange = `DO $$ BEGIN EXECUTE format('CREATE ROLE %I; GRANT USAGE, CREATE ON SCHEMA public TO %1$I; SET ROLE %1$I', 'stranger ' || current_database()); END $$;
		CREATE FUNCTION public.upper(varchar) RETURNS text LANGUAGE sql AS 'SELECT $1'; RESET ROLE`
	forget = `DO $$ BEGIN EXECUTE format('DROP OWNED BY %I CASCADE; DROP ROLE %1$I', 'stranger ' || current_database()); END $$`
)
