package transforms_test

import (
	"slices"
	"testing"

	"github.com/pgumbra/pgumbra/plans/syntax"
	"github.com/pgumbra/pgumbra/plans/transforms"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// Differences of taste are warnings: the run may go on.
func TestTriggersThatNoteOrLogAreWarnings(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	const touch = "CREATE FUNCTION c() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.placed_at = now(); RETURN NEW; END $$; CREATE TRIGGER c BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION c(); "
	const audit = "CREATE TABLE log (x text); CREATE FUNCTION c() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF TG_OP = 'UPDATE' THEN INSERT INTO log VALUES (NEW.note); END IF; RETURN NULL; END $$; CREATE TRIGGER c AFTER UPDATE OR DELETE ON orders FOR EACH ROW EXECUTE FUNCTION c(); "
	databases := newBenches(t, 1)
	for name, c := range map[string]struct {
		sql  string
		want []string
	}{
		"updated_at":        {touch + "UPDATE orders SET note = 'x';", nil},
		"of the moment":     {"CREATE FUNCTION c() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.placed_at = clock_timestamp(); RETURN NEW; END $$; CREATE TRIGGER c BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION c(); UPDATE orders SET note = 'x' WHERE deleted;", []string{"warning backfill-fires-trigger public.orders"}},
		"other event":       {touch + "DELETE FROM orders WHERE deleted;", nil},
		"disabled":          {touch + "ALTER TABLE orders DISABLE TRIGGER c; UPDATE orders SET note = 'x';", nil},
		"replica":           {touch + "SET session_replication_role = replica; UPDATE orders SET note = 'x';", nil},
		"audit":             {audit + "UPDATE orders SET note = 'x';", []string{"warning backfill-fires-trigger public.orders"}},
		"audit of delete":   {audit + "DELETE FROM orders WHERE deleted;", []string{"warning backfill-fires-trigger public.orders"}},
		"notify":            {"CREATE FUNCTION c() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_notify('a', NEW.id::text); RETURN NULL; END $$; CREATE TRIGGER c AFTER UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION c(); UPDATE orders SET note = 'x';", nil},
		"of other columns":  {"CREATE FUNCTION c() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.city = 'x'; RETURN NEW; END $$; CREATE TRIGGER c BEFORE UPDATE OF street ON orders FOR EACH ROW EXECUTE FUNCTION c(); UPDATE orders SET note = 'x';", nil},
		"suppresses no-ops": {"CREATE TRIGGER c BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger(); UPDATE orders SET note = 'x';", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := history{structure: shop, files: []string{c.sql}}.infer(t, databases.take(t))
			var got []string
			for _, n := range out.Notices {
				got = append(got, n.Level+" "+n.Code+" "+n.Object)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// A notice says which part of the final structure it is about, so that a plan
// file that describes this part makes it void.
func TestNoticeNamesFinalTargetAndWayOut(t *testing.T) {
	t.Parallel()
	out := history{structure: shop, files: []string{"",
		"\nUPDATE orders o\nSET note = c.email FROM customers c WHERE c.id > o.customer;\nALTER TABLE orders RENAME TO purchases; ALTER TABLE purchases RENAME note TO remark;"}}.
		infer(t, newBenches(t, 1).take(t))
	if len(out.Notices) != 1 {
		t.Fatalf("%+v", out.Notices)
	}
	var table uint32
	for _, a := range out.after.Tables {
		if a.Name.Name == "purchases" {
			table = a.OID
		}
	}
	n := out.Notices[0]
	want := syntax.Notice{Level: "blocker", Code: "unmapped-backfill", Object: "public.purchases.remark", Where: "000002_x.up.sql:2",
		Message: "UPDATE cannot be followed: no comparison by = tells which rows a change of customers concerns", Table: table, Columns: []int16{4},
		Fix: "other rows count too, so derive the whole table in the plan file: tables: {public.orders: {from: SELECT <each column of purchases> FROM public.orders JOIN …, " +
			"key: {public.orders: {<its column>: <column of purchases>}, <each other table that is read>: {<its column>: <column of purchases>}}}}"}
	if n.Level != want.Level || n.Code != want.Code || n.Object != want.Object || n.Where != want.Where || n.Message != want.Message ||
		n.Table != want.Table || !slices.Equal(n.Columns, want.Columns) || n.Fix != want.Fix {
		t.Errorf("got  %+v\nwant %+v", n, want)
	}
	if _, there := out.Tables[table].Columns[4]; there {
		t.Error("a column that cannot be inferred has an expression")
	}
	if e := out.Tables[table].Columns[8]; e.SQL != "street" || e.Origin != transforms.Lineage {
		t.Errorf("%+v", e)
	}
}

// The exact text of transforms, as the plan shows it.
func TestExpressionsReadLikeTheMigrations(t *testing.T) {
	t.Parallel()
	const sql = `ALTER TABLE orders ADD cents bigint, ADD at timestamptz DEFAULT '2020-01-01', ADD flag boolean NOT NULL DEFAULT false, ADD code uuid DEFAULT gen_random_uuid();
		UPDATE orders AS x SET cents = (x.total * 100)::bigint, note = upper(note) WHERE x.cents IS NULL;
		CREATE FUNCTION micros() RETURNS bigint LANGUAGE sql AS 'SELECT (extract(epoch FROM now()) * 1000000)::bigint';
		CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.changed = micros(); RETURN NEW; END $$;
		ALTER TABLE orders ADD changed bigint DEFAULT 0; CREATE TRIGGER touch BEFORE UPDATE OF at ON orders FOR EACH ROW EXECUTE FUNCTION touch();
		UPDATE orders SET at = now() WHERE deleted; UPDATE orders SET city = 'none' WHERE city IS NULL;
		ALTER TABLE orders ALTER street TYPE int USING length(street); DELETE FROM orders WHERE deleted OR id < 3; DELETE FROM orders WHERE note = 'x';`
	out := history{structure: shop, files: []string{sql}}.infer(t, newBenches(t, 1).take(t))
	if b := out.blockers(); b != nil {
		t.Fatal(b)
	}
	for _, table := range out.after.Tables {
		if table.Name.Name != "orders" {
			continue
		}
		feed := out.Tables[table.OID]
		if want := "(deleted OR id < 3) IS NOT TRUE AND upper(note)::text = 'x' IS NOT TRUE"; feed.Where != want {
			t.Errorf("where is %s", feed.Where)
		}
		want := map[string]transforms.Expr{
			"id": {SQL: "id", Origin: transforms.Lineage}, "cents": {SQL: "(total * 100)::bigint", Origin: transforms.Backfill},
			"note":    {SQL: "upper(note)", Origin: transforms.Backfill},
			"flag":    {SQL: "false", Origin: transforms.Default},
			"at":      {SQL: "CASE WHEN deleted THEN '2026-05-04 03:02:01+00'::timestamp with time zone ELSE '2020-01-01'::timestamp with time zone END", Origin: transforms.Backfill},
			"changed": {SQL: "CASE WHEN deleted THEN (extract ('epoch' FROM '2026-05-04 03:02:01+00'::timestamp with time zone) * 1000000)::bigint::bigint ELSE '0'::bigint END", Origin: transforms.Backfill},
			"city":    {SQL: "CASE WHEN city IS NULL THEN 'none'::text ELSE city END", Origin: transforms.Backfill},
			"street":  {SQL: "length(street)", Origin: transforms.Using},
			"code":    {Origin: transforms.Default, Volatile: true}, "double": {Origin: transforms.Default, Generated: true},
		}
		for _, c := range table.Columns {
			if w, ok := want[c.Name]; ok && (feed.Columns[c.Num].SQL != w.SQL || feed.Columns[c.Num].Origin != w.Origin || feed.Columns[c.Num].Volatile != w.Volatile || feed.Columns[c.Num].Generated != w.Generated) {
				t.Errorf("%s is %+v, want %+v", c.Name, feed.Columns[c.Num], w)
			}
		}
	}
}
