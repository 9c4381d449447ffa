package plans

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// elsewhere gives a shop a shadow in another database.
func elsewhere(t *testing.T, s *shop) (shadow *shop) {
	t.Helper()
	shadow = &shop{dsn: testcontainers.Database(t)}
	s.file.Shadow.DSN = shadow.dsn
	return shadow
}

// stands builds the skeleton in production and the whole structure on the
// shadow, as a run will, and takes both back.
func (s *shop) stands(t *testing.T, shadow *shop, p *Plan) {
	t.Helper()
	build(t, s.dsn, p, StageBuild)
	build(t, shadow.dsn, p, StageBuild, StageKey, StageIndex, StageLate, StageSwap)
}

func build(t *testing.T, dsn string, p *Plan, stages ...Stage) {
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

// runnableElsewhere makes a plan that must have no blocker, and tries its structure.
func (s *shop) runnableElsewhere(t *testing.T, shadow *shop) *Plan {
	t.Helper()
	p := s.plan(t)
	for _, f := range p.Findings {
		if f.Level == Blocker {
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
	p := s.runnableElsewhere(t, elsewhere(t, s))
	if !p.Elsewhere || len(p.Shared) > 0 {
		t.Errorf("elsewhere %v, shared %+v", p.Elsewhere, p.Shared)
	}
	var names []string
	for _, q := range p.Sequences {
		names = append(names, q.Production.String()+" "+q.Column)
	}
	if slices.Sort(names); !slices.Equal(names, []string{"shop.free ", "shop.people_id_seq id"}) {
		t.Errorf("sequences: %q", names)
	}
	people := p.tableNamed(t, "shop.people")
	if c := people.column("mood"); !strings.HasPrefix(c.Type, "pgumbra_") || !strings.Contains(c.Expression, "::text") {
		t.Errorf("mood: %+v", c)
	}
	if c := people.column("mail"); c.Type != "public.citext" {
		t.Errorf("mail: %+v", c)
	}
	if p.Entries[0].Tag != "EXTENSION" || p.Entries[0].Name.Name == "" {
		t.Errorf("the first entry is %+v", p.Entries[0])
	}
}

func TestExtensionsInTheMovingSchemaStayInIt(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE EXTENSION cube SCHEMA shop; CREATE EXTENSION earthdistance SCHEMA shop; CREATE EXTENSION hstore SCHEMA public;
		CREATE TABLE places (id int PRIMARY KEY, at earth, tags public.hstore)`)
	p := s.runnableElsewhere(t, elsewhere(t, s))
	if p.Schemas[0].Swap != Move || *p.ToVersion != *p.FromVersion {
		t.Errorf("%+v, to %d", p.Schemas[0], *p.ToVersion)
	}
}

func TestPureVersionUpgradeKeepsTheVersion(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY)`)
	s.file.Migrations = MigrationsFile{}
	p := s.runnableElsewhere(t, elsewhere(t, s))
	if p.NothingToDo || *p.FromVersion != 1 || *p.ToVersion != 1 || p.VersionTable != nil {
		t.Errorf("%+v", p)
	}
	if v := p.tableNamed(t, "shop.schema_migrations"); v.Feed != Copied {
		t.Errorf("version table: %+v", v)
	}
	s.exec(t, `DROP TABLE shop.schema_migrations; CREATE TABLE shop.schema_migrations (version varchar PRIMARY KEY)`)
	if p = s.runnableElsewhere(t, elsewhere(t, s)); p.FromVersion != nil || p.ToVersion != nil {
		t.Errorf("another tool's table was read: %d", *p.FromVersion)
	}
}

func TestShadowMustBeAnotherAndEmptyDatabase(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY)`)
	s.file.Shadow.DSN = s.dsn
	if p := s.plan(t); !p.has(Blocker, "shadow-is-production", "") {
		t.Errorf("%+v", p.Findings)
	}
	elsewhere(t, s).exec(t, `CREATE SCHEMA shop; CREATE TABLE shop.left (id int); CREATE SCHEMA pgumbra; CREATE TABLE pgumbra.version ()`)
	p := s.plan(t)
	if !p.has(Blocker, "shadow-not-empty", "shop") || p.has(Blocker, "name-taken", "") {
		t.Errorf("%+v", p.Findings)
	}
}

func TestPlanTriesNothingThatStays(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE EXTENSION hstore SCHEMA public; CREATE TABLE a (id int PRIMARY KEY)`)
	shadow := elsewhere(t, s)
	s.runnableElsewhere(t, shadow)
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
