package planner

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/pgdump"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// forged is what pg_dump's plain text has between two entries, with a statement
// that only its reader would run.
func forged(role string) string {
	header := "\n--\n-- TOC entry 9001 (class 1259 OID 990001)\n-- Name: zzz; Type: TABLE; Schema: shop; Owner: postgres\n--\n\n"
	return "a" + header + "CREATE ROLE " + role + " SUPERUSER;\n" + strings.ReplaceAll(header, "TABLE", "COMMENT")
}

// ask reads one value from production.
func (s *shop) ask(t *testing.T, sql string, args ...any) (answer string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if err := conn.QueryRow(t.Context(), sql, args...).Scan(&answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

// Whoever may create a function or a comment writes what he likes into it.
func TestTextThatLooksLikeADumpIsNotRun(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY, v text)`, `ALTER TABLE a ADD COLUMN w text DEFAULT 'x'`)
	role := "forged_" + s.database(t)
	defer s.exec(t, "DROP ROLE IF EXISTS "+role)
	text := forged(role)
	literal := "'" + text + "'"
	s.exec(t, "SET search_path = shop; CREATE FUNCTION harmless() RETURNS text LANGUAGE sql AS $f$ SELECT "+literal+" $f$; COMMENT ON TABLE a IS "+literal+
		"; COMMENT ON SCHEMA shop IS "+literal+"; ALTER TABLE a ALTER COLUMN v SET DEFAULT "+literal+", ADD CHECK (v <> "+literal+
		`); CREATE VIEW looks AS SELECT `+literal+`::text AS x; CREATE TYPE "`+text[:60]+`" AS ENUM ('a')`)
	p := s.runnable(t)
	if got := s.ask(t, `SELECT count(*)::text FROM pg_roles WHERE rolname = $1`, role); got != "0" {
		t.Error("text inside a literal was run")
	}
	if n := tableNamed(p, t, "shop.a"); column(n, "v").Expression == "" {
		t.Errorf("%+v", n)
	}
	for _, e := range p.Entries {
		if e.Name.Name == "zzz" {
			t.Errorf("an entry is made of text: %+v", e)
		}
	}
}

// A trigger is ours by the function that it calls, whatever else it says.
func TestTriggersThatSpeakOfOursStay(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY, v text); CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
		CREATE TRIGGER "b EXECUTE FUNCTION pgumbra." BEFORE INSERT ON a FOR EACH ROW WHEN (NEW.v <> 'EXECUTE FUNCTION pgumbra.x(') EXECUTE FUNCTION touch('EXECUTE FUNCTION pgumbra.y()')`,
		`ALTER TABLE a ADD COLUMN w text`)
	p := s.runnable(t)
	if !slices.ContainsFunc(p.Entries, func(e plans.Entry) bool { return e.Tag == "TRIGGER" && e.Table.Name == "a" }) {
		t.Errorf("the trigger is left out: %+v", p.Entries)
	}
	for sql, want := range map[string]bool{
		"CREATE TRIGGER x AFTER INSERT ON s.t FOR EACH STATEMENT EXECUTE FUNCTION pgumbra.capture_1_2();":        true,
		"CREATE EVENT TRIGGER x ON ddl_command_start EXECUTE FUNCTION pgumbra_r_s.f();":                          true,
		"CREATE TRIGGER x AFTER INSERT ON s.t FOR EACH STATEMENT EXECUTE FUNCTION public.pgumbra_f('pgumbra.');": false,
		"CREATE TRIGGER x AFTER INSERT ON s.t FOR EACH STATEMENT EXECUTE FUNCTION \"pgumbra.x\".f();":            false,
	} {
		tag := "TRIGGER"
		if strings.Contains(sql, "EVENT") {
			tag = "EVENT TRIGGER"
		}
		if got := ours(pgdump.Entry{Tag: tag, SQL: sql}); got != want {
			t.Errorf("%s: %v", sql, got)
		}
	}
}

// What hangs on a table is found by the catalogs: names hold spaces, and text
// holds names.
func TestPartsOfTablesAreNotGuessedFromText(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE "a b" (id int PRIMARY KEY, v text);
		CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
		CREATE TRIGGER "b c" BEFORE INSERT ON a FOR EACH ROW EXECUTE FUNCTION touch(); CREATE TRIGGER c BEFORE INSERT ON "a b" FOR EACH ROW EXECUTE FUNCTION touch();
		CREATE STATISTICS st ON (v || ' FROM shop."a b";'), id FROM a`, `ALTER TABLE a ADD COLUMN w text`)
	p := s.runnable(t)
	got := map[string]string{}
	for _, e := range p.Entries {
		if e.Tag == "TRIGGER" || e.Tag == "STATISTICS" {
			got[e.Name.Name] += e.Table.Name
		}
	}
	if got["st"] != "a" || got["a b c"] != "aa b" && got["a b c"] != "a ba" {
		t.Errorf("%q", got)
	}
}

// A migrated schema may have any name, and no table.
func TestSchemasOfAnyNameAreTaken(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	odd := "odd\n--\n-- Name: x; Type: TABLE; \"S\\ $$ é'"
	quoted := `"` + strings.ReplaceAll(odd, `"`, `""`) + `"`
	s := newShop(t, `CREATE SCHEMA bare; CREATE FUNCTION bare.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE SCHEMA nothing;
		CREATE SCHEMA `+quoted+`; COMMENT ON SCHEMA `+quoted+` IS 'x'; GRANT USAGE ON SCHEMA `+quoted+` TO PUBLIC; CREATE TABLE `+quoted+`.a (id int PRIMARY KEY);
		CREATE VIEW `+quoted+`.v AS SELECT * FROM `+quoted+`.a; CREATE TABLE shop.b (id int PRIMARY KEY REFERENCES `+quoted+`.a)`,
		`ALTER TABLE `+quoted+`.a ADD COLUMN w text; CREATE FUNCTION bare.g() RETURNS int LANGUAGE sql AS 'SELECT 2'; CREATE TABLE nothing.new (id int PRIMARY KEY)`)
	s.file.Production.Schemas = []string{"shop", odd, "bare", "nothing"}
	p := s.runnable(t)
	if len(p.Tables) != 4 {
		t.Errorf("%+v", p.Tables)
	}
	for _, schemas := range [][]string{{odd}, {"bare"}} {
		s.file.Production.Schemas = schemas
		s.exec(t, "ALTER TABLE shop.b DROP CONSTRAINT IF EXISTS b_id_fkey")
		s.plan(t)
	}
}

// Whoever may create in a schema that comes before pg_catalog is asked by nobody: his
// operator takes the place of PostgreSQL's own in sessions of clients, not in ours.
func TestOperatorsBeforeTheCatalogsAreNotRun(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY, v text); INSERT INTO a VALUES (1, 'x');
		CREATE TABLE asked (n int); CREATE FUNCTION same(text, text) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN INSERT INTO shop.asked VALUES (1); RETURN true; END $$;
		CREATE FUNCTION same(name, name) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN INSERT INTO shop.asked VALUES (1); RETURN true; END $$;
		CREATE OPERATOR shop.= (LEFTARG = text, RIGHTARG = text, FUNCTION = same); CREATE OPERATOR shop.= (LEFTARG = name, RIGHTARG = name, FUNCTION = same);
		CREATE FUNCTION current_setting(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN INSERT INTO shop.asked VALUES (1); RETURN 'x'; END $$`,
		`ALTER TABLE a ADD COLUMN w text`)
	s.file.Production.DSN = strings.Replace(s.file.Production.DSN, "search_path=shop,public", "search_path=shop,PG_CATALOG", 1)
	p := s.plan(t)
	for _, name := range []string{"operator shop.=", "shop.current_setting"} {
		if !slices.ContainsFunc(p.Findings, func(f plans.Finding) bool { return f.Code == "catalog-overridden" && f.Object == name }) {
			t.Errorf("%s is not named: %v", name, p.Findings)
		}
	}
	if got := s.ask(t, `SELECT (SELECT pg_catalog.count(*) FROM shop.asked)::pg_catalog.text`); got != "0" {
		t.Errorf("code of others was run %s times", got)
	}
	if p.SearchPath != "shop" {
		t.Errorf("search_path %q", p.SearchPath)
	}
}
