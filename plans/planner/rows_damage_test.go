package planner

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// damages falsify plans, by the run's name.
var damages sync.Map

func init() {
	damage = func(m *draft) {
		if do, ok := damages.Load(m.file.Name); ok {
			do.(func(*draft))(m)
		}
	}
}

const sampled = `CREATE TABLE a (id int PRIMARY KEY, x int, y int, t text, n numeric, ts timestamp, e text, c text, d int, w varchar(9));
	INSERT INTO a SELECT g, g, -g, CASE WHEN g % 7 > 0 THEN 't' || g END, g + 0.7, '2024-07-01 10:00'::timestamp + g * interval '1 day', (ARRAY['sad', 'glad'])[1 + g % 2], 'c' || g, g, 'w' || g FROM generate_series(1, 3000) g;
	CREATE TABLE gone (id int PRIMARY KEY, dead bool NOT NULL); INSERT INTO gone SELECT g, g % 5 = 0 FROM generate_series(1, 50) g;
	CREATE TABLE k (id int PRIMARY KEY, v text); INSERT INTO k SELECT g, 'v' FROM generate_series(1, 50) g;
	CREATE TABLE loose (v text, w text); INSERT INTO loose SELECT 'v' || g % 9, 'w' || g FROM generate_series(1, 50) g;
	CREATE TABLE g (id int PRIMARY KEY, v int, stamp text); INSERT INTO g SELECT g, g, 'old' FROM generate_series(1, 50) g; CREATE TABLE i (id int PRIMARY KEY, w int); INSERT INTO i SELECT g, g FROM generate_series(1, 50) g;
	CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.stamp = ''s'' || NEW.v; RETURN NEW; END'; CREATE TRIGGER stamp BEFORE UPDATE OF v ON g FOR EACH ROW EXECUTE FUNCTION stamp();
	CREATE TABLE h (id int PRIMARY KEY, x int); INSERT INTO h SELECT g, g + 40 FROM generate_series(1, 50) g;
	CREATE SEQUENCE s; SELECT setval('s', 40)`

const sampledStep = `ALTER TABLE a RENAME x TO first; ALTER TABLE a RENAME y TO second;
	ALTER TABLE a ALTER n TYPE bigint USING trunc(n)::bigint;
	ALTER TABLE a ADD plus int; UPDATE a SET plus = d + 1;
	ALTER TABLE a ADD label text; UPDATE a SET label = coalesce(t, 'none');
	ALTER TABLE a ADD def int NOT NULL DEFAULT 7; ALTER TABLE a ALTER def SET DEFAULT 8;
	ALTER TABLE a ALTER ts TYPE timestamptz USING ts AT TIME ZONE 'Europe/Berlin';
	CREATE TYPE mood AS ENUM ('sad', 'glad'); ALTER TABLE a ALTER e TYPE mood USING e::mood;
	UPDATE a SET c = upper(c) WHERE d > 5;
	ALTER TABLE a ADD at timestamptz DEFAULT now(); ALTER TABLE a ADD random uuid DEFAULT gen_random_uuid(); ALTER TABLE a ADD num serial;
	UPDATE g SET v = v + 1 WHERE id > 10;
	DO $$ BEGIN IF current_setting('server_encoding') = 'UTF8' THEN UPDATE i SET w = -w; ELSE RAISE NOTICE 'not here'; END IF; END $$;
	DELETE FROM h WHERE id IN (WITH x (k) AS (SELECT id FROM h) SELECT x.k FROM x JOIN h AS y ON y.id = x.k LEFT JOIN k ON k.id = y.x WHERE k.id IS NULL);
	DELETE FROM gone WHERE dead;
	ALTER TABLE k ALTER id TYPE bigint; ALTER TABLE loose RENAME w TO z;
	CREATE TABLE kinds (id int PRIMARY KEY, name text, made timestamptz DEFAULT now()); INSERT INTO kinds VALUES (1, 'one'), (2, 'two');
	ALTER SEQUENCE s RESTART WITH 500`

// What the plan says of rows and what the migrations do of them agree; and where
// an inferred transform is wrong, in whatever way, the sample shows it.
func TestSampleCatchesWrongTransforms(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	s := newFilledShop(t, sampled, sampledStep)
	p := s.plan(t)
	if got := blockers(p); len(got) > 0 || !has(p, plans.Info, "sampled", "") {
		t.Fatalf("%v\n%+v", got, p.Findings)
	}
	wrong := map[string]string{"a.first": "y", "a.second": "x", "a.n": "round(n)::bigint", "a.plus": "d + 2", "a.label": "t", "a.def": "8",
		"a.ts": "ts AT TIME ZONE 'UTC'", "a.e": "'sad'", "a.c": "upper(c)", "a.w": "left(w, 3)", "k.id": "id + 1", "loose.z": "lower(v)", "g.stamp": "stamp", "i.w": "w"}
	damages.Store(s.file.Name, func(m *draft) {
		for i := range m.plan.Tables {
			table := &m.plan.Tables[i]
			for j := range table.Columns {
				c := &table.Columns[j]
				if e, ok := wrong[table.Final.Name+"."+c.Shadow]; ok {
					c.Expression = e
				}
			}
			switch table.Final.Name {
			case "gone", "h":
				table.Where = ""
			case "kinds":
				table.CarriedRows = strings.Replace(table.CarriedRows, "two", "zwei", 1)
			}
		}
		for i := range m.plan.Sequences {
			if q := &m.plan.Sequences[i]; q.Set {
				q.LastValue = 40
			}
		}
	})
	p = s.plan(t)
	wants := map[string]string{"shop.gone": "transform-differs", "shop.h": "transform-differs", "shop.kinds": "transform-differs", "shop.s": "decided-by-rows"}
	for name := range wrong {
		wants["shop."+name] = "transform-differs"
	}
	for object, code := range wants {
		i := slices.IndexFunc(p.Findings, func(f plans.Finding) bool { return f.Level == plans.Blocker && f.Code == code && f.Object == object })
		if i < 0 {
			t.Errorf("nothing is said of %s", object)
			continue
		}
		if f := p.Findings[i]; object != "shop.a.w" && object != "shop.k.id" && !strings.HasPrefix(f.Where, "000002_step.up.sql:") || !f.Opaque {
			t.Errorf("%+v", f)
		}
	}
	if t.Failed() {
		t.Log(strings.Join(blockers(p), "\n"))
	}
	const told = "in the row with id = '7', where production has t = NULL, the plan makes NULL, the migrations make 'none'"
	if !strings.Contains(strings.Join(blockers(p), "\n"), told) {
		t.Errorf("not told: %s\n%s", told, strings.Join(blockers(p), "\n"))
	}
}

// Where a statement is not known for what it is, the sample shows it.
func TestSampleCatchesWhatIsNotClassified(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	s := newFilledShop(t, `CREATE TABLE a (id int PRIMARY KEY, v int); CREATE TABLE b (id int PRIMARY KEY, v int); CREATE TABLE c (id int PRIMARY KEY, v int, stamp text);
		CREATE TABLE d (id int PRIMARY KEY, v int); CREATE TABLE e (id int PRIMARY KEY, v int); CREATE TABLE f (id int PRIMARY KEY, v int); CREATE SEQUENCE s;
		CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF NEW.v > 0 THEN NEW.stamp = ''stamped''; END IF; RETURN NEW; END';
		CREATE TRIGGER stamp BEFORE UPDATE ON c FOR EACH ROW EXECUTE FUNCTION stamp();
		INSERT INTO a SELECT g, g FROM generate_series(1, 20) g; INSERT INTO b TABLE a; INSERT INTO c TABLE a; INSERT INTO d TABLE a; INSERT INTO e TABLE a; INSERT INTO f TABLE a`,
		`UPDATE a SET v = (SELECT max(v) FROM a);
		DO $$ BEGIN IF EXISTS (SELECT FROM b) THEN ALTER TABLE b ADD legacy bool NOT NULL DEFAULT true; END IF; END $$;
		UPDATE c SET v = v + 1;
		INSERT INTO d VALUES (100, 1);
		SELECT setval('s', (SELECT max(id) FROM e));
		UPDATE f SET v = (SELECT count(*) FROM e)`)
	s.file.Scratch.Rows = 0
	unknown := s.plan(t)
	s.file.Scratch.Rows = 1000
	damages.Store(s.file.Name, func(m *draft) {
		m.plan.Findings = slices.DeleteFunc(m.plan.Findings, func(f plans.Finding) bool { return f.Opaque })
		for i := range m.plan.Tables {
			for j := range m.plan.Tables[i].Columns {
				if c := &m.plan.Tables[i].Columns[j]; c.Expression == "NULL" {
					c.Expression = c.Shadow
				}
			}
		}
	})
	p := s.plan(t)
	for _, object := range []string{"shop.a.v", "shop.b", "shop.c.stamp", "shop.d", "shop.s", "shop.f.v"} {
		if !slices.ContainsFunc(p.Findings, func(f plans.Finding) bool {
			return f.Level == plans.Blocker && f.Opaque && f.Object == object && (f.Code == "transform-differs" || f.Code == "decided-by-rows")
		}) {
			t.Errorf("nothing is said of %s", object)
		}
	}
	if t.Failed() {
		t.Logf("%s\nwithout rows: %s", strings.Join(blockers(p), "\n"), strings.Join(blockers(unknown), "\n"))
	}
}

// What the plan file says otherwise than the migrations is its author's to decide.
func TestSampleWarnsOfThePlanFile(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	s := newFilledShop(t, `CREATE TABLE a (id int PRIMARY KEY, v int); INSERT INTO a SELECT g, g FROM generate_series(1, 20) g`, `ALTER TABLE a ADD w int; UPDATE a SET w = v + 1`)
	s.file.Tables = []planfile.TableRules{{Name: pg.Name{Schema: "shop", Name: "a"}, Columns: map[string]planfile.Expression{"w": {SQL: "v + 2"}}}}
	p := s.plan(t)
	if !p.Runnable || !has(p, plans.Warning, "transform-differs", "shop.a.w") {
		t.Errorf("%+v", p.Findings)
	}
	s.file.Tables, s.file.Build = nil, plans.Auto
	damages.Store(s.file.Name, func(m *draft) {
		for i := range m.plan.Tables {
			for j := range m.plan.Tables[i].Columns {
				if c := &m.plan.Tables[i].Columns[j]; c.Shadow == "w" && m.plan.Behind == nil {
					c.Expression = "v"
				}
			}
		}
	})
	if p = s.plan(t); !p.Runnable || p.Behind == nil || !strings.Contains(p.Behind.Why[0].Where, "000002_step.up.sql:1") {
		t.Errorf("%+v %+v", p.Behind, p.Findings)
	}
}
