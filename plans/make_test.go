package plans

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// shop is a production database at version 1 and migrations beyond it.
type shop struct {
	dsn  string
	file *File
}

// newShop runs SQL as production's structure and writes migrations 2, 3, ….
func newShop(t *testing.T, structure string, migrations ...string) *shop {
	t.Helper()
	s := &shop{dsn: testcontainers.Database(t)}
	s.exec(t, "CREATE SCHEMA shop; SET search_path = shop; "+structure+
		"; CREATE TABLE shop.schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL); INSERT INTO shop.schema_migrations VALUES (1, false)")
	dir := t.TempDir()
	s.write(t, dir, "000001_base.up.sql", structure)
	for i, sql := range migrations {
		s.write(t, dir, "00000"+string(rune('2'+i))+"_step.up.sql", sql)
	}
	s.file = &File{Path: "pgumbra.yaml", Name: filepath.Base(s.database(t)), Production: ProductionFile{DSN: s.dsn + pathOption(s.dsn), Schemas: []string{"shop"}},
		Migrations: MigrationsFile{Path: dir}, Build: "auto", Settings: DefaultSettings()}
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
		t.Fatalf("%s: %v", sql, err)
	}
}

func (s *shop) plan(t *testing.T) *Plan {
	t.Helper()
	p, err := Make(t.Context(), s.file, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// runnable makes a plan that must have no blocker.
func (s *shop) runnable(t *testing.T) *Plan {
	t.Helper()
	p := s.plan(t)
	for _, f := range p.Findings {
		if f.Level == Blocker {
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
func (s *shop) builds(t *testing.T, p *Plan) {
	t.Helper()
	conn, err := pg.Connect(t.Context(), s.dsn, pg.Options{Component: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if _, err := conn.Exec(t.Context(), "BEGIN"); err != nil {
		t.Fatal(err)
	}
	for _, stage := range []Stage{StageBuild, StageKey, StageIndex, StageLate, StageSwap} {
		for _, e := range p.Entries {
			if e.Stage != stage {
				continue
			}
			if err := pg.ExecScript(t.Context(), conn, e.SQL); err != nil {
				t.Fatalf("stage %s, %s %s: %v\n%s", stage, e.Tag, e.Name, err, e.SQL)
			}
		}
		if stage == StageBuild {
			s.copies(t, conn, p)
		}
	}
	if _, err := conn.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
}

func (s *shop) copies(t *testing.T, conn *pgx.Conn, p *Plan) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), "SELECT set_config('search_path', $1, false)", p.SearchPath); err != nil {
		t.Fatal(err)
	}
	for i := range p.Tables {
		if p.Tables[i].Feed != Copied || p.Tables[i].Kind == Inherited {
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

func (p *Plan) tableNamed(t *testing.T, name string) Table {
	t.Helper()
	for _, table := range p.Tables {
		if table.Final.String() == name {
			return table
		}
	}
	t.Fatalf("the plan has no table %s", name)
	return Table{}
}

func (t Table) column(name string) Column {
	for _, c := range t.Columns {
		if c.Shadow == name {
			return c
		}
	}
	return Column{}
}

func (p *Plan) has(level Level, code, object string) bool {
	return slices.ContainsFunc(p.Findings, func(f Finding) bool {
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
	orders := p.tableNamed(t, "shop.orders")
	if c := orders.column("remark"); c.Expression != "note" || c.Origin != FromLineage {
		t.Errorf("remark: %+v", c)
	}
	if c := orders.column("total"); c.Origin != FromUsing {
		t.Errorf("total: %+v", c)
	}
	if c := orders.column("state"); c.Origin != FromDefault {
		t.Errorf("state: %+v", c)
	}
	if len(orders.Key) != 1 || orders.Key[0].Shadow != "id" || orders.Key[0].Type != "bigint" || !orders.Upsert || orders.KeyIndex == 0 {
		t.Errorf("key: %+v upsert %v index %d", orders.Key, orders.Upsert, orders.KeyIndex)
	}
	if len(p.Shared) != 1 || p.Shared[0].Kind != "SEQUENCE" || p.Shared[0].OwnedByColumn != "id" {
		t.Errorf("shared: %+v", p.Shared)
	}
}
