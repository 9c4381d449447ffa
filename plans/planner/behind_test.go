package planner

import (
	"strings"
	"testing"

	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/syntax"
	"github.com/pgumbra/pgumbra/testcontainers"
)

func TestMakeCutsWindowBeforeWhatIsNotUnderstood(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (id int PRIMARY KEY, w text)`,
		`ALTER TABLE a ADD COLUMN n int NOT NULL DEFAULT 1`,
		`UPDATE a SET v = (SELECT max(w) FROM b)`,
		`ALTER TABLE a ALTER COLUMN id TYPE bigint; ALTER TABLE b RENAME COLUMN w TO x`)
	s.file.Build = plans.Auto
	p := s.runnable(t)
	b := p.Behind
	if p.Build != plans.BehindFence || b == nil || b.From != 3 || *b.Built != 2 || len(b.Files) != 2 || *p.ToVersion != 4 {
		t.Fatalf("%s, %+v", p.Build, b)
	}
	if b.Why[0].Where != "000003_step.up.sql:1" || !has(p, plans.Warning, "behind-fence", "") {
		t.Errorf("%+v, %+v", b.Why, p.Findings)
	}
	if lost := p.Lost(); !p.Reversible() || len(lost) != 1 || lost[0].Name != "a" || !has(p, plans.Warning, "not-reversible", "shop.a") || has(p, plans.Warning, "behind-fence-one-way", "") {
		t.Errorf("a key of another type goes back, or the other table does not: %v, %+v", lost, p.Findings)
	}
	if c := tableNamed(p, t, "shop.a").Columns; len(c) != 3 || c[0].Type != "integer" {
		t.Errorf("the shadow is not as the migrations before the cut make it: %+v", c)
	}
	if s := find(t, p.Steps, "Swap the names and run"); len(s.SQL) != 5 || s.SQL[0] != "-- 000003_step.up.sql:1\nUPDATE a SET v = (SELECT max(w) FROM b)" {
		t.Errorf("%+v", s)
	}
	if !has(p, plans.Warning, "client-breaks", "shop.b.w") || !has(p, plans.Warning, "result-type-changes", "shop.a.id") {
		t.Errorf("what clients meet of migrations behind the fence is not told: %+v", p.Findings)
	}
	if last := p.Changes[len(p.Changes)-1]; last.File != "000004_step.up.sql" || len(last.Changes) != 2 {
		t.Errorf("what changes behind the fence is not told: %+v", p.Changes)
	}
	if b.Session["search_path"] == "" || b.Session["DateStyle"] == "" {
		t.Errorf("session: %v", b.Session)
	}
}

func TestMakeRunsEverythingBehindTheFenceWhenAsked(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY)`, `ALTER TABLE a ADD COLUMN b int`, `ALTER TABLE a ADD COLUMN c int`)
	s.file.Build = plans.BehindFence
	p := s.runnable(t)
	if b := p.Behind; b == nil || b.From != 2 || *b.Built != 1 || len(tableNamed(p, t, "shop.a").Columns) != 1 {
		t.Errorf("%+v", p.Behind)
	}
	three := int64(3)
	s.file.Build, s.file.Migrations.BehindFenceFrom = plans.Auto, &three
	if b := s.runnable(t).Behind; b == nil || b.From != 3 || *b.Built != 2 {
		t.Errorf("%+v", b)
	}
	seven := int64(7)
	s.file.Migrations.BehindFenceFrom = &seven
	if p := s.plan(t); !has(p, plans.Blocker, "version-unknown", "7") {
		t.Errorf("%+v", p.Findings)
	}
}

func TestMakeDirectRefusesWhatIsNotUnderstood(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY, v int)`, `DO $$ BEGIN UPDATE shop.a SET v = v + (SELECT count(*) FROM shop.a); END $$`)
	if p := s.plan(t); p.Runnable || p.Behind != nil {
		t.Errorf("%+v", p.Findings)
	}
	s.file.Build = plans.Auto
	if p := s.runnable(t); p.Behind == nil {
		t.Errorf("%+v", p.Findings)
	}
}

func TestMakeRefusesBehindTheFenceWhatNoTransactionTakes(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY)`, `ALTER SYSTEM SET work_mem = '5MB'`)
	s.file.Build = plans.BehindFence
	if p := s.plan(t); !has(p, plans.Blocker, syntax.CodeNotBehind, "") || p.Runnable {
		t.Errorf("%+v", p.Findings)
	}
}

func TestMakeGivesShadowTheLabelsThatMigrationsAddBehindTheFence(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TYPE m AS ENUM ('x'); CREATE TYPE other AS ENUM ('o'); CREATE TABLE a (id int PRIMARY KEY, m m, o other)`,
		`ALTER TYPE m ADD VALUE 'y'`, `CREATE TYPE k AS ENUM ('k')`, `ALTER TYPE k ADD VALUE 'l'`)
	s.file.Build = plans.BehindFence
	p := s.runnable(t)
	if got := []syntax.Manner{p.Behind.Files[0].Statements[0].Manner, p.Behind.Files[2].Statements[0].Manner}; got[0] != syntax.Hoist || got[1] != syntax.Run {
		t.Error(got)
	}
	var made string
	for _, e := range p.Entries {
		if e.Tag == "TYPE" && e.Name.Name == "m" {
			made = e.SQL
		}
	}
	if !strings.Contains(made, "'y'") {
		t.Errorf("type m: %q", made)
	}
	if len(p.Shared) != 1 || p.Shared[0].Name.Name != "other" {
		t.Errorf("shared: %+v", p.Shared)
	}
}

func TestMakeCutsBeforeABackfillThatFiresTriggers(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY, v int, touched int NOT NULL DEFAULT 0);
		CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF OLD.v IS NULL THEN NEW.touched := NEW.touched + 1; END IF; RETURN NEW; END';
		CREATE TRIGGER touch BEFORE UPDATE ON a FOR EACH ROW EXECUTE FUNCTION touch()`, `UPDATE a SET v = 1`)
	s.file.Build = plans.Auto
	if b := s.runnable(t).Behind; b == nil || b.From != 2 {
		t.Errorf("%+v", b)
	}
}
