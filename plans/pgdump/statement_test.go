package pgdump

import (
	"strings"
	"testing"
)

func TestTablesAreTakenApartByTokens(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"CREATE TABLE a.b (\n    id integer NOT NULL,\n    \"a,\"\"b\" numeric(10,2) DEFAULT 1.5\n)\nINHERITS (x);": `id|a,"b|` + ") INHERITS (x);",
		"CREATE TABLE a.b (\n    z text DEFAULT 'x,\n    q int'::text,\n    a integer[] DEFAULT ARRAY[1, (2)]\n);":  "z|a|);",
		"CREATE TABLE a.b (\n)\nINHERITS (x);": ") INHERITS (x);",
		"CREATE TABLE \"a (\".\"CREATE UNLOGGED TABLE x (\" (\n    v text DEFAULT 'CREATE TABLE e.f (y int);'::text\n);":                                             "v|);",
		"SET default_tablespace = \"a;b\";\nCREATE UNLOGGED TABLE a.b (\n    v text DEFAULT E'\\\\'' (, '\n)\nPARTITION BY RANGE (v);\nSET default_tablespace = '';": "v|) PARTITION BY RANGE (v); SET default_tablespace = '';|partitioned",
		"CREATE TABLE a.b (\n    v text DEFAULT ')\nPARTITION BY RANGE (v);'::text\n);":                                                                              "v|);",
		"CREATE TABLE a.b (\n    broken text DEFAULT ('":                                                                                                             "?",
		"CREATE TABLE a.b OF a.t;": "?",
	} {
		table, ok := ParseTable(text)
		got := ""
		for _, item := range table.Items {
			name, _ := item[0].Name()
			got += name + "|"
		}
		got += strings.ReplaceAll(table.Tail, "\n", " ")
		if table.Partitioned {
			got += "|partitioned"
		}
		if !ok {
			got = "?"
		}
		if got != want {
			t.Errorf("%s:\n%s, want %s", text, got, want)
		}
		if ok && !strings.HasPrefix(text, table.Head+"(") {
			t.Errorf("%s: its head is %s", text, table.Head)
		}
	}
}

func TestTableWithoutParentsKeepsTheRest(t *testing.T) {
	t.Parallel()
	table, ok := ParseTable("CREATE TABLE a.b (\n    x int\n)\nINHERITS (a.\"INHERITS (\", a.d)\nWITH (fillfactor='70');")
	if got := table.WithoutParents(); !ok || got != ")\nWITH (fillfactor='70');" {
		t.Errorf("%q", got)
	}
}

func TestConstraintsAreReadWhereTheyStand(t *testing.T) {
	t.Parallel()
	k, ok := ParseForeignKey("ALTER TABLE ONLY \"s NOT VALID\".\"ALTER TABLE ONLY x.y\"\n    ADD CONSTRAINT \"ADD CONSTRAINT z\" FOREIGN KEY (a) REFERENCES s.t(\"FOREIGN KEY\") NOT VALID;")
	if !ok || k.Table.Schema != "s NOT VALID" || k.Table.Name != "ALTER TABLE ONLY x.y" || k.Name != "ADD CONSTRAINT z" || !k.NotValid ||
		k.Definition != `FOREIGN KEY (a) REFERENCES s.t("FOREIGN KEY")` {
		t.Errorf("%v %+v", ok, k)
	}
	for _, sql := range []string{
		"ALTER TABLE a.b ADD CONSTRAINT c FOREIGN KEY (a) REFERENCES s.t(a); DROP TABLE a.b;",
		"ALTER TABLE a.b ADD CONSTRAINT c CHECK (true);", "COMMENT ON TABLE a.b IS 'ALTER TABLE a.b ADD CONSTRAINT c FOREIGN KEY (a) REFERENCES s.t(a);';",
		"ALTER TABLE a.b ADD CONSTRAINT c FOREIGN KEY ('", "",
	} {
		if k, ok := ParseForeignKey(sql); ok {
			t.Errorf("%s: %+v", sql, k)
		}
	}
	parent, child, ok := ParseAttach(`ALTER TABLE ONLY a.p ATTACH PARTITION a."c ATTACH PARTITION x.y " FOR VALUES IN ('ATTACH PARTITION z.z ');`)
	if !ok || parent.Name != "p" || child.Name != "c ATTACH PARTITION x.y " {
		t.Errorf("%v %v %v", ok, parent, child)
	}
	c, ok := ParseConstraintComment(`COMMENT ON CONSTRAINT "a "" ON b.c IS 'x'" ON s.t IS 'it''s; DROP TABLE x';`)
	if !ok || c.Name != `a " ON b.c IS 'x'` || c.Table.String() != "s.t" || c.Text != `'it''s; DROP TABLE x'` {
		t.Errorf("%v %+v", ok, c)
	}
	for _, sql := range []string{
		`COMMENT ON TABLE s.t IS 'COMMENT ON CONSTRAINT a ON s.t IS ''''; CREATE ROLE evil SUPERUSER; --';`,
		`COMMENT ON CONSTRAINT a ON DOMAIN s.d IS 'x';`, `COMMENT ON CONSTRAINT a ON s.t IS 'x' 'y';`, `COMMENT ON CONSTRAINT a ON s.t IS 'x'; SELECT 1;`,
	} {
		if c, ok := ParseConstraintComment(sql); ok {
			t.Errorf("%s: %+v", sql, c)
		}
	}
}
