package planner

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// traps are where somebody who may create in a schema can have a function of his
// called: %[1]s is the schema, %[2]s a table, %[3]d numbers his functions. "fixed n" is
// one that PostgreSQL computes when it reads an expression, "does n" one that acts.
var traps = []string{
	`CREATE TABLE %[1]s.%[2]s (id int) PARTITION BY RANGE ((id + coalesce(%[1]s."fixed %[3]d"(), 0)))`,
	`CREATE TABLE %[1]s.%[2]s (id int PRIMARY KEY, g int GENERATED ALWAYS AS (id + %[1]s."fixed %[3]d"()) STORED)`,
	`CREATE TABLE %[1]s.%[2]s (id int PRIMARY KEY, CHECK (id + %[1]s."fixed %[3]d"() > 0))`,
	`CREATE TABLE %[1]s.%[2]s (id int PRIMARY KEY, v int DEFAULT %[1]s."does %[3]d"())`,
	`CREATE TABLE %[1]s.%[2]s (id int PRIMARY KEY); CREATE INDEX ON %[1]s.%[2]s ((id + %[1]s."fixed %[3]d"()))`,
	`CREATE TABLE %[1]s.%[2]s (id int PRIMARY KEY); CREATE INDEX ON %[1]s.%[2]s (id) WHERE %[1]s."fixed %[3]d"() = 0`,
	`CREATE TABLE %[1]s.%[2]s (id int PRIMARY KEY); CREATE STATISTICS %[1]s."st %[3]d" ON (id + %[1]s."fixed %[3]d"()), id FROM %[1]s.%[2]s`,
	`CREATE DOMAIN %[1]s."d %[3]d" AS text CHECK (%[1]s."does %[3]d"() = 0); CREATE TABLE %[1]s.%[2]s (id int PRIMARY KEY, d %[1]s."d %[3]d"[])`,
	`CREATE TYPE %[1]s."e %[3]d" AS ENUM ('a'); CREATE FUNCTION %[1]s."does %[3]d"(%[1]s."e %[3]d") RETURNS text LANGUAGE sql AS 'SELECT NULL::text';
		CREATE CAST (%[1]s."e %[3]d" AS text) WITH FUNCTION %[1]s."does %[3]d"(%[1]s."e %[3]d"); CREATE TABLE %[1]s.%[2]s (id int PRIMARY KEY, e %[1]s."e %[3]d")`,
	`CREATE TABLE %[1]s.%[2]s (id int PRIMARY KEY); CREATE FUNCTION %[1]s."trigger %[3]d"() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
		CREATE TRIGGER t AFTER INSERT OR UPDATE ON %[1]s.%[2]s FOR EACH ROW EXECUTE FUNCTION %[1]s."trigger %[3]d"(); ALTER TABLE %[1]s.%[2]s ENABLE ALWAYS TRIGGER t`,
	`CREATE FUNCTION %[1]s."o %[3]d"(varchar, varchar) RETURNS bool LANGUAGE sql AS 'SELECT true'; CREATE OPERATOR %[1]s.= (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = %[1]s."o %[3]d")`,
	// Nothing evaluates this one but whoever restores it.
	`CREATE DOMAIN %[1]s."d %[3]d" AS text CHECK (%[1]s."does %[3]d"() = 0); CREATE FUNCTION %[1]s."s %[3]d"(%[1]s."d %[3]d", int) RETURNS %[1]s."d %[3]d" LANGUAGE sql AS 'SELECT $1';
		CREATE AGGREGATE %[1]s."a %[3]d"(int) (sfunc = %[1]s."s %[3]d", stype = %[1]s."d %[3]d", initcond = 'x')`,
}

// odd are names that what is built of names must stand.
var odd = []string{"plain", `quo"te`, "new\nline", "per%s%d%n", "{{brace}} ${x}", "pgumbra", "up_old_shop", "$$ -- /*", `back\slash`, "\u00fcn\u00ef 'q'", "x; DROP ROLE y"}

func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// setTraps makes them in a schema, as somebody to whom nothing but that is granted. His
// functions make the role 'caught' where they run with a superuser's rights.
func (s *shop) setTraps(t *testing.T, random *rand.Rand, schema, who, caught string) {
	t.Helper()
	var script strings.Builder
	fmt.Fprintf(&script, "SET ROLE %s; SET search_path = pg_catalog; ", quoted(who))
	for n, trap := range traps {
		fmt.Fprintf(&script, `CREATE FUNCTION %[1]s."does %[2]d"() RETURNS int LANGUAGE plpgsql AS $f$ BEGIN
			IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) current_user) THEN CREATE ROLE %[3]s; END IF; RETURN 0; EXCEPTION WHEN duplicate_object THEN RETURN 0; END $f$;
			CREATE FUNCTION %[1]s."fixed %[2]d"(OUT r int) LANGUAGE plpgsql IMMUTABLE AS $f$ BEGIN SELECT %[1]s."does %[2]d"() INTO r; END $f$; `, quoted(schema), n, quoted(caught))
		fmt.Fprintf(&script, trap+"; ", quoted(schema), quoted(fmt.Sprint(odd[random.IntN(len(odd))], " ", n)), n)
	}
	s.exec(t, script.String())
}

// Whoever may create in a schema, or has one of his own, gets none of a superuser's
// rights by what a dry run restores, copies or compares.
func TestCodeOfOthersIsNotRunByASuperuser(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	random := rand.New(rand.NewPCG(testcontainers.Seed(t), 0))
	rounds := 1
	if testcontainers.Whole() {
		rounds = 30
	}
	for range rounds {
		s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY, v varchar(10)); INSERT INTO a VALUES (1, 'x')`, `ALTER TABLE a ADD COLUMN w text`)
		s.file.Scratch.Rows = 100
		pick := func() string { return odd[random.IntN(len(odd))] }
		who, caught, own := pick()+" "+s.database(t), "caught "+s.database(t), "own "+pick()
		s.exec(t, "CREATE ROLE "+quoted(who)+"; CREATE SCHEMA "+quoted(own)+" AUTHORIZATION "+quoted(who)+"; GRANT USAGE, CREATE ON SCHEMA shop TO "+quoted(who))
		t.Cleanup(func() {
			s.exec(t, "DROP OWNED BY "+quoted(who)+" CASCADE; DROP ROLE "+quoted(who)+"; DROP ROLE IF EXISTS "+quoted(caught))
		})
		free := func(when string) {
			t.Helper()
			if got := s.ask(t, `SELECT count(*)::text FROM pg_roles WHERE rolname = $1`, caught); got != "0" {
				t.Errorf("code of others ran with a superuser's rights: %s, as %q in %q", when, who, own)
			}
		}
		s.setTraps(t, random, own, who, caught)
		if p := s.plan(t); !p.Runnable {
			t.Errorf("what stands outside hinders: %v", p.Findings)
		}
		free("from a schema that does not move")
		s.setTraps(t, random, "shop", who, caught)
		p := s.plan(t)
		free("from one that moves")
		for n := range traps[:len(traps)-1] {
			if !slices.ContainsFunc(p.Findings, func(f plans.Finding) bool {
				return f.Code == "foreign-code" && strings.Contains(f.Object, fmt.Sprintf(` %d"(`, n)) && strings.Contains(f.Message, who)
			}) {
				t.Errorf("trap %d is not found: %s", n, traps[n])
			}
		}
		s.file.Settings.Trust = []string{who}
		if p := s.plan(t); slices.ContainsFunc(p.Findings, func(f plans.Finding) bool { return f.Code == "foreign-code" }) {
			t.Errorf("trusted, and refused: %v", p.Findings)
		}
	}
}
