package planner

import (
	"slices"
	"testing"

	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// TestMakeMarksWhatItDoesNotUnderstand: what the migrations themselves would
// give behind the fence is marked; what they could not give there either is not.
func TestMakeMarksWhatItDoesNotUnderstand(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY, v text)`, `UPDATE a SET v = (SELECT max(v) FROM a)`, `ALTER TABLE nowhere ADD x int`)
	two := int64(2)
	s.file.Migrations.Version = &two
	p := s.plan(t)
	for _, f := range p.Findings {
		if f.Code == "unmapped-backfill" && (!f.Opaque || f.Where != "000002_step.up.sql:1") {
			t.Errorf("%+v", f)
		}
	}
	s.file.Migrations.Version = nil
	p = s.plan(t)
	for _, f := range p.Findings {
		if f.Code == "migration-failed" && f.Opaque {
			t.Errorf("%+v", f)
		}
	}
}

// TestMakeBelievesNoStatementThatDecidesByRows: scratch has none, so it took
// another way there than it takes in production.
func TestMakeBelievesNoStatementThatDecidesByRows(t *testing.T) {
	testcontainers.InTurn(t, 6)
	t.Parallel()
	cases := map[string]struct{ structure, migration, code, where string }{
		"a column by a condition": {`CREATE TABLE docs (id int PRIMARY KEY, v text, kind int)`, `DO $$
			BEGIN
			  IF EXISTS (SELECT 1 FROM shop.docs WHERE kind = 1) THEN ALTER TABLE shop.docs ADD COLUMN legacy boolean NOT NULL DEFAULT true;
			  ELSE ALTER TABLE shop.docs ADD COLUMN legacy boolean NOT NULL DEFAULT false; ALTER TABLE shop.docs DROP COLUMN kind;
			  END IF;
			END $$`, "decided-by-rows", "000002_step.up.sql:1"},
		"partitions by rows": {`CREATE TABLE log (id int NOT NULL, at date NOT NULL, v text)`, `ALTER TABLE shop.log RENAME TO log_old;
			CREATE TABLE shop.log (id int NOT NULL, at date NOT NULL, v text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
			DO $$ DECLARE m date; BEGIN
			  FOR m IN SELECT DISTINCT date_trunc('month', at)::date FROM shop.log_old LOOP
			    EXECUTE format('CREATE TABLE shop.log_%s PARTITION OF shop.log FOR VALUES FROM (%L) TO (%L)', to_char(m,'YYYYMM'), m, m + interval '1 month');
			  END LOOP;
			END $$;
			INSERT INTO shop.log SELECT * FROM shop.log_old;
			DROP TABLE shop.log_old;`, "decided-by-rows", "000002_step.up.sql:3"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newShop(t, c.structure, c.migration).plan(t)
			if !slices.ContainsFunc(p.Findings, func(f plans.Finding) bool {
				return f.Code == c.code && f.Where == c.where && f.Opaque && f.Level == plans.Blocker
			}) {
				t.Errorf("%+v", p.Findings)
			}
		})
	}
}

// TestMakeTriesARowThatRefersToProductionsAtTheSwap: scratch has no row that it could refer
// to, and that says nothing about production.
func TestMakeTriesARowThatRefersToProductionsAtTheSwap(t *testing.T) {
	t.Parallel()
	p := newShop(t, `CREATE TABLE a (id int PRIMARY KEY)`, `CREATE TABLE b (a int REFERENCES a); INSERT INTO b VALUES (1)`).plan(t)
	if !p.Runnable || !has(p, plans.Info, "at-swap", "shop.b") || has(p, plans.Blocker, "migration-failed", "") {
		t.Errorf("%+v", p.Findings)
	}
}

// TestMakeFindsObjectsThatRowsName: a number that names a table of production
// would go on naming the old one.
func TestMakeFindsObjectsThatRowsName(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE orders (id int PRIMARY KEY, v text); CREATE FUNCTION calc(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
		CREATE TYPE kind AS ENUM ('a', 'b'); CREATE TYPE place AS (tab regclass, n int); CREATE TABLE public.elsewhere (id int PRIMARY KEY);
		CREATE TABLE history (id int PRIMARY KEY, tab regclass, relid oid, fn regprocedure, ty regtype, same regtype, many regclass[], whole place, schema regnamespace, other regclass, system regclass, empty regclass, n oid, name text);
		INSERT INTO history SELECT 1, 'orders', 'orders'::regclass::oid, 'calc(int)', 'kind', 'int', ARRAY['public.elsewhere', 'orders']::regclass[], ROW('orders'::regclass, 1)::place, 'shop', 'public.elsewhere', 'pg_class', NULL, 5, 'orders'`,
		`ALTER TABLE orders ADD w int; ALTER TYPE kind ADD VALUE 'c'; ALTER TABLE history ALTER name TYPE regclass USING name::regclass`)
	p := s.plan(t)
	want := map[string]plans.Level{"tab": plans.Blocker, "relid": plans.Warning, "fn": plans.Blocker, "ty": plans.Blocker, "many": plans.Blocker, "whole": plans.Blocker, "schema": plans.Blocker, "name": plans.Blocker}
	for _, c := range []string{"id", "tab", "relid", "fn", "ty", "same", "many", "whole", "schema", "other", "system", "empty", "n", "name"} {
		found := plans.Level("")
		for _, f := range p.Findings {
			if f.Code == "object-reference" && f.Object == "shop.history."+c {
				found = f.Level
			}
		}
		if found != want[c] {
			t.Errorf("%s: %q, want %q", c, found, want[c])
		}
	}
}

// TestMakeFindsRowsThatADeleteWouldOrphan: in place the migration fails, so the
// plan says so, and by which row.
func TestMakeFindsRowsThatADeleteWouldOrphan(t *testing.T) {
	testcontainers.InTurn(t, 6)
	t.Parallel()
	const structure = `CREATE TABLE grade (id int PRIMARY KEY, up int REFERENCES grade); INSERT INTO grade VALUES (0, NULL), (1, 0), (2, 1);
		CREATE TABLE berth (id int PRIMARY KEY, grade_id int REFERENCES grade (id)); INSERT INTO berth VALUES (1, 0), (2, 1), (3, 2)`
	for name, c := range map[string]struct {
		migration string
		refused   bool
	}{
		"referred to":              {`ALTER TABLE berth RENAME TO place; DELETE FROM grade WHERE id > 1`, true},
		"by its own rows":          {`DELETE FROM berth; DELETE FROM grade WHERE id = 1`, true},
		"own rows go too":          {`DELETE FROM berth; DELETE FROM grade WHERE id > 0`, false},
		"re-pointed before":        {`UPDATE berth SET grade_id = 0 WHERE grade_id > 1; UPDATE grade SET up = NULL; DELETE FROM grade WHERE id > 1`, false},
		"nobody refers to them":    {`DELETE FROM grade WHERE id > 2`, false},
		"no foreign key any more":  {`ALTER TABLE berth DROP CONSTRAINT berth_grade_id_fkey; ALTER TABLE grade DROP COLUMN up; DELETE FROM grade WHERE id > 1`, false},
		"the key is dropped later": {`DELETE FROM grade WHERE id > 1; ALTER TABLE berth DROP COLUMN grade_id`, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newShop(t, structure, c.migration).plan(t)
			refused := slices.ContainsFunc(p.Findings, func(f plans.Finding) bool {
				return f.Code == "constraint-violated" && f.Level == plans.Blocker && f.Where == "000002_step.up.sql:1" && !f.Opaque
			})
			if refused != c.refused {
				t.Errorf("%+v", p.Findings)
			}
		})
	}
}

// TestMakeNamesTheStatementThatDidIt: not the first that might have.
func TestMakeNamesTheStatementThatDidIt(t *testing.T) {
	testcontainers.InTurn(t, 6)
	t.Parallel()
	const later = "000003_step.up.sql:2"
	for name, c := range map[string]struct{ structure, code, object, first, second string }{
		"type by code": {`CREATE TABLE a (id int PRIMARY KEY, x int); CREATE TABLE b (id int PRIMARY KEY, y int)`, "unmapped-backfill", "shop.b.y",
			`DO $$ BEGIN EXECUTE 'ALTER TABLE a ALTER x TYPE text USING x || ''!'''; END $$`, "\nDO $$ BEGIN EXECUTE 'ALTER TABLE b ALTER y TYPE text USING y || ''!'''; END $$"},
		"partitions, once": {`CREATE TABLE a (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE a1 PARTITION OF a FOR VALUES FROM (0) TO (9); CREATE TABLE a2 PARTITION OF a FOR VALUES FROM (9) TO (19)`,
			"partition-changed", "shop.a", `CREATE TABLE a3 PARTITION OF a FOR VALUES FROM (19) TO (29)`, "\nDROP TABLE a1; DROP TABLE a2"},
		"key dropped": {`CREATE TABLE a (id int PRIMARY KEY, v text)`, "key-not-carried", "shop.a", `ALTER TABLE a ADD id2 int`, "\nALTER TABLE a DROP COLUMN id"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newShop(t, c.structure, c.first, c.second).plan(t)
			var found []plans.Finding
			for _, f := range p.Findings {
				if f.Code == c.code && f.Object == c.object {
					found = append(found, f)
				}
			}
			if len(found) != 1 || found[0].Where != later || !found[0].Opaque {
				t.Errorf("%+v", p.Findings)
			}
		})
	}
}

// TestMakeSaysNothingFalseOfAKeyThatIsThere: that its values cannot be inferred
// is one finding, and that the column is absent is not true.
func TestMakeSaysNothingFalseOfAKeyThatIsThere(t *testing.T) {
	t.Parallel()
	p := newShop(t, `CREATE TABLE a (id int PRIMARY KEY, v text)`, `UPDATE a SET id = (SELECT max(id) FROM a) - id`).plan(t)
	if !has(p, plans.Blocker, "unmapped-backfill", "shop.a.id") || has(p, plans.Blocker, "key-not-carried", "shop.a") {
		t.Errorf("%+v", p.Findings)
	}
}
