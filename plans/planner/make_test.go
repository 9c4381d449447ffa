package planner

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// shop is a production database at version 1 and migrations beyond it.
type shop struct {
	dsn  string
	file *planfile.File
}

// newShop runs SQL as production's structure and writes migrations 2, 3, ….
func newShop(t *testing.T, structure string, migrations ...string) *shop {
	t.Helper()
	return newShopAt(t, testcontainers.Database(t), structure, migrations...)
}

func newShopAt(t *testing.T, dsn, structure string, migrations ...string) *shop {
	t.Helper()
	s := &shop{dsn: dsn}
	s.exec(t, "CREATE SCHEMA shop; SET search_path = shop; "+structure+
		"; CREATE TABLE shop.schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL); INSERT INTO shop.schema_migrations VALUES (1, false)")
	dir := t.TempDir()
	s.write(t, dir, "000001_base.up.sql", structure)
	for i, sql := range migrations {
		s.write(t, dir, "00000"+string(rune('2'+i))+"_step.up.sql", sql)
	}
	s.file = &planfile.File{Path: "pgumbra.yaml", Name: filepath.Base(s.database(t)), Production: planfile.ProductionFile{DSN: s.dsn + pathOption(s.dsn), Schemas: []string{"shop"}},
		Migrations: planfile.MigrationsFile{Path: dir}, Build: plans.Direct, Settings: plans.DefaultSettings()}
	if os.Getenv("PGUMBRA_ROWS") != "" {
		s.file.Scratch.Rows = 1000
	}
	return s
}

func pathOption(dsn string) string {
	if strings.Contains(dsn, "://") {
		if strings.Contains(dsn, "?") {
			return "&search_path=shop,public"
		}
		return "?search_path=shop,public"
	}
	return " search_path=shop,public"
}

func (s *shop) database(t *testing.T) string {
	t.Helper()
	config, err := pgx.ParseConfig(s.dsn)
	if err != nil {
		t.Fatal(err)
	}
	return config.Database
}

func (s *shop) write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (s *shop) exec(t *testing.T, sql string) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), s.dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if _, err := conn.Exec(context.Background(), sql); err != nil {
		t.Fatalf("%.200s…: %v", sql, err)
	}
}

func (s *shop) plan(t *testing.T) *plans.Plan {
	t.Helper()
	p, err := Make(t.Context(), s.file, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range p.Findings {
		if statements, _, _ := strings.Cut(f.Fix, " -- "); widening.MatchString(statements) {
			t.Errorf("the fix of %s (%s) gives more than an upgrade needs: %s", f.Code, f.Object, f.Fix)
		}
	}
	return p
}

// widening are statements that no finding of any plan advises, whatever
// production has.
var widening = regexp.MustCompile(`(?i)(^|[^O])SUPERUSER *;|GRANT ALL|GRANT "?(postgres|pg_(read|write)_(all_data|server_files)|pg_execute_server_program|pg_signal_backend|pg_maintain)\b|ON ALL (FUNCTIONS|ROUTINES)`)

// runnable makes a plan that must have no blocker.
func (s *shop) runnable(t *testing.T) *plans.Plan {
	t.Helper()
	p := s.plan(t)
	for _, f := range p.Findings {
		if f.Level == plans.Blocker {
			t.Errorf("blocker %s on %s (%s): %s", f.Code, f.Object, f.Where, f.Message)
		}
	}
	if t.Failed() {
		t.FailNow()
	}
	s.builds(t, p)
	return p
}

// builds runs the whole structure beside production, stage after stage, as a
// run will, and takes it back.
func (s *shop) builds(t *testing.T, p *plans.Plan) {
	t.Helper()
	conn, err := pg.Connect(t.Context(), s.dsn, pg.Options{Component: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if _, err := conn.Exec(t.Context(), "BEGIN"); err != nil {
		t.Fatal(err)
	}
	for _, stage := range []plans.Stage{plans.StageBuild, plans.StageKey, plans.StageIndex, plans.StageLate, plans.StageSwap} {
		for _, e := range p.Entries {
			if e.Stage != stage {
				continue
			}
			if err := pg.ExecScript(t.Context(), conn, e.SQL); err != nil {
				t.Fatalf("stage %s, %s %s: %v\n%s", stage, e.Tag, e.Name, err, e.SQL)
			}
		}
		if stage == plans.StageBuild {
			s.copies(t, conn, p)
		}
	}
	if _, err := conn.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
}

func (s *shop) copies(t *testing.T, conn *pgx.Conn, p *plans.Plan) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), "SELECT set_config('search_path', $1, false)", p.SearchPath); err != nil {
		t.Fatal(err)
	}
	for i := range p.Tables {
		if p.Tables[i].Feed != plans.Copied || p.Tables[i].Kind == plans.Inherited {
			continue
		}
		sql := strings.Replace(copyText(&p.Tables[i]), "FROM ONLY", "FROM", 1)
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	if _, err := conn.Exec(t.Context(), "SET search_path = pg_catalog"); err != nil {
		t.Fatal(err)
	}
}

func tableNamed(p *plans.Plan, t *testing.T, name string) plans.Table {
	t.Helper()
	for _, table := range p.Tables {
		if table.Final.String() == name {
			return table
		}
	}
	t.Fatalf("the plan has no table %s", name)
	return plans.Table{}
}

func column(t plans.Table, name string) plans.Column {
	for _, c := range t.Columns {
		if c.Shadow == name {
			return c
		}
	}
	return plans.Column{}
}

func has(p *plans.Plan, level plans.Level, code, object string) bool {
	return slices.ContainsFunc(p.Findings, func(f plans.Finding) bool {
		return f.Level == level && f.Code == code && (object == "" || f.Object == object)
	})
}

func TestMakeFollowsRenamedAndRetypedColumns(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE orders (id serial PRIMARY KEY, total int NOT NULL, note text);
		INSERT INTO orders (total) SELECT generate_series(1, 50)`,
		`ALTER TABLE orders RENAME COLUMN note TO remark; ALTER TABLE orders ALTER COLUMN id TYPE bigint`,
		`ALTER TABLE orders ALTER COLUMN total TYPE numeric USING total / 100.0`,
		`ALTER TABLE orders ADD COLUMN state text NOT NULL DEFAULT 'new'`)
	p := s.runnable(t)
	orders := tableNamed(p, t, "shop.orders")
	if c := column(orders, "remark"); c.Expression != "note" || c.Origin != plans.FromLineage {
		t.Errorf("remark: %+v", c)
	}
	if c := column(orders, "total"); c.Origin != plans.FromUsing {
		t.Errorf("total: %+v", c)
	}
	if c := column(orders, "state"); c.Origin != plans.FromDefault {
		t.Errorf("state: %+v", c)
	}
	if len(orders.Key) != 1 || orders.Key[0].Shadow != "id" || orders.Key[0].Type != "bigint" || !orders.Upsert || orders.KeyIndex == 0 {
		t.Errorf("key: %+v upsert %v index %d", orders.Key, orders.Upsert, orders.KeyIndex)
	}
	if len(p.Shared) != 1 || p.Shared[0].Kind != "SEQUENCE" || p.Shared[0].OwnedByColumn != "id" {
		t.Errorf("shared: %+v", p.Shared)
	}
}

func TestMakeSplitsColumnsAndSharesAnUnchangedEnum(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TYPE state AS ENUM ('new', 'old');
		CREATE TABLE people (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, mood mood NOT NULL DEFAULT 'ok', state state);
		INSERT INTO people (name, state) VALUES ('Ann Lee', 'new'), ('Bob Ray', 'old')`,
		`ALTER TABLE people ADD COLUMN first text, ADD COLUMN last text;
		 UPDATE people SET first = split_part(name, ' ', 1), last = split_part(name, ' ', 2);
		 ALTER TABLE people DROP COLUMN name`,
		`ALTER TYPE state ADD VALUE 'gone'`)
	p := s.runnable(t)
	people := tableNamed(p, t, "shop.people")
	if c := column(people, "first"); c.Origin != plans.FromBackfill || !strings.Contains(c.Expression, "split_part") {
		t.Errorf("first: %+v", c)
	}
	if c := column(people, "mood"); c.Type != "shop.mood" {
		t.Errorf("mood is not shared: %+v", c)
	}
	if c := column(people, "state"); !strings.Contains(c.Type, "pgumbra_") || !strings.Contains(c.Expression, "text") {
		t.Errorf("state: %+v", c)
	}
	if people.Upsert || !people.SoleKey {
		t.Error("a table with identity ALWAYS is upserted, or has another unique index")
	}
	if !has(p, plans.Warning, "result-type-changes", "shop.people.state") || has(p, plans.Warning, "result-type-changes", "shop.people.mood") {
		t.Errorf("findings: %+v", p.Findings)
	}
	if !has(p, plans.Warning, "not-reversible", "shop.people.name") {
		t.Errorf("name is said to be reversible: %+v", people.Reverse)
	}
	if len(p.Sequences) != 1 || !p.Sequences[0].Identity || p.Sequences[0].Production.Name != "people_id_seq" {
		t.Errorf("sequences: %+v", p.Sequences)
	}
}

func TestMakeFollowsATableIntoPartitions(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE events (id bigint NOT NULL, day date NOT NULL, what text, PRIMARY KEY (id, day));
		INSERT INTO events SELECT i, '2024-01-01'::date + i, 'x' FROM generate_series(1, 100) i`,
		`ALTER TABLE events RENAME TO events_old;
		 CREATE TABLE events (id bigint NOT NULL, day date NOT NULL, what text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
		 CREATE TABLE events_2024 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
		 CREATE TABLE events_rest PARTITION OF events DEFAULT;
		 INSERT INTO events SELECT id, day, what FROM events_old;
		 DROP TABLE events_old`)
	p := s.runnable(t)
	events := tableNamed(p, t, "shop.events")
	if events.Kind != plans.Partitioned || events.Feed != plans.Copied || events.Production.Name != "events" || !events.Upsert {
		t.Errorf("%+v", events)
	}
	keys := 0
	for _, e := range p.Entries {
		if e.Stage == plans.StageKey && e.Root == events.Shadow {
			keys++
		}
	}
	if keys != 5 {
		t.Errorf("%d entries make the key, want one for each of three tables and two that attach them", keys)
	}
}

func TestMakeKeepsExtensionsInPublic(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE EXTENSION citext SCHEMA shop; CREATE EXTENSION pg_trgm SCHEMA public;
		CREATE TYPE span AS RANGE (subtype = int);
		CREATE FUNCTION twice(span) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2 * upper($1)';
		CREATE TABLE users (email citext PRIMARY KEY, ages span, price numeric DEFAULT 1.5);
		CREATE INDEX ON users USING gin ((email::text) public.gin_trgm_ops);
		INSERT INTO users VALUES ('A@b', '[1,2)')`,
		`ALTER TABLE users ADD COLUMN seen timestamptz DEFAULT now()`)
	p := s.runnable(t)
	if p.Schemas[0].Swap != plans.Move {
		t.Errorf("schema shop holds citext and is swapped by %s", p.Schemas[0].Swap)
	}
	users := tableNamed(p, t, "shop.users")
	if c := column(users, "email"); c.Type != "shop.citext" {
		t.Errorf("email: %+v", c)
	}
	if users.Key[0].Equals != "OPERATOR(shop.=)" {
		t.Errorf("key: %+v", users.Key)
	}
	if c := column(users, "ages"); !strings.Contains(c.Expression, "ages::text::pgumbra_") {
		t.Errorf("ages: %+v", c)
	}
	if c := column(users, "seen"); !strings.Contains(c.Expression, p.StartedAt[:10]) {
		t.Errorf("seen is not the run's one time: %+v", c)
	}
}

func TestMakeTakesPublicWithItsPrivileges(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE public.notes (id int PRIMARY KEY, body text); CREATE TABLE keep (id int)`,
		`ALTER TABLE public.notes ADD COLUMN at timestamptz`)
	s.file.Production.Schemas = []string{"shop", "public"}
	p := s.runnable(t)
	var made string
	for _, e := range p.Entries {
		if e.Tag == "SCHEMA" {
			made += e.SQL + "\n"
		}
	}
	if !strings.Contains(made, "pg_database_owner") && !strings.Contains(made, "PUBLIC") {
		t.Errorf("schemas: %s", made)
	}
	if p.VersionTable == nil || !p.VersionTable.Moves || tableNamed(p, t, "shop.schema_migrations").Feed != plans.Version {
		t.Errorf("version table: %+v", p.VersionTable)
	}
}

func TestMakeSortsTablesByFeed(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE old (id int PRIMARY KEY); CREATE TABLE audit (line text); CREATE TABLE empty_log (id int PRIMARY KEY);
		INSERT INTO audit VALUES ('a')`,
		`DROP TABLE old; CREATE TABLE colours (id int PRIMARY KEY, name text, up text GENERATED ALWAYS AS (upper(name)) STORED);
		 INSERT INTO colours VALUES (1, 'red'), (2, E'tab\there'); CREATE TABLE bare (id int)`)
	s.file.Tables = []planfile.TableRules{{Name: pg.Name{Schema: "shop", Name: "empty_log"}, Skip: true}}
	p := s.runnable(t)
	if c := tableNamed(p, t, "shop.colours"); c.Feed != plans.Carried || c.CarriedRows != "1\tred\n2\ttab\\there\n" {
		t.Errorf("colours: %+v", c)
	}
	if c := tableNamed(p, t, "shop.bare"); c.Feed != plans.Carried || c.CarriedRows != "" {
		t.Errorf("bare: %+v", c)
	}
	if c := tableNamed(p, t, "shop.empty_log"); c.Feed != plans.Skipped {
		t.Errorf("empty_log: %+v", c)
	}
	if c := tableNamed(p, t, "shop.audit"); c.Feed != plans.Copied || p.Sources[c.Source].Record != plans.RecordImage {
		t.Errorf("audit: %+v", c)
	}
	if !has(p, plans.Info, "table-dropped", "shop.old") || !has(p, plans.Info, "keyless", "shop.audit") {
		t.Errorf("findings: %+v", p.Findings)
	}
}

func TestMakeNamesTheFailingStatement(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY)`, "CREATE TABLE b (id int);\n\nCREATE TABLE\n  a (id int);\nSELECT 1")
	p := s.plan(t)
	if len(p.Findings) == 0 || p.Runnable {
		t.Fatalf("findings: %+v", p.Findings)
	}
	f := p.Findings[0]
	if f.Code != "migration-failed" || f.Where != "000002_step.up.sql:3" || !strings.Contains(f.Message, "42P07") {
		t.Errorf("%+v", f)
	}
}

func TestMakeRefusesWhatItCannotFollow(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY, v int); CREATE TABLE rates (id int PRIMARY KEY, r int);
		CREATE VIEW public.outside AS SELECT v FROM shop.a; CREATE PUBLICATION listed FOR TABLE shop.rates`,
		`ALTER TABLE a ADD COLUMN w int; UPDATE a SET w = r FROM rates WHERE rates.id > a.v`,
		`INSERT INTO rates VALUES (1, 1)`)
	p := s.plan(t)
	for _, want := range []string{"unmapped-backfill", "outside-dependency"} {
		if !has(p, plans.Blocker, want, "") {
			t.Errorf("no %s in %+v", want, p.Findings)
		}
	}
	if p.Runnable {
		t.Error("the plan is runnable")
	}
}

func TestMakeChecksTransformsOfThePlanFile(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY, v int, kind text)`,
		`CREATE TYPE sort AS ENUM ('x'); ALTER TABLE a ADD COLUMN w int, ADD COLUMN s sort, ADD COLUMN z int, ADD COLUMN u int, ADD COLUMN r int`)
	s.file.Tables = []planfile.TableRules{{Name: pg.Name{Schema: "shop", Name: "a"}, Line: 10, Columns: map[string]planfile.Expression{
		"w": {SQL: "vv + 1", Line: 11}, "s": {SQL: "kind::sort", Line: 12}, "z": {SQL: "(SELECT count(*) FROM a x)::int", Line: 13},
		"u": {SQL: "(random() * v)::int", Line: 14}, "r": {SQL: "'abc'::text", Line: 15}, "nope": {SQL: "1", Line: 16}}}}
	p := s.plan(t)
	want := map[string]string{"shop.a.w": "transform-invalid", "shop.a.z": "transform-reads-tables", "shop.a.u": "transform-volatile",
		"shop.a.r": "transform-invalid", "shop.a.nope": "transform-invalid"}
	for object, code := range want {
		if !has(p, plans.Blocker, code, object) {
			t.Errorf("no %s on %s in %+v", code, object, p.Findings)
		}
	}
	if c := column(tableNamed(p, t, "shop.a"), "s"); !strings.Contains(c.Expression, "pgumbra_") {
		t.Errorf("s: %+v, findings %+v", c, p.Findings)
	}
}

func TestMakeDoesNothingAtTheNewestVersion(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE a (id int)`)
	p := s.plan(t)
	if !p.NothingToDo || !p.Runnable || *p.ToVersion != 1 || *p.FromVersion != 1 {
		t.Errorf("%+v", p)
	}
}

func TestMakeLeavesNoScratchDatabase(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY)`, `ALTER TABLE a ADD COLUMN b int`)
	s.exec(t, `CREATE DATABASE `+pg.Ident(scratchName(s.file.Name, databaseOf(s.file.Production.DSN))))
	if p := s.plan(t); !has(p, plans.Blocker, "name-taken", scratchName(s.file.Name, databaseOf(s.file.Production.DSN))) {
		t.Errorf("somebody else's database was used: %+v", p.Findings)
	}
	s.exec(t, `COMMENT ON DATABASE `+pg.Ident(scratchName(s.file.Name, databaseOf(s.file.Production.DSN)))+` IS 'pgumbra scratch database of run x'`)
	s.runnable(t)
	conn, err := pgx.Connect(t.Context(), s.dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	var left int
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_database WHERE datname = $1`, scratchName(s.file.Name, databaseOf(s.file.Production.DSN))).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d scratch databases are left (%v)", left, err)
	}
}
