package cutover

import (
	"context"
	"errors"
	"testing"

	"github.com/pgumbra/pgumbra/cutover/traffic"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// standing are entries about the shadow's database itself.
func standing(statements ...string) (all []plans.Entry) {
	for _, sql := range statements {
		all = append(all, plans.Entry{Tag: "DATABASE", SQL: sql, Stage: plans.StageSwap})
	}
	return all
}

func TestShadowsDatabaseChangesWithTheSwapAndNotBefore(t *testing.T) {
	t.Parallel()
	f := remoteShop(t)
	name := get[string](f.there, "SELECT quote_ident(current_database())")
	f.Parts = enters{f.Parts, standing("ALTER DATABASE "+name+" SET app.tenant TO 'shop';", "COMMENT ON DATABASE "+name+" IS 'production''s';",
		"REVOKE TEMPORARY ON DATABASE "+name+" FROM PUBLIC;")}
	const now = `SELECT concat_ws(' ', datacl::text, shobj_description(oid, 'pg_database'), (SELECT setconfig::text FROM pg_db_role_setting WHERE setdatabase = d.oid))
		FROM pg_database d WHERE datname = current_database()`
	f.fails("before commit", func() error { return errInjected })
	if _, err := f.Attempt(context.Background()); !errors.Is(err, errInjected) {
		t.Fatal(err)
	}
	if got := get[string](f.there, now); got != "" {
		t.Errorf("after an attempt that was undone: %s", got)
	}
	f.hook = nil
	f.swaps()
	if got := get[string](f.there, now); got != "{=c/postgres,postgres=CTc/postgres} production's {app.tenant=shop}" {
		t.Errorf("after the swap: %s", got)
	}
	f.livesIn(traffic.Shadow)
}

func TestWhatTheShadowsServerRefusesByNowIsToldBeforeClientsAreHeld(t *testing.T) {
	t.Parallel()
	f := remoteShop(t)
	f.fails("before begin", func() error { return errInjected })
	f.Parts = enters{f.Parts, standing("GRANT USAGE ON SCHEMA public TO nobody_of_that_name;")}
	f.refuses("shadow-database", `role "nobody_of_that_name" does not exist`)
	f.Parts = enters{Parts: f.Parts}
	f.there.exec("CREATE SCHEMA shop; CREATE TABLE shop.foreign_to_us ()")
	f.refuses("name-taken", "a schema shop since")
	f.there.exec("DROP TABLE shop.foreign_to_us")
	f.hook = nil
	f.swaps()
	f.livesIn(traffic.Shadow)
}

// An empty public gives way to the shadow's schema, whose default privileges are
// none yet.
func TestDefaultPrivilegesOutliveTheSchemaThatGivesWay(t *testing.T) {
	t.Parallel()
	dsn, pool := database(t, "public", "")
	there := &fixture{t: t, dsn: testcontainers.Database(t)}
	f := remoteFrom(t, &fixture{t: t, dsn: dsn, pool: pool, schema: plans.Schema{Production: "public", Swap: plans.Move}}, there)
	f.Parts = enters{f.Parts, []plans.Entry{{Tag: "DEFAULT ACL", Stage: plans.StageSwap, SQL: "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO pg_monitor;"}}}
	f.swaps()
	there.exec("CREATE TABLE public.later ()")
	if !get[bool](there, "SELECT has_table_privilege('pg_monitor', 'public.later', 'SELECT') AND NOT has_table_privilege('pg_monitor', 'public.entry', 'SELECT')") {
		t.Error("the schema has lost its default privileges, or its tables got them")
	}
}

func TestVersionTableThatStaysBehindApart(t *testing.T) {
	t.Parallel()
	f := remoteShop(t)
	v := f.Upgrade.Plan.VersionTable
	v.Moves, v.Name.Schema = false, "meta"
	f.swaps()
	if n := get[int](f.there, "SELECT version FROM meta.schema_migrations WHERE NOT dirty"); n != 7 {
		t.Errorf("version %d", n)
	}
}

func TestVersionTableThatAnEntryMakesApart(t *testing.T) {
	t.Parallel()
	f := remoteShop(t)
	v := f.Upgrade.Plan.VersionTable
	v.Moves, v.Exists, v.Name.Schema = false, true, "meta"
	f.exec("CREATE SCHEMA meta; CREATE TABLE meta.schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL)")
	f.Parts = enters{f.Parts, []plans.Entry{{Tag: "VERSION TABLE", Stage: plans.StageSwap,
		SQL: "CREATE SCHEMA meta; CREATE TABLE meta.schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL, note text);"}}}
	f.swaps()
	if n := get[int](f.there, "SELECT version FROM meta.schema_migrations WHERE note IS NULL"); n != 7 {
		t.Errorf("version %d", n)
	}
}
