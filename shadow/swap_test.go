package shadow

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

const parents = `
	CREATE TABLE @.people (id bigint PRIMARY KEY);
	INSERT INTO @.people SELECT generate_series(1, 100);
	CREATE TABLE @."Old ""x""" (id bigint PRIMARY KEY, person bigint, boss bigint);
	INSERT INTO @."Old ""x""" SELECT i, i, i FROM generate_series(1, 100) i;
	CREATE TABLE @.bad (id bigint);
	INSERT INTO @.bad VALUES (777);
	CREATE TABLE @.empty (p bigint) PARTITION BY LIST (p);
	CREATE TABLE @.e (id bigint PRIMARY KEY, person bigint, boss bigint) PARTITION BY RANGE (id);
	CREATE TABLE @.e1 PARTITION OF @.e FOR VALUES FROM (0) TO (50) PARTITION BY HASH (id);
	CREATE TABLE @.e1h PARTITION OF @.e1 FOR VALUES WITH (MODULUS 1, REMAINDER 0);
	CREATE TABLE @.e2 (boss bigint, person bigint, id bigint NOT NULL);
	ALTER TABLE @.e ATTACH PARTITION @.e2 DEFAULT;
	INSERT INTO @.e SELECT i, i, i FROM generate_series(1, 90) i`

var swapTexts = []struct{ tag, table, sql string }{
	{"FK CONSTRAINT", `Old "x"`, "ALTER TABLE ONLY @.\"Old \"\"x\"\"\"\n    ADD CONSTRAINT \"A \"\"b\"\"\" FOREIGN KEY (person) REFERENCES @.people(id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;"},
	{"FK CONSTRAINT", "bad", "ALTER TABLE ONLY @.bad\n    ADD CONSTRAINT bad_fk FOREIGN KEY (id) REFERENCES @.people(id) NOT VALID;"},
	{"FK CONSTRAINT", "e", "ALTER TABLE @.e\n    ADD CONSTRAINT e_fk FOREIGN KEY (person) REFERENCES @.people(id) ON UPDATE CASCADE;"},
	{"FK CONSTRAINT", "e", "ALTER TABLE @.e\n    ADD CONSTRAINT e_boss FOREIGN KEY (boss) REFERENCES @.e(id);"},
	{"FK CONSTRAINT", "empty", "ALTER TABLE @.empty\n    ADD CONSTRAINT empty_fk FOREIGN KEY (p) REFERENCES @.people(id);"},
	{"COMMENT", "e", "COMMENT ON CONSTRAINT e_fk ON @.e IS 'it''s ; one';"},
	{"COMMENT", "bad", "COMMENT ON CONSTRAINT bad_fk ON @.bad IS 'stays';"},
	{"CHECK CONSTRAINT", "bad", "ALTER TABLE @.bad\n    ADD CONSTRAINT small CHECK ((id < 10)) NOT VALID;"},
}

// swapWorld has two schemas of equal tables: the shadow, and a twin on which
// pg_dump's own text runs.
func swapWorld(t *testing.T) *world {
	w := newWorld(t, "SELECT 1")
	w.exec("CREATE SCHEMA twin; " + strings.ReplaceAll(parents, "@", "twin"))
	w.build("TABLE", "e", "CREATE TABLE @.e (\n    id bigint\n)\nPARTITION BY RANGE (id);")
	w.build("TABLE", "e1", "CREATE TABLE @.e1 (\n    id bigint\n)\nPARTITION BY HASH (id);")
	w.build("TABLE", "empty", "CREATE TABLE @.empty (\n    p bigint\n)\nPARTITION BY LIST (p);")
	for _, a := range [][2]string{{"e", "e1"}, {"e1", "e1h"}, {"e", "e2"}} {
		w.build("TABLE ATTACH", a[1], "ALTER TABLE ONLY @."+a[0]+" ATTACH PARTITION @."+a[1]+" FOR VALUES …;")
	}
	for _, s := range swapTexts {
		w.on(plans.StageSwap, s.tag, s.table, s.table, s.sql)
		w.exec(strings.ReplaceAll(s.sql, "@", "twin"))
	}
	w.create()
	return w
}

func (w *world) swap() {
	w.t.Helper()
	for _, e := range SwapEntries(w.plan, nil) {
		w.exec(e.SQL)
	}
	w.exec("ALTER SCHEMA shop RENAME TO pgumbra_r_old_shop; ALTER SCHEMA " + shopShadow + " RENAME TO shop")
}

const constraintsOf = `SELECT replace(c.conrelid::regclass::text, $1, '') AS rel, c.conname, replace(pg_get_constraintdef(c.oid), $1, '') AS def, c.convalidated,
	c.conparentid <> 0 AS inherited, c.coninhcount, c.conislocal, obj_description(c.oid, 'pg_constraint') AS note,
	(SELECT count(*) FROM pg_trigger g WHERE g.tgconstraint = c.oid) AS triggers
	FROM pg_constraint c WHERE c.connamespace = $2::regnamespace AND c.contype IN ('f', 'c')`

func (w *world) constraints(schema string) []string {
	w.t.Helper()
	sql := strings.ReplaceAll(strings.ReplaceAll(constraintsOf, "$1", pg.Literal(schema+".")), "$2", pg.Literal(schema))
	conn, err := w.pool.Acquire(w.t.Context())
	must(w.t, err)
	defer conn.Release()
	_, err = conn.Exec(w.t.Context(), "SET search_path = pg_catalog")
	must(w.t, err)
	defer func() { _, _ = conn.Exec(w.t.Context(), "RESET search_path") }()
	rows, err := conn.Query(w.t.Context(), "SELECT q::text FROM ("+sql+") q ORDER BY 1")
	must(w.t, err)
	var found []string
	for rows.Next() {
		var s string
		must(w.t, rows.Scan(&s))
		found = append(found, s)
	}
	must(w.t, rows.Err())
	return found
}

func TestForeignKeysEndAsInPlace(t *testing.T) {
	t.Parallel()
	w := swapWorld(t)
	w.exec("CREATE SCHEMA " + shopShadow + "; " + strings.ReplaceAll(parents, "@", shopShadow))
	w.swap()
	w.wants("true", "SELECT bool_and(NOT convalidated) FROM pg_constraint WHERE contype = 'f' AND connamespace = 'shop'::regnamespace AND conname NOT IN ('empty_fk')"+
		" AND conparentid = 0")
	if got := w.text("SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND conrelid IN ('shop.e1h'::regclass, 'shop.e2'::regclass) AND confrelid = 'shop.people'::regclass"); got != "2" {
		t.Errorf("%s leaves are guarded after the swap", got)
	}
	must(t, PostSwap(w.t.Context(), w.sides, w.run))
	if diff := cmp.Diff(w.constraints("twin"), w.constraints("shop")); diff != "" {
		t.Error(diff)
	}
	must(t, PostSwap(w.t.Context(), w.sides, w.run))
	w.exec("ALTER TABLE shop.e DROP CONSTRAINT e_fk; ALTER TABLE shop.\"Old \"\"x\"\"\" DROP CONSTRAINT \"A \"\"b\"\"\"")
	must(t, PostSwap(w.t.Context(), w.sides, w.run)) // what somebody dropped is left alone
	w.wants("0", "SELECT count(*) FROM pg_constraint WHERE conname = 'e_fk' AND connamespace = 'shop'::regnamespace")
}

func TestPostSwapWaitsForLocksInTurns(t *testing.T) {
	t.Parallel()
	w := swapWorld(t)
	w.plan.Settings.Cutover.LockTimeout = 20 * time.Millisecond
	w.exec("CREATE SCHEMA " + shopShadow + "; " + strings.ReplaceAll(parents, "@", shopShadow))
	w.swap()
	tx, err := w.pool.Begin(w.t.Context())
	must(t, err)
	_, err = tx.Exec(w.t.Context(), "UPDATE shop.e SET person = person; LOCK TABLE shop.people IN SHARE MODE")
	must(t, err)
	done := make(chan error, 1)
	go func() { done <- PostSwap(w.t.Context(), w.sides, w.run) }()
	w.waitsForLock(w.pool)
	w.waitsForLock(w.pool)
	must(t, tx.Commit(w.t.Context()))
	must(t, <-done)
	if diff := cmp.Diff(w.constraints("twin"), w.constraints("shop")); diff != "" {
		t.Error(diff)
	}
}

func TestPostSwapNamesTheKeyThatRowsViolate(t *testing.T) {
	t.Parallel()
	w := swapWorld(t)
	w.exec("CREATE SCHEMA " + shopShadow + "; " + strings.ReplaceAll(parents, "@", shopShadow) + "; INSERT INTO " + shopShadow + ".e VALUES (95, 999, 1)")
	w.swap()
	err := PostSwap(w.t.Context(), w.sides, w.run)
	if pg.State(err) != "23503" || !strings.Contains(err.Error(), "e_fk of shop.e2") {
		t.Errorf("got %v", err)
	}
}

func TestSwapEntriesText(t *testing.T) {
	t.Parallel()
	plan := &plans.Plan{}
	add := func(tag, table, sql string, stage plans.Stage) {
		plan.Entries = append(plan.Entries, plans.Entry{TOC: len(plan.Entries) + 1, Tag: tag, Name: in(table), Table: in(table),
			SQL: strings.ReplaceAll(sql, "@", shopShadow), Stage: stage})
	}
	add("TABLE", "e", "CREATE TABLE @.e (\n    id bigint\n)\nPARTITION BY RANGE (id);", plans.StageBuild)
	add("TABLE ATTACH", "e1", "ALTER TABLE ONLY @.e ATTACH PARTITION @.\"E.1\" DEFAULT;", plans.StageBuild)
	add("TRIGGER", "a", "CREATE TRIGGER t …;", plans.StageSwap)
	for _, s := range swapTexts {
		add(s.tag, s.table, s.sql, plans.StageSwap)
	}
	add("INDEX", "a", "CREATE INDEX …;", plans.StageIndex)
	var got []string
	for _, e := range SwapEntries(plan, nil) {
		got = append(got, strings.ReplaceAll(e.SQL, shopShadow, "@"))
	}
	want := []string{
		"CREATE TRIGGER t …;",
		"ALTER TABLE ONLY \"@\".\"Old \"\"x\"\"\"\n    ADD CONSTRAINT \"A \"\"b\"\"\" FOREIGN KEY (person) REFERENCES @.people(id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED NOT VALID;",
		"ALTER TABLE ONLY \"@\".\"bad\"\n    ADD CONSTRAINT \"bad_fk\" FOREIGN KEY (id) REFERENCES @.people(id) NOT VALID;",
		"ALTER TABLE ONLY \"@\".\"E.1\"\n    ADD CONSTRAINT \"e_fk\" FOREIGN KEY (person) REFERENCES @.people(id) ON UPDATE CASCADE NOT VALID;",
		"ALTER TABLE ONLY \"@\".\"E.1\"\n    ADD CONSTRAINT \"e_boss\" FOREIGN KEY (boss) REFERENCES @.e(id) NOT VALID;",
		"ALTER TABLE ONLY \"@\".\"empty\"\n    ADD CONSTRAINT \"empty_fk\" FOREIGN KEY (p) REFERENCES @.people(id) NOT VALID;",
		"COMMENT ON CONSTRAINT bad_fk ON @.bad IS 'stays';",
		"ALTER TABLE @.bad\n    ADD CONSTRAINT small CHECK ((id < 10)) NOT VALID;",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNewForeignKeysAreCheckedByTheirIndexsEquality(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "SELECT 1")
	w.start()
	w.exec(`CREATE EXTENSION citext SCHEMA public;
		CREATE COLLATION public.ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
		SET search_path = ` + shopShadow + `, public;
		CREATE TABLE p (a citext, b int, n text COLLATE ci UNIQUE, PRIMARY KEY (b, a));
		INSERT INTO p VALUES ('One', 1, 'Bob'), ('Two', 2, 'Eve');
		CREATE TABLE c (x bigint, y citext, n text);
		INSERT INTO c VALUES (1, 'ONE', 'BOB'), (NULL, 'three', NULL), (2, 'two', 'eve');
		CREATE TABLE child (a citext) INHERITS (c);
		INSERT INTO child (x, y) VALUES (9, 'inherited rows have no foreign key')`)
	w.plan.NewFKs = []plans.ForeignKey{
		{Name: "two", Table: in("c"), Columns: []string{"y", "x"}, References: in("p"), RefColumns: []string{"a", "b"}},
		{Name: "one", Table: in("c"), Columns: []string{"n"}, References: in("p"), RefColumns: []string{"n"}},
	}
	found, err := CheckNewForeignKeys(w.t.Context(), w.pool, w.run, nil)
	if err != nil || len(found) != 0 {
		t.Fatalf("%v, %v", found, err)
	}
	w.exec("INSERT INTO " + shopShadow + ".c VALUES (1, 'two', 'Bob'), (3, 'x', 'bob')")
	found, err = CheckNewForeignKeys(w.t.Context(), w.pool, w.run, nil)
	if err != nil || len(found) != 1 || found[0].Key.Name != "two" || found[0].Rows != 2 || found[0].Example != "y = two, x = 1" {
		t.Fatalf("%v, %v", found, err)
	}
	w.exec("ALTER TABLE " + shopShadow + ".p DROP CONSTRAINT p_n_key")
	if _, err = CheckNewForeignKeys(w.t.Context(), w.pool, w.run, nil); err == nil || !strings.Contains(err.Error(), "no unique index on n") {
		t.Errorf("got %v", err)
	}
}
