package shadow

import (
	"errors"
	"fmt"
	"testing"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

func TestBuildKeepsDefaultPrivilegesOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "SELECT 1")
	role := "reader_" + w.text("SELECT oid FROM pg_database WHERE datname = current_database()")
	w.exec("CREATE ROLE " + role)
	w.exec("ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO " + role + " WITH GRANT OPTION;" +
		"ALTER DEFAULT PRIVILEGES GRANT USAGE ON SEQUENCES TO " + role + ";" +
		"ALTER DEFAULT PRIVILEGES GRANT USAGE ON TYPES TO " + role + ";" +
		"ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO " + role + ";" +
		"ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC")
	w.build("TABLE", "a", `CREATE TABLE @.a (id bigint GENERATED ALWAYS AS IDENTITY, "B" text);`)
	w.build("TYPE", "Mood", `CREATE TYPE @."Mood" AS ENUM ('x');`)
	w.build("TYPE", "span", `CREATE TYPE @.span AS RANGE (subtype = bigint);`)
	w.build("DOMAIN", "d", `CREATE DOMAIN @.d AS text;`)
	w.build("FUNCTION", "f", `CREATE FUNCTION @.f(a int, OUT b int) LANGUAGE sql AS 'SELECT nowhere(a)';`)
	w.build("PROCEDURE", "p", `CREATE PROCEDURE @.p(INOUT a int) LANGUAGE plpgsql AS 'BEGIN END';`)
	w.build("ACL", "a", "GRANT SELECT ON TABLE @.a TO "+role+" WITH GRANT OPTION;\nSET SESSION AUTHORIZATION "+role+
		";\nGRANT SELECT ON TABLE @.a TO pg_monitor;\nRESET SESSION AUTHORIZATION;") // who was given it passed it on
	w.build("VIEW", "v", "CREATE VIEW @.v AS SELECT id FROM @.a;") // after an ACL, as dumps have it
	w.start()
	w.wants("{postgres=arwdDxt/postgres,"+role+"=r*/postgres,pg_monitor=r/"+role+"}", "SELECT replace(relacl::text, current_user, 'postgres') FROM pg_class WHERE oid = '"+shopShadow+".a'::regclass")
	differing := `SELECT count(*) FROM (
		SELECT acldefault('r', relowner) AS d, relacl AS a FROM pg_class WHERE relnamespace = '` + shopShadow + `'::regnamespace AND relkind IN ('r', 'v') AND relname <> 'a'
		UNION ALL SELECT acldefault('s', relowner), relacl FROM pg_class WHERE relnamespace = '` + shopShadow + `'::regnamespace AND relkind = 'S'
		UNION ALL SELECT acldefault('f', proowner), proacl FROM pg_proc WHERE pronamespace = '` + shopShadow + `'::regnamespace
		UNION ALL SELECT acldefault('T', typowner), typacl FROM pg_type WHERE typnamespace = '` + shopShadow + `'::regnamespace AND typtype <> 'm' -- GRANT can't say those of a multirange
		UNION ALL SELECT acldefault('n', nspowner), nspacl FROM pg_namespace WHERE nspname = '` + shopShadow + `'
		) x WHERE a IS NOT NULL AND NOT (a @> d AND d @> a)`
	w.wants("0", differing)
	w.exec("DROP OWNED BY " + role + "; DROP ROLE " + role)
}

func TestBuildRefusesASchemaOfSomebodyElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, items)
	w.plain("items")
	w.start()
	must(t, Drop(w.t.Context(), w.sides, w.run))
	w.exec("CREATE SCHEMA " + shopShadow + "; CREATE TABLE " + shopShadow + ".mine ()")
	var taken *TakenError
	if err := Build(w.t.Context(), w.sides, w.run); !errors.As(err, &taken) || taken.Schema != shopShadow {
		t.Fatalf("got %v", err)
	}
	must(t, Drop(w.t.Context(), w.sides, w.run)) // does nothing to it either
	w.wants("1", "SELECT count(*) FROM pg_class WHERE relname = 'mine'")
}

func TestBuildAgainDropsWhatAnInterruptedBuildLeft(t *testing.T) {
	bothWays(t, func(t *testing.T, how way) {
		w := how.world(t, items)
		w.plain("items")
		for i := range 2 * piece { // so that the failure below comes in a later transaction
			name := fmt.Sprintf("t%d", i)
			w.build("TABLE", name, "SET default_tablespace = '';\nCREATE TABLE @."+pg.Ident(name)+" ();")
		}
		w.build("TABLE", "broken", "CREATE TABLE @.broken (x nosuchtype);")
		run := w.create()
		if err := Build(w.t.Context(), w.sides, run); pg.State(err) != "42704" {
			t.Fatalf("got %v", err)
		}
		w.wants("1", "SELECT count(*) FROM pg_namespace WHERE nspname = '"+shopShadow+"'")
		w.plan.Entries = w.plan.Entries[:len(w.plan.Entries)-1]
		must(t, Build(w.t.Context(), w.sides, run))
		must(t, Build(w.t.Context(), w.sides, run))
		w.wants("201", "SELECT count(*) FROM pg_class WHERE relnamespace = '"+shopShadow+"'::regnamespace AND relkind = 'r'")
		w.wants("waiting", "SELECT state FROM pgumbra.shadow_table")
	})
}

func TestBuildCarriesRowsOfTheMigrations(t *testing.T) {
	bothWays(t, func(t *testing.T, how way) {
		w := how.world(t, "SELECT 1")
		w.build("TABLE", "kinds", "CREATE TABLE @.kinds (id bigint GENERATED ALWAYS AS IDENTITY, n text, l int GENERATED ALWAYS AS (length(n)) STORED);")
		w.plan.Tables = []plans.Table{
			{N: 0, Shadow: in("kinds"), Final: pg.Name{Schema: "shop", Name: "kinds"}, Feed: plans.Carried, Source: -1,
				Columns:     []plans.Column{{Shadow: "id", Identity: true}, {Shadow: "n"}, {Shadow: "l", Generated: true}},
				CarriedRows: "7\tö\\n\n8\t\\N\n"},
			{N: 1, Shadow: in("log"), Feed: plans.Skipped, Source: -1},
		}
		w.start()
		w.wants("7:1=ö\n:2,8:0=", "SELECT string_agg(id || ':' || (n IS NOT NULL)::int || '=' || coalesce(n || ':' || l, ''), ',' ORDER BY id) FROM "+shopShadow+".kinds")
		w.wants("0 following shop.kinds 2", "SELECT concat_ws(' ', n, state, position, production, rows_copied) FROM pgumbra.shadow_table")
	})
}

func TestDropLeavesSharedObjectsAndProduction(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "CREATE TYPE mood AS ENUM ('a'); CREATE SEQUENCE numbers; "+items)
	w.plain("items")
	w.build("TABLE", "moods", "CREATE TABLE @.moods (m shop.mood, n bigint DEFAULT nextval('shop.numbers')) PARTITION BY LIST (m);")
	w.build("TABLE", "moods_a", "CREATE TABLE @.moods_a (m shop.mood, n bigint DEFAULT nextval('shop.numbers'));")
	w.build("TABLE ATTACH", "moods_a", "ALTER TABLE ONLY @.moods ATTACH PARTITION @.moods_a FOR VALUES IN ('a');")
	w.build("VIEW", "v", "CREATE VIEW @.v AS SELECT * FROM @.moods;")
	w.build("FUNCTION", "f", "CREATE FUNCTION @.f(shop.mood) RETURNS int LANGUAGE sql AS 'SELECT 1';")
	const dependencies = `SELECT classid::regclass, objid, refobjid FROM pg_depend
		WHERE NOT (classid = 'pg_proc'::regclass AND objid IN (SELECT oid FROM pg_proc WHERE proname ~ '^ours_' AND pronamespace = 'pgumbra'::regnamespace))` // which goes with the run
	before := w.rows(dependencies)
	w.start()
	must(t, Drop(w.t.Context(), w.sides, w.run))
	must(t, Drop(w.t.Context(), w.sides, w.run))
	if after := w.rows(dependencies); len(after) != len(before) {
		t.Errorf("%d dependencies before, %d after", len(before), len(after))
	}
	w.wants("3000", "SELECT count(*) FROM shop.items")
	w.wants("0", "SELECT count(*) FROM pgumbra.structure")
}

// TestDropTakesWhatASessionOfOursStaged: where a server crashed, temporary
// tables stay behind.
func TestDropTakesWhatASessionOfOursStaged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, items)
	w.plain("items")
	w.build("DOMAIN", "d", "CREATE DOMAIN @.d AS text;")
	w.start()
	orphan, err := w.pool.Acquire(t.Context())
	must(t, err)
	defer orphan.Release()
	_, err = orphan.Exec(t.Context(), "CREATE TEMPORARY TABLE pgumbra_1_1_rows (x "+shopShadow+".d)")
	must(t, err)
	must(t, Drop(t.Context(), w.sides, w.run))
	w.wants("0", "SELECT count(*) FROM pg_namespace WHERE nspname = '"+shopShadow+"'")
}

func TestDropRefusesWhenATableOfTheUsersDependsOnTheShadow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, items)
	w.plain("items")
	w.build("DOMAIN", "d", "CREATE DOMAIN @.d AS text;")
	w.start()
	w.exec("CREATE TABLE shop.other (id int, x " + shopShadow + ".d); CREATE VIEW shop.peek AS SELECT id FROM " + shopShadow + ".items")
	var e *DependedOnError
	if err := Drop(w.t.Context(), w.sides, w.run); !errors.As(err, &e) || len(e.Objects) != 2 {
		t.Fatalf("got %v", err)
	}
	w.exec("DROP TABLE shop.other; DROP VIEW shop.peek")
	must(t, Drop(w.t.Context(), w.sides, w.run))
}
