package pgdump

import (
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// forged is what pg_dump's plain text has between two entries.
const forged = "\n--\n-- TOC entry 9001 (class 1259 OID 990001)\n-- Name: zzz; Type: TABLE; Schema: app; Owner: x\n--\n\nCREATE ROLE pgumbra_forged SUPERUSER;\n" +
	"--\n-- PostgreSQL database dump complete\n--\n"

// hostile are texts that end what they stand in where quoting is wrong.
var hostile = []string{forged, `'; DROP SCHEMA a; --`, `"; --`, `\'; \"`, "$$; $q$ $_$ $function$", "/* --", "*/ ;", "é\u2028\u00a0x", "\r\n\\restrict x\n\\connect y", " NOT VALID;", "); --"}

// name is a text cut to what a name may hold.
func name(text string, n int) string {
	return strings.ToValidUTF8(fmt.Sprintf("%d %s", n, text)[:min(len(text)+2, 60)], "")
}

// structure makes one of each kind that holds text of others.
func structure(n int, text string) string {
	schema, part := pg.Ident(name(text, n)), pg.Ident(name(text, 0))
	literal := pg.Literal(text)
	quoted := func(body string) string { return pg.Literal(body) }
	pairs := []string{"{s}", schema, "{n}", part, "{l}", literal, "{fn}", quoted("SELECT " + literal + "::text"), "{body}", quoted("BEGIN PERFORM " + literal + "; RETURN NEW; END")}
	for _, kind := range []string{"q", "p", "p1", "i", "st", "v", "x"} {
		pairs = append(pairs, "{n_"+kind+"}", pg.Ident(kind+name(text, 0)))
	}
	return strings.NewReplacer(pairs...).Replace(`
		CREATE SCHEMA {s}; COMMENT ON SCHEMA {s} IS {l};
		CREATE TYPE {s}.{n} AS ENUM ('a', 'b'); CREATE TYPE {s}.c AS ({n} int); COMMENT ON TYPE {s}.c IS {l};
		CREATE DOMAIN {s}.d AS text DEFAULT {l} CONSTRAINT {n} CHECK (VALUE <> {l});
		CREATE FUNCTION {s}.{n}({n} text DEFAULT {l}) RETURNS text LANGUAGE sql IMMUTABLE AS {fn};
		CREATE FUNCTION {s}.standard(a int DEFAULT length({l})) RETURNS text LANGUAGE sql IMMUTABLE BEGIN ATOMIC SELECT {l}::text; END;
		CREATE FUNCTION {s}.touch() RETURNS trigger LANGUAGE plpgsql AS {body};
		CREATE PROCEDURE {s}.p(INOUT {n} int) LANGUAGE plpgsql AS 'BEGIN END'; COMMENT ON PROCEDURE {s}.p IS {l};
		CREATE AGGREGATE {s}.{n_x} (text) (SFUNC = textcat, STYPE = text, INITCOND = {l});
		CREATE SEQUENCE {s}.{n_q}; CREATE TABLE {s}.t ({n} text DEFAULT {l} CONSTRAINT {n} CHECK ({n} <> {l}), id serial, e {s}.{n}, g text GENERATED ALWAYS AS ({n} || {l}) STORED,
			i int GENERATED ALWAYS AS IDENTITY, PRIMARY KEY (id), UNIQUE ({n}));
		COMMENT ON TABLE {s}.t IS {l}; COMMENT ON COLUMN {s}.t.{n} IS {l}; COMMENT ON CONSTRAINT {n} ON {s}.t IS {l};
		CREATE TABLE {s}.kid (x text DEFAULT {l}) INHERITS ({s}.t); ALTER TABLE {s}.t ADD COLUMN late text DEFAULT {l};
		CREATE TABLE {s}.{n_p} (k int, v text, PRIMARY KEY (k), t int CONSTRAINT {n} REFERENCES {s}.t) PARTITION BY LIST (k);
		COMMENT ON CONSTRAINT {n} ON {s}.{n_p} IS {l};
		CREATE TABLE {s}.{n_p1} PARTITION OF {s}.{n_p} FOR VALUES IN (1); CREATE UNLOGGED TABLE {s}.u (v text DEFAULT {l}) WITH (fillfactor = 70);
		CREATE INDEX {n_i} ON {s}.t (({n} || {l})) WHERE {n} <> {l}; COMMENT ON INDEX {s}.{n_i} IS {l}; CREATE STATISTICS {s}.{n_st} ON ({n} || {l}), id FROM {s}.t;
		CREATE TRIGGER {n} BEFORE INSERT ON {s}.t FOR EACH ROW WHEN (NEW.{n} <> {l}) EXECUTE FUNCTION {s}.touch({l}); COMMENT ON TRIGGER {n} ON {s}.t IS {l};
		CREATE RULE {n} AS ON INSERT TO {s}.u WHERE new.v = {l} DO INSTEAD NOTHING; COMMENT ON RULE {n} ON {s}.u IS {l};
		ALTER TABLE {s}.t ENABLE ROW LEVEL SECURITY; CREATE POLICY {n} ON {s}.t USING ({n} <> {l}); COMMENT ON POLICY {n} ON {s}.t IS {l};
		CREATE VIEW {s}.{n_v} AS SELECT {n}, {l}::text AS {n_x} FROM {s}.t; CREATE MATERIALIZED VIEW {s}.m AS SELECT {l}::text AS x;
		GRANT SELECT ({n}) ON {s}.t TO PUBLIC; GRANT USAGE ON SCHEMA {s} TO PUBLIC; ALTER DEFAULT PRIVILEGES IN SCHEMA {s} GRANT SELECT ON TABLES TO PUBLIC`)
}

// TestEntriesAreWhatPgDumpWrites holds the entries against pg_dump's own text, in
// which each stands behind a header that is known here beforehand.
func TestEntriesAreWhatPgDumpWrites(t *testing.T) {
	t.Parallel()
	dsn := testcontainers.Database(t)
	fill(t, dsn)
	program := Installed(t.Context())[0]
	all, err := program.Dump(t.Context(), dsn, "")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), program.Path, "--schema-only", "--no-publications", "--no-subscriptions", "-d", dsn).Output()
	if err != nil {
		t.Fatal(err)
	}
	rest := strings.ReplaceAll(string(out), "; Owner: \n--", "; Owner: -\n--")
	rest = rest[strings.Index(rest, "--\n-- Name: "):]
	for _, e := range all {
		rest = strings.TrimLeft(between.ReplaceAllString(rest, ""), "\n")
		if want := header(e) + "\n\n" + e.SQL + "\n"; !strings.HasPrefix(rest, want) {
			t.Fatalf("pg_dump wrote\n%.1500s\nand not\n%s", rest, want)
		} else {
			rest = rest[len(want):]
		}
	}
	if !strings.HasPrefix(strings.TrimLeft(rest, "\n"), "--\n-- PostgreSQL database dump complete\n") {
		t.Errorf("pg_dump wrote more:\n%.1000s", rest)
	}
}

// between are the settings that pg_dump writes before an entry.
var between = regexp.MustCompile(`^(\n*SET default_(tablespace|table_access_method) = [^\n]*;\n)*`)

func header(e Entry) string {
	line := func(s string) string {
		if s == "" {
			return "-"
		}
		return strings.NewReplacer("\n", " ", "\r", " ").Replace(s)
	}
	return "--\n-- Name: " + line(e.Name) + "; Type: " + e.Tag + "; Schema: " + line(e.Schema) + "; Owner: " + line(e.Owner) + "\n--"
}

func fill(t *testing.T, dsn string) {
	t.Helper()
	for n, text := range hostile {
		run(t, dsn, structure(n, text))
	}
	run(t, dsn, `CREATE SCHEMA "Rest"; SET search_path = "Rest"; CREATE FUNCTION plus(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + $2';
		CREATE OPERATOR +# (FUNCTION = plus, LEFTARG = int, RIGHTARG = int); CREATE OPERATOR FAMILY "F;" USING btree;
		CREATE OPERATOR CLASS "C;" FOR TYPE int USING btree FAMILY "F;" AS OPERATOR 1 <, OPERATOR 3 =, FUNCTION 1 btint4cmp(int, int);
		CREATE COLLATION "Co" (provider = icu, locale = 'de'); CREATE CONVERSION "Cv" FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
		CREATE TEXT SEARCH DICTIONARY "Di" (TEMPLATE = simple, stopwords = 'english'); CREATE TEXT SEARCH CONFIGURATION "Cf" (COPY = simple);
		CREATE FOREIGN DATA WRAPPER "Wr"; CREATE SERVER "Se" FOREIGN DATA WRAPPER "Wr" OPTIONS (x '; --'); CREATE FOREIGN TABLE "Ft" (a int) SERVER "Se";
		CREATE FUNCTION guard() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; CREATE EVENT TRIGGER "Et" ON ddl_command_end EXECUTE FUNCTION guard();
		COMMENT ON EVENT TRIGGER "Et" IS 'x'; CREATE TYPE shell; CREATE CAST (box AS text) WITH INOUT;
		CREATE EXTENSION hstore; CREATE TABLE "user" (h hstore); CREATE USER MAPPING FOR PUBLIC SERVER "Se"`)
}

func run(t *testing.T, dsn, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if err := pg.ExecScript(t.Context(), conn, sql); err != nil {
		t.Fatalf("%.300v\n%.200s", err, sql)
	}
}

// TestEntriesRestoreTheSameStructure runs them as scratch does, and dumps again.
func TestEntriesRestoreTheSameStructure(t *testing.T) {
	t.Parallel()
	from, to := testcontainers.Database(t), testcontainers.Database(t)
	fill(t, from)
	program := Installed(t.Context())[0]
	want, err := program.Dump(t.Context(), from, "")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pg.Connect(t.Context(), to, pg.Options{Component: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	for _, e := range want {
		if err := pg.ExecScript(t.Context(), conn, e.SQL); err != nil {
			t.Fatalf("%s %q: %v\n%s", e.Tag, e.Name, err, e.SQL)
		}
	}
	got, err := program.Dump(t.Context(), to, "")
	if err != nil {
		t.Fatal(err)
	}
	if a, b := texts(want), texts(got); !slices.Equal(a, b) {
		for i := range a {
			if i >= len(b) || a[i] != b[i] {
				t.Fatalf("%d of %d entries, at %d:\n%s\nis not\n%s", len(b), len(a), i, b[min(i, len(b)-1)], a[i])
			}
		}
	}
	var forged int
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_roles WHERE rolname = 'pgumbra_forged'`).Scan(&forged); err != nil || forged != 0 {
		t.Fatalf("text was run: %d roles, %v", forged, err)
	}
}

func texts(entries []Entry) (all []string) {
	for _, e := range entries {
		all = append(all, e.Tag+" "+e.Name+"\n"+e.SQL)
	}
	slices.Sort(all)
	return all
}

// A dump's text does not depend on what the role or the database set.
func TestDefaultsOfTheDatabaseDoNotReachADump(t *testing.T) {
	t.Parallel()
	dsn := testcontainers.Database(t)
	run(t, dsn, `CREATE TABLE t (v text); COMMENT ON TABLE t IS E'a\\b'; DO $$ BEGIN
		EXECUTE format('ALTER DATABASE %I SET standard_conforming_strings = off', current_database());
		EXECUTE format('ALTER DATABASE %I SET quote_all_identifiers = on', current_database());
		EXECUTE format('ALTER DATABASE %I SET client_encoding = latin1', current_database()); END $$`)
	all, err := Installed(t.Context())[0].Dump(t.Context(), dsn, "")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(texts(all), "\n"); !strings.Contains(got, "CREATE TABLE public.t (\n    v text\n);") || !strings.Contains(got, `IS 'a\b';`) {
		t.Error(got)
	}
}

// What the lexer takes for one literal, one name or nothing the server takes so
// too.
func TestServerReadsTextAsTheLexerDoes(t *testing.T) {
	t.Parallel()
	conn, err := pg.Connect(t.Context(), testcontainers.Database(t), pg.Options{Component: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	for _, sql := range []string{
		`SELECT 'a\'::text`, `SELECT E'a\'; --'::text`, `SELECT $a$ $$ '; $b$ $a$::text`, `SELECT 'x' /* /* '; */ " */ ::text`, "SELECT 'x' -- '; \"\n::text",
		`SELECT "a"";".x FROM (SELECT 'q'::text AS x) AS "a"";"`, `SELECT 'a'';'::text`, `SELECT a$1 FROM (SELECT 'x'::text AS a$1) s`, "SELECT 'a'--\r::text", `SELECT U&'\0061'';'::text`,
		`SELECT N'a;'::text`, `SELECT 1e5::text`, `SELECT x'1f'::int::text`,
	} {
		tokens, ok := Lex(sql)
		var got string
		if err := conn.QueryRow(t.Context(), sql).Scan(&got); err != nil || !ok {
			t.Errorf("%s: %v, %v", sql, ok, err)
		}
		if slices.ContainsFunc(tokens, func(token Token) bool { return token.Is(";") }) {
			t.Errorf("%s: %+v", sql, tokens)
		}
	}
}
