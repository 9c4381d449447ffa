package cutover

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/cutover/traffic"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/testcontainers"
)

func TestClientsQueueAndGoOnAtTheShadow(t *testing.T) {
	t.Parallel()
	f := remoteShop(t).behindBouncer()
	f.Upgrade.Plan.Settings.Cutover.Attempts = 50
	clients := *f.there
	clients.dsn = f.through
	l := &ledger{acked: map[[2]int]int64{}}
	ctx, stop := context.WithCancel(context.Background())
	group, ctx := errgroup.WithContext(ctx)
	for i, mode := range []pgx.QueryExecMode{pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
		group.Go(func() error { return l.traffic(ctx, &clients, i, mode, pgx.ReadCommitted) })
	}
	out, err := f.Run(ctx)
	if err != nil || !out.Swapped {
		t.Errorf("%+v %v", out, err)
	}
	waitFor(t, f.there.pool, "SELECT count(*) > 300 FROM shop.entry")
	stop()
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	l.check(t, &clients)
	t.Logf("%d commits, stall %s", len(l.acked), out.Stall)
	f.livesIn(traffic.Shadow)
	spentOnIt(f, "fence", "drain", "sequences", "swap", "commit", "clients", "release")
	if !get[bool](f, "SELECT (cutover->>'stall_ms')::float8 > 0 AND cutover->>'drained' = '1' FROM pgumbra.run") {
		t.Error(get[string](f, "SELECT cutover::text FROM pgumbra.run"))
	}
}

func TestSwapToAnotherDatabaseTakesAllAlong(t *testing.T) {
	t.Parallel()
	f := remoteShop(t)
	f.there.exec("CREATE SCHEMA shop") // empty
	f.exec("SELECT setval('shop.ticket', 1001)")
	f.swaps()
	f.livesIn(traffic.Shadow)
	if v := get[int](f.there, "SELECT version FROM shop.schema_migrations WHERE NOT dirty"); v != 7 {
		t.Errorf("version %d", v)
	}
	if n := get[int](f.there, "SELECT nextval('shop.ticket')::int"); n != 1006 {
		t.Errorf("ticket %d", n)
	}
	if err := f.writes(f.dsn, "SELECT nextval('shop.ticket')"); pg.State(err) != "2200H" {
		t.Error("production hands out numbers:", err)
	}
	if n := get[int](f.there, "SELECT count(*)::int FROM shop.account WHERE currency = 'EUR'"); n != 50 {
		t.Errorf("%d accounts", n)
	}
	if n := get[int](f, "SELECT count(*)::int FROM shop.account"); n != 50 { // reads go on
		t.Errorf("%d accounts on the old server", n)
	}
	err := f.writes(f.dsn, "TRUNCATE shop.entry")
	if !strings.Contains(err.Error(), "the data live at "+placeOf(f.there.dsn)) || strings.Contains(err.Error(), "postgres:") {
		t.Error(err)
	}
	run(t, f.ours(), "BEGIN; DELETE FROM shop.entry; ROLLBACK")
}

func TestShadowGoneAtItsCommitKeepsFenceAndClientsUntilItAnswers(t *testing.T) {
	t.Parallel()
	f := remoteShop(t).behindBouncer()
	p, dsn := f.proxied(f.there.dsn)
	f.ShadowDSN, f.lookFor = dsn, 300*time.Millisecond
	f.fails("before commit", func() error {
		p.armed.Store(true)
		return p.listener.Close()
	})
	_, err := f.Attempt(context.Background())
	if !errors.Is(err, ErrUnknown) {
		t.Fatal(err)
	}
	if err := f.writes(f.dsn, write); pg.State(err) != pgerrcode.ReadOnlySQLTransaction {
		t.Error("production:", err)
	}
	f.lookFor = 100 * time.Millisecond
	if _, err := f.Resolve(context.Background()); !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), "pgumbra run") {
		t.Error(err)
	}
	if side, err := f.Traffic.(*traffic.Traffic).Side(context.Background()); err != nil || !side.Paused {
		t.Error("clients are not held:", side, err)
	}
	f.succeeded()
	f.resolves(WentForward)
	f.livesIn(traffic.Shadow)
}

func TestSwapThatProductionForgotIsNotGuessedAbout(t *testing.T) {
	t.Parallel()
	f := remoteShop(t)
	f.swaps()
	f.exec("UPDATE pgumbra.run SET phase = 'following'")
	f.Upgrade.Phase = control.Following
	if _, err := f.Resolve(context.Background()); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
	if _, err := f.Attempt(context.Background()); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
}

func TestProductionThatLostItsFenceIsNotLeft(t *testing.T) {
	t.Parallel()
	f := remoteShop(t).behindBouncer()
	var before string
	f.hook = func(moment string) error {
		switch moment {
		case "before refuse writes to production":
			before = get[string](f, "SELECT switch::text FROM pgumbra.run")
		case "before redirect clients": // as a standby that is promoted now and is a moment behind
			f.exec("UPDATE pgumbra.run SET switch = '" + before + "'")
		}
		return nil
	}
	f.refuses("fence-lost", "lost its fence")
	f.livesIn(traffic.Production)
	f.hook = nil
	f.swaps()
	f.livesIn(traffic.Shadow)
}

// TestFenceIsOpenedOnceTheDiskHasRoomAgain: a cutover that is given up while production's
// disk is full has to write there for clients to go on.
func TestFenceIsOpenedOnceTheDiskHasRoomAgain(t *testing.T) {
	testcontainers.InTurn(t, 6)
	t.Parallel()
	f := remoteShop(t).behindBouncer()
	f.exec(`CREATE SEQUENCE pgumbra.tried; CREATE FUNCTION pgumbra.full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF NEW.switch->>'step' = 'undoing' AND nextval('pgumbra.tried') < 4 THEN RAISE 'No space left on device' USING ERRCODE = 'disk_full'; END IF; RETURN NEW; END $$;
		CREATE TRIGGER "full" BEFORE UPDATE ON pgumbra.run FOR EACH ROW EXECUTE FUNCTION pgumbra.full()`)
	f.fails("before note the decision", func() error { return refuse(Blocker{Code: "injected", Message: "injected"}) })
	f.refuses("injected", "injected")
	if n := get[int](f, "SELECT last_value::int FROM pgumbra.tried"); n < 4 {
		t.Errorf("tried %d times", n)
	}
	f.livesIn(traffic.Production)
	f.hook = nil
	f.swaps()
	f.livesIn(traffic.Shadow)
}

func TestPauseThatDoesNotReturnIsUndone(t *testing.T) {
	t.Parallel()
	f := remoteShop(t).behindBouncer()
	config, err := pgx.ParseConfig(f.through)
	if err != nil {
		t.Fatal(err)
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	config.RuntimeParams["application_name"] = "till"
	holder, err := pgx.ConnectConfig(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = holder.Close(context.Background()) }()
	run(t, holder, "BEGIN; SELECT 1")
	began := time.Now()
	f.refuses("open-transaction", "till") // seen before PAUSE, or by it
	if d := time.Since(began); d > 8*time.Second {
		t.Errorf("it took %s", d)
	}
	run(t, holder, "COMMIT")
	f.livesIn(traffic.Production)
	f.swaps()
	f.livesIn(traffic.Shadow)
}

func TestPgBouncerStartedAgainDuringTheCutover(t *testing.T) {
	t.Parallel()
	f := remoteShop(t).behindBouncer()
	again := func() error { return f.bouncer.Restart(context.Background()) }
	for _, at := range []string{"after hold clients", "after drain", "before redirect clients"} {
		f.fails(at, again)
		f.refuses("traffic", "not held")
		f.livesIn(traffic.Production)
	}
	f.fails("before commit", again)
	f.swaps()
	f.livesIn(traffic.Shadow)
}

func TestPgBouncerThatDiesIsLedOnceItAnswers(t *testing.T) {
	testcontainers.InTurn(t, 6)
	t.Parallel()
	for at, swapped := range map[string]bool{"before redirect clients": false, "before commit": true} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			f := remoteShop(t).behindBouncer()
			f.fails(at, func() error { return f.bouncer.Kill(context.Background()) })
			out, err := f.Attempt(context.Background())
			if swapped != (err != nil) || out.Swapped != swapped {
				t.Fatalf("%+v %v", out, err)
			}
			if err := f.bouncer.Restart(context.Background()); err != nil {
				t.Fatal(err)
			}
			f.hook = nil
			if swapped {
				f.resolves(WentForward)
			} else {
				f.swaps() // after it has undone the first
			}
			f.livesIn(traffic.Shadow)
		})
	}
}

func TestFenceThatStandsInTheWayIsNamedAndClientsGoOn(t *testing.T) {
	t.Parallel()
	f := remoteShop(t).behindBouncer()
	holder := f.client() // past PgBouncer
	run(t, holder, "SET application_name = 'nightly'; BEGIN; LOCK TABLE shop.account IN ROW EXCLUSIVE MODE")
	f.refuses("open-transaction", "nightly, idle in transaction")
	run(t, holder, "COMMIT")
	f.livesIn(traffic.Production)
}

// heldThen is a pool's clients who are held, and what happens then.
type heldThen struct {
	Traffic
	then func()
}

func (h heldThen) Pause(ctx context.Context) error {
	err := h.Traffic.Pause(ctx)
	h.then()
	return err
}

// TestClientsAreLetGoByWhoHeldThemTooLate: a process that woke up held clients after its
// successor had looked, and lost its context before it could ask who leads.
func TestClientsAreLetGoByWhoHeldThemTooLate(t *testing.T) {
	t.Parallel()
	f := remoteShop(t).behindBouncer()
	pools := f.Traffic
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	f.Traffic = heldThen{pools, func() {
		for _, side := range f.sides() {
			side.exec("UPDATE pgumbra.run SET epoch = epoch + 1, switch = NULL")
		}
		cancel() // as its heartbeat does, which sees another one lead
	}}
	if _, err := f.Attempt(ctx); err == nil {
		t.Fatal("it swapped")
	}
	if side, err := pools.(*traffic.Traffic).Side(context.Background()); err != nil || side.Paused {
		t.Error("clients are held, and nobody lets them go:", side, err)
	}
}
