package planner

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// standingOf are the plan's statements on what stands on the shadow, with DB for its
// database and APP for a test's own role.
func standingOf(p *plans.Plan, database, role string) []string {
	var all []string
	for _, e := range p.Entries {
		if e.Standing() {
			all = append(all, strings.NewReplacer(pg.Ident(database), "DB", pg.Ident(role), "APP").Replace(e.SQL))
		}
	}
	return all
}

// role makes one for a test, on production's server.
func (s *shop) role(t *testing.T, prefix string) string {
	t.Helper()
	name := prefix + s.database(t)
	s.exec(t, "CREATE ROLE "+name)
	t.Cleanup(func() { s.exec(t, "DROP ROLE "+name) })
	t.Cleanup(func() { s.exec(t, "DROP OWNED BY "+name) })
	return name
}

// fill puts a database's and a role's names into a script.
func (s *shop) fill(t *testing.T, role, script string) {
	t.Helper()
	s.exec(t, strings.NewReplacer("DB", pg.Ident(s.database(t)), "APP", role).Replace(script))
}

func TestDatabaseItselfIsCarriedInTheSwap(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY); CREATE EXTENSION hstore SCHEMA shop`)
	role := s.role(t, "app_")
	s.fill(t, role, `ALTER DATABASE DB SET search_path = "$user", 'Odd, one', shop; ALTER DATABASE DB SET app.tenant = 'it''s \ me'; ALTER DATABASE DB SET timezone = 'UTC';
		ALTER ROLE APP IN DATABASE DB SET work_mem = '7MB'; GRANT CREATE ON DATABASE DB TO APP WITH GRANT OPTION;
		REVOKE CONNECT ON DATABASE DB FROM PUBLIC; COMMENT ON DATABASE DB IS 'the shop''s';
		GRANT USAGE ON SCHEMA shop TO APP; ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT SELECT ON TABLES TO APP;
		ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC`)
	shadow := remote(t, s)
	t.Cleanup(func() { shadow.exec(t, "DROP OWNED BY "+role) })
	shadow.fill(t, role, `ALTER DATABASE DB SET timezone = 'Europe/Zurich'; ALTER DATABASE DB SET work_mem = '1MB'; GRANT TEMPORARY, CREATE ON DATABASE DB TO pg_monitor;
		GRANT CREATE ON DATABASE DB TO PUBLIC; GRANT TEMPORARY ON DATABASE DB TO APP`)
	p := s.runnableRemote(t, shadow)
	want := []string{
		`COMMENT ON DATABASE DB IS 'the shop''s';`, `GRANT CREATE ON DATABASE DB TO APP WITH GRANT OPTION;`,
		`REVOKE CONNECT ON DATABASE DB FROM PUBLIC;`, `REVOKE CREATE ON DATABASE DB FROM PUBLIC;`, `REVOKE TEMPORARY ON DATABASE DB FROM APP;`,
		`ALTER DATABASE DB SET "search_path" TO '$user', 'Odd, one', 'shop';`, `ALTER DATABASE DB SET "app"."tenant" TO E'it''s \\ me';`,
		`ALTER DATABASE DB SET "TimeZone" TO 'UTC';`, `ALTER ROLE APP IN DATABASE DB SET "work_mem" TO '7MB';`,
		"ALTER DEFAULT PRIVILEGES FOR ROLE postgres REVOKE ALL ON FUNCTIONS FROM PUBLIC, postgres;\n" +
			`ALTER DEFAULT PRIVILEGES FOR ROLE postgres GRANT EXECUTE ON FUNCTIONS TO "postgres";`,
		`ALTER DEFAULT PRIVILEGES FOR ROLE postgres IN SCHEMA "shop" GRANT SELECT ON TABLES TO APP;`,
	}
	if diff := cmp.Diff(want, standingOf(p, shadow.database(t), role)); diff != "" {
		t.Error(diff)
	}
	made := p.Entries[slices.IndexFunc(p.Entries, func(e plans.Entry) bool { return e.Tag == plans.TagSchemaOf })]
	if made.Stage != plans.StageBuild || made.Name.Name != "shop" || !strings.Contains(made.SQL, `GRANT USAGE ON SCHEMA "shop" TO "`+role+`";`) {
		t.Errorf("%+v", made)
	}
	for _, e := range p.Entries {
		if e.Standing() && e.Tag != plans.TagDefaults {
			shadow.exec(t, e.SQL)
		}
	}
	for _, sql := range standingOf(s.runnableRemote(t, shadow), shadow.database(t), role) {
		if !strings.HasPrefix(sql, "ALTER DEFAULT PRIVILEGES") {
			t.Errorf("once more: %s", sql)
		}
	}
}

func TestVersionTableThatStaysBehindIsMadeAsItWas(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY)`)
	s.exec(t, `CREATE SCHEMA meta; CREATE TABLE meta.schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL, note text);
		GRANT SELECT ON meta.schema_migrations TO pg_monitor; ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO pg_monitor;
		INSERT INTO meta.schema_migrations VALUES (1, false, 'n'); DROP TABLE shop.schema_migrations`)
	s.file.Migrations.Table = "meta.schema_migrations"
	p := s.runnableRemote(t, remote(t, s))
	var tags []string
	var got strings.Builder
	for _, e := range p.Entries {
		if e.Stage == plans.StageSwap && e.TOC < 0 {
			tags = append(tags, e.Tag)
			got.WriteString(e.SQL + "\n")
		}
	}
	if !slices.Equal(tags, []string{plans.TagVersion, plans.TagVersion, plans.TagDefaults}) { // else it would be granted more
		t.Errorf("%q", tags)
	}
	for _, want := range []string{`CREATE SCHEMA IF NOT EXISTS "meta";`, `ALTER SCHEMA "meta" OWNER TO`, "note text", "GRANT SELECT ON TABLE meta.schema_migrations TO pg_monitor;"} {
		if !strings.Contains(got.String(), want) {
			t.Errorf("no %s in\n%s", want, got.String())
		}
	}
	if v := p.VersionTable; v == nil || v.Moves || !v.Exists {
		t.Errorf("version table %+v", v)
	}
}

// Who may create in public changed in 15.
func TestPublicThatNothingMovesIntoKeepsProductionsPrivileges(t *testing.T) {
	testcontainers.InTurn(t, 6)
	t.Parallel()
	s := newShopAt(t, serverOf(t, 14), `CREATE TABLE a (id int PRIMARY KEY)`)
	shadow := newer(t, s, 17)
	if got := standingOf(s.runnableRemote(t, shadow), "postgres", "-"); !slices.Equal(got, []string{`GRANT CREATE ON SCHEMA "public" TO PUBLIC;`}) {
		t.Errorf("14 to 17: %q", got)
	}
	s = newShop(t, `CREATE TABLE a (id int PRIMARY KEY)`)
	s.file.Shadow.DSN = shadow.dsn
	if got := standingOf(s.runnableRemote(t, shadow), "postgres", "-"); len(got) > 0 {
		t.Errorf("15 to 17: %q", got)
	}
	s.exec(t, `REVOKE ALL ON SCHEMA public FROM PUBLIC; ALTER SCHEMA public OWNER TO pg_monitor; COMMENT ON SCHEMA public IS 'ours'`)
	want := []string{`ALTER SCHEMA "public" OWNER TO "pg_monitor";`, `COMMENT ON SCHEMA "public" IS 'ours';`, `REVOKE USAGE ON SCHEMA "public" FROM PUBLIC;`}
	if got := standingOf(s.runnableRemote(t, shadow), "postgres", "-"); !slices.Equal(got, want) {
		t.Errorf("of its own: %q", got)
	}
}

// A list that is not there says what PostgreSQL gives by itself.
func TestDefaultPrivilegesOfProductionTakeTheShadowsAway(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY)`)
	s.exec(t, `DROP SCHEMA public; CREATE SCHEMA public; CREATE SCHEMA ext; CREATE EXTENSION hstore SCHEMA ext; COMMENT ON SCHEMA public IS 'standard public schema'`)
	shadow := remote(t, s)
	shadow.fill(t, "", `GRANT CREATE ON DATABASE DB TO PUBLIC, pg_monitor; REVOKE CONNECT ON DATABASE DB FROM PUBLIC; CREATE SCHEMA ext;
		GRANT ALL ON SCHEMA public, ext TO PUBLIC, pg_monitor`)
	want := []string{
		`GRANT CONNECT ON DATABASE DB TO PUBLIC;`, `REVOKE CREATE ON DATABASE DB FROM PUBLIC;`,
		`REVOKE CREATE ON SCHEMA "ext" FROM PUBLIC;`, `REVOKE CREATE ON SCHEMA "public" FROM PUBLIC;`,
		`REVOKE USAGE ON SCHEMA "ext" FROM PUBLIC;`, `REVOKE USAGE ON SCHEMA "public" FROM PUBLIC;`,
	}
	got := standingOf(s.runnableRemote(t, shadow), shadow.database(t), "-")
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	s.file.Production.Schemas = []string{"shop", "public"} // which is to be production's altogether
	got = standingOf(s.runnableRemote(t, shadow), shadow.database(t), "-")
	for _, sql := range []string{`ALTER SCHEMA "public" OWNER TO "postgres";`, `REVOKE CREATE ON SCHEMA "public" FROM "pg_monitor";`} {
		if !slices.Contains(got, sql) {
			t.Errorf("no %s in %q", sql, got)
		}
	}
}

// deploy makes a role that is no superuser the one that plans on the shadow.
func (s *shop) deploy(t *testing.T, shadow *shop, rights string) string {
	t.Helper()
	name := s.role(t, "deploy_")
	shadow.fill(t, name, `ALTER ROLE APP LOGIN; GRANT pg_read_all_stats TO APP; `+rights)
	t.Cleanup(func() { shadow.exec(t, "DROP OWNED BY "+name) })
	config, err := pgx.ParseConfig(shadow.dsn)
	if err != nil {
		t.Fatal(err)
	}
	s.file.Shadow.DSN = strings.Replace(shadow.dsn, "://"+config.User+"@", "://"+name+"@", 1)
	if s.file.Shadow.DSN == shadow.dsn {
		t.Fatalf("no user in %s", shadow.dsn)
	}
	return name
}

func TestWhatIsNotOursToGiveIsLeftToAHuman(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY)`)
	s.fill(t, "", `ALTER DATABASE DB SET work_mem = '5MB'; REVOKE CONNECT ON DATABASE DB FROM PUBLIC; GRANT CREATE ON SCHEMA public TO PUBLIC; COMMENT ON DATABASE DB IS 'c'`)
	s.file.Migrations = planfile.MigrationsFile{}
	shadow := remote(t, s)
	owner := s.role(t, "owner_")
	s.exec(t, "ALTER SCHEMA shop OWNER TO "+owner+"; ALTER TABLE shop.a OWNER TO "+owner+"; ALTER TABLE shop.schema_migrations OWNER TO "+owner)
	s.deploy(t, shadow, "GRANT CREATE, CONNECT, TEMPORARY ON DATABASE DB TO APP; GRANT "+owner+" TO APP")
	p := s.plan(t)
	if got := standingOf(p, shadow.database(t), "-"); len(got) > 0 || !p.Runnable {
		t.Errorf("%q, %+v", got, p.Findings)
	}
	name := pg.Ident(shadow.database(t))
	var want []string
	for _, sql := range []string{"ALTER DATABASE " + name + ` SET "work_mem" TO '5MB';`, "COMMENT ON DATABASE " + name + " IS 'c';",
		`GRANT CREATE ON SCHEMA "public" TO PUBLIC;`, "REVOKE CONNECT ON DATABASE " + name + " FROM PUBLIC;"} {
		want = append(want, "type it on the shadow's server, as far as it still means something there: "+sql)
	}
	got := fixes(p, "database-setting")
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestOurRoleIsNotLockedOutOfTheShadow(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY)`)
	shadow := remote(t, s)
	dba := s.role(t, "dba_")
	s.fill(t, dba, `REVOKE CONNECT ON DATABASE DB FROM PUBLIC; ALTER SCHEMA shop OWNER TO APP; ALTER TABLE shop.a OWNER TO APP; ALTER TABLE shop.schema_migrations OWNER TO APP`)
	shadow.fill(t, dba, `ALTER DATABASE DB OWNER TO APP; REVOKE CONNECT ON DATABASE DB FROM APP`)
	t.Cleanup(func() { shadow.fill(t, dba, `ALTER DATABASE DB OWNER TO CURRENT_USER`) })
	us := s.deploy(t, shadow, "GRANT "+dba+" TO APP")
	give := `GRANT CONNECT ON DATABASE ` + pg.Ident(shadow.database(t)) + ` TO "` + us + `";`
	if got := fixes(s.plan(t), "shadow-privileges"); !slices.Equal(got, []string{"on the shadow's server: " + give}) {
		t.Fatalf("%q", got)
	}
	shadow.exec(t, give)
	p := s.plan(t)
	if got := standingOf(p, shadow.database(t), "-"); !p.Runnable || !slices.Equal(got, []string{"REVOKE CONNECT ON DATABASE DB FROM PUBLIC;"}) {
		t.Errorf("%q, %+v", got, p.Findings)
	}
}

func TestRolesAndSettingsThatAreNotThereAreFound(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY)`)
	role := s.role(t, "app_")
	s.fill(t, role, `ALTER DATABASE DB SET force_parallel_mode = off; ALTER ROLE APP IN DATABASE DB SET work_mem = '6MB'; GRANT CREATE ON DATABASE DB TO APP; ALTER DATABASE DB SET work_mem = '5MB'`)
	p := s.runnableRemote(t, newer(t, s, 17))
	if got := standingOf(p, "postgres", role); !slices.Equal(got, []string{`ALTER DATABASE DB SET "work_mem" TO '5MB';`}) {
		t.Errorf("%q", got)
	}
	if got := fixes(p, "database-setting"); len(got) != 3 || !has(p, plans.Warning, "role-absent", role) || !has(p, plans.Warning, "database-setting", "force_parallel_mode") {
		t.Errorf("%+v", p.Findings)
	}
}

func TestListsInSettingsAreQuotedElementByElement(t *testing.T) {
	t.Parallel()
	conn, err := pgx.Connect(t.Context(), testcontainers.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	for value, want := range map[string]string{
		`"$user", public`: `"$user", public`, `""`: `""`, ``: `""`, `"Odd, ""one""",b`: `"Odd, ""one""", b`, `Bare, "Bare"`: `bare, "Bare"`,
	} {
		var got string
		if _, err := conn.Exec(t.Context(), setText("search_path", value)); err != nil {
			t.Fatalf("%s: %v", value, err)
		}
		if err := conn.QueryRow(t.Context(), "SHOW search_path").Scan(&got); err != nil || got != want {
			t.Errorf("%s became %s, want %s (%v)", value, got, want, err)
		}
	}
	for text, want := range map[string]string{
		setText("session_preload_libraries", `"$libdir/A", b`): `SET "session_preload_libraries" TO '$libdir/A', 'b'`,
		setText("app.Mode", "a, b"):                            `SET "app"."Mode" TO 'a, b'`,
	} {
		if text != want {
			t.Errorf("%s, want %s", text, want)
		}
	}
}
