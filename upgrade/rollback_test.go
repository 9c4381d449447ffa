package upgrade_test

import (
	"context"
	"errors"
	"regexp"
	"slices"
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
		`ALTER TABLE shop.customers DROP COLUMN legacy; ALTER TABLE shop.customers RENAME COLUMN mail TO email; ALTER TABLE shop.customers ADD COLUMN vip boolean NOT NULL DEFAULT false, ADD COLUMN currency text; UPDATE shop.customers SET currency = 'EUR';`,
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
	UPDATE shop.customers SET currency = 'CHF' WHERE email = 'new@x';
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
	hereAndThere(t, returning, thereAndBack)
}

// hereAndThere takes a history through its test in one database or to another one, by
// the run's seed; both ways where [testcontainers.Whole].
func hereAndThere(t *testing.T, h history, through func(*testing.T, history)) {
	t.Helper()
	for name, w := range testcontainers.SomeOf(t, map[string]way{"in one database": {}, "to another one": {remote: true}}, 1) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			there := h
			if w.remote {
				there.remote = testcontainers.Database(t)
			}
			through(t, there)
		})
	}
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
	want := w.backAndThereAgain(ctx, before, text(t, w.served, asOld))
	must(t, upgrade.Rollback(ctx, w.file(), upgrade.Options{Log: w.log}))
	must(t, leader.Wait())
	w.isBack(ctx, control.RolledBack, before, want)
	must(t, upgrade.Rollback(ctx, w.file(), upgrade.Options{Log: w.log})) // done already
	exec(t, w.production, `INSERT INTO shop.customers (name) VALUES ('after'); INSERT INTO shop.orders (customer) VALUES (1); INSERT INTO shop.parts VALUES (1000, 1, 'x')`)
	w.run(ctx, upgrade.Options{Cutover: true}) // the same name begins anew
	must(t, upgrade.Finish(ctx, w.file(), cutover.DropOld, upgrade.Purge, w.log))
}

// backAndThereAgain goes back, forward a second time, and says what the old structure
// will show after the next rollback.
func (w *world) backAndThereAgain(ctx context.Context, before, want string) string {
	t := w.t
	t.Helper()
	follow := upgrade.Options{As: control.RollbackAs{Follow: true}, Log: w.log}
	must(t, upgrade.Rollback(ctx, w.file(), follow))
	if got := text(t, w.production, `SELECT concat(cutover_requested, phase) FROM pgumbra.leader JOIN pgumbra.run ON id = run_id ORDER BY id DESC LIMIT 1`); got != "following" {
		t.Errorf("after the rollback a swap is asked for that nobody typed: %s", got)
	}
	w.isBack(ctx, control.Following, before, want)
	must(t, upgrade.Rollback(ctx, w.file(), follow)) // done already
	exec(t, w.production, writesOld)
	must(t, upgrade.Cutover(ctx, w.file(), upgrade.Options{Log: w.log}))
	if got := text(t, w.served, ofBoth); got != "there,t,CHF again,f,EUR 1" {
		t.Errorf("after the second cutover: %s", got)
	}
	exec(t, w.served, "UPDATE shop.customers SET grade = 'low' WHERE name = 'again'; UPDATE shop.log SET more = NULL")
	w.keptCurrent(ctx)
	return text(t, w.served, asOldAgain)
}

// writesOld are what clients do between a rollback and the second cutover.
const writesOld = `
	UPDATE shop.customers SET name = 'there' WHERE mail = 'new@x';
	INSERT INTO shop.customers (name, mail, grade, legacy) VALUES ('again', 'again@x', 'high', 61);
	UPDATE shop.orders SET status = 'paid' WHERE id = 100; DELETE FROM shop.orders WHERE id = 101;
	INSERT INTO shop.parts VALUES (2000, 20, 'again'); INSERT INTO shop.notes VALUES (5, 5); UPDATE shop.log SET what = 'again' WHERE day = 4;`

// ofBoth is what the new side shows after the second cutover of rows that clients
// wrote there before the rollback, and of those that they wrote since: what only the
// new side holds, vip and currency, has stayed.
const ofBoth = `SELECT concat_ws(' ', (SELECT string_agg(concat_ws(',', name, vip, currency), ' ' ORDER BY id)
	FROM shop.customers WHERE email IN ('new@x', 'again@x')), (SELECT count(*) FROM shop.added))`

// asOldAgain is asOld with a customer who came from the old side.
var asOldAgain = strings.Replace(asOld, "CASE WHEN id <= 50 THEN id ELSE 5 END", "CASE WHEN id <= 50 THEN id WHEN name = 'again' THEN 61 ELSE 5 END", 1)

// leads keeps the old side current until the run is over. Where it returns somebody leads: a
// command that finds nobody does the work itself, and the leader comes too late.
func (w *world) leads(ctx context.Context) *errgroup.Group {
	var leader errgroup.Group
	leader.Go(func() error {
		err := upgrade.Run(ctx, w.file(), upgrade.Options{Log: w.log})
		if err != nil && ctx.Err() == nil {
			w.t.Error("the leader:", err)
		}
		return err
	})
	for !w.t.Failed() && ctx.Err() == nil {
		if s, err := upgrade.ReadStatus(ctx, w.file()); err == nil && s.Leader != nil {
			break
		}
	}
	return &leader
}

// isBack checks that production is the old side again, with so much in it.
func (w *world) isBack(ctx context.Context, phase control.Phase, structure, rows string) {
	w.t.Helper()
	w.structureIs(structure)
	if diff := cmp.Diff(rows, text(w.t, w.production, inOld)); diff != "" {
		w.t.Errorf("rows (-written +after the rollback):\n%s", diff)
	}
	s, err := upgrade.ReadStatus(ctx, w.file())
	must(w.t, err)
	if *s.Phase != phase || !s.Tidied || len(s.Rollback) == 0 {
		w.t.Errorf("status: %+v", s)
	}
}

// structureIs compares production's with an earlier dump: by object and without the
// triggers of capture, by which pg_dump orders them.
func (w *world) structureIs(before string) {
	w.t.Helper()
	if diff := cmp.Diff(objects(before), objects(schemaDump(w.t, w.production))); diff != "" {
		w.t.Errorf("structure (-before +now):\n%s", diff)
	}
}

func objects(dump string) []string {
	all := strings.Split(dump, "\n--\n")
	for i := range all {
		all[i] = strings.TrimSpace(settingLine.ReplaceAllString(all[i], ""))
	}
	all = slices.DeleteFunc(all, func(o string) bool { return o == "" || strings.Contains(o, "pgumbra") })
	slices.Sort(all)
	return all
}

var settingLine = regexp.MustCompile(`(?m)^SET default_.*$`)

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

// Rows that the old side cannot hold are told by their keys as soon as they are
// written, keep nobody else from going back, and stop a rollback unless it is told to
// leave them behind: the old side keeps what it had of them. What types and checks do
// not tell stops its table until it is mended. Production goes on all the while.
func TestRowsThatTheOldSideCannotHoldStopTheRollback(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	eachPlace(t, rowsThatTheOldSideCannotHold)
}

func rowsThatTheOldSideCannotHold(t *testing.T, remote string) {
	ctx := limited(t, 3*time.Minute)
	w := build(t, history{
		structure: `CREATE SCHEMA shop; CREATE TABLE shop.a (id int PRIMARY KEY, v int, u int CONSTRAINT one UNIQUE); CREATE TABLE shop.b (id int PRIMARY KEY, v int);
			CREATE TABLE shop.c (id int, day int, v int CHECK (v < 100), p numeric(6,2), n int, PRIMARY KEY (id, day));
			CREATE TABLE shop.l (n int, v text); INSERT INTO shop.l VALUES (3, 'l');
			INSERT INTO shop.a VALUES (1, 1, 1), (2, 2, 2); INSERT INTO shop.b VALUES (1, 1); INSERT INTO shop.c SELECT n, n, n, n, n FROM generate_series(1, 9) n;`,
		migrations: []string{`ALTER TABLE shop.a ALTER COLUMN id TYPE bigint, ALTER COLUMN v TYPE bigint, DROP CONSTRAINT one; ALTER TABLE shop.b ADD COLUMN w int;
			ALTER TABLE shop.c DROP CONSTRAINT c_v_check, ALTER COLUMN p TYPE numeric(8,4), ALTER COLUMN n TYPE numeric;
			ALTER TABLE shop.l ALTER COLUMN n TYPE numeric;`},
		remote: remote,
	})
	old := "shop"
	if remote == "" {
		old = "pgumbra_up_old_shop"
	}
	w.run(ctx, upgrade.Options{Cutover: true})
	leader := w.leads(ctx)
	w.keptCurrent(ctx)
	exec(t, w.served, `UPDATE shop.a SET v = 3000000000 WHERE id = 2; UPDATE shop.a SET v = 5 WHERE id = 1; INSERT INTO shop.a VALUES (5000000000, 1, 9); UPDATE shop.b SET v = 5;
		UPDATE shop.c SET v = 500 WHERE id = 3; UPDATE shop.c SET v = 600 WHERE id = 4; DELETE FROM shop.c WHERE id = 4; UPDATE shop.c SET p = 1.2345 WHERE id = 5; UPDATE shop.c SET v = 7 WHERE id = 6; UPDATE shop.c SET n = 1.5 WHERE id = 7; INSERT INTO shop.c VALUES (9, 5000, 1, 1, 2.5)`)
	w.unfit(ctx, "shop.a id=2 goes on", "shop.a id=5000000000 goes on", "shop.c id=3, day=3 goes on", "shop.c id=5, day=5 altered", "shop.c id=7, day=7 altered", "shop.c id=9, day=5000 altered")
	await(ctx, t, w.production, strings.ReplaceAll(`SELECT (SELECT v FROM {old}.b) = 5 AND (SELECT string_agg(v::text, ' ' ORDER BY id) FROM {old}.a) = '5 2'
		AND (SELECT string_agg(v || '/' || p || '/' || n, ' ' ORDER BY id, day) FROM {old}.c) = '1/1.00/1 2/2.00/2 3/3.00/3 5/1.23/5 7/6.00/6 7/7.00/2 8/8.00/8 9/9.00/9 1/1.00/3'`, "{old}", old))
	verdicts, err := upgrade.Verify(ctx, w.file(), w.log)
	must(t, err)
	if !upgrade.AllEqual(verdicts) {
		t.Errorf("verify: %+v", verdicts)
	}
	s, err := upgrade.ReadStatus(ctx, w.file())
	must(t, err)
	if against := s.WayBack.Against; len(against) != 1 || !strings.Contains(against[0], "--accept-loss") {
		t.Errorf("status says of the way back: %q", against)
	}
	err = upgrade.Rollback(ctx, w.file(), upgrade.Options{Log: w.log})
	var notNow *upgrade.NotNow
	if !errors.Is(err, upgrade.ErrNotNow) || !errors.As(err, &notNow) || !notNow.AcceptLoss || !strings.Contains(err.Error(), "shop.c, id=3, day=3") || !strings.Contains(err.Error(), "--accept-loss") {
		t.Error("the rollback:", err)
	}
	exec(t, w.served, "UPDATE shop.a SET v = 30, u = 9 WHERE id = 2; UPDATE shop.c SET p = 2 WHERE id = 5; UPDATE shop.c SET n = 7 WHERE id = 7; DELETE FROM shop.c WHERE day = 5000; DELETE FROM shop.a WHERE id > 9")
	w.unfit(ctx, "shop.c id=3, day=3 goes on")
	exec(t, w.served, "INSERT INTO shop.a VALUES (3, 3, 9)")
	w.unfit(ctx, "shop.a u=9 waits", "shop.c id=3, day=3 goes on")
	exec(t, w.served, "UPDATE shop.a SET u = 10 WHERE id = 3")
	w.keptCurrent(ctx)
	w.unfit(ctx, "shop.c id=3, day=3 goes on")
	exec(t, w.served, "INSERT INTO shop.l VALUES (1.5, 'a'), (1.5, 'a'), (2.5, repeat('b', 4000)), (7, 'c'); DELETE FROM shop.l WHERE n = 2.5; UPDATE shop.l SET n = 3.5 WHERE n = 3")
	w.unfit(ctx, "shop.c id=3, day=3 goes on", "shop.l (1.5,a) altered", "shop.l (3.5,l) altered")
	exec(t, w.served, "UPDATE shop.l SET n = 4 WHERE n = 3.5; DELETE FROM shop.l WHERE ctid = (SELECT min(ctid) FROM shop.l WHERE n = 1.5)")
	w.unfit(ctx, "shop.c id=3, day=3 goes on", "shop.l (1.5,a) altered")
	exec(t, w.served, "TRUNCATE shop.l; INSERT INTO shop.l VALUES (4.5, 'd'), (4.5, 'd'), (9, 'e')")
	w.unfit(ctx, "shop.c id=3, day=3 goes on", "shop.l (4.5,d) altered")
	must(t, upgrade.Rollback(ctx, w.file(), upgrade.Options{As: control.RollbackAs{AcceptLoss: true}, Log: w.log}))
	must(t, leader.Wait())
	if got := text(t, w.production, "SELECT string_agg(n || v, ' ' ORDER BY n, v) FROM shop.l"); got != "5d 5d 9e" {
		t.Error("rows without a key:", got)
	}
	if got := text(t, w.production, "SELECT (SELECT string_agg(id || ' ' || v, ', ' ORDER BY id) FROM shop.a) || (SELECT string_agg(', ' || v, '' ORDER BY id) FROM shop.c)"); got != "1 5, 2 30, 3 3, 1, 2, 3, 5, 7, 7, 8, 9" {
		t.Error(got)
	}
	w.unfit(ctx, "shop.c id=3, day=3 goes on", "shop.l (4.5,d) altered") // what was left behind
	must(t, upgrade.Finish(ctx, w.file(), cutover.DropOld, upgrade.Purge, w.log))
	if left := text(t, w.production, "SELECT coalesce(string_agg(nspname, ' '), '') FROM pg_namespace WHERE nspname LIKE 'pgumbra%'"); left != "" {
		t.Error("left:", left)
	}
}

// unfit waits until status tells just these rows: table, key, what becomes of the
// table's others. Of one that waits the key is the server's to tell.
func (w *world) unfit(ctx context.Context, want ...string) {
	w.t.Helper()
	var got []string
	defer func() {
		if ctx.Err() != nil {
			w.t.Errorf("refused: %q", got)
		}
	}()
	polled(ctx, w.t, func() bool {
		s, err := upgrade.ReadStatus(ctx, w.file())
		must(w.t, err)
		if w.t.Failed() {
			w.t.FailNow()
		}
		got = nil
		for _, r := range s.Refused {
			if r.Flow == "waits" {
				r.Key = "u=9"
			}
			got = append(got, r.Table+" "+r.Key+" "+r.Flow)
		}
		slices.Sort(got)
		return slices.Equal(got, want)
	})
}

// The new server crashes while the old one is kept current, and again while nobody
// leads: the run goes on from the positions, and the rollback has every write.
func TestNewServerCrashesInTheWatch(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	ctx := limited(t, 3*time.Minute)
	there, err := testcontainers.Start(ctx, testcontainers.Options{})
	must(t, err)
	t.Cleanup(func() { _ = there.Stop(context.WithoutCancel(ctx)) })
	w := build(t, history{
		structure:  `CREATE SCHEMA shop; CREATE TABLE shop.a (id int PRIMARY KEY, v int); INSERT INTO shop.a SELECT n, 0 FROM generate_series(1, 100) n;`,
		migrations: []string{"ALTER TABLE shop.a ALTER COLUMN id TYPE bigint; ALTER TABLE shop.a RENAME COLUMN v TO amount;"},
		remote:     there.DSN("postgres"),
	})
	w.run(ctx, upgrade.Options{Cutover: true})
	leader := w.leads(ctx)
	exec(t, w.served, "UPDATE shop.a SET amount = 1 WHERE id <= 10")
	w.keptCurrent(ctx)
	must(t, there.Crash(ctx))
	err = upgrade.Rollback(ctx, w.file(), upgrade.Options{Log: w.log})
	if !errors.Is(err, upgrade.ErrNotNow) {
		t.Error("a rollback without the new server:", err)
	}
	must(t, there.Restart(ctx))
	exec(t, w.served, "UPDATE shop.a SET amount = 2 WHERE id > 90; DELETE FROM shop.a WHERE id = 50; INSERT INTO shop.a VALUES (101, 7)")
	must(t, upgrade.Rollback(ctx, w.file(), upgrade.Options{Log: w.log}))
	must(t, leader.Wait())
	if got := text(t, w.production, "SELECT concat_ws(' ', count(*), sum(v), max(id)) FROM shop.a"); got != "100 37 101" {
		t.Error("the old side has", got)
	}
	exec(t, w.production, "INSERT INTO shop.a VALUES (102, 0)")
	if err := try(ctx, w.served, "INSERT INTO shop.a VALUES (102, 0)"); err == nil || !strings.Contains(err.Error(), "abandoned side") {
		t.Error("the new server:", err)
	}
}

// What the new table has nothing for, and the old one must have, rows that are there
// keep. Rows that a migration deleted stay, but for those that clients write again.
func TestRowsKeepWhatTheOldSideMustHave(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	eachPlace(t, func(t *testing.T, remote string) {
		ctx := limited(t, 2*time.Minute)
		w := build(t, history{structure: `CREATE SCHEMA shop; CREATE TABLE shop.a (id int PRIMARY KEY, v text, must int NOT NULL, lot int DEFAULT 0 CHECK (lot > 0));
				INSERT INTO shop.a SELECT n, n, n, n FROM generate_series(1, 9) n;
				CREATE TABLE shop.p (id int PRIMARY KEY, v text) PARTITION BY RANGE (id); CREATE TABLE shop.p_1 PARTITION OF shop.p DEFAULT;
				CREATE TABLE shop.l (id int, v text); INSERT INTO shop.p SELECT n, n FROM generate_series(1, 29) n; INSERT INTO shop.l TABLE shop.p`,
			migrations: []string{"ALTER TABLE shop.a DROP COLUMN must, DROP COLUMN lot;", "DELETE FROM shop.p WHERE id % 10 = 9; DELETE FROM shop.l WHERE id % 10 = 9;"}, remote: remote})
		w.run(ctx, upgrade.Options{Cutover: true})
		exec(t, w.served, `UPDATE shop.a SET v = 'new' WHERE id < 4; UPDATE shop.a SET id = 50 WHERE id = 50; DELETE FROM shop.a WHERE id = 9;
			INSERT INTO shop.p VALUES (9, 'new'), (19, 'brief'); DELETE FROM shop.p WHERE id = 19; UPDATE shop.p SET id = 39 WHERE id = 1; INSERT INTO shop.l VALUES (9, 'new')`)
		verdicts, err := upgrade.Verify(ctx, w.file(), w.log)
		must(t, err)
		if len(verdicts) != 3 || !upgrade.AllEqual(verdicts) {
			t.Errorf("verify: %+v", verdicts)
		}
		must(t, upgrade.Rollback(ctx, w.file(), upgrade.Options{Log: w.log}))
		var rows string
		must(t, one(w.production, `SELECT string_agg(concat_ws('|', id, v, must, lot), ' ' ORDER BY id) FROM shop.a`, &rows))
		if rows != "1|new|1|1 2|new|2|2 3|new|3|3 4|4|4|4 5|5|5|5 6|6|6|6 7|7|7|7 8|8|8|8" {
			t.Error(rows)
		}
		if got := text(t, w.production, `SELECT concat_ws(' ', (SELECT string_agg(id || v, ' ' ORDER BY id) FROM shop.p WHERE id % 10 = 9), (SELECT count(*) FROM shop.p),
			(SELECT string_agg(id || v, ' ' ORDER BY id, v) FROM shop.l WHERE id % 10 = 9))`); got != "9new 2929 391 28 99 9new 1919 2929" {
			t.Error(got)
		}
	})
}
