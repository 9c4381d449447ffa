package planner

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// zoo has every kind of object that must come through unharmed.
const zoo = `
CREATE TYPE shop.mood AS ENUM ('sad', 'ok');
CREATE TYPE shop.pair AS (a int, b shop.mood);
CREATE DOMAIN shop.positive AS int CONSTRAINT above_zero CHECK (VALUE > 0);
COMMENT ON TYPE shop.mood IS 'how one feels';
CREATE TYPE shop.span AS RANGE (subtype = int);
CREATE SEQUENCE shop.numbers INCREMENT BY 5 CACHE 3;
CREATE COLLATION shop.ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE FUNCTION shop.touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE FUNCTION shop.add(a int, b int DEFAULT 1) RETURNS int LANGUAGE sql IMMUTABLE BEGIN ATOMIC SELECT a + b; END;
CREATE PROCEDURE shop.nothing(INOUT x shop.pair) LANGUAGE plpgsql SET search_path = shop AS 'BEGIN END';
CREATE AGGREGATE shop.total(int) (sfunc = int4pl, stype = int, initcond = '0');
CREATE TABLE shop."Big Table" (id int GENERATED ALWAYS AS IDENTITY (START 7 INCREMENT 3) PRIMARY KEY, "select" text COLLATE shop.ci UNIQUE,
	m shop.mood DEFAULT 'ok', p shop.pair, d shop.positive, r shop.span, arr shop.mood[], n int DEFAULT nextval('shop.numbers'),
	up text GENERATED ALWAYS AS (upper("select")) STORED, at timestamptz, pos int4range, CONSTRAINT c CHECK (shop.add(n) > -100)) WITH (fillfactor = 70);
ALTER TABLE shop."Big Table" ADD CONSTRAINT nv CHECK (n < 1000) NOT VALID;
ALTER TABLE shop."Big Table" ADD CONSTRAINT excl EXCLUDE USING gist (pos WITH &&);
CREATE INDEX part ON shop."Big Table" (shop.add(n)) INCLUDE (m) WHERE m = 'ok';
COMMENT ON INDEX shop.part IS 'partial';
ALTER TABLE shop."Big Table" CLUSTER ON "Big Table_pkey";
ALTER TABLE shop."Big Table" REPLICA IDENTITY USING INDEX "Big Table_pkey";
CREATE STATISTICS shop.st (ndistinct) ON id, n FROM shop."Big Table";
COMMENT ON STATISTICS shop.st IS 'stat';
CREATE TRIGGER touch BEFORE UPDATE ON shop."Big Table" FOR EACH ROW EXECUTE FUNCTION shop.touch();
CREATE TRIGGER always AFTER INSERT ON shop."Big Table" FOR EACH ROW EXECUTE FUNCTION shop.touch();
COMMENT ON TRIGGER always ON shop."Big Table" IS 'trig';
ALTER TABLE shop."Big Table" DISABLE TRIGGER touch; ALTER TABLE shop."Big Table" ENABLE ALWAYS TRIGGER always;
ALTER TABLE shop."Big Table" ENABLE ROW LEVEL SECURITY; ALTER TABLE shop."Big Table" FORCE ROW LEVEL SECURITY;
CREATE POLICY mine ON shop."Big Table" USING (n > 0);
COMMENT ON POLICY mine ON shop."Big Table" IS 'pol';
COMMENT ON COLUMN shop."Big Table".n IS 'a number'; COMMENT ON CONSTRAINT nv ON shop."Big Table" IS 'not valid';
CREATE TABLE shop.kids (id bigserial PRIMARY KEY, parent int REFERENCES shop."Big Table" ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED, self bigint REFERENCES shop.kids,
	UNIQUE (parent, self) DEFERRABLE);
ALTER TABLE shop.kids ADD CONSTRAINT fk_nv FOREIGN KEY (self) REFERENCES shop.kids NOT VALID;
CREATE RULE log AS ON DELETE TO shop.kids DO ALSO SELECT 1;
CREATE TABLE shop.parent (id int PRIMARY KEY, x text); CREATE TABLE shop.child (y int, PRIMARY KEY (id)) INHERITS (shop.parent);
CREATE UNLOGGED TABLE shop.fast (id int PRIMARY KEY);
CREATE TABLE shop.parts (id int, day date, v text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE shop.parts_1 PARTITION OF shop.parts FOR VALUES FROM ('2024-01-01') TO ('2025-01-01') PARTITION BY HASH (id);
CREATE TABLE shop.parts_1_0 PARTITION OF shop.parts_1 FOR VALUES WITH (MODULUS 1, REMAINDER 0);
CREATE TABLE shop.parts_d PARTITION OF shop.parts DEFAULT;
CREATE INDEX ON shop.parts (v); CREATE TABLE shop.refs (id int, day date, FOREIGN KEY (id, day) REFERENCES shop.parts);
CREATE TRIGGER pt AFTER INSERT ON shop.parts FOR EACH ROW EXECUTE FUNCTION shop.touch();
CREATE VIEW shop.v AS SELECT id, m, n FROM shop."Big Table"; CREATE VIEW shop.vv WITH (security_barrier) AS SELECT * FROM shop.v WHERE n > 0;
CREATE VIEW shop.grouped AS SELECT k.* FROM shop.kids k GROUP BY k.id;
CREATE MATERIALIZED VIEW shop.mv AS SELECT count(*) AS n FROM shop.vv; CREATE UNIQUE INDEX ON shop.mv (n);
CREATE MATERIALIZED VIEW shop.mv2 AS SELECT n FROM shop.mv WITH NO DATA;
CREATE TRIGGER instead INSTEAD OF INSERT ON shop.v FOR EACH ROW EXECUTE FUNCTION shop.touch();
CREATE OPERATOR shop.<#> (LEFTARG = int, RIGHTARG = int, FUNCTION = shop.add);
CREATE TEXT SEARCH CONFIGURATION shop.ts (COPY = simple);
GRANT SELECT ON shop."Big Table", shop.v TO PUBLIC; GRANT UPDATE (n) ON shop."Big Table" TO pg_monitor; GRANT USAGE ON SCHEMA shop TO pg_monitor WITH GRANT OPTION;
GRANT USAGE ON TYPE shop.mood TO pg_monitor; REVOKE EXECUTE ON FUNCTION shop.add FROM PUBLIC; GRANT USAGE ON SEQUENCE shop.numbers TO pg_monitor;
ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT SELECT ON TABLES TO pg_monitor;
ALTER TABLE shop.kids OWNER TO pg_database_owner; COMMENT ON SCHEMA shop IS 'the shop';
INSERT INTO shop."Big Table" ("select", p, d, r, arr, pos) VALUES ('Bob', (1, 'sad'), 3, '[1,5)', '{sad,ok}', '[1,2)'), (NULL, NULL, NULL, NULL, '{}', NULL);
INSERT INTO shop.parts VALUES (1, '2024-05-05', 'x'), (2, '2030-01-01', 'y'); INSERT INTO shop.parent VALUES (1, 'p'); INSERT INTO shop.child VALUES (2, 'c', 3)`

const zooChanges = `ALTER TABLE shop."Big Table" ALTER COLUMN id TYPE bigint;
ALTER TABLE shop."Big Table" RENAME COLUMN arr TO moods;
ALTER TABLE shop.kids ADD COLUMN note text NOT NULL DEFAULT 'n';
ALTER TABLE shop.parts ADD COLUMN w int; CREATE TABLE shop.parts_2 PARTITION OF shop.parts FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE shop.fresh (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, m shop.mood); INSERT INTO shop.fresh (m) VALUES ('ok');
CREATE INDEX ON shop.kids (note); CREATE OR REPLACE VIEW shop.v AS SELECT id, m, n, moods FROM shop."Big Table"`

// TestStructureEqualsMigrationsInPlace builds the shadow, swaps it in by hand,
// and compares a dump with one of a twin that was migrated in place.
func TestStructureEqualsMigrationsInPlace(t *testing.T) {
	testcontainers.InTurn(t, 6)
	t.Parallel()
	for name, prepare := range map[string]string{"renamed": "", "moved": "CREATE EXTENSION hstore SCHEMA shop; "} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			changes := strings.ReplaceAll(zooChanges, `ALTER TABLE shop."Big Table" ALTER COLUMN id TYPE bigint;`, "")
			s, target := newShop(t, prepare+zoo, changes), newShop(t, prepare+zoo, changes)
			p := s.plan(t)
			for _, f := range p.Findings {
				if f.Level == plans.Blocker {
					t.Fatalf("blocker %+v", f)
				}
			}
			s.swapByHand(t, p)
			target.exec(t, "SET search_path = shop;"+changes)
			if diff := cmp.Diff(target.dump(t), s.dump(t)); diff != "" {
				t.Errorf("in place (-) against pgumbra (+):\n%s", diff)
			}
		})
	}
}

func (s *shop) swapByHand(t *testing.T, p *plans.Plan) {
	t.Helper()
	conn, err := pg.Connect(t.Context(), s.dsn, pg.Options{Component: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	run := func(sql string) {
		t.Helper()
		if err := pg.ExecScript(t.Context(), conn, sql); err != nil {
			t.Fatalf("%v\n%s", err, sql)
		}
	}
	for _, stage := range []plans.Stage{plans.StageBuild, plans.StageKey, plans.StageIndex, plans.StageLate, plans.StageSwap} {
		for _, e := range p.Entries {
			if e.Stage == stage {
				run(e.SQL)
			}
		}
		if stage == plans.StageBuild {
			s.copies(t, conn, p)
		}
	}
	for _, v := range p.Matviews {
		run("REFRESH MATERIALIZED VIEW " + v.Quoted())
	}
	for _, o := range p.Shared {
		if o.Kind == "SEQUENCE" {
			run("ALTER SEQUENCE " + o.Name.Quoted() + " OWNED BY NONE")
		}
	}
	s.exchange(t, conn, p, run)
	for _, o := range p.Shared {
		if o.OwnedByColumn != "" {
			run("ALTER SEQUENCE " + o.Name.Quoted() + " OWNED BY " + o.OwnedByTable.Quoted() + "." + pg.Ident(o.OwnedByColumn))
		}
	}
	for _, schema := range p.Schemas {
		run("DROP SCHEMA IF EXISTS " + pg.Ident(schema.Old) + ", " + pg.Ident(schema.Shadow) + " CASCADE")
	}
}

func (s *shop) exchange(t *testing.T, conn *pgx.Conn, p *plans.Plan, run func(string)) {
	t.Helper()
	for _, schema := range p.Schemas {
		if schema.Swap == plans.Rename {
			run("ALTER SCHEMA " + pg.Ident(schema.Production) + " RENAME TO " + pg.Ident(schema.Old))
			for _, o := range p.Shared {
				run(o.SetSchema(schema.Old, schema.Shadow))
			}
			run("ALTER SCHEMA " + pg.Ident(schema.Shadow) + " RENAME TO " + pg.Ident(schema.Production))
			continue
		}
		run("CREATE SCHEMA " + pg.Ident(schema.Old))
		for _, way := range [][2]string{{schema.Production, schema.Old}, {schema.Shadow, schema.Production}} {
			all, err := catalog.Movables(t.Context(), conn, way[0])
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range all {
				if !p.IsShared(o) {
					run(o.SetSchema(way[1]))
				}
			}
		}
	}
}

var noise = regexp.MustCompile(`(?m)^(--.*|\\(un)?restrict .*)?\n`)

// dump is the structure as pg_dump writes it, without comments.
func (s *shop) dump(t *testing.T) string {
	t.Helper()
	m := &survey{task: &task{file: s.file, plan: newPlan(s.file), log: slog.New(slog.DiscardHandler)}, catalogs: &catalogs{}}
	m.session.Server = 140000
	if err := m.findPgDump(t.Context()); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), m.pgDump.Path, "-d", s.dsn, "--exclude-table=shop.schema_migrations", "--schema-only")
	cmd.Env = os.Environ()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v", err)
	}
	return noise.ReplaceAllString(string(out), "")
}
