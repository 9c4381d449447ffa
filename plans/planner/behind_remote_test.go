package planner

import (
	"strings"
	"testing"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/plans/syntax"
)

func TestMakeElsewhereRunsBehindTheFenceWhatIsNotUnderstood(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TYPE m AS ENUM ('x'); CREATE TABLE a (id int PRIMARY KEY, v text, m m); CREATE TABLE b (id int PRIMARY KEY, w text)`,
		`ALTER TABLE a ADD COLUMN n int NOT NULL DEFAULT 1`,
		`UPDATE a SET v = (SELECT max(w) FROM b); ALTER TYPE m ADD VALUE 'y'`)
	s.file.Build = plans.Auto
	s.exec(t, "ALTER DATABASE "+pg.Ident(s.database(t))+" SET intervalstyle = 'iso_8601'")
	s.file.Traffic.PgBouncer = []planfile.PgBouncerFile{{}}
	p := s.runnableRemote(t, remote(t, s))
	b := p.Behind
	if b == nil || b.From != 3 || *b.Built != 2 || b.Role != "" || b.Session["IntervalStyle"] != "iso_8601" || !p.Reversible() {
		t.Fatalf("%+v", b)
	}
	if !has(p, plans.Warning, "behind-fence", "000003_step.up.sql") {
		t.Errorf("%+v", p.Findings)
	}
	for _, f := range p.Findings {
		if f.Code == "behind-fence" && !strings.Contains(f.Message, "readers too, wait in the pool") {
			t.Error(f.Message)
		}
	}
	if step := find(t, p.Steps, "In the same transaction, run the migrations"); len(step.SQL) != 2 || !strings.Contains(step.SQL[0], "000003_step.up.sql:1\nUPDATE a") {
		t.Errorf("%+v", step)
	}
}

func TestMakeElsewhereRefusesWhatNamesProductionsDatabase(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY)`, "SELECT 1",
		`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem = ''5MB''', current_database()); END $$`)
	name := s.database(t)
	s.write(t, s.file.Migrations.Path, "000002_step.up.sql", "SELECT 1;\nDO $$ BEGIN EXECUTE 'ALTER DATABASE "+name+" SET work_mem = ''5MB'''; END $$")
	s.file.Build = plans.BehindFence
	remote(t, s)
	p := s.plan(t)
	var where []string
	for _, f := range p.Findings {
		if f.Code == syntax.CodeNotBehind {
			where = append(where, f.Where)
		}
	}
	if strings.Join(where, " ") != "000002_step.up.sql:2" {
		t.Errorf("%q, %+v", where, p.Findings)
	}
}

func TestMakeElsewhereSaysWhoCannotMigrateThere(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY)`, `ALTER TABLE a ADD COLUMN b int`)
	s.file.Build = plans.BehindFence
	shadow := remote(t, s)
	role := "far_" + s.database(t)
	shadow.exec(t, "CREATE ROLE "+pg.Ident(role)+" LOGIN; GRANT pg_read_all_stats TO "+pg.Ident(role)+"; GRANT CREATE ON DATABASE "+pg.Ident(shadow.database(t))+" TO "+pg.Ident(role))
	t.Cleanup(func() { shadow.exec(t, "DROP OWNED BY "+pg.Ident(role)+"; DROP ROLE "+pg.Ident(role)) })
	s.file.Shadow.DSN = strings.Replace(shadow.dsn, "postgres@", role+"@", 1)
	p := s.plan(t)
	if !has(p, plans.Blocker, "behind-fence-role", "postgres") || p.Behind.Role != "postgres" {
		t.Errorf("%+v, %+v", p.Behind, p.Findings)
	}
}
