package syntax_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgumbra/pgumbra/plans/syntax"
)

func TestInstrumentMarksStatementsOnTheirLines(t *testing.T) {
	t.Parallel()
	in, err := syntax.Instrument("1_x.up.sql", "-- é first\nALTER TABLE shop.\"Or'der\" ADD a int; /* ü */ UPDATE orders\n\tSET a = 1 -- no semicolon ;\n", 7)
	if err != nil {
		t.Fatal(err)
	}
	const none = "ARRAY[]::pg_catalog.text[]"
	want := "-- é first\n" +
		"SELECT pgumbra_trace.mark(7, 'before', ARRAY['\"shop\".\"Or''der\"']::pg_catalog.text[], " + none + ", " + none + "); ALTER TABLE shop.\"Or'der\" ADD a int;" +
		" SELECT pgumbra_trace.mark(7, 'after', ARRAY['\"shop\".\"Or''der\"']::pg_catalog.text[], " + none + ", " + none + "); /* ü */ " +
		"SELECT pgumbra_trace.mark(8, 'before', ARRAY['\"orders\"']::pg_catalog.text[], " + none + ", " + none + "); UPDATE orders\n\tSET a = 1; " +
		"SELECT pgumbra_trace.mark(8, 'after', ARRAY['\"orders\"']::pg_catalog.text[], " + none + ", " + none + ") -- no semicolon ;\n"
	if d := cmp.Diff(want, in.SQL); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]syntax.Statement{{Line: 2, EndLine: 2, SQL: "ALTER TABLE shop.\"Or'der\" ADD a int"}, {Line: 2, EndLine: 3, SQL: "UPDATE orders\n\tSET a = 1"}}, in.Statements); d != "" {
		t.Error(d)
	}
	if s, ok := in.Statement(3); !ok || !strings.HasPrefix(s.SQL, "UPDATE") {
		t.Errorf("line 3 is of %q", s.SQL)
	}
	if s, ok := in.Statement(99); !ok || !strings.HasPrefix(s.SQL, "UPDATE") {
		t.Errorf("line 99 is of %q", s.SQL)
	}
}

func TestInstrumentLeavesAlone(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{
		"", "\n\n", "-- comment", ";;", "CREATE TABLE t (id int);",
		"CREATE INDEX CONCURRENTLY i ON t (a);", "  DROP INDEX CONCURRENTLY i", "VACUUM FULL t;", "CALL p();",
		"DO $$ BEGIN UPDATE t SET a = 1; COMMIT; END $$;", "ALTER TABLE p DETACH PARTITION q CONCURRENTLY",
		"CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'DELETE FROM t'; CREATE VIEW v AS SELECT now();",
	} {
		in, err := syntax.Instrument("1_x.up.sql", sql, 1)
		if err != nil {
			t.Fatal(err)
		}
		if in.SQL != sql || len(in.Notices) > 0 {
			t.Errorf("%q became %q, %+v", sql, in.SQL, in.Notices)
		}
	}
}

// What acts on the whole server is no longer in the text, which keeps its lines.
func TestInstrumentTakesOutClusterStatements(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{
		"CREATE ROLE app\nLOGIN", "ALTER USER app SET search_path = x", "DROP ROLE app", "GRANT app TO bob", "REVOKE app FROM bob",
		"CREATE DATABASE x", "DROP DATABASE x", "ALTER DATABASE x SET work_mem = '1MB'", "ALTER DATABASE x OWNER TO app", "ALTER DATABASE x RENAME TO y",
		"ALTER SYSTEM SET work_mem = '1MB'", "CREATE TABLESPACE x LOCATION '/x'", "COMMENT ON ROLE app IS 'x'", "COMMENT ON DATABASE x IS 'x'",
		"GRANT CONNECT ON DATABASE x TO app", "REASSIGN OWNED BY app TO bob", "DROP OWNED BY app", "ALTER ROLE app RENAME TO b",
		"CREATE SUBSCRIPTION s CONNECTION 'host=x' PUBLICATION p", "SELECT pg_create_logical_replication_slot('a', 'b')", "SELECT pg_reload_conf()",
		"COPY t TO '/tmp/x'", "COPY t FROM PROGRAM 'date'",
		"DO $$ BEGIN\n IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'app') THEN CREATE ROLE app; END IF; END $$",
		"DO $$ BEGIN EXECUTE 'CREATE USER app'; END $$",
	} {
		in, err := syntax.Instrument("1_x.up.sql", "CREATE TABLE t (i int);\n"+sql+";\nCREATE TABLE u (i int);", 1)
		if err != nil {
			t.Fatal(err)
		}
		kept := strings.ReplaceAll(strings.ReplaceAll(in.SQL, " ", ""), "\n", "")
		if kept != "CREATETABLEt(iint);;CREATETABLEu(iint);" || strings.Count(in.SQL, "\n") != 2+strings.Count(sql, "\n") {
			t.Errorf("%s: %q", sql, in.SQL)
		}
		if len(in.Notices) != 1 || in.Notices[0].Code != "cluster-statement" || in.Notices[0].Level != "warning" || in.Notices[0].Where != "1_x.up.sql:2" {
			t.Errorf("%s: %+v", sql, in.Notices)
		}
	}
	in, err := syntax.Instrument("1_x.up.sql", "DO $$ BEGIN CREATE ROLE app; CREATE TABLE t (i int); END $$", 1)
	if err != nil || len(in.Notices) != 1 || in.Notices[0].Level != "blocker" {
		t.Errorf("%+v %v", in.Notices, err)
	}
}

func TestInstrumentTakesConcurrentlyOutOfCrowds(t *testing.T) {
	t.Parallel()
	in, err := syntax.Instrument("1_x.up.sql", "CREATE TABLE t (i int);\nCREATE INDEX CONCURRENTLY i ON t (i);\nVACUUM t;\nREINDEX TABLE CONCURRENTLY t", 1)
	if err != nil {
		t.Fatal(err)
	}
	if want := "CREATE TABLE t (i int);\nCREATE INDEX              i ON t (i);\n        ;\nREINDEX TABLE              t"; in.SQL != want {
		t.Errorf("%q", in.SQL)
	}
	if len(in.Notices) != 2 || in.Notices[0].Code != "concurrently-with-others" || in.Notices[0].Where != "1_x.up.sql:2" {
		t.Errorf("%+v", in.Notices)
	}
}

func TestUnparsedFileRunsAsItIs(t *testing.T) {
	t.Parallel()
	for sql, level := range map[string]string{
		"\\restrict x\nCREATE TABLE t (i int);":            "warning",
		"\\i x\nUPDATE t SET a = 1;":                       "blocker",
		"CREATE TABLE t (i int) FUTURE SYNTAX":             "warning",
		"CREATE TRIGGER t AFTER UPDATE OR DELETE ON t BAH": "warning",
		"DELETE FROM t BAH BAH BAH":                        "blocker",
		"UPDATE t\x00":                                     "blocker",
	} {
		in, err := syntax.Instrument("1_x.up.sql", sql, 1)
		if err != nil || in.SQL != sql || len(in.Notices) != 1 || in.Notices[0].Level != level || in.Notices[0].Code != "unparsed-migration" {
			t.Errorf("%q: %+v %v", sql, in.Notices, err)
		}
	}
}

func FuzzInstrument(f *testing.F) {
	for _, s := range []string{
		"UPDATE t SET a = 'é' -- x", "/* a */ SELECT f(); ;; DELETE FROM t", "DO $$ BEGIN DELETE FROM t; END $$", "CREATE ROLE x; ALTER TABLE \"a\nb\" ADD c int",
		"INSERT INTO t VALUES (E'\\n', U&'\\0061', $$;$$)", "CREATE INDEX CONCURRENTLY ON t (a); VACUUM", "BEGIN; TRUNCATE t; END",
		"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END; SELECT f()", "SELECT 1 INTO t", "\xff UPDATE", "CREATE RULE r AS ON UPDATE TO t DO (DELETE FROM u; SELECT 1); UPDATE t SET a = 1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		in, err := syntax.Instrument("1_x.up.sql", sql, 1)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(in.SQL, "\n") != strings.Count(sql, "\n") {
			t.Errorf("%q became %q", sql, in.SQL)
		}
		for _, n := range in.Notices {
			if n.Code == "unparsed-migration" {
				return
			}
		}
		again, err := syntax.Instrument("1_x.up.sql", in.SQL, 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range again.Notices {
			if n.Code == "unparsed-migration" {
				t.Errorf("%q became %q: %s", sql, in.SQL, n.Message)
			}
		}
	})
}
