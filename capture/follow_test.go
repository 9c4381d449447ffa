package capture

import (
	"strings"
	"testing"

	"github.com/pgumbra/pgumbra/plans"
)

const orders = `CREATE SCHEMA shop;
	CREATE TABLE shop.orders (id int PRIMARY KEY, junk int, total numeric, note text, double numeric GENERATED ALWAYS AS (total * 2) STORED);
	ALTER TABLE shop.orders DROP COLUMN junk;
	INSERT INTO shop.orders (id, total) SELECT i, i FROM generate_series(1, 10) i;`

// dml is every way to change rows of shop.orders (id, total, note); each script
// is one implicit transaction unless it says otherwise.
var dml = []string{
	`INSERT INTO shop.orders (id, total) SELECT i, i FROM generate_series(11, 20) i`,
	`UPDATE shop.orders SET total = total + 1 WHERE id < 15`,
	`DELETE FROM shop.orders WHERE id IN (3, 4)`,
	`INSERT INTO shop.orders (id, total) VALUES (1, 5), (3, 5), (50, 5) ON CONFLICT (id) DO UPDATE SET total = 77`,
	`INSERT INTO shop.orders (id, total) VALUES (1, 5) ON CONFLICT DO NOTHING`,
	`UPDATE shop.orders SET id = id + 1000 WHERE id > 15`,
	`BEGIN; UPDATE shop.orders SET id = -1 WHERE id = 1; UPDATE shop.orders SET id = 1 WHERE id = 2; UPDATE shop.orders SET id = 2 WHERE id = -1; COMMIT`,
	`WITH gone AS (DELETE FROM shop.orders WHERE id = 5 RETURNING *), more AS (UPDATE shop.orders SET note = 'cte' WHERE id = 6 RETURNING id)
		INSERT INTO shop.orders (id, total) SELECT id + 500, total FROM gone UNION ALL SELECT id + 600, 1 FROM more`,
	`BEGIN; DELETE FROM shop.orders WHERE id = 7; INSERT INTO shop.orders (id, total) VALUES (7, 700); COMMIT`,
	`BEGIN; SAVEPOINT a; DELETE FROM shop.orders WHERE id = 8; ROLLBACK TO a; UPDATE shop.orders SET note = 'kept' WHERE id = 9; RELEASE a; COMMIT`,
	`BEGIN; INSERT INTO shop.orders (id) VALUES (99); ROLLBACK`,
	`UPDATE shop.orders SET note = '' WHERE id = 10; UPDATE shop.orders SET note = NULL WHERE id = 10`,
	`UPDATE shop.orders SET total = 'NaN' WHERE id = 10`,
	`UPDATE shop.orders SET note = repeat('long', 100000) WHERE id = 9`,
	`UPDATE shop.orders SET total = 3 WHERE id = 9`,
	`UPDATE shop.orders SET note = note WHERE false`,
	`MERGE INTO shop.orders o USING (VALUES (9, 1), (10, 2), (7000, 3), (7, 4)) v(id, total) ON o.id = v.id
		WHEN MATCHED AND v.id = 7 THEN DELETE WHEN MATCHED THEN UPDATE SET total = v.total WHEN NOT MATCHED THEN INSERT (id, total) VALUES (v.id, v.total)`,
	`DO $$ BEGIN FOR i IN 1..20 LOOP UPDATE shop.orders SET total = i WHERE id = 1; END LOOP; END $$`,
	`DO $$ BEGIN DELETE FROM shop.orders WHERE id = 1; RAISE division_by_zero; EXCEPTION WHEN division_by_zero THEN INSERT INTO shop.orders (id) VALUES (4242); END $$`,
	`BEGIN; INSERT INTO shop.orders (id, total) VALUES (60, 6); TRUNCATE shop.orders; INSERT INTO shop.orders (id, total) VALUES (61, 6); COMMIT`,
	`BEGIN; TRUNCATE shop.orders; ROLLBACK`,
}

func (w *follower) through(scripts []string) {
	w.Helper()
	for _, s := range scripts {
		if strings.HasPrefix(s, "MERGE") && w.one(`SELECT current_setting('server_version_num')::int < 150000`) == "true" {
			continue
		}
		w.exec(s)
		ops := w.ops()
		if d := w.step(); d != "" {
			w.Errorf("after %s\n%s\njournal: %.300s", s, d, ops)
		}
	}
}

func TestJournalTellsEveryStatement(t *testing.T) {
	t.Parallel()
	for _, record := range []plans.Record{plans.RecordRow, plans.RecordKey} {
		t.Run(string(record), func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, orders, plans.Source{Name: named("shop", "orders"), Record: record})
			f.install()
			f.follow(0).through(dml)
		})
	}
}

func TestJournalTellsEveryStatementWithoutKey(t *testing.T) {
	t.Parallel()
	f := newFixture(t, strings.ReplaceAll(orders, "PRIMARY KEY", "UNIQUE")+`
		INSERT INTO shop.orders (total) SELECT 1 FROM generate_series(1, 5); INSERT INTO shop.orders SELECT NULL, NULL, NULL FROM generate_series(1, 3)`,
		plans.Source{Name: named("shop", "orders")})
	f.install()
	f.follow(0).through(append([]string{`UPDATE shop.orders SET note = 'twin' WHERE total = 1`, `DELETE FROM shop.orders WHERE total IS NULL`}, dml...))
}

func TestJournalFollowsCopy(t *testing.T) {
	t.Parallel()
	f := newFixture(t, orders, plans.Source{Name: named("shop", "orders")})
	f.install()
	w := f.follow(0)
	conn, err := f.pool.Acquire(f.ctx)
	f.must(err)
	_, err = conn.Conn().PgConn().CopyFrom(f.ctx, strings.NewReader("501\t5\n502\t\\N\n"), "COPY shop.orders (id, total) FROM STDIN")
	conn.Release()
	f.must(err)
	if ops, d := w.ops(), w.step(); d != "" || ops != "i(501) i(502)" {
		t.Errorf("journal %s, difference %s", ops, d)
	}
}

// A statement that is nested in a trigger is journalled before the outer one,
// whose image is older.
func TestJournalSurvivesNestedStatements(t *testing.T) {
	t.Parallel()
	f := newFixture(t, orders+`
		CREATE FUNCTION shop.meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF NEW.note = 'again' THEN UPDATE shop.orders SET note = 'nested', total = 1 WHERE id = NEW.id; END IF;
			IF NEW.note = 'gone' THEN DELETE FROM shop.orders WHERE id = NEW.id; END IF;
			IF NEW.note = 'move' THEN UPDATE shop.orders SET id = id + 1, note = 'moved' WHERE id = NEW.id; END IF;
			RETURN NULL; END $$;
		CREATE TRIGGER a AFTER INSERT OR UPDATE ON shop.orders FOR EACH ROW EXECUTE FUNCTION shop.meddle();
		CREATE FUNCTION shop.touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			NEW.total := COALESCE(NEW.total, 0) + 0.5; INSERT INTO shop.orders (id) VALUES (90000 + NEW.id) ON CONFLICT DO NOTHING; RETURN NEW; END $$;
		CREATE TRIGGER b BEFORE UPDATE ON shop.orders FOR EACH ROW WHEN (NEW.note = 'touch') EXECUTE FUNCTION shop.touch();
		CREATE FUNCTION shop.refill() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO shop.orders (id) VALUES (123); RETURN NULL; END $$;
		CREATE TRIGGER "000" AFTER TRUNCATE ON shop.orders EXECUTE FUNCTION shop.refill()`,
		plans.Source{Name: named("shop", "orders")})
	f.install()
	f.follow(0).through([]string{
		`INSERT INTO shop.orders (id, note) VALUES (100, 'again'), (200, 'gone'), (300, 'move'), (400, '')`,
		`UPDATE shop.orders SET note = 'again'`,
		`UPDATE shop.orders SET note = 'gone' WHERE id < 4`,
		`UPDATE shop.orders SET note = 'move' WHERE id = 400`,
		`UPDATE shop.orders SET note = 'touch' WHERE id > 5`,
		`INSERT INTO shop.orders (id, note) VALUES (100, '') ON CONFLICT (id) DO UPDATE SET note = 'gone'`,
		`TRUNCATE shop.orders`,
	})
}

func TestJournalFollowsCascades(t *testing.T) {
	t.Parallel()
	f := newFixture(t, `CREATE SCHEMA s;
		CREATE TABLE s.p1 (a int PRIMARY KEY); CREATE TABLE s.p2 (b int PRIMARY KEY);
		CREATE TABLE s.c (a int REFERENCES s.p1 ON UPDATE CASCADE ON DELETE CASCADE, b int REFERENCES s.p2 ON UPDATE CASCADE ON DELETE CASCADE, x text, PRIMARY KEY (a, b));
		CREATE TABLE s.n (id int PRIMARY KEY, a int, b int, FOREIGN KEY (a, b) REFERENCES s.c ON DELETE SET NULL ON UPDATE CASCADE, self int REFERENCES s.n ON DELETE CASCADE);
		INSERT INTO s.p1 SELECT generate_series(1, 5); INSERT INTO s.p2 SELECT generate_series(1, 5);
		INSERT INTO s.c SELECT a, b, 'x' FROM s.p1, s.p2; INSERT INTO s.n SELECT a * 10 + b, a, b, NULL FROM s.c; UPDATE s.n SET self = 11 WHERE id > 11;`,
		plans.Source{Name: named("s", "c")}, plans.Source{Name: named("s", "n")})
	f.install()
	c, n := f.follow(0), f.follow(1)
	for _, s := range []string{
		`UPDATE s.p1 SET a = a + 100`,
		`WITH x AS (UPDATE s.p1 SET a = a + 100) UPDATE s.p2 SET b = b + 100`,
		`DELETE FROM s.p2 WHERE b = 101`,
		`UPDATE s.p1 SET a = -a; UPDATE s.p1 SET a = 5 WHERE a = -201`,
		`DELETE FROM s.n WHERE id = 11`,
		`TRUNCATE s.p1 CASCADE`,
	} {
		c.exec(s)
		if d := c.step() + n.step(); d != "" {
			t.Errorf("after %s\n%s", s, d)
		}
	}
}

func TestJournalSeesKeyThatIsSpeltDifferently(t *testing.T) {
	t.Parallel()
	f := newFixture(t, `CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
		CREATE DOMAIN name_ci AS text COLLATE ci NOT NULL CHECK (VALUE <> '');
		CREATE TABLE person (name name_ci, n numeric, seen timestamptz, x int, PRIMARY KEY (name, n, seen));
		INSERT INTO person VALUES ('Bob', 1.0, '2026-01-01', 1), ('ann', 2, '2026-01-01', 2)`, plans.Source{Name: named("public", "person")})
	f.install()
	w := f.follow(0)
	w.exec(`UPDATE person SET name = 'BOB' WHERE name = 'bob'`)
	if got, want := w.ops(), `d(Bob,1.0,"2026-01-01 00:00:00+00") u(BOB,1.0,"2026-01-01 00:00:00+00")`; got != want {
		t.Errorf("journal %s, want %s", got, want)
	}
	w.through([]string{`UPDATE person SET n = 1.00 WHERE name = 'bob'`, `UPDATE person SET x = 7`, `DELETE FROM person`})
	if got := w.one(`SELECT format_type(atttypid, atttypmod) || ' ' || attcollation::regcollation FROM pg_attribute WHERE attrelid = $1::regclass AND attname = 'k_0'`,
		w.j.Tables()[0].Quoted()); got != "text public.ci" {
		t.Errorf("key column of the journal is %s", got)
	}
}

func TestJournalHoldsTrackedColumnsOldAndNew(t *testing.T) {
	t.Parallel()
	f := newFixture(t, orders, plans.Source{Name: named("shop", "orders"), Tracked: []string{"note", "total"}})
	f.install()
	w := f.follow(0)
	f.exec(`UPDATE shop.orders SET note = 'new', total = 8 WHERE id = 1; DELETE FROM shop.orders WHERE id = 1; UPDATE shop.orders SET id = 22, note = 'x' WHERE id = 2`)
	got := f.one(`SELECT string_agg(concat_ws('|', op, k_0, t_0, t_1), ' ' ORDER BY seq) FROM ` + w.j.Name().Quoted())
	if want := "u|1|new|8 o|1|1 d|1|new|8 d|2|2 u|22|x|2 o|2|2"; got != want {
		t.Errorf("journal %s, want %s", got, want)
	}
	if w.j.ColumnOf("total") != "t_1" || w.j.ColumnOf("id") != "k_0" || w.j.ColumnOf("double") != "" {
		t.Error("ColumnOf names another column")
	}
	w.through(dml)
}

func TestJournalHoldsAwkwardNames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 63)
	f := newFixture(t, `CREATE SCHEMA "Select From"; CREATE TABLE "Select From"."`+long+`" ("new" int, "TG_OP" text, tg_op text, "old" text, "`+strings.Repeat("é", 31)+`" int, "a""b'c\" text, n int, op text, img text, seq int, PRIMARY KEY ("new", "TG_OP"));`,
		plans.Source{Name: named("Select From", long), Tracked: []string{`a"b'c\`, "seq"}})
	f.install()
	f.follow(0).through([]string{
		`INSERT INTO "Select From"."` + long + `" VALUES (1, 'a', 'b', 'c', 2, 'd', 3, 'e', 'f', 4), (2, 'a', 'b', 'c', 2, 'd', 3, 'e', 'f', 4)`,
		`UPDATE "Select From"."` + long + `" SET "new" = -"new", op = 'z'`,
		`DELETE FROM "Select From"."` + long + `" WHERE "new" = -1`,
		`TRUNCATE "Select From"."` + long + `"`,
	})
}

func TestJournalIsWrittenForUnprivilegedClientsUnderRowSecurity(t *testing.T) {
	t.Parallel()
	f := newFixture(t, orders+`DO $$ BEGIN CREATE ROLE capture_clerk; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
		ALTER TABLE shop.orders ENABLE ROW LEVEL SECURITY; ALTER TABLE shop.orders FORCE ROW LEVEL SECURITY;
		CREATE POLICY p ON shop.orders TO capture_clerk USING (id < 8) WITH CHECK (true);
		GRANT USAGE ON SCHEMA shop TO capture_clerk; GRANT ALL ON shop.orders TO capture_clerk;
		ALTER TABLE shop.orders OWNER TO capture_clerk;
		CREATE SCHEMA evil AUTHORIZATION capture_clerk; CREATE FUNCTION evil.nextval(regclass) RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint'`,
		plans.Source{Name: named("shop", "orders")})
	f.install()
	w := f.follow(0)
	const clerk = `SET ROLE capture_clerk; SET search_path = evil, pg_catalog; SET default_transaction_isolation = serializable; `
	w.through([]string{clerk + `UPDATE shop.orders SET total = 0`, clerk + `DELETE FROM shop.orders WHERE id = 2`, clerk + `TRUNCATE shop.orders`,
		clerk + `INSERT INTO shop.orders VALUES (1), (20)`, clerk + `UPDATE shop.orders SET id = 3`})
	if err := f.try(clerk + `SELECT count(*) FROM ` + w.j.Name().Quoted()); err == nil {
		t.Error("a client may read the journal")
	}
}

func TestJournalFollowsReplicaRole(t *testing.T) {
	t.Parallel()
	f := newFixture(t, orders, plans.Source{Name: named("shop", "orders")})
	f.install()
	f.follow(0).through([]string{`SET session_replication_role = replica; UPDATE shop.orders SET total = 0 WHERE id = 1; DELETE FROM shop.orders WHERE id = 2`})
}
