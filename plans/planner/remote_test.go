package planner

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// remote gives a shop a shadow in another database.
func remote(t *testing.T, s *shop) (shadow *shop) {
	t.Helper()
	shadow = &shop{dsn: testcontainers.Database(t)}
	s.file.Shadow.DSN = shadow.dsn
	return shadow
}

// stands builds the skeleton in production and the whole structure on the
// shadow, as a run will, and takes both back.
func (s *shop) stands(t *testing.T, shadow *shop, p *plans.Plan) {
	t.Helper()
	build(t, s.dsn, p, plans.StageBuild)
	build(t, shadow.dsn, p, plans.StageBuild, plans.StageKey, plans.StageIndex, plans.StageLate, plans.StageSwap)
}

func build(t *testing.T, dsn string, p *plans.Plan, stages ...plans.Stage) {
	t.Helper()
	conn, err := pg.Connect(t.Context(), dsn, pg.Options{Component: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if _, err := conn.Exec(t.Context(), "BEGIN"); err != nil {
		t.Fatal(err)
	}
	for _, stage := range stages {
		for _, e := range p.Entries {
			if e.Stage != stage {
				continue
			}
			if err := pg.ExecScript(t.Context(), conn, e.SQL); err != nil {
				t.Fatalf("stage %s, %s %s: %v\n%s", stage, e.Tag, e.Name, err, e.SQL)
			}
		}
	}
}

// runnableRemote makes a plan that must have no blocker, and tries its structure.
func (s *shop) runnableRemote(t *testing.T, shadow *shop) *plans.Plan {
	t.Helper()
	p := s.plan(t)
	for _, f := range p.Findings {
		if f.Level == plans.Blocker {
			t.Errorf("blocker %s on %s (%s): %s; %s", f.Code, f.Object, f.Where, f.Message, f.Fix)
		}
	}
	if t.Failed() {
		t.FailNow()
	}
	s.stands(t, shadow, p)
	return p
}

func TestNothingIsSharedWithAnotherDatabase(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE SEQUENCE free; CREATE EXTENSION citext SCHEMA public;
		CREATE TABLE people (id serial PRIMARY KEY, mood mood, mail public.citext, n int DEFAULT nextval('free'))`,
		`ALTER TABLE people ADD COLUMN age int`)
	p := s.runnableRemote(t, remote(t, s))
	if !p.Remote || len(p.Shared) > 0 {
		t.Errorf("elsewhere %v, shared %+v", p.Remote, p.Shared)
	}
	var names []string
	for _, q := range p.Sequences {
		names = append(names, q.Production.String()+" "+q.Column)
	}
	if slices.Sort(names); !slices.Equal(names, []string{"shop.free ", "shop.people_id_seq id"}) {
		t.Errorf("sequences: %q", names)
	}
	people := tableNamed(p, t, "shop.people")
	if c := column(people, "mood"); !strings.HasPrefix(c.Type, "pgumbra_") || !strings.Contains(c.Expression, "::text") {
		t.Errorf("mood: %+v", c)
	}
	if c := column(people, "mail"); c.Type != "public.citext" {
		t.Errorf("mail: %+v", c)
	}
	if p.Entries[0].Tag != "EXTENSION" || p.Entries[0].Name.Name == "" {
		t.Errorf("the first entry is %+v", p.Entries[0])
	}
}

func TestExtensionsInTheMovingSchemaStayInIt(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	s := newShop(t, `CREATE EXTENSION cube SCHEMA shop; CREATE EXTENSION earthdistance SCHEMA shop; CREATE EXTENSION hstore SCHEMA public;
		CREATE TABLE places (id int PRIMARY KEY, at earth, tags public.hstore)`)
	p := s.runnableRemote(t, remote(t, s))
	if p.Schemas[0].Swap != plans.Move || *p.ToVersion != *p.FromVersion {
		t.Errorf("%+v, to %d", p.Schemas[0], *p.ToVersion)
	}
}

func TestPureVersionUpgradeKeepsTheVersion(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY)`)
	s.file.Migrations = planfile.MigrationsFile{}
	p := s.runnableRemote(t, remote(t, s))
	if p.NothingToDo || *p.FromVersion != 1 || *p.ToVersion != 1 || p.VersionTable != nil {
		t.Errorf("%+v", p)
	}
	if v := tableNamed(p, t, "shop.schema_migrations"); v.Feed != plans.Copied {
		t.Errorf("version table: %+v", v)
	}
	s.exec(t, `DROP TABLE shop.schema_migrations; CREATE TABLE shop.schema_migrations (version varchar PRIMARY KEY)`)
	if p = s.runnableRemote(t, remote(t, s)); p.FromVersion != nil || p.ToVersion != nil {
		t.Errorf("another tool's table was read: %d", *p.FromVersion)
	}
}

func TestShadowMustBeAnotherAndEmptyDatabase(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY)`)
	s.file.Shadow.DSN = s.dsn
	if p := s.plan(t); !has(p, plans.Blocker, "shadow-is-production", "") {
		t.Errorf("%+v", p.Findings)
	}
	remote(t, s).exec(t, `CREATE SCHEMA shop; CREATE TABLE shop.left (id int); CREATE SCHEMA pgumbra; CREATE TABLE pgumbra.version ()`)
	p := s.plan(t)
	if !has(p, plans.Blocker, "shadow-not-empty", "shop") || has(p, plans.Blocker, "name-taken", "") {
		t.Errorf("%+v", p.Findings)
	}
}

func TestPlanTriesNothingThatStays(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	s := newShop(t, `CREATE EXTENSION hstore SCHEMA public; CREATE TABLE a (id int PRIMARY KEY)`)
	shadow := remote(t, s)
	s.runnableRemote(t, shadow)
	conn, err := pgx.Connect(t.Context(), shadow.dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	var left int
	err = conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`).Scan(&left)
	if err != nil || left != 0 {
		t.Errorf("%d objects are left on the shadow (%v)", left, err)
	}
}

func TestSessionsOfADatabaseWithoutAnEncodingConvertNothing(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY)`)
	if p := s.plan(t); p.Session["client_encoding"] != "" {
		t.Errorf("%v", p.Session)
	}
	s.exec(t, `CREATE DATABASE bytes_only TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'`)
	t.Cleanup(func() { s.exec(t, `DROP DATABASE bytes_only`) })
	s.file.Production.DSN = strings.Replace(s.dsn, s.database(t), "bytes_only", 1)
	if p := s.plan(t); p.Session["client_encoding"] != "SQL_ASCII" {
		t.Errorf("%v", p.Session)
	}
}

func TestWhatDoesNotComeAlongIsNamed(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	s := newShop(t, `CREATE TABLE public.people (id int PRIMARY KEY); CREATE TYPE public.mood AS ENUM ('ok'); CREATE SCHEMA lib;
		CREATE FUNCTION lib.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
		CREATE TABLE a (id int PRIMARY KEY REFERENCES public.people, m public.mood); CREATE TRIGGER t BEFORE UPDATE ON a FOR EACH ROW EXECUTE FUNCTION lib.touch();
		CREATE VIEW public.outside AS SELECT id FROM a; CREATE PUBLICATION listed FOR TABLE a;
		CREATE FUNCTION inner_one(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1';
		CREATE FUNCTION outer_one(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT shop.inner_one($1)'; CREATE INDEX ON a (outer_one(id))`)
	s.exec(t, `SELECT lo_create(0); GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_file(text) TO pg_monitor;
		CREATE FUNCTION lib.from_sql(internal) RETURNS internal LANGUAGE internal IMMUTABLE AS 'varchar_support'; CREATE TRANSFORM FOR text LANGUAGE plpgsql (FROM SQL WITH FUNCTION lib.from_sql(internal))`)
	remote(t, s)
	p := s.plan(t)
	for _, want := range []struct {
		level        plans.Level
		code, object string
	}{
		{plans.Blocker, "needs-outside", "constraint a_id_fkey on table shop.a"}, {plans.Blocker, "needs-outside", "table shop.a"},
		{plans.Blocker, "needs-outside", "trigger t on table shop.a"}, {plans.Blocker, "large-objects", ""}, {plans.Blocker, "function-names-schema", "shop.outer_one(integer)"},
		{plans.Warning, "left-behind", "public"}, {plans.Warning, "left-behind", "lib"}, {plans.Warning, "not-carried", "listed"},
		{plans.Warning, "not-carried", "function pg_read_file(text)"}, {plans.Warning, "not-carried", "text for language plpgsql"}, {plans.Warning, "no-traffic", ""},
	} {
		if !has(p, want.level, want.code, want.object) {
			t.Errorf("no %+v", want)
		}
	}
	if t.Failed() || has(p, plans.Blocker, "outside-dependency", "") {
		t.Errorf("%+v", p.Findings)
	}
}

func TestValuesThatOneServerKnowsAreFound(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	s := newShop(t, `CREATE EXTENSION citext SCHEMA public; CREATE TABLE named (id int PRIMARY KEY, r regclass, all_of regclass[], seen xid8, o oid);
		CREATE TABLE builtin (id int PRIMARY KEY, r regclass, t regtype[], w regrole, empty regproc);
		INSERT INTO named VALUES (1, 'named', NULL), (2, NULL, '{pg_class, named}');
		INSERT INTO builtin SELECT 1, 'pg_class', '{integer, public.citext}', (SELECT oid FROM pg_roles WHERE rolname = current_user)`)
	remote(t, s)
	p := s.plan(t)
	for _, object := range []string{"shop.named.r", "shop.named.all_of"} {
		if !has(p, plans.Blocker, "object-reference", object) {
			t.Errorf("%s is not found", object)
		}
	}
	if !has(p, plans.Warning, "server-numbers", "shop.named.seen") || !has(p, plans.Warning, "server-numbers", "shop.named.o") {
		t.Error("numbers of one server are not found")
	}
	for _, f := range p.Findings {
		if f.Code == "object-reference" && strings.HasPrefix(f.Object, "shop.builtin") {
			t.Errorf("%+v", f)
		}
	}
}

// Objects are named inside of composite types, arrays and domains, too.
func TestValuesThatOneServerKnowsAreFoundInsideOfOthers(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	s := newShop(t, `CREATE TYPE part AS ("the R" regclass, n int, x xid8); CREATE DOMAIN some_part AS part CHECK (true);
		CREATE TYPE whole AS (p some_part, many regproc[]); CREATE DOMAIN wholes AS whole[]; CREATE DOMAIN r AS regclass; CREATE DOMAIN rs AS r[];
		CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE TABLE of_rows (id int PRIMARY KEY, r regclass);
		CREATE TABLE nested (id int PRIMARY KEY, c part, d some_part, w whole, w_many wholes, r r, rs rs, rows of_rows[], went part);
		CREATE TABLE builtin (LIKE nested, PRIMARY KEY (id));
		INSERT INTO nested (id) VALUES (0);
		INSERT INTO nested SELECT 1, p, p, w, ARRAY[NULL, w], 'nested', '{pg_class, nested}', ARRAY[(1, 'nested')::of_rows], p
			FROM (SELECT ('nested', 1, '1')::part, (('pg_class', 1, '1')::part, '{now, shop.f}')::whole) AS v (p, w);
		INSERT INTO builtin SELECT 1, p, p, w, ARRAY[w], 'pg_class', '{pg_class}', ARRAY[(1, 'pg_class')::of_rows], p
			FROM (SELECT ('pg_class', 1, '1')::part, (('pg_class', 1, '1')::part, '{now}')::whole) AS v (p, w)`,
		`ALTER TABLE nested RENAME d TO still_d; ALTER TABLE nested ALTER went TYPE text USING (went).n::text`)
	remote(t, s)
	p := s.plan(t)
	for _, column := range []string{"c", "still_d", "w", "w_many", "r", "rs", "rows"} {
		if !has(p, plans.Blocker, "object-reference", "shop.nested."+column) {
			t.Errorf("%s is not found", column)
		}
	}
	if !has(p, plans.Warning, "server-numbers", "shop.nested.c") || !has(p, plans.Warning, "server-numbers", "shop.builtin.w_many") {
		t.Error("numbers of one server are not found")
	}
	for _, f := range p.Findings {
		if f.Code == "object-reference" && (strings.HasPrefix(f.Object, "shop.builtin") || f.Object == "shop.nested.went" || f.Level != plans.Blocker) {
			t.Errorf("%+v", f)
		}
	}
}

func TestStepsApartShowPipesAndWhoLeads(t *testing.T) {
	t.Parallel()
	p := samplePlan()
	p.Remote = true
	p.Steps = steps(p)
	setTraffic(p, []string{"PgBouncer b1: PAUSE shop", "entry shop in f: host=db2", "PgBouncer b1: RESUME shop"})
	if got := find(t, p.Steps, "Copy the rows").SQL[0]; !strings.HasPrefix(got, "COPY (SELECT") || !strings.Contains(got, "FROM STDIN -- on the shadow") {
		t.Errorf("copy: %s", got)
	}
	if hold, lead := find(t, p.Steps, "Hold").SQL, find(t, p.Steps, "Lead the").SQL; len(hold) != 1 || len(lead) != 2 {
		t.Errorf("hold %q, lead %q", hold, lead)
	}
	for _, s := range p.Steps {
		if strings.Contains(strings.Join(s.SQL, "\n"), `"shop" RENAME`) {
			t.Errorf("production is renamed: %+v", s)
		}
	}
}

func TestEncodingOfTheShadowIsProductions(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY)`)
	s.exec(t, `CREATE DATABASE latin_shadow TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'`)
	t.Cleanup(func() { s.exec(t, `DROP DATABASE latin_shadow`) })
	s.file.Shadow.DSN = strings.Replace(s.dsn, s.database(t), "latin_shadow", 1)
	if p := s.plan(t); !has(p, plans.Blocker, "shadow-encoding", "latin_shadow") {
		t.Errorf("%+v", p.Findings)
	}
}
