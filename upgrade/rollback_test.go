package upgrade_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

// There and back through each kind of table and change that a way back must know.
var returning = history{
	structure: `CREATE SCHEMA shop;
		CREATE TYPE shop.grade AS ENUM ('low', 'high');
		CREATE SEQUENCE shop.ticket MAXVALUE 100000 CYCLE;
		CREATE TABLE shop.customers (id serial PRIMARY KEY, name text NOT NULL, mail text UNIQUE, grade shop.grade NOT NULL DEFAULT 'low', legacy int NOT NULL DEFAULT 5, ticket bigint DEFAULT nextval('shop.ticket'));
		CREATE TABLE shop.orders (id serial PRIMARY KEY, customer int NOT NULL REFERENCES shop.customers ON DELETE CASCADE, total numeric(10,2), status text NOT NULL DEFAULT 'new', touched int NOT NULL DEFAULT 0);
		CREATE TABLE shop.log (day int NOT NULL, what text);
		CREATE TABLE shop.parts (id int, day int, v text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
		CREATE TABLE shop.parts_1 PARTITION OF shop.parts FOR VALUES FROM (0) TO (10); CREATE TABLE shop.parts_2 PARTITION OF shop.parts FOR VALUES FROM (10) TO (100);
		CREATE TABLE shop.gone (id int PRIMARY KEY, v text);
		CREATE FUNCTION shop.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.touched := NEW.touched + 1; RETURN NEW; END';
		CREATE TRIGGER touch BEFORE UPDATE ON shop.orders FOR EACH ROW EXECUTE FUNCTION shop.touch();
		CREATE TRIGGER loud BEFORE INSERT ON shop.orders FOR EACH ROW EXECUTE FUNCTION shop.touch(); ALTER TABLE shop.orders ENABLE ALWAYS TRIGGER loud;
		CREATE VIEW shop.paid AS SELECT * FROM shop.orders WHERE status = 'paid';
		CREATE MATERIALIZED VIEW shop.totals AS SELECT customer, sum(total) AS s FROM shop.orders GROUP BY 1;
		INSERT INTO shop.customers (name, mail, legacy) SELECT 'c' || n, n || '@x', n FROM generate_series(1, 50) n;
		INSERT INTO shop.orders (customer, total) SELECT 1 + n % 50, n FROM generate_series(1, 500) n;
		INSERT INTO shop.log SELECT n % 7, 'w' || n % 5 FROM generate_series(1, 100) n;
		INSERT INTO shop.parts SELECT n, n % 100, n FROM generate_series(1, 200) n;
		INSERT INTO shop.gone VALUES (1, 'stays');
		CREATE TABLE shop.notes (id int PRIMARY KEY, v int); INSERT INTO shop.notes VALUES (1, -1), (2, 2), (3, 3);
		DO $$ BEGIN CREATE ROLE returning_reader; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
		GRANT SELECT ON shop.customers TO returning_reader; GRANT USAGE ON SCHEMA shop TO returning_reader; COMMENT ON TABLE shop.orders IS 'orders';`,
	migrations: []string{
		`DROP VIEW shop.paid; ALTER TABLE shop.orders ALTER COLUMN id TYPE bigint; ALTER TABLE shop.orders RENAME COLUMN customer TO customer_id;`,
		`ALTER TABLE shop.customers DROP COLUMN legacy; ALTER TABLE shop.customers RENAME COLUMN mail TO email; ALTER TABLE shop.customers ADD COLUMN vip boolean NOT NULL DEFAULT false;`,
		`CREATE TYPE shop.status AS ENUM ('new', 'paid');
		ALTER TABLE shop.orders ALTER COLUMN status DROP DEFAULT, ALTER COLUMN status TYPE shop.status USING status::shop.status, ALTER COLUMN status SET DEFAULT 'new';`,
		`ALTER TABLE shop.log ADD COLUMN more int; ALTER TABLE shop.parts ADD COLUMN more int DEFAULT 3; DROP TABLE shop.gone; CREATE TABLE shop.added (id int PRIMARY KEY);`,
		`DELETE FROM shop.notes WHERE v < 0;`,
	},
	planFile: "cutover: {max_stall: 3s, lock_timeout: 500ms}\n",
}

// writesNew are what clients do to the new side, in its structure.
const writesNew = `
	INSERT INTO shop.customers (name, email, vip, grade) VALUES ('new', 'new@x', true, 'high');
	UPDATE shop.customers SET email = 'changed@x' WHERE id = 7;
	DELETE FROM shop.customers WHERE id = 9;
	UPDATE shop.customers SET email = CASE id WHEN 11 THEN 't' ELSE '11@x' END WHERE id = 11; UPDATE shop.customers SET email = '11@x' WHERE id = 12; UPDATE shop.customers SET email = '12@x' WHERE id = 11;
	INSERT INTO shop.orders (customer_id, total, status) SELECT 1, n, 'paid' FROM generate_series(1, 20) n;
	UPDATE shop.orders SET total = total + 1, status = 'paid' WHERE id BETWEEN 100 AND 120;
	DELETE FROM shop.orders WHERE id BETWEEN 200 AND 205;
	INSERT INTO shop.log (day, what) VALUES (1, 'w1'), (1, 'w1'); DELETE FROM shop.log WHERE day = 2; UPDATE shop.log SET what = 'u' WHERE day = 3;
	UPDATE shop.parts SET day = 50, v = 'moved' WHERE id = 5; INSERT INTO shop.parts VALUES (900, 9, 'p'); DELETE FROM shop.parts WHERE id = 6; UPDATE shop.parts SET id = 901 WHERE id = 8;
	UPDATE shop.notes SET v = 20 WHERE id = 2; INSERT INTO shop.notes VALUES (4, 4); DELETE FROM shop.notes WHERE id = 3;
	INSERT INTO shop.added VALUES (1); REFRESH MATERIALIZED VIEW shop.totals;
	SELECT nextval('shop.ticket');`

// inOld is what the old structure shows of all that, as text.
const inOld = `SELECT concat_ws(E'\n',
	(SELECT string_agg(concat_ws(',', id, name, mail, grade, legacy, ticket), ' ' ORDER BY id) FROM shop.customers),
	(SELECT string_agg(concat_ws(',', id, customer, total, status, touched), ' ' ORDER BY id) FROM shop.orders),
	(SELECT string_agg(concat_ws(',', day, what), ' ' ORDER BY day, what) FROM shop.log),
	(SELECT string_agg(concat_ws(',', tableoid::regclass, id, day, v), ' ' ORDER BY id, day) FROM shop.parts),
	(SELECT string_agg(concat_ws(',', id, v), ' ' ORDER BY id) FROM shop.gone), (SELECT sum(s) > 1000 FROM shop.totals),
	(SELECT string_agg(concat_ws(',', id, v), ' ' ORDER BY id) FROM shop.notes))`

// asOld is the same of the new structure, but for what it does not know.
const asOld = `SELECT concat_ws(E'\n',
	(SELECT string_agg(concat_ws(',', id, name, email, grade, CASE WHEN id <= 50 THEN id ELSE 5 END, ticket), ' ' ORDER BY id) FROM shop.customers),
	(SELECT string_agg(concat_ws(',', id, customer_id, total, status, touched), ' ' ORDER BY id) FROM shop.orders),
	(SELECT string_agg(concat_ws(',', day, what), ' ' ORDER BY day, what) FROM shop.log),
	(SELECT string_agg(concat_ws(',', tableoid::regclass, id, day, v), ' ' ORDER BY id, day) FROM shop.parts),
	'1,stays', (SELECT sum(s) > 1000 FROM shop.totals),
	(SELECT '1,-1 ' || string_agg(concat_ws(',', id, v), ' ' ORDER BY id) FROM shop.notes))`

// Rollback through a leader that keeps the old side current: every write is there,
// and the schemas are what they were before the upgrade, to the letter.
func TestRollbackBringsEveryWriteBack(t *testing.T) {
	t.Parallel()
	t.Run("in one database", func(t *testing.T) {
		t.Parallel()
		thereAndBack(t, returning)
	})
	t.Run("to another one", func(t *testing.T) {
		t.Parallel()
		h := returning
		h.remote = testcontainers.Database(t)
		thereAndBack(t, h)
	})
}

func thereAndBack(t *testing.T, h history) {
	t.Helper()
	ctx := limited(t, 3*time.Minute)
	w := build(t, h)
	before := schemaDump(t, w.production)
	w.run(ctx, upgrade.Options{Cutover: true})
	exec(t, w.served, writesNew)
	leader := w.leads(ctx)
	w.keptCurrent(ctx)
	verdicts, err := upgrade.Verify(ctx, w.file(), w.log)
	must(t, err)
	if len(verdicts) != 5 || !upgrade.AllEqual(verdicts) {
		t.Errorf("verify: %+v", verdicts)
	}
	exec(t, w.served, "UPDATE shop.orders SET total = 7 WHERE id = 1; INSERT INTO shop.log VALUES (6, 'last', 1)")
	want := text(t, w.served, asOld)
	must(t, upgrade.Rollback(ctx, w.file(), upgrade.RefuseLosses, upgrade.Options{Log: w.log}))
	must(t, leader.Wait())
	w.isBack(ctx, before, want)
	must(t, upgrade.Rollback(ctx, w.file(), upgrade.RefuseLosses, upgrade.Options{Log: w.log})) // done already
	exec(t, w.production, `INSERT INTO shop.customers (name) VALUES ('after'); INSERT INTO shop.orders (customer) VALUES (1); INSERT INTO shop.parts VALUES (1000, 1, 'x')`)
	w.run(ctx, upgrade.Options{Cutover: true}) // the same name begins anew
	must(t, upgrade.Finish(ctx, w.file(), cutover.DropOld, upgrade.Purge, w.log))
}

// leads keeps the old side current until the run is over.
func (w *world) leads(ctx context.Context) *errgroup.Group {
	var leader errgroup.Group
	leader.Go(func() error {
		err := upgrade.Run(ctx, w.file(), upgrade.Options{Log: w.log})
		if err != nil && ctx.Err() == nil {
			w.t.Error("the leader:", err)
		}
		return err
	})
	return &leader
}

// isBack checks that production is the old side again, with so much in it.
func (w *world) isBack(ctx context.Context, structure, rows string) {
	w.t.Helper()
	if diff := cmp.Diff(structure, schemaDump(w.t, w.production)); diff != "" {
		w.t.Errorf("structure (-before +after the rollback):\n%s", diff)
	}
	if diff := cmp.Diff(rows, text(w.t, w.production, inOld)); diff != "" {
		w.t.Errorf("rows (-written +after the rollback):\n%s", diff)
	}
	s, err := upgrade.ReadStatus(ctx, w.file())
	must(w.t, err)
	if *s.Phase != control.RolledBack || !s.Tidied || len(s.Rollback) == 0 {
		w.t.Errorf("status: %+v", s)
	}
}

// keptCurrent waits until the old side has all that the new one has.
func (w *world) keptCurrent(ctx context.Context) {
	w.t.Helper()
	polled(ctx, w.t, func() bool {
		s, err := upgrade.ReadStatus(ctx, w.file())
		must(w.t, err)
		if w.t.Failed() {
			w.t.FailNow()
		}
		return s.Leader != nil && s.Journal.Pending == 0 && len(s.Tables) > 0
	})
}

func text(t *testing.T, dsn, query string) (answer string) {
	t.Helper()
	must(t, one(dsn, query, &answer))
	return answer
}

// schemaDump is the structure of what the run moves, and the version.
func schemaDump(t *testing.T, dsn string) string {
	t.Helper()
	path, err := testcontainers.Bin("pg_dump")
	must(t, err)
	out, err := command(path, "--schema-only", "--schema=shop", "--schema=public", dsn)
	must(t, err)
	return out + text(t, dsn, `SELECT string_agg(concat_ws(' ', version, dirty), ', ') FROM public.schema_migrations`)
}

// A row that the old side refuses stops its table, is told by its key, and is lost
// by nobody: production goes on, the other tables too, and no rollback comes before
// it is mended.
func TestRowThatTheOldSideRefusesStopsTheRollback(t *testing.T) {
	t.Parallel()
	ctx := limited(t, 3*time.Minute)
	w := build(t, history{
		structure: `CREATE SCHEMA shop; CREATE TABLE shop.a (id int PRIMARY KEY, v int); CREATE TABLE shop.b (id int PRIMARY KEY, v int);
			INSERT INTO shop.a VALUES (1, 1), (2, 2); INSERT INTO shop.b VALUES (1, 1);`,
		migrations: []string{"ALTER TABLE shop.a ALTER COLUMN v TYPE bigint; ALTER TABLE shop.b ADD COLUMN w int;"},
	})
	w.run(ctx, upgrade.Options{Cutover: true})
	leader := w.leads(ctx)
	w.keptCurrent(ctx)
	exec(t, w.production, "UPDATE shop.a SET v = 3000000000 WHERE id = 2; UPDATE shop.a SET v = 5 WHERE id = 1; UPDATE shop.b SET v = 5")
	polled(ctx, t, func() bool {
		s, err := upgrade.ReadStatus(ctx, w.file())
		must(t, err)
		if t.Failed() {
			t.FailNow()
		}
		return len(s.Refused) == 1 && s.Refused[0].Table == "shop.a" && s.Refused[0].Key == "id=2" && strings.Contains(s.Refused[0].Why, "integer out of range")
	})
	await(ctx, t, w.production, "SELECT v = 5 FROM pgumbra_up_old_shop.b")
	err := upgrade.Rollback(ctx, w.file(), upgrade.RefuseLosses, upgrade.Options{Log: w.log})
	if !errors.Is(err, upgrade.ErrNotNow) || !strings.Contains(err.Error(), "id=2") {
		t.Error("the rollback:", err)
	}
	exec(t, w.production, "UPDATE shop.a SET v = 30 WHERE id = 2; INSERT INTO shop.a VALUES (3, 3)")
	w.keptCurrent(ctx)
	must(t, upgrade.Rollback(ctx, w.file(), upgrade.RefuseLosses, upgrade.Options{Log: w.log}))
	must(t, leader.Wait())
	if got := text(t, w.production, "SELECT string_agg(id || ' ' || v, ', ' ORDER BY id) FROM shop.a"); got != "1 5, 2 30, 3 3" {
		t.Error(got)
	}
	must(t, upgrade.Finish(ctx, w.file(), cutover.DropOld, upgrade.Purge, w.log))
	if left := text(t, w.production, "SELECT coalesce(string_agg(nspname, ' '), '') FROM pg_namespace WHERE nspname LIKE 'pgumbra%'"); left != "" {
		t.Error("left:", left)
	}
}
