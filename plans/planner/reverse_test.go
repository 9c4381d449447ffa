package planner

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// swapped is a session in whose transaction production was upgraded by the plan's
// own structure and copy, and swapped: the true names lead to the new tables, and
// the old ones stand in the old schemas.
func (s *shop) swapped(t *testing.T, p *plans.Plan) *pgx.Conn {
	t.Helper()
	conn, err := pg.Connect(t.Context(), s.dsn, pg.Options{Component: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	run := func(sql string) {
		t.Helper()
		if err := pg.ExecScript(t.Context(), conn, sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	run("BEGIN")
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
	for _, schema := range p.Schemas {
		run("ALTER SCHEMA " + pg.Ident(schema.Production) + " RENAME TO " + pg.Ident(schema.Old))
		run("ALTER SCHEMA " + pg.Ident(schema.Shadow) + " RENAME TO " + pg.Ident(schema.Production))
		for _, shared := range p.Shared {
			if shared.Name.Schema == schema.Production && shared.Kind != "SEQUENCE" {
				run(shared.SetSchema(schema.Old, schema.Production))
			}
		}
	}
	run("SET search_path = " + p.SearchPath)
	return conn
}

// back replays all rows of a new table into the old one by the plan's way back, as
// an upsert does, but for those that the old table cannot hold: these are returned,
// by key with why.
func back(t *testing.T, conn *pgx.Conn, p *plans.Plan, table *plans.Table) map[string]string {
	t.Helper()
	unfit := map[string]string{}
	from := table.Final.Quoted()
	if sql := table.UnfitSQL(from); sql != "" {
		rows, err := conn.Query(t.Context(), sql)
		if err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		var key, why string
		if _, err := pgx.ForEachRow(rows, []any{&key, &why}, func() error {
			unfit[key] = why
			return nil
		}); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		from = "(SELECT * FROM " + from + " AS " + pg.Ident(table.Final.Name) + " WHERE (" + table.Unfit + ") IS NULL)"
	}
	var names, values, set, key []string
	for _, c := range table.Reverse {
		if c.Generated || c.Expression == "" {
			continue
		}
		names, values = append(names, c.Shadow), append(values, p.AfterSwap(c.Expression, table.Final.Name))
		if !c.Kept {
			set = append(set, pg.Ident(c.Shadow)+" = EXCLUDED."+pg.Ident(c.Shadow))
		}
	}
	for _, k := range table.Key {
		key = append(key, k.Production)
	}
	old := pg.Name{Schema: p.Schemas[0].Old, Name: table.Production.Name}
	sql := "INSERT INTO " + old.Quoted() + " (" + pg.Idents(names) + ") OVERRIDING SYSTEM VALUE SELECT " + strings.Join(values, ", ") + " FROM " + from + " AS " + pg.Ident(table.Final.Name) +
		" ON CONFLICT (" + pg.Idents(key) + ") DO UPDATE SET " + strings.Join(set, ", ")
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return unfit
}

func texts(t *testing.T, conn *pgx.Conn, sql string) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return all
}

// The whole way, by the plan's own texts: what is inferred, what is said to be
// lost, which new rows the old table cannot hold, and what a rollback would find.
func TestWayBackIsInferredAndSaysWhatItLoses(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	s := newFilledShop(t, `CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE TYPE state AS ENUM ('new', 'old'); CREATE TYPE same AS ENUM ('x', 'y');
		CREATE TABLE orders (id int PRIMARY KEY, total numeric(10,2) NOT NULL, qty int NOT NULL CHECK (qty > 0), note text NOT NULL DEFAULT '-', legacy text DEFAULT 'none',
			mood mood, moods mood[], state state, same same, at timestamptz, code varchar(4) UNIQUE, raw numeric, full_name text NOT NULL DEFAULT 'nobody', twice int GENERATED ALWAYS AS (qty * 2) STORED, flag bool, kept text, big bigint);
		CREATE TABLE asks (id int PRIMARY KEY, v int NOT NULL, w int NOT NULL); CREATE TABLE gone (id int PRIMARY KEY);
		INSERT INTO orders (id, total, qty, note, legacy, mood, moods, state, same, at, code, raw, full_name, flag, kept) SELECT g, g + 0.25, g, 'n' || g, 'l' || g, 'sad', '{glad,sad}', 'new', 'y', '2026-01-01 12:00+00'::timestamptz + g * interval '1 h', 'c' || g, g + 0.5, 'First' || g || ' Last', g % 2 = 0, 'k' || g FROM generate_series(1, 9) g;
		INSERT INTO asks VALUES (1, 1, 1); INSERT INTO gone VALUES (1)`,
		`ALTER TABLE orders RENAME note TO remark; ALTER TABLE orders ALTER remark DROP NOT NULL; ALTER TABLE orders ALTER id TYPE bigint;
		ALTER TABLE orders RENAME total TO cents; ALTER TABLE orders ALTER cents TYPE bigint USING (cents * 100)::bigint;
		ALTER TABLE orders DROP legacy, DROP kept, DROP twice; ALTER TABLE orders DROP CONSTRAINT orders_qty_check, DROP CONSTRAINT orders_code_key; ALTER TABLE orders ALTER code TYPE text, ALTER qty TYPE numeric, ALTER flag TYPE bool USING NOT flag, ALTER big TYPE text;
		ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'; ALTER TYPE state ADD VALUE 'gone';
		ALTER TABLE orders ALTER at TYPE timestamp USING at AT TIME ZONE 'UTC'; ALTER TABLE orders ALTER raw TYPE int USING raw::int;
		ALTER TABLE orders ADD first text, ADD last text; UPDATE orders SET first = split_part(full_name, ' ', 1), last = split_part(full_name, ' ', 2); ALTER TABLE orders DROP full_name;
		ALTER TABLE asks DROP w; ALTER TABLE asks ALTER v TYPE text USING md5(v::text); CREATE TABLE fresh (id int PRIMARY KEY); DROP TABLE gone`)
	s.file.Tables = []planfile.TableRules{{Name: pg.Name{Schema: "shop", Name: "orders"}, Reverse: map[string]planfile.Expression{
		"at": {SQL: "at AT TIME ZONE 'UTC'"}, "full_name": {SQL: "first || ' ' || last"}, "kept": {SQL: "'new row'"}}}}
	p := s.runnable(t)
	made := tableNamed(p, t, "shop.orders")
	orders := &made
	got := map[string]string{}
	for _, c := range orders.Reverse {
		got[c.Shadow] = c.Expression
	}
	want := map[string]string{"id": `"id"`, "total": `("cents"::numeric * 0.01)`, "qty": `"qty"`, "note": `"remark"`, "legacy": "", "state": `"state"::text::shop.state`, "same": `"same"`,
		"mood":  `(CASE "mood"::text WHEN 'blue' THEN 'sad' ELSE "mood"::text END)::shop.mood`,
		"moods": got["moods"], "at": "at AT TIME ZONE 'UTC'", "code": `"code"`, "raw": `"raw"`, "full_name": "first || ' ' || last", "twice": "", "flag": `NOT "flag"`, "kept": "'new row'", "big": `"big"::bigint`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	var told []string
	for _, f := range p.Findings {
		if strings.Contains(f.Code, "revers") {
			told = append(told, fmt.Sprint(f.Level, " ", f.Code, " ", f.Object))
		}
	}
	slices.Sort(told)
	if diff := cmp.Diff([]string{"warning not-reversible shop.asks.v", "warning reverse-constraint shop.orders", "warning reverse-lossy shop.orders.big", "warning reverse-lossy shop.orders.code", "info reverse-lossy shop.orders.id",
		"warning not-reversible shop.orders.legacy", "warning reverse-lossy shop.orders.qty", "warning reverse-lossy shop.orders.raw", "warning reverse-lossy shop.orders.state", "warning reverse-lossy shop.orders.total",
		"warning not-reversible shop.asks.w", "warning reverse-new-table shop.fresh"}, told, cmp.Transformer("sorted", func(all []string) []string { return slices.Sorted(slices.Values(all)) })); diff != "" {
		t.Error(diff)
	}
	if i := slices.IndexFunc(p.Findings, func(f plans.Finding) bool { return f.Object == "shop.orders.raw" && f.Code == "reverse-lossy" }); i < 0 || !strings.Contains(p.Findings[i].Message, "9 of 9 rows") || !strings.Contains(p.Findings[i].Message, "id = 1") {
		t.Errorf("what rows lose is not told: %+v", p.Findings)
	}

	conn := s.swapped(t, p)
	if _, err := conn.Exec(t.Context(), `DELETE FROM shop.orders WHERE id > 2; UPDATE shop.orders SET cents = 199, remark = 'changed', mood = 'glad', first = 'Ann', at = '2026-07-01 00:00' WHERE id = 2;
		INSERT INTO shop.orders (id, cents, qty, remark, mood, moods, state, same, code, raw, first, last, flag, big) SELECT id, cents, qty, remark, mood::mood, '{blue}', state::state, 'x', code, 1, first, 'L', true, big FROM (VALUES
			(11, 5, 1, 'r', 'blue', 'old', 'abcd', 'F', '7'), (3000000000, 5, 1, 'r', NULL, NULL, 'a', 'F', '7'), (12, 5, 1, 'r', NULL, 'gone', 'b', 'F', '7'), (13, 5, 1.5, 'r', NULL, NULL, 'd', 'F', '7'),
			(14, 5, 1, NULL, NULL, NULL, 'e', 'F', '7'), (15, 5, 1, 'r', NULL, NULL, 'abcde', 'F', '7'), (16, 5, -1, 'r', NULL, NULL, 'f', 'F', '7'), (17, 99999999999, 1, 'r', NULL, NULL, 'g', 'F', '7'),
			(18, 5, 1, 'r', NULL, NULL, 'h', 'F F', '7'), (19, 5, 1, 'r', NULL, NULL, 'i', 'F', 'seven')) AS v (id, cents, qty, remark, mood, state, code, first, big)`, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	unfit := back(t, conn, p, orders)
	for id, why := range map[string]string{"3000000000": "id: integer", "12": "state: ", "13": "qty: integer does not hold", "14": "note: NULL", "15": "code: ", "16": "CHECK orders_qty_check", "17": "total: ", "18": "full_name: ", "19": "big: "} {
		if !strings.Contains(unfit["id = "+id], why) {
			t.Errorf("row %s: %q, want %q", id, unfit["id = "+id], why)
		}
		delete(unfit, "id = "+id)
	}
	if len(unfit) > 0 {
		t.Errorf("rows that the old table can hold are refused: %v\n%s", unfit, orders.Unfit)
	}
	rows := texts(t, conn, `SELECT concat_ws('|', id, total, qty, note, legacy, mood, moods, state, same, at AT TIME ZONE 'UTC', code, raw, full_name, twice, flag, kept, big) FROM `+pg.Ident(p.Schemas[0].Old)+`.orders WHERE id IN (1, 2, 11) ORDER BY id`)
	if diff := cmp.Diff([]string{"1|1.25|1|n1|l1|sad|{glad,sad}|new|y|2026-01-01 13:00:00|c1|2|First1 Last|2|f|k1", "2|1.99|2|changed|l2|glad|{glad,sad}|new|y|2026-07-01 00:00:00|c2|3|Ann Last|4|t|k2",
		"11|0.05|1|r|none|sad|{sad}|old|x|abcd|1|F L|2|f|new row|7"}, rows); diff != "" {
		t.Error(diff)
	}
}

// What rows lose is counted over all of them, whatever the sample has: of a cast, and of
// an expression of the plan file's, which types say nothing of.
func TestRowsThatDoNotComeBackAreCounted(t *testing.T) {
	t.Parallel()
	s := newFilledShop(t, `CREATE TABLE bills (id int PRIMARY KEY, total numeric NOT NULL, at timestamp, doc json, fee int NOT NULL, whole numeric NOT NULL);
		INSERT INTO bills SELECT g, g, '2026-01-01', '{"a": 1}', g * 10, g FROM generate_series(1, 400) g;
		UPDATE bills SET total = 1.5, at = '2026-01-01 12:00', doc = '{"b":1,  "a":2}', fee = 77 WHERE id IN (177, 299)`,
		`ALTER TABLE bills ALTER total TYPE int USING total::int, ALTER at TYPE date, ALTER doc TYPE jsonb USING doc::jsonb, ALTER fee TYPE int USING fee / 10, ALTER whole TYPE int USING whole::int`)
	s.file.Scratch.Rows = 5
	s.file.Tables = []planfile.TableRules{{Name: pg.Name{Schema: "shop", Name: "bills"}, Reverse: map[string]planfile.Expression{"fee": {SQL: "fee * 10"}}}}
	p := s.runnable(t)
	for _, column := range []string{"total", "at", "doc", "fee"} {
		i := slices.IndexFunc(p.Findings, func(f plans.Finding) bool { return f.Object == "shop.bills."+column && f.Code == "reverse-lossy" })
		if i < 0 || !strings.Contains(p.Findings[i].Message, "on 2 of 400 rows") || !strings.Contains(p.Findings[i].Message, "id = 177") {
			t.Errorf("%s: what rows lose is not told: %+v", column, p.Findings)
		}
	}
	if i := slices.IndexFunc(p.Findings, func(f plans.Finding) bool { return f.Object == "shop.bills.whole" && f.Code == "reverse-lossy" }); i < 0 || !strings.Contains(p.Findings[i].Message, "Each row of today comes back as it is (400 rows)") {
		t.Errorf("%+v", p.Findings)
	}
	if lost := strings.Join(p.LostColumns(), " "); !strings.Contains(lost, "shop.bills.fee: values that 2 of 400 rows of production held") {
		t.Errorf("what a rollback says: %s", lost)
	}
}

// A text of a key that comes back as another one is told before the cutover, and the table
// does not go back: its row would not be found, and a second one put beside it. What types
// may lose and no row does is no loss yet.
func TestAKeyThatComesBackAsAnotherOneIsNotReversible(t *testing.T) {
	t.Parallel()
	s := newFilledShop(t, `CREATE TABLE parts (code text PRIMARY KEY, note varchar(5)); CREATE TABLE clean (code text PRIMARY KEY, day text, token varchar(36) UNIQUE, n int, price numeric);
		INSERT INTO parts SELECT g, 'n' FROM generate_series(1, 400) g; INSERT INTO parts VALUES ('0777', 'n');
		INSERT INTO clean SELECT g, date '2026-01-01' + g, md5(g::text)::uuid, g, g FROM generate_series(1, 400) g`,
		`ALTER TABLE parts ALTER code TYPE int USING code::int, ALTER note TYPE text;
		ALTER TABLE clean ALTER code TYPE bigint USING code::bigint, ALTER day TYPE date USING day::date, ALTER token TYPE uuid USING token::uuid, ALTER n TYPE bigint, ALTER price TYPE int USING price::int`)
	for _, rows := range []int{5, 1000} {
		s.file.Scratch.Rows = rows
		p := s.runnable(t)
		told := map[string]string{}
		for _, f := range p.Findings {
			if strings.Contains(f.Code, "revers") {
				told[f.Object] += fmt.Sprint(f.Level, " ", f.Code, " ", f.Message)
			}
		}
		for object, want := range map[string]string{"shop.parts.code": "warning not-reversible on 1 of ", "shop.clean.code": "the old side would not find", "shop.clean.day": "info reverse-lossy Each row of today comes back as it is (400 rows). Values that are spelt otherwise than date spells them",
			"shop.clean.token": "info reverse-lossy", "shop.clean.price": "info reverse-lossy", "shop.clean.n": "info reverse-lossy Each row of today comes back as it is. Values that are beyond the range of integer"} {
			if !strings.Contains(told[object], want) {
				t.Errorf("sample of %d: %s: %q, want %q", rows, object, told[object], want)
			}
			delete(told, object)
		}
		if len(told) > 0 {
			t.Errorf("also told: %v", told)
		}
		if lost := p.Lost(); len(lost) != 1 || lost[0].Name != "parts" || len(p.LostColumns()) > 0 {
			t.Errorf("lost: %v, %v", lost, p.LostColumns())
		}
		if may := p.MayLose(); len(may) != 2 || !strings.HasPrefix(may[0], "shop.clean.code: ") || !strings.HasPrefix(may[1], "shop.clean.n: ") {
			t.Errorf("may lose: %q", may)
		}
	}
}

// With require_reverse what a column loses stands against the run; without a watch
// nothing is said of it.
func TestLossesStandAgainstTheRunWhereTheFileSaysSo(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY, v text, w text)`, `ALTER TABLE a DROP v; ALTER TABLE a ALTER id TYPE bigint; ALTER TABLE a DROP w; CREATE TABLE b (id int)`)
	s.file.Watch.RequireReverse = true
	s.file.Tables = []planfile.TableRules{{Name: pg.Name{Schema: "shop", Name: "a"}, Reverse: map[string]planfile.Expression{"w": {SQL: "NULL"}}}}
	p := s.plan(t)
	if p.Runnable || !has(p, plans.Blocker, "not-reversible", "shop.a.v") || !has(p, plans.Blocker, "reverse-lossy", "shop.a.id") || !has(p, plans.Warning, "reverse-new-table", "shop.b") || has(p, plans.Blocker, "not-reversible", "shop.a.w") {
		t.Errorf("%+v", p.Findings)
	}
	s.file.Watch = plans.WatchSettings{}
	for _, f := range s.runnable(t).Findings {
		if strings.Contains(f.Code, "revers") {
			t.Errorf("%+v", f)
		}
	}
}

// What the plan file writes about the way back is checked before anything runs.
func TestReverseExpressionsAreChecked(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE other (id int PRIMARY KEY); CREATE TABLE a (id int PRIMARY KEY, v text, w text, x int NOT NULL, y int, z int)`,
		`ALTER TABLE a DROP v, DROP w; ALTER TABLE a ALTER x TYPE text USING md5(x::text), ALTER y TYPE text USING md5(y::text), ALTER z TYPE text USING md5(z::text); CREATE FUNCTION new_one(text) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT length($1)'`)
	s.file.Tables = []planfile.TableRules{{Name: pg.Name{Schema: "shop", Name: "a"}, Reverse: map[string]planfile.Expression{
		"v": {SQL: "random()::text"}, "w": {SQL: "nothing"}, "x": {SQL: "shop.new_one(x)"}, "y": {SQL: "(SELECT max(id) FROM other)"}, "z": {SQL: "random()"}, "q": {SQL: "1"}}}}
	p := s.plan(t)
	for _, want := range []struct{ code, object string }{{"transform-invalid", "shop.a.w"}, {"transform-reads-tables", "shop.a.y"}, {"transform-volatile", "shop.a.z"}, {"transform-invalid", "shop.a.q"}} {
		if !has(p, plans.Blocker, want.code, want.object) {
			t.Errorf("no %s %s", want.code, want.object)
		}
	}
	for _, f := range p.Findings {
		if f.Level == plans.Blocker && (f.Object == "shop.a.v" || f.Object == "shop.a.x") {
			t.Errorf("%+v", f)
		}
	}
}
