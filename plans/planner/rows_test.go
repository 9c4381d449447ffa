package planner

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// newFilledShop has rows, on which its plans are proved.
func newFilledShop(t *testing.T, structure string, migrations ...string) *shop {
	t.Helper()
	s := newShop(t, structure, migrations...)
	s.file.Scratch.Rows = 1000
	return s
}

// blockers are those of a plan, as people read them.
func blockers(p *plans.Plan) []string {
	var all []string
	for _, f := range p.Findings {
		if f.Level == plans.Blocker {
			all = append(all, f.Code+" "+f.Object+" "+f.Where+": "+f.Message)
		}
	}
	return all
}

// What rows of production's break shows in the dry run, at its line, without
// telling more of them than a key.
func TestPlanFailsWhereMigrationsFailOnRows(t *testing.T) {
	testcontainers.InTurn(t, 6)
	t.Parallel()
	const rows = `CREATE TABLE b (id int PRIMARY KEY); INSERT INTO b VALUES (1); CREATE TABLE a (id int PRIMARY KEY, b int, v text, secret text DEFAULT 'sesame');
		INSERT INTO a (id, b, v) VALUES (1, 1, '7'), (2, 5, 'x'), (3, NULL, 'x')`
	cases := map[string]struct{ migration, state, where, row string }{
		"NOT NULL without a value": {`ALTER TABLE a ADD COLUMN score integer NOT NULL`, "23502", "000002_step.up.sql:1", ""},
		"NOT NULL of a column":     {"SELECT 1;\nALTER TABLE a ALTER b SET NOT NULL", "23502", "000002_step.up.sql:2", "id = 3"},
		"CHECK":                    {`ALTER TABLE a ADD CHECK (v <> 'x')`, "23514", "000002_step.up.sql:1", "id = 2"},
		"UNIQUE":                   {`ALTER TABLE a ADD UNIQUE (v)`, "23505", "000002_step.up.sql:1", ""},
		"foreign key":              {`ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b`, "23503", "000002_step.up.sql:1", "id = 2"},
		"cast":                     {`ALTER TABLE a ALTER v TYPE int USING v::int`, "22P02", "000002_step.up.sql:1", "id = 2"},
		"length":                   {`ALTER TABLE a ALTER secret TYPE varchar(3)`, "22001", "000002_step.up.sql:1", "id = 1"},
		"missing partition": {`CREATE TABLE n (id int PRIMARY KEY, b int, v text, secret text) PARTITION BY RANGE (id); CREATE TABLE n1 PARTITION OF n FOR VALUES FROM (1) TO (3);
			INSERT INTO n SELECT id, b, v, secret FROM a; DROP TABLE a`, "23514", "000002_step.up.sql:2", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newFilledShop(t, rows, c.migration).plan(t)
			i := slices.IndexFunc(p.Findings, func(f plans.Finding) bool { return f.Level == plans.Blocker && f.Code == "migration-failed" })
			if i < 0 || p.Runnable {
				t.Fatalf("%+v", p.Findings)
			}
			if f := p.Findings[i]; f.Where != c.where || !strings.Contains(f.Message, c.state) || strings.Contains(f.Message, "sesame") || strings.Contains(f.Message, `"x"`) {
				t.Errorf("%+v", f)
			}
			if named := c.row == "" || slices.ContainsFunc(p.Findings, func(f plans.Finding) bool {
				return f.Level == plans.Blocker && strings.Contains(f.Message, c.row)
			}); !named || strings.Contains(fmt.Sprint(p.Findings), "sesame") {
				t.Errorf("the row is not named by its key, %s, or its values are: %+v", c.row, p.Findings)
			}
		})
	}
}

// A sample holds together, and loading it disturbs nobody.
func TestSampleComesInWhole(t *testing.T) {
	t.Parallel()
	s := newFilledShop(t, `CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE DOMAIN short AS text CHECK (length(VALUE) < 9); CREATE TYPE pair AS (a int, b text);
		CREATE TABLE boss (id int PRIMARY KEY, team int NOT NULL, up int REFERENCES boss);
		CREATE TABLE team (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, boss int NOT NULL REFERENCES boss DEFERRABLE INITIALLY DEFERRED, n numeric, twice numeric GENERATED ALWAYS AS (n * 2) STORED, m mood, s short, p pair, raw bytea);
		ALTER TABLE boss ADD FOREIGN KEY (team) REFERENCES team DEFERRABLE INITIALLY DEFERRED;
		CREATE TABLE log (id bigint, day date, boss int REFERENCES boss, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
		CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM ('2024-01-01') TO ('2025-01-01') PARTITION BY HASH (id);
		CREATE TABLE log_1_1 PARTITION OF log_1 FOR VALUES WITH (MODULUS 1, REMAINDER 0); CREATE TABLE log_2 PARTITION OF log DEFAULT;
		CREATE TABLE animal (id int PRIMARY KEY, name text); CREATE TABLE dog (bark text, PRIMARY KEY (id)) INHERITS (animal);
		CREATE TABLE public.outside (id int PRIMARY KEY, up int REFERENCES public.outside); CREATE TABLE refers (id int PRIMARY KEY, o int REFERENCES public.outside);
		CREATE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''fired''; END';
		BEGIN; INSERT INTO boss SELECT g, 1 + g % 50, nullif(g / 2, 0) FROM generate_series(1, 5000) g; INSERT INTO team (boss, n, m, s, p, raw) SELECT 100 * g, g, 'glad', 's', ROW(g, 'x'::text)::pair, '\x00ff' FROM generate_series(1, 50) g; COMMIT;
		INSERT INTO log SELECT g, '2024-01-01'::date + g % 700, 5001 - g FROM generate_series(1, 5000) g;
		INSERT INTO animal VALUES (1, 'a'); INSERT INTO dog VALUES (2, 'b', 'loud');
		INSERT INTO public.outside SELECT g, nullif(g - 1, 0) FROM generate_series(1, 20) g; INSERT INTO refers VALUES (1, 20);
		CREATE TRIGGER t BEFORE INSERT OR UPDATE ON team FOR EACH ROW EXECUTE FUNCTION never(); ALTER TABLE team ENABLE ALWAYS TRIGGER t;
		ANALYZE`,
		`ALTER TABLE boss ADD CHECK (id > 0); ALTER TABLE log ADD seen bool NOT NULL DEFAULT false; ALTER TABLE animal ADD age int DEFAULT 3; ALTER TABLE team ALTER raw TYPE text USING encode(raw, 'hex')`)
	s.file.Scratch.Rows = 20
	p := s.plan(t)
	if got := blockers(p); len(got) > 0 {
		t.Error(strings.Join(got, "\n"))
	}
	if !has(p, plans.Info, "sampled", "") || has(p, plans.Warning, "not-proved", "") {
		t.Errorf("%+v", p.Findings)
	}
	if left := s.ask(t, `SELECT count(*)::text FROM pg_database WHERE datname LIKE '%' || current_database() || '_scratch%'`); left != "0" {
		t.Errorf("%s scratch databases are left", left)
	}
}

// What the migrations compute is computed of all rows: one that no sample holds stands
// against the run, by its key and the statement that it fails.
func TestValuesAreComputedOfAllRows(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY, n int, v text, kind text, word text, r int4range, lot int, big int, fits int, same varchar(9), state text DEFAULT 'p');
		INSERT INTO a SELECT g, g, g::text, 'x', 'w', int4range(g * 10, g * 10 + 5), 1, g, g, g FROM generate_series(1, 4000) g;
		UPDATE a SET state = 'q', v = '12x', n = 2000000000, kind = 'z', word = 'too long', r = '[51,53)', big = 7 WHERE id = 1503;
		CREATE TABLE c (id int PRIMARY KEY, name text); INSERT INTO c SELECT g, g FROM generate_series(1, 3000) g;
		CREATE TABLE e (id int PRIMARY KEY, kind text, name text) PARTITION BY RANGE (id); CREATE TABLE e1 PARTITION OF e FOR VALUES FROM (0) TO (10); CREATE TABLE e2 PARTITION OF e DEFAULT;
		INSERT INTO e SELECT g, 'x', 'n' FROM generate_series(1, 4000) g; UPDATE e SET kind = 'y' WHERE id = 1503`,
		`ALTER TABLE a ALTER v TYPE integer USING v::integer;
		ALTER TABLE a ADD twice integer GENERATED ALWAYS AS (n * 2) STORED;
		CREATE TYPE kinds AS ENUM ('x', 'y'); ALTER TABLE a ALTER kind TYPE kinds USING kind::kinds;
		CREATE TYPE states AS ENUM ('P'); UPDATE a SET state = 'P' WHERE state = 'p'; ALTER TABLE a ALTER state DROP DEFAULT, ALTER state TYPE states USING state::states;
		ALTER TABLE a ALTER word TYPE varchar(4);
		ALTER TABLE a ADD EXCLUDE USING gist (r WITH &&);
		ALTER TABLE a ADD part integer; UPDATE a SET part = 100 / (big - 7) WHERE big < 5 OR id > 9;
		ALTER TABLE a ALTER fits TYPE smallint; ALTER TABLE a ALTER same TYPE varchar(20);
		CREATE INDEX shares ON a ((100 / (big - 7))); CREATE INDEX shared ON a ((100 / (big - 7))) WHERE big <> 7;
		ALTER TABLE c ADD nr smallint GENERATED ALWAYS AS IDENTITY (MAXVALUE 2000);
		CREATE DOMAIN kind AS text CHECK (VALUE IN ('x')); ALTER TABLE e ALTER kind TYPE kind; ALTER TABLE e ALTER name TYPE varchar(5)`)
	p := s.plan(t)
	for object, told := range map[string][2]string{"shop.a.v": {"conversion-fails", "id = 1503, say: invalid input syntax"}, "shop.a.twice": {"conversion-fails", "22003"},
		"shop.a.kind": {"conversion-fails", "22P02"}, "shop.a.state": {"conversion-fails", "22P02"}, "shop.a.word": {"conversion-fails", "22001"}, "shop.a.part": {"conversion-fails", "22012"}, "shop.a.shares": {"conversion-fails", "22012"}, "shop.e.kind": {"conversion-fails", "id = 1503, say: its value breaks"},
		"shop.a.a_r_excl": {"constraint-violated", "23P01"}, "shop.c.nr": {"constraint-violated", "2200H"}} {
		if !slices.ContainsFunc(p.Findings, func(f plans.Finding) bool {
			return f.Level == plans.Blocker && f.Code == told[0] && f.Object == object && strings.Contains(f.Message, told[1]) && f.Where != "" && !strings.Contains(f.Message, "12x")
		}) {
			t.Errorf("nothing is said of %s", object)
		}
	}
	if all := strings.Join(blockers(p), "\n"); t.Failed() || strings.Contains(all, "shop.a.shared") || strings.Contains(all, "shop.a.fits") {
		t.Error(all)
	}
}

// What a new constraint asks is asked of all rows, where that takes no time: a row
// that no sample holds stands against the run, too.
func TestNewConstraintsAreAskedOfAllRows(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE b (id int PRIMARY KEY); INSERT INTO b SELECT g FROM generate_series(1, 3000) g;
		CREATE TABLE a (id int PRIMARY KEY, b int, v text, w int, u int NOT NULL); INSERT INTO a SELECT g, g, 'v' || g, g, g FROM generate_series(1, 3000) g;
		UPDATE a SET b = 9999 WHERE id = 1503; UPDATE a SET v = NULL WHERE id = 1504; UPDATE a SET w = -1 WHERE id = 1505; UPDATE a SET u = 7 WHERE id = 1506; UPDATE a SET v = 'V100' WHERE id = 1507;
		CREATE TABLE p (id int PRIMARY KEY, v int); INSERT INTO p SELECT g, g FROM generate_series(1, 3000) g`,
		`ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b;
		ALTER TABLE a ALTER v SET NOT NULL;
		ALTER TABLE a ADD CHECK (w > 0);
		ALTER TABLE a ADD UNIQUE (u);
		CREATE UNIQUE INDEX of_some ON a (u) WHERE u < 10; CREATE UNIQUE INDEX of_lower ON a (lower(v)); CREATE UNIQUE INDEX fine ON a ((w + 5000)) WHERE w > 3;
		ALTER TABLE a ADD score integer NOT NULL; ALTER TABLE a ADD good int NOT NULL DEFAULT 1;
		ALTER TABLE p RENAME TO old_p; CREATE TABLE p (id int PRIMARY KEY, v int) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (1) TO (2000); INSERT INTO p SELECT id, v FROM old_p; DROP TABLE old_p;
		ALTER TABLE b ADD CHECK (id < 5000);
		ALTER TABLE a ALTER v SET DEFAULT 'unset'`)
	p := s.plan(t)
	for object, told := range map[string]string{"shop.a.a_b_fkey": "id = 1503", "shop.a.v": "id = 1504", "shop.a.a_w_check": "id = 1505", "shop.a.a_u_key": "23505", "shop.a.of_some": "23505", "shop.a.of_lower": "id = 100, say", "shop.a.score": "23502", "shop.p": "23514"} {
		if !slices.ContainsFunc(p.Findings, func(f plans.Finding) bool {
			return f.Level == plans.Blocker && f.Code == "constraint-violated" && f.Object == object && strings.Contains(f.Message, told) && f.Where != ""
		}) {
			t.Errorf("nothing is said of %s", object)
		}
	}
	if i := slices.IndexFunc(p.Findings, func(f plans.Finding) bool { return f.Object == "shop.a.v" && f.Code == "constraint-violated" }); i >= 0 && p.Findings[i].Where != "000002_step.up.sql:2" {
		t.Errorf("SET NOT NULL is not where %s says: SET DEFAULT of the same column is", p.Findings[i].Where)
	}
	if i := slices.IndexFunc(p.Findings, func(f plans.Finding) bool { return f.Code == "new-constraints" }); i < 0 || !strings.Contains(p.Findings[i].Message, "shop.b.b_id_check") || !strings.Contains(p.Findings[i].Message, "shop.a.fine") {
		t.Errorf("%+v", p.Findings)
	}
	if t.Failed() {
		t.Log(strings.Join(blockers(p), "\n"))
	}
}
