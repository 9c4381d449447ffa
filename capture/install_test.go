package capture

import (
	"context"
	"errors"
	"log/slog"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/testcontainers"
)

func ordersFixture(t *testing.T) *fixture {
	return newFixture(t, orders, plans.Source{Name: named("shop", "orders")})
}

func (f *fixture) changes(n int) map[ChangeKind]string {
	f.Helper()
	all, err := Check(f.ctx, f.pool, f.run, f.source(n))
	f.must(err)
	kinds := map[ChangeKind]string{}
	for _, c := range all {
		kinds[c.Kind] = c.Detail
	}
	return kinds
}

func TestInstallKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	f := newFixture(t, orders+tree, plans.Source{Name: named("shop", "orders")}, plans.Source{Name: named("p", "root"), Kind: plans.Partitioned})
	f.install()
	w := f.follow(0)
	f.exec(`UPDATE shop.orders SET total = 1 WHERE id = 1`)
	triggers := f.one(`SELECT string_agg(oid::text, ' ' ORDER BY oid) FROM pg_trigger WHERE tgname LIKE '!pgumbra%'`)
	f.enter(control.Copying)
	f.install()
	if got := f.one(`SELECT string_agg(oid::text, ' ' ORDER BY oid) FROM pg_trigger WHERE tgname LIKE '!pgumbra%'`); got != triggers {
		t.Errorf("triggers were made anew: %s, then %s", triggers, got)
	}
	if got := w.ops(); got != "u(1)" {
		t.Errorf("journal %s", got)
	}
}

func TestInstallCompletesWhatWasBegun(t *testing.T) {
	t.Parallel()
	f := newFixture(t, orders+tree, plans.Source{Name: named("shop", "orders")}, plans.Source{Name: named("p", "root"), Kind: plans.Partitioned})
	in := newInstaller(f.pool, f.run, quiet())
	f.must(in.base(f.ctx))
	target, err := sourceTarget(f.ctx, f.pool, f.run, f.source(0))
	f.must(err)
	f.must(in.prepare(f.ctx, target)) // and killed
	f.install()
	f.exec(`ALTER TABLE p.l DISABLE TRIGGER ALL; ALTER TABLE p.l ENABLE TRIGGER ALL`)
	f.install() // nothing was copied yet
	f.follow(0).through(dml)
	f.follow(1).through(treeDML)
}

func TestInstallRefusesTableThatChangedLater(t *testing.T) {
	t.Parallel()
	f := ordersFixture(t)
	f.install()
	f.enter(control.Copying)
	f.exec(`ALTER TABLE shop.orders DISABLE TRIGGER ALL`)
	if err := Install(f.ctx, f.pool, f.run, quiet()); !errors.Is(err, ErrChanged) {
		t.Errorf("got %v, want %v", err, ErrChanged)
	}
}

func TestInstallRefusesTableThatIsNotThePlanned(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	for name, script := range map[string]string{
		"column":    `ALTER TABLE p.root ADD COLUMN y int`,
		"partition": `CREATE TABLE p.more PARTITION OF p.root FOR VALUES IN ('xx')`,
		"detached":  `ALTER TABLE p.root DETACH PARTITION p.l`,
		"recreated": `DROP TABLE p.root; CREATE TABLE p.root (id int, region text, year int, x text, PRIMARY KEY (id, region, year)) PARTITION BY LIST (region)`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, tree, plans.Source{Name: named("p", "root"), Kind: plans.Partitioned})
			f.exec(script)
			if err := Install(f.ctx, f.pool, f.run, quiet()); !errors.Is(err, ErrChanged) {
				t.Errorf("got %v, want %v", err, ErrChanged)
			}
		})
	}
}

func TestInstallRefusesSubscribedTable(t *testing.T) {
	t.Parallel()
	f := ordersFixture(t)
	f.exec(`CREATE SUBSCRIPTION s CONNECTION 'dbname=nowhere' PUBLICATION p WITH (connect = false)`)
	f.exec(`INSERT INTO pg_subscription_rel SELECT oid, 'shop.orders'::regclass, 'r', NULL FROM pg_subscription WHERE subname = 's' AND subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())`)
	err := Install(f.ctx, f.pool, f.run, quiet())
	f.exec(`ALTER SUBSCRIPTION s DISABLE; ALTER SUBSCRIPTION s SET (slot_name = NONE); DROP SUBSCRIPTION s`)
	if err == nil || !strings.Contains(err.Error(), "shop.orders are filled by a subscription") {
		t.Errorf("got %v", err)
	}
}

// logged tells which record is written first.
type logged chan string

func (l logged) Enabled(context.Context, slog.Level) bool { return true }
func (l logged) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l logged) WithGroup(string) slog.Handler            { return l }
func (l logged) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool { text += " " + a.String(); return true })
	select {
	case l <- text:
	default:
	}
	return nil
}

func TestInstallGivesWayToWriters(t *testing.T) {
	t.Parallel()
	f := newFixture(t, tree, plans.Source{Name: named("p", "root"), Kind: plans.Partitioned})
	conn, err := pgx.Connect(f.ctx, f.dsn+" application_name=longtx")
	if err != nil {
		conn, err = pgx.Connect(f.ctx, f.dsn+"&application_name=longtx")
	}
	f.must(err)
	defer conn.Close(f.ctx)
	_, err = conn.Exec(f.ctx, `BEGIN; UPDATE p.root SET x = 'open' WHERE id = 1`)
	f.must(err)
	log, done := make(logged, 1), make(chan error)
	go func() { done <- Install(f.ctx, f.pool, f.run, slog.New(log)) }()
	text := <-log
	if !regexp.MustCompile(`waiting for locks tables=p.root.* held_by=.*pid \d+ .*longtx, idle in transaction`).MatchString(text) {
		t.Errorf("logged %s", text)
	}
	began := time.Now()
	f.exec(`UPDATE p.root SET x = 'other' WHERE id = 2`)
	if waited := time.Since(began); waited > 3*installWait {
		t.Errorf("a writer waited %s", waited)
	}
	_, err = conn.Exec(f.ctx, `COMMIT`)
	f.must(err)
	f.must(<-done)
	f.follow(0).through(treeDML)
}

func TestFrozenTableRefusesWrites(t *testing.T) {
	t.Parallel()
	f := newFixture(t, orders+tree+`CREATE TABLE shop.item (o int REFERENCES shop.orders ON DELETE CASCADE); INSERT INTO shop.item VALUES (1);
		CREATE TABLE shop.parent (id int); CREATE TABLE shop.child () INHERITS (shop.parent); INSERT INTO shop.child VALUES (1)`,
		plans.Source{Name: named("shop", "orders"), Frozen: true}, plans.Source{Name: named("p", "root"), Kind: plans.Partitioned, Frozen: true},
		plans.Source{Name: named("shop", "child"), Kind: plans.Inherited, Frozen: true})
	f.install()
	for _, s := range []string{
		`INSERT INTO shop.orders (id) VALUES (77)`, `UPDATE shop.orders SET total = 0 WHERE false`, `DELETE FROM shop.orders`, `TRUNCATE shop.orders CASCADE`,
		`UPDATE p.root SET x = ''`, `DELETE FROM p.eu`, `INSERT INTO p.l (id, region, year) VALUES (1, 'us', 0)`, `TRUNCATE p.eu_new`,
		`UPDATE shop.parent SET id = 2`, `DELETE FROM shop.parent`, `TRUNCATE shop.parent`,
		`SET session_replication_role = replica; DELETE FROM shop.orders`,
	} {
		err := f.try(s)
		if err == nil || !strings.Contains(err.Error(), "is frozen while the upgrade shop-v2 is under way (SQLSTATE 25006)") {
			t.Errorf("%s: got %v", s, err)
		}
	}
	if len(f.changes(0)) != 0 {
		t.Errorf("frozen table changed: %v", f.changes(0))
	}
	f.must(Repair(f.ctx, f.pool, f.run, f.source(0)))
	f.must(Remove(f.ctx, f.pool, f.run))
	f.exec(`DELETE FROM shop.orders; TRUNCATE p.root; DELETE FROM shop.parent`)
}

func TestCheckTellsChangesApart(t *testing.T) {
	t.Parallel()
	f := newFixture(t, orders+`CREATE FUNCTION shop.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
		CREATE TRIGGER theirs BEFORE INSERT ON shop.orders EXECUTE FUNCTION shop.f()`, plans.Source{Name: named("shop", "orders")})
	f.install()
	cases := []struct{ script, want string }{
		{`GRANT SELECT ON shop.orders TO PUBLIC; COMMENT ON TABLE shop.orders IS 'x'; ALTER TABLE shop.orders ALTER note SET STATISTICS 7`, ""},
		{`CLUSTER shop.orders USING orders_pkey`, "filenode"},
		{`TRUNCATE shop.orders`, "filenode"},
		{`ALTER TABLE shop.orders DISABLE TRIGGER ALL; ALTER TABLE shop.orders ENABLE TRIGGER ALL`, "triggers"},
		{`ALTER TABLE shop.orders DISABLE TRIGGER ALL`, "states triggers"},
		{`ALTER TABLE shop.orders DISABLE TRIGGER theirs`, "states"},
		{`DROP TRIGGER "!pgumbra_1_insert" ON shop.orders`, "triggers"},
		{`ALTER TABLE shop.orders ADD COLUMN more int`, "structure"},
		{`ALTER TABLE shop.orders RENAME note TO notes`, "structure"},
		{`ALTER TABLE shop.orders ALTER note SET DEFAULT 'x'`, "structure"},
		{`ALTER TABLE shop.orders ADD CHECK (id > 0) NOT VALID`, "structure"},
		{`CREATE INDEX ON shop.orders (note)`, ""},
		{`CREATE UNIQUE INDEX ON shop.orders (id); DROP INDEX shop.orders_id_idx`, ""},
		{`CREATE UNIQUE INDEX other ON shop.orders (id); ALTER TABLE shop.orders DROP CONSTRAINT orders_pkey`, "structure"},
		{`CREATE TRIGGER more BEFORE INSERT ON shop.orders EXECUTE FUNCTION shop.f()`, "states structure"},
		{`CREATE POLICY p ON shop.orders`, "structure"},
		{`ALTER TABLE shop.orders ENABLE ROW LEVEL SECURITY`, "structure"},
		{`CREATE RULE r AS ON INSERT TO shop.orders DO ALSO NOTHING`, "structure"},
		{`CREATE TABLE shop.child () INHERITS (shop.orders)`, "structure"},
		{`ALTER INDEX shop.orders_pkey RENAME TO pk`, "structure"},
		{`ALTER SCHEMA shop RENAME TO s`, "filenode states structure triggers"},
		{`ALTER TABLE shop.orders RENAME TO old_orders`, "filenode states structure triggers"},
	}
	signature, err := Signature(f.ctx, f.pool, f.run)
	f.must(err)
	for _, c := range cases {
		tx, err := f.pool.Begin(f.ctx)
		f.must(err)
		_, err = tx.Exec(f.ctx, c.script)
		f.must(err)
		changes, err := Check(f.ctx, tx, f.run, f.source(0))
		f.must(err)
		if got := kinds(changes); got != c.want {
			t.Errorf("%s: got %v, want %s", c.script, changes, c.want)
		}
		if now, err := Signature(f.ctx, tx, f.run); err != nil || now == signature && c.want != "" {
			t.Errorf("%s leaves the signature as it was: %v", c.script, err)
		}
		f.must(tx.Rollback(f.ctx))
	}
	f.exec(`VACUUM (ANALYZE) shop.orders`)
	f.exec(`CREATE FUNCTION pgumbra.guard_1() RETURNS int LANGUAGE sql AS 'SELECT 1'`) // as before the fence
	if now, err := Signature(f.ctx, f.pool, f.run); err != nil || now != signature || len(f.changes(0)) != 0 {
		t.Errorf("after VACUUM and what is made for the swap: %v, %v", f.changes(0), err)
	}
	f.exec(`VACUUM FULL shop.orders`)
	if got := f.changes(0); len(got) != 1 || got[Filenode] == "" {
		t.Errorf("after VACUUM FULL: %v", got)
	}
}

func kinds(changes []Change) string {
	var all []string
	for _, c := range changes {
		all = append(all, string(c.Kind))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func TestCheckDoesNotDependOnSearchPath(t *testing.T) {
	t.Parallel()
	f := newFixture(t, orders+`CREATE TYPE shop.colour AS ENUM ('red'); ALTER TABLE shop.orders ADD c shop.colour DEFAULT 'red'`, plans.Source{Name: named("shop", "orders")})
	f.install()
	conn, err := pgx.Connect(f.ctx, f.dsn)
	f.must(err)
	defer conn.Close(f.ctx)
	_, err = conn.Exec(f.ctx, `SET search_path = shop, public`)
	f.must(err)
	if got, err := Check(f.ctx, conn, f.run, f.source(0)); err != nil || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestCheckSaysThatNothingIsInstalled(t *testing.T) {
	t.Parallel()
	f := ordersFixture(t)
	if _, err := Check(f.ctx, f.pool, f.run, f.source(0)); !errors.Is(err, ErrNotInstalled) {
		t.Errorf("got %v", err)
	}
}

func TestRepairMakesTriggersWholeAgain(t *testing.T) {
	t.Parallel()
	for _, script := range []string{
		`ALTER TABLE shop.orders DISABLE TRIGGER ALL`,
		`ALTER TABLE shop.orders DISABLE TRIGGER ALL; ALTER TABLE shop.orders ENABLE TRIGGER ALL; CLUSTER shop.orders USING orders_pkey`,
		`DROP TRIGGER "!pgumbra_1_insert" ON shop.orders; DROP TRIGGER "!pgumbra_1_key" ON shop.orders`,
	} {
		f := ordersFixture(t)
		f.install()
		f.must(unfreeze(f.ctx, f.pool, f.run))
		f.exec(script)
		f.must(Repair(f.ctx, f.pool, f.run, f.source(0)))
		if got := f.changes(0); len(got) != 0 {
			t.Errorf("after %s: %v", script, got)
		}
		f.follow(0).through(dml)
	}
}

func TestRepairRefusesChangedStructure(t *testing.T) {
	t.Parallel()
	f := ordersFixture(t)
	f.install()
	f.must(unfreeze(f.ctx, f.pool, f.run))
	f.exec(`ALTER TABLE shop.orders DISABLE TRIGGER ALL; ALTER TABLE shop.orders ADD more int`)
	if err := Repair(f.ctx, f.pool, f.run, f.source(0)); !errors.Is(err, ErrChanged) {
		t.Errorf("got %v", err)
	}
}

func TestAcceptRecordsNewFiles(t *testing.T) {
	t.Parallel()
	f := ordersFixture(t)
	f.install()
	f.exec(`VACUUM FULL shop.orders`)
	f.must(Accept(f.ctx, f.pool, f.run, f.source(0)))
	if got := f.changes(0); len(got) != 0 {
		t.Errorf("got %v", got)
	}
	f.exec(`ALTER TABLE shop.orders DISABLE TRIGGER ALL`)
	if err := Accept(f.ctx, f.pool, f.run, f.source(0)); !errors.Is(err, ErrChanged) {
		t.Errorf("got %v", err)
	}
}

func TestStructureIsFrozen(t *testing.T) {
	t.Parallel()
	f := newFixture(t, orders+tree+`CREATE TABLE shop.other (id int PRIMARY KEY, x text); CREATE INDEX note_i ON shop.orders (note);
		CREATE TABLE shop.worded (word text NOT NULL, v int); CREATE UNIQUE INDEX worded_key ON shop.worded (word);
		ALTER TABLE shop.orders ADD CONSTRAINT positive CHECK (id > -9999), ADD UNIQUE (note, id);
		CREATE FUNCTION shop.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER theirs BEFORE INSERT ON shop.orders EXECUTE FUNCTION shop.f();
		CREATE POLICY pol ON shop.orders; CREATE RULE ru AS ON UPDATE TO shop.orders DO ALSO NOTHING; CREATE STATISTICS shop.st ON id, note FROM shop.orders;`,
		plans.Source{Name: named("shop", "orders")}, plans.Source{Name: named("p", "root"), Kind: plans.Partitioned},
		plans.Source{Name: named("shop", "worded"), Record: plans.RecordKey, Key: []plans.KeyColumn{{Name: "word"}}})
	f.install()
	for _, s := range []string{
		`ALTER TABLE shop.orders ADD COLUMN more int`, `ALTER TABLE shop.orders DROP COLUMN note`, `ALTER TABLE shop.orders RENAME note TO n`,
		`ALTER TABLE shop.orders RENAME TO o`, `ALTER SCHEMA shop RENAME TO s`, `ALTER TABLE shop.orders SET SCHEMA p`,
		`ALTER TABLE shop.worded ALTER v TYPE bigint`, `ALTER INDEX shop.orders_pkey RENAME TO n`, `DROP INDEX shop.worded_key`,
		`DROP TABLE pgumbra.journal_` + f.one(`SELECT id FROM pgumbra.run`) + `_0_a CASCADE`,
		`ALTER TABLE shop.orders DROP CONSTRAINT positive`, `ALTER TABLE shop.orders ADD CHECK (id < 100000)`,
		`DROP TRIGGER theirs ON shop.orders`, `CREATE TRIGGER more BEFORE INSERT ON shop.orders EXECUTE FUNCTION shop.f()`, `DROP FUNCTION shop.f() CASCADE`,
		`DROP POLICY pol ON shop.orders`, `CREATE POLICY pol2 ON shop.orders`, `DROP RULE ru ON shop.orders`,
		`DROP TABLE shop.orders CASCADE`, `DROP SCHEMA shop CASCADE`, `DROP TRIGGER "!pgumbra_` + f.one(`SELECT id FROM pgumbra.run`) + `_insert" ON shop.orders`,
		`DROP TABLE p.root CASCADE`, `ALTER TABLE p.l ADD CHECK (year > 0)`, `ALTER TABLE p.l RENAME TO ll`, `ALTER TABLE p.root DETACH PARTITION p.l; ALTER TABLE p.root ADD y int`,
		`CREATE TABLE shop.child () INHERITS (shop.orders)`, `ALTER TABLE p.eu_new ADD CHECK (year > 1)`,
	} {
		if err := f.try(s); err == nil || !strings.Contains(err.Error(), "55006") {
			t.Errorf("%s: got %v", s, err)
		}
	}
	for _, s := range []string{
		`CREATE INDEX ON shop.orders (total)`, `CREATE INDEX CONCURRENTLY ON shop.orders (total, id)`, `CREATE UNIQUE INDEX CONCURRENTLY u ON shop.orders (total, note, id)`, `DROP INDEX shop.note_i`,
		`DROP INDEX CONCURRENTLY shop.orders_total_id_idx`, `REINDEX INDEX CONCURRENTLY shop.u`, `ALTER INDEX shop.u RENAME TO v`, `DROP INDEX shop.v`, `CREATE INDEX ON p.root (x)`, `CREATE INDEX ON p.eu_old (year)`,
		`VACUUM FULL shop.orders`, `ANALYZE shop.orders`, `CLUSTER shop.orders USING orders_pkey`, `REINDEX TABLE shop.orders`, `ALTER TABLE shop.orders ALTER note SET STATISTICS 100`,
		`ALTER TABLE shop.orders DISABLE TRIGGER theirs`, `ALTER TABLE shop.orders ENABLE TRIGGER ALL`, `GRANT SELECT ON shop.orders TO PUBLIC`, `COMMENT ON COLUMN shop.orders.note IS 'x'`,
		`ALTER TABLE shop.orders SET (fillfactor = 50)`, `CREATE VIEW shop.v AS SELECT id FROM shop.orders`, `DROP VIEW shop.v`,
		`CREATE TABLE shop.new (id int REFERENCES shop.orders)`, `DROP TABLE shop.new`, `CREATE INDEX other_x ON shop.other (x)`, `DROP INDEX shop.other_x`, `ALTER TABLE shop.other ADD y int`, `DROP TABLE shop.other`,
		`CREATE TEMP TABLE t (id int); ALTER TABLE t ADD y int; DROP TABLE t`, `CREATE SCHEMA x; CREATE TABLE x.orders (id int); CREATE INDEX ON x.orders (id); DROP SCHEMA x CASCADE`,
		`CREATE OR REPLACE FUNCTION shop.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'`,
	} {
		if err := f.try(s); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	f.must(Remove(f.ctx, f.pool, f.run))
	f.exec(`ALTER TABLE shop.orders ADD COLUMN more int; DROP SCHEMA p CASCADE`)
}

func (f *fixture) dump(args ...string) string {
	f.Helper()
	bin := f.one(`SELECT setting FROM pg_config() WHERE name = 'BINDIR'`)
	out, err := exec.Command(filepath.Join(bin, "pg_dump"), append(args, "--schema-only", "--dbname="+f.dsn)...).CombinedOutput()
	if err != nil {
		f.Fatalf("%v: %s", err, out)
	}
	return regexp.MustCompile(`(?m)^\\(un)?restrict .*$`).ReplaceAllString(string(out), "")
}

func TestRemoveLeavesProductionAsItWas(t *testing.T) {
	t.Parallel()
	f := newFixture(t, orders+tree, plans.Source{Name: named("shop", "orders")}, plans.Source{Name: named("p", "root"), Kind: plans.Partitioned},
		plans.Source{Name: named("p", "root"), Kind: plans.Partitioned, Frozen: true})
	f.run.Plan.Sources = f.run.Plan.Sources[:2]
	before := f.dump()
	f.must(Remove(f.ctx, f.pool, f.run)) // nothing there yet
	f.install()
	f.exec(`UPDATE shop.orders SET total = 1`)
	_, err := f.pool.Exec(f.ctx, `ALTER SCHEMA p RENAME TO pgumbra_old_p`) // a session of ours: the swap
	f.must(err)
	f.must(Remove(f.ctx, f.pool, f.run))
	f.must(Remove(f.ctx, f.pool, f.run))
	f.exec(`ALTER SCHEMA pgumbra_old_p RENAME TO p`)
	if after := f.dump(); after != before {
		t.Errorf("dump before:\n%s\nafter:\n%s", before, after)
	}
}

func TestRemoveForwardLeavesOtherRunsAndReverseAlone(t *testing.T) {
	t.Parallel()
	f := ordersFixture(t)
	f.install()
	f.shadowOf(0)
	f.must(PrepareReverse(f.ctx, f.pool, f.run))
	_, err := f.pool.Exec(f.ctx, ReverseTriggers(f.run))
	f.must(err)
	f.must(RemoveForward(f.ctx, f.pool, f.run))
	if got := f.one(`SELECT string_agg(DISTINCT tgrelid::regclass::text, ' ') FROM pg_trigger WHERE tgname LIKE '!pgumbra%'`); got != "pgumbra_shop_v2_shop.orders" {
		t.Errorf("triggers left on %s", got)
	}
	f.must(FreezeNewSide(f.ctx, f.pool, f.run)) // the structure, and no row
	const change = `ALTER TABLE pgumbra_shop_v2_shop.orders ADD CHECK (true)`
	if err := f.try(change); err == nil || !strings.Contains(err.Error(), "55006") {
		t.Errorf("%s while a rollback is prepared: %v", change, err)
	}
	f.exec(`INSERT INTO pgumbra_shop_v2_shop.orders VALUES (5, 'x')`)
	f.must(UnfreezeNewSide(f.ctx, f.pool, f.run))
	f.exec(change)
	if got := f.one(`SELECT string_agg(concat_ws(' ', "table", op, key), ',') FROM pgumbra.journal`); got != "pgumbra_shop_v2_shop.orders i (5)" {
		t.Errorf("journal %s", got)
	}
}

func TestInstallTakesLargeTreesInPieces(t *testing.T) {
	t.Parallel()
	f := newFixture(t, `CREATE SCHEMA p; CREATE TABLE p.root (id int PRIMARY KEY, x int) PARTITION BY HASH (id);
		DO $$ BEGIN FOR i IN 0..39 LOOP EXECUTE format('CREATE TABLE p.h%s PARTITION OF p.root FOR VALUES WITH (MODULUS 40, REMAINDER %s)', i, i); END LOOP; END $$;
		INSERT INTO p.root SELECT generate_series(1, 500)`, plans.Source{Name: named("p", "root"), Kind: plans.Partitioned})
	in := newInstaller(f.pool, f.run, quiet())
	f.must(in.base(f.ctx))
	half, err := sourceTarget(f.ctx, f.pool, f.run, f.source(0))
	f.must(err)
	f.must(in.prepare(f.ctx, half))
	half.members = half.members[:20]
	f.must(in.eachMember(f.ctx, shareRowExclusive, half, func(tx pgx.Tx, m []plans.Member) error {
		_, err := tx.Exec(f.ctx, half.triggersScript(m))
		return err
	})) // and killed
	f.install()
	f.follow(0).through([]string{`UPDATE p.root SET x = id`, `UPDATE p.root SET id = id + 1000 WHERE id % 7 = 0`, `DELETE FROM p.root WHERE id % 5 = 0`})
}

func TestOwnerWithoutSuperuserCaptures(t *testing.T) {
	t.Parallel()
	f := newFixture(t, orders+`DO $$ BEGIN CREATE ROLE capture_owner LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
		DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO capture_owner', current_database()); END $$;
		ALTER SCHEMA shop OWNER TO capture_owner; ALTER TABLE shop.orders OWNER TO capture_owner`)
	f.exec(`DROP SCHEMA pgumbra CASCADE`)
	f.dsn = strings.Replace(f.dsn, "//"+f.one(`SELECT current_user`), "//capture_owner", 1)
	f.must(control.Migrate(f.ctx, f.dsn))
	pool, err := pg.NewPool(f.ctx, f.dsn, 4, pg.Options{Component: "test"})
	f.must(err)
	t.Cleanup(pool.Close)
	if f.pool = pool; f.one(`SELECT current_user`) != "capture_owner" {
		t.Fatal("not the owner's session")
	}
	src := plans.Source{Name: named("shop", "orders")}
	f.complete(&src)
	f.run.Plan.Sources = []plans.Source{src}
	f.run, err = control.Create(f.ctx, pool, f.run.Plan)
	f.must(err)
	f.enter(control.Capturing)
	f.install()
	f.follow(0).through(dml)
	f.exec(`ALTER TABLE shop.orders DISABLE TRIGGER USER; ALTER TABLE shop.orders ADD more int`)
	if got := f.changes(0); got[Triggers] == "" || got[Structure] == "" {
		t.Errorf("changes %v", got)
	}
	f.must(Break(f.ctx, f.pool, f.run, "why not"))
	f.must(Remove(f.ctx, f.pool, f.run))
}
