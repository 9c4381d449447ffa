package planner

import (
	"fmt"
	"testing"

	"github.com/pgumbra/pgumbra/plans"
)

func TestMakeJudgesProductionsVersion(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY)`, `ALTER TABLE a ADD COLUMN b int`)
	cases := []struct{ code, sql string }{
		{"version-dirty", `UPDATE shop.schema_migrations SET dirty = true`},
		{"version-unknown", `UPDATE shop.schema_migrations SET dirty = false, version = 77`},
		{"version-absent", `DROP TABLE shop.schema_migrations`},
	}
	for _, c := range cases {
		s.exec(t, c.sql)
		if p := s.plan(t); !has(p, plans.Blocker, c.code, "") || p.Runnable {
			t.Errorf("no %s: %+v", c.code, p.Findings)
		}
	}
	one := int64(1)
	s.file.Migrations.From = &one
	p := s.runnable(t)
	if p.VersionTable.Exists || p.VersionTable.Name.String() != "shop.schema_migrations" || tableNamed(p, t, "shop.schema_migrations").Feed != plans.Version {
		t.Errorf("%+v", p.VersionTable)
	}
	s.file.Production.Schemas = []string{"shop", "nowhere"}
	if p := s.plan(t); !has(p, plans.Blocker, "schema-absent", "nowhere") {
		t.Errorf("%+v", p.Findings)
	}
}

func TestMakeStopsAtAVersionInBetween(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY)`, `ALTER TABLE a ADD COLUMN b int`, `ALTER TABLE a ADD COLUMN c int`)
	two := int64(2)
	s.file.Migrations.Version = &two
	p := s.runnable(t)
	if *p.ToVersion != 2 || len(tableNamed(p, t, "shop.a").Columns) != 2 {
		t.Errorf("to %d: %+v", *p.ToVersion, p.Tables)
	}
}

func TestMakeFindsWhatStandsInTheWay(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		structure, migration, code string
		level                      plans.Level
	}{
		"publication for all tables": {`CREATE TABLE a (id int PRIMARY KEY); CREATE PUBLICATION p FOR ALL TABLES`, `ALTER TABLE a ADD b int`, "publication-all-tables", plans.Blocker},
		"foreign key from outside":   {`CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE public.x (a int REFERENCES shop.a)`, `ALTER TABLE a ADD b int`, "outside-dependency", plans.Blocker},
		"body of a function outside": {`CREATE TABLE a (id int PRIMARY KEY); CREATE FUNCTION public.f() RETURNS bigint BEGIN ATOMIC SELECT count(*) FROM shop.a; END`, `ALTER TABLE a ADD b int`, "outside-dependency", plans.Blocker},
		"column of a changed type":   {`CREATE TYPE m AS ENUM ('x'); CREATE TABLE public.x (m shop.m)`, `ALTER TYPE m ADD VALUE 'y'`, "outside-dependency", plans.Blocker},
		"publication of a table":     {`CREATE TABLE a (id int PRIMARY KEY); CREATE PUBLICATION p FOR TABLE shop.a`, `ALTER TABLE a ADD b int`, "outside-dependency", plans.Blocker},
		"change in another schema":   {`CREATE TABLE public.x (id int)`, `ALTER TABLE public.x ADD b int`, "outside-change", plans.Blocker},
		"role":                       {`CREATE TABLE a (id int PRIMARY KEY)`, `CREATE ROLE never_made_by_a_plan; ALTER TABLE a ADD b int`, "cluster-statement", plans.Warning},
		"large objects":              {`CREATE TABLE a (id int PRIMARY KEY); SELECT lo_create(0)`, `ALTER TABLE a ADD b int`, "large-objects", plans.Warning},
		"changed function in index": {`CREATE FUNCTION inner_(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1'; CREATE FUNCTION outer_(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT shop.inner_($1)';
			CREATE TABLE a (id int PRIMARY KEY); CREATE INDEX ON a (outer_(id))`, `CREATE OR REPLACE FUNCTION inner_(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 + 1'`, "function-changed", plans.Blocker},
		"new extension":           {`CREATE TABLE a (id int PRIMARY KEY)`, `CREATE EXTENSION pg_trgm SCHEMA public; CREATE INDEX ON a USING gin ((id::text) public.gin_trgm_ops)`, "extension-new", plans.Warning},
		"event trigger":           {`CREATE TABLE a (id int PRIMARY KEY); CREATE FUNCTION public.e() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION public.e()`, `ALTER TABLE a ADD b int`, "event-trigger", plans.Warning},
		"rows in an existing one": {`CREATE TABLE a (id int PRIMARY KEY)`, `INSERT INTO a VALUES (1) RETURNING id`, "unmapped-backfill", plans.Blocker},
		"detached partition":      {`CREATE TABLE a (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE a1 PARTITION OF a FOR VALUES FROM (0) TO (9)`, `ALTER TABLE a DETACH PARTITION a1`, "partition-changed", plans.Blocker},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, c.structure, c.migration)
			p := s.plan(t)
			if c.code == "" && p.Runnable || c.code != "" && !has(p, c.level, c.code, "") {
				t.Errorf("no %s %s in %+v", c.level, c.code, p.Findings)
			}
			if c.level == plans.Warning {
				if !p.Runnable {
					t.Errorf("not runnable: %+v", p.Findings)
				}
				s.builds(t, p)
			}
		})
	}
}

// TestMakeAttachesATableToNewPartitions: the usual way to partition a table
// without copying it.
func TestMakeAttachesATableToNewPartitions(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE e (id int NOT NULL, day date NOT NULL, PRIMARY KEY (id, day)); INSERT INTO e VALUES (1, '2024-01-01')`,
		`ALTER TABLE e RENAME TO e_old; ALTER INDEX e_pkey RENAME TO e_old_pkey;
		 CREATE TABLE e (id int NOT NULL, day date NOT NULL, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
		 ALTER TABLE e ATTACH PARTITION e_old DEFAULT`)
	p := s.plan(t)
	e := tableNamed(p, t, "shop.e")
	t.Logf("%+v\n%+v", e, p.Findings)
	if p.Runnable && e.Feed != plans.Copied {
		t.Errorf("rows are lost: %+v", e)
	}
}

func TestMakeLeavesNothingBehindAndChangesNothing(t *testing.T) {
	t.Parallel()
	s := newShop(t, zoo, zooChanges)
	before := s.dump(t)
	s.plan(t)
	if s.dump(t) != before {
		t.Error("production was changed")
	}
}

func TestFitNameKeepsLongNamesApart(t *testing.T) {
	t.Parallel()
	long := fmt.Sprintf("%060d", 7)
	a, b := shadowSchema("run", long+"a"), shadowSchema("run", long+"b")
	if len(a) > 63 || a == b {
		t.Errorf("%s %s", a, b)
	}
	if got := shadowSchema("Shop-V2", "shop"); got != "pgumbra_shop_v2_shop" {
		t.Error(got)
	}
	if got := oldSchema("shop-v2", 1, "shop"); got != "pgumbra_shop_v2_old_shop" {
		t.Error(got)
	}
}

func TestPlainReferenceKnowsNamesFromExpressions(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]string{
		"id": "id", `"Odd ""one"`: `Odd "one`, "id::bigint": "id", "(id)::numeric(10,2)": "id", `state::text::"s"."state"`: "state",
		"id + 1": "", "lower(id)": "", "NULL": "", "null": "", "true": "", "current_timestamp": "", "a.b": "", "'x'::text": "",
	} {
		if got := plainReference(expression); got != want {
			t.Errorf("%s: %q, want %q", expression, got, want)
		}
	}
}
