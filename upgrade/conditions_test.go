package upgrade_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

var orders = history{
	structure: `CREATE SCHEMA shop; CREATE TABLE shop.orders (id int PRIMARY KEY, total int NOT NULL);
		CREATE TABLE shop.other (id int PRIMARY KEY);
		INSERT INTO shop.orders SELECT n, n FROM generate_series(1, 100) n;`,
	migrations: []string{"ALTER TABLE shop.orders ALTER COLUMN id TYPE bigint"},
}

// unready checks that neither status nor a cutover says go, and why.
func (w *world) unready(ctx context.Context, why string) {
	w.t.Helper()
	s, err := upgrade.ReadStatus(ctx, w.file())
	must(w.t, err)
	if s.Ready || !slices.ContainsFunc(s.Blockers, func(b string) bool { return strings.Contains(b, why) }) {
		w.t.Errorf("ready: %t, %v; want %s", s.Ready, s.Blockers, why)
	}
	var different *upgrade.Different
	if err := upgrade.Cutover(ctx, w.file(), upgrade.Options{Log: w.log}); !errors.Is(err, upgrade.ErrNotNow) && !errors.As(err, &different) {
		w.t.Fatalf("cutover: %v", err)
	}
}

// TestWhatComesInMidRunStandsAgainstTheCutover: a subscription that writes past
// capture, a publication that would go on with the old tables.
func TestWhatComesInMidRunStandsAgainstTheCutover(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, 90*time.Second)
	w := build(t, orders)
	w.run(ctx, upgrade.Options{Until: control.Following})

	exec(t, w.production, "CREATE PUBLICATION cdc FOR TABLES IN SCHEMA shop")
	w.unready(ctx, "publication")
	exec(t, w.production, "DROP PUBLICATION cdc; CREATE SCHEMA report; CREATE VIEW report.totals AS SELECT sum(total) FROM shop.orders")
	w.unready(ctx, "report.totals")
	exec(t, w.production, "DROP SCHEMA report CASCADE; CREATE SCHEMA pgumbra_up_old_shop")
	w.unready(ctx, "pgumbra_up_old_shop")
	exec(t, w.production, "DROP SCHEMA pgumbra_up_old_shop")

	publisher := w.subscribe(ctx)
	w.unready(ctx, "subscription")
	exec(t, w.production, dropFeed)
	await(ctx, t, publisher, "SELECT NOT active FROM pg_replication_slots WHERE slot_name = 'feed_' || md5(current_database())")
	exec(t, publisher, "SELECT pg_drop_replication_slot('feed_' || md5(current_database()))")
	w.run(ctx, upgrade.Options{Cutover: true})
	var orders int
	must(t, one(w.production, "SELECT count(*) FROM shop.orders", &orders))
	if orders != 111 {
		t.Errorf("%d orders, want 111", orders)
	}
	exec(t, w.oracleDSN, "INSERT INTO shop.orders SELECT n, n FROM generate_series(101, 111) n")
	must(t, upgrade.Finish(ctx, w.file(), cutover.DropOld, upgrade.Purge, w.log))
	w.upgraded(ctx)
}

// TestWhatASubscriptionWroteDuringTheWatchIsNotLeftBehind: no journal holds it, and the
// subscription may be gone again before anybody goes back.
func TestWhatASubscriptionWroteDuringTheWatchIsNotLeftBehind(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, 90*time.Second)
	w := build(t, orders)
	w.run(ctx, upgrade.Options{Cutover: true})
	leader := w.leads(ctx)
	w.keptCurrent(ctx)
	publisher := w.subscribe(ctx)
	await(ctx, t, w.production, "SELECT EXISTS (SELECT FROM pgumbra.doubt)") // a leader has seen it
	err := upgrade.Rollback(ctx, w.file(), upgrade.Options{Log: w.log})
	if !errors.Is(err, upgrade.ErrNotNow) || !strings.Contains(err.Error(), "subscription") {
		t.Errorf("while it writes: %v", err)
	}
	exec(t, w.production, dropFeed)
	await(ctx, t, publisher, "SELECT NOT active FROM pg_replication_slots WHERE slot_name = 'feed_' || md5(current_database())")
	exec(t, publisher, "SELECT pg_drop_replication_slot('feed_' || md5(current_database()))")
	polled(ctx, t, func() bool {
		s, err := upgrade.ReadStatus(ctx, w.file())
		return err == nil && strings.Contains(strings.Join(s.WayBack.Against, " "), "differs from what the new one makes of it")
	})
	err = upgrade.Rollback(ctx, w.file(), upgrade.Options{Log: w.log})
	if !errors.Is(err, upgrade.ErrNotNow) || !strings.Contains(err.Error(), "differs") {
		t.Errorf("after it: %v", err)
	}
	must(t, upgrade.Finish(ctx, w.file(), cutover.DropOld, upgrade.Purge, w.log))
	must(t, leader.Wait())
}

// dropFeed ends what [world.subscribe] made, without its publisher.
const dropFeed = "ALTER SUBSCRIPTION feed DISABLE; ALTER SUBSCRIPTION feed SET (slot_name = NONE); DROP SUBSCRIPTION feed"

// subscribe lets production take eleven orders from another database, and waits
// until they are there.
func (w *world) subscribe(ctx context.Context) (publisher string) {
	w.t.Helper()
	publisher = testcontainers.Database(w.t)
	exec(w.t, publisher, `CREATE SCHEMA shop; CREATE TABLE shop.orders (id int PRIMARY KEY, total int NOT NULL); CREATE PUBLICATION feed FOR TABLE shop.orders`)
	slot := text(w.t, publisher, "SELECT slot_name FROM pg_create_logical_replication_slot('feed_' || md5(current_database()), 'pgoutput')") // names of databases are too long
	exec(w.t, w.production, fmt.Sprintf("CREATE SUBSCRIPTION feed CONNECTION '%s' PUBLICATION feed WITH (create_slot = false, slot_name = '%s', copy_data = false)", publisher, slot))
	exec(w.t, publisher, "INSERT INTO shop.orders SELECT n, n FROM generate_series(101, 111) n")
	w.t.Cleanup(func() { // the database cannot be dropped with it
		_ = tryExec(w.production, dropFeed)
	})
	await(ctx, w.t, w.production, "SELECT count(*) = 111 FROM shop.orders")
	return publisher
}

func tryExec(dsn, script string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	return conn.PgConn().Exec(ctx, script).Close()
}

// TestDifferenceTakesTheProofBack: what verify finds stands against a cutover until
// a proof succeeds again, with a leader and without.
func TestDifferenceTakesTheProofBack(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, 90*time.Second)
	w := build(t, orders)
	w.run(ctx, upgrade.Options{Until: control.Following})
	verify := func(want bool) {
		t.Helper()
		verdicts, err := upgrade.Verify(ctx, w.file(), w.log)
		must(t, err)
		if upgrade.AllEqual(verdicts) != want {
			t.Fatalf("%+v, want equal: %t", verdicts, want)
		}
	}
	tamper := func(update string) { // past what keeps others out of the shadow
		t.Helper()
		exec(t, w.production, `ALTER TABLE pgumbra_up_shop.orders DISABLE TRIGGER "!pgumbra_gate"; `+update+
			`; ALTER TABLE pgumbra_up_shop.orders ENABLE ALWAYS TRIGGER "!pgumbra_gate"`)
	}
	tamper("UPDATE pgumbra_up_shop.orders SET total = 0 WHERE id = 7")
	verify(false)
	s, err := upgrade.ReadStatus(ctx, w.file())
	must(t, err)
	if s.Ready || !strings.Contains(strings.Join(s.Blockers, " "), "not verified: verification found a difference") {
		t.Errorf("ready: %t, %v", s.Ready, s.Blockers)
	}
	tamper("UPDATE pgumbra_up_shop.orders SET total = 7 WHERE id = 7")
	verify(true)
	if s, err = upgrade.ReadStatus(ctx, w.file()); err != nil || !s.Ready {
		t.Errorf("%v, %v", s, err)
	}
	w.run(ctx, upgrade.Options{Cutover: true})
	must(t, upgrade.Finish(ctx, w.file(), cutover.DropOld, upgrade.Purge, w.log))
	w.upgraded(ctx)
}

// TestRowThatNamesWhatIsReplacedStandsAgainstTheSwap: written in mid-run, it would name
// the old table after the swap. The proof finds it, by key.
func TestRowThatNamesWhatIsReplacedStandsAgainstTheSwap(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, 90*time.Second)
	naming := orders
	naming.structure += `CREATE TABLE shop.audited (id int PRIMARY KEY, what regclass); INSERT INTO shop.audited VALUES (1, 'pg_class'), (2, NULL);
		CREATE TABLE shop.loose (what regclass); INSERT INTO shop.loose VALUES ('pg_class'), ('pg_class');`
	w := build(t, naming)
	w.run(ctx, upgrade.Options{Until: control.Following})
	for _, table := range []string{"audited", "loose"} {
		exec(t, w.production, "UPDATE shop."+table+" SET what = 'shop.orders' WHERE what IS NOT NULL")
		var different *upgrade.Different
		if err := upgrade.Cutover(ctx, w.file(), upgrade.Options{Log: w.log}); !errors.Is(err, upgrade.ErrNotNow) && !errors.As(err, &different) {
			t.Fatalf("cutover: %v", err)
		}
		exec(t, w.production, "UPDATE shop."+table+" SET what = 'pg_type' WHERE what IS NOT NULL")
		exec(t, w.oracleDSN, "UPDATE shop."+table+" SET what = 'pg_type' WHERE what IS NOT NULL")
	}
	w.run(ctx, upgrade.Options{Cutover: true})
	must(t, upgrade.Finish(ctx, w.file(), cutover.DropOld, upgrade.Purge, w.log))
	w.upgraded(ctx)
}
