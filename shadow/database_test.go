package shadow

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

const settingsNow = `SELECT coalesce((SELECT rolname FROM pg_roles WHERE oid = setrole), '-') || ': ' || x FROM pg_db_role_setting, unnest(setconfig) x
	WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())`

const grantsNow = `SELECT 'database ' || coalesce((SELECT rolname FROM pg_roles WHERE oid = grantee), 'PUBLIC') || ' ' || privilege_type || ' ' || is_grantable
	FROM pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) WHERE datname = current_database() AND grantee <> datdba
	UNION ALL SELECT nspname || ' ' || coalesce((SELECT rolname FROM pg_roles WHERE oid = grantee), 'PUBLIC') || ' ' || privilege_type || ' ' || is_grantable
	FROM pg_namespace, aclexplode(coalesce(nspacl, acldefault('n', nspowner))) WHERE nspname IN ('public', 'ext') AND grantee <> nspowner
	UNION ALL SELECT 'comment ' || coalesce(shobj_description(oid, 'pg_database'), '-') FROM pg_database WHERE datname = current_database()
	UNION ALL SELECT 'owner of ext ' || nspowner::regrole FROM pg_namespace WHERE nspname = 'ext'`

// replaced puts the test's own role in.
func replaced(role string, lines ...string) []string {
	for i := range lines {
		lines[i] = strings.ReplaceAll(lines[i], "APP", role)
	}
	return lines
}

func TestDatabasesOwnPropertiesAreCarriedAndTakenBack(t *testing.T) {
	t.Parallel()
	w := apart.world(t, items)
	w.plain("items")
	w.entry("EXTENSION SCHEMA", pg.Name{Name: "ext"}, pg.Name{}, plans.StageBuild, "CREATE SCHEMA IF NOT EXISTS ext;")
	db := pg.Ident(w.text("SELECT current_database()"))
	role := "app_" + w.text("SELECT oid FROM pg_database WHERE datname = current_database()")
	script := func(sql string) {
		w.exec("SELECT 'shop.'; " + strings.NewReplacer("DB", db, "APP", role).Replace(sql))
	}
	script(`CREATE ROLE APP; CREATE SCHEMA ext AUTHORIZATION APP; GRANT USAGE ON SCHEMA ext TO PUBLIC;
		ALTER DATABASE DB SET search_path = "$user", 'Odd, one', public; ALTER DATABASE DB SET work_mem = '5MB'; ALTER DATABASE DB SET app.tenant = 'it''s \ me';
		ALTER DATABASE DB SET timezone = 'UTC'; ALTER ROLE APP IN DATABASE DB SET statement_timeout = '7s';
		COMMENT ON DATABASE DB IS 'the shop''s'; GRANT CREATE ON DATABASE DB TO APP WITH GRANT OPTION; REVOKE TEMP ON DATABASE DB FROM PUBLIC;
		GRANT CREATE ON SCHEMA public TO PUBLIC; GRANT USAGE ON SCHEMA public TO APP`)
	t.Cleanup(func() { w.drop(role) })
	there := pg.Ident(w.onShadow("SELECT current_database()")[0])
	_, err := w.sides.Shadow.Exec(t.Context(), "ALTER DATABASE "+there+" SET timezone = 'Europe/Zurich'")
	must(t, err)
	settings, grants := w.onShadow(settingsNow), w.onShadow(grantsNow)
	w.start()
	for range 2 {
		want := replaced(role, `-: TimeZone=UTC`, `-: app.tenant=it's \ me`, `-: search_path="$user", "Odd, one", public`, `-: work_mem=5MB`, `APP: statement_timeout=7s`)
		if diff := cmp.Diff(sorted(want), sorted(w.onShadow(settingsNow))); diff != "" {
			t.Error(diff)
		}
		want = replaced(role, "comment the shop's", "database APP CREATE true", "database PUBLIC CONNECT false", "ext PUBLIC USAGE false", "owner of ext APP",
			"public PUBLIC CREATE false", "public PUBLIC USAGE false", "public APP USAGE false")
		if diff := cmp.Diff(sorted(want), sorted(w.onShadow(grantsNow))); diff != "" {
			t.Error(diff)
		}
		must(t, CarryDatabase(t.Context(), w.sides, w.run, discard)) // once more changes nothing
	}
	must(t, Drop(t.Context(), w.sides, w.run))
	if diff := cmp.Diff(settings, w.onShadow(settingsNow)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(grants, w.onShadow(grantsNow)); diff != "" {
		t.Error(diff)
	}
}

func sorted(lines []string) []string {
	slices.Sort(lines)
	return lines
}

// drop removes a role and what it was granted on either side.
func (w *world) drop(role string) {
	w.t.Helper()
	for _, dsn := range []string{w.dsn, w.shadow} {
		conn, err := pgx.Connect(context.Background(), dsn)
		must(w.t, err)
		_, err = conn.Exec(context.Background(), "DROP OWNED BY "+role+" CASCADE")
		must(w.t, err)
		must(w.t, conn.Close(context.Background()))
	}
	conn, err := pgx.Connect(context.Background(), w.dsn)
	must(w.t, err)
	_, err = conn.Exec(context.Background(), "DROP ROLE "+role)
	must(w.t, errors.Join(err, conn.Close(context.Background())))
}

func TestWhatCannotBeCarriedIsSaidAndLeftOut(t *testing.T) {
	t.Parallel()
	w := apart.world(t, items)
	w.plain("items")
	w.create()
	var said strings.Builder
	log := slog.New(slog.NewTextHandler(&said, nil))
	steps := differences("db", []property{
		{Kind: settingKind, Name: "nosuch_setting", Value: "1"},
		{Kind: settingKind, Name: "work_mem", Value: "6MB", Role: "nobody_here"},
		{Kind: grantKind, Name: "CREATE", Role: "nobody_here"},
	}, nil)
	if len(steps) != 3 {
		t.Fatal(steps)
	}
	must(t, carryOut(t.Context(), w.sides, w.run, steps, log))
	for _, s := range steps {
		if !strings.Contains(strings.ReplaceAll(said.String(), `\"`, `"`), s.do) {
			t.Errorf("%s is not in %s", s.do, &said)
		}
	}
}

func TestGrantsOfSchemasThatMoveAreThoseAfterTheMigrations(t *testing.T) {
	t.Parallel()
	plan := &plans.Plan{Schemas: []plans.Schema{{Production: "public", Shadow: "twin", Swap: plans.Move}}}
	grant := func(schema, role, name string) property {
		return property{Kind: grantKind, Schema: schema, Role: role, Name: name}
	}
	want := afterMigrations(plan, []property{grant("public", "", "CREATE"), grant("", "a", "TEMPORARY")}, []property{grant("twin", "b", "USAGE"), grant("public", "", "CREATE")})
	var sql []string
	for _, s := range differences("d", want, []property{grant("public", "", "CREATE")}) {
		sql = append(sql, s.do+" / "+s.undo)
	}
	expected := []string{`GRANT TEMPORARY ON DATABASE "d" TO "a" / REVOKE TEMPORARY ON DATABASE "d" FROM "a"`,
		`GRANT USAGE ON SCHEMA "public" TO "b" / REVOKE USAGE ON SCHEMA "public" FROM "b"`,
		`REVOKE CREATE ON SCHEMA "public" FROM PUBLIC / GRANT CREATE ON SCHEMA "public" TO PUBLIC`}
	if diff := cmp.Diff(expected, sql); diff != "" {
		t.Error(diff)
	}
}
