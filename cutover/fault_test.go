package cutover

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/testcontainers"
)

func TestFenceOverBudgetLeavesProductionAsItWas(t *testing.T) {
	t.Parallel()
	f := shop(t, plans.Rename, "")
	f.settle(time.Second, 150*time.Millisecond)
	before := f.dump()
	holder := f.client()
	run(t, holder, "SET application_name = 'till'")
	run(t, holder, "BEGIN")
	run(t, holder, f.fill("SELECT FROM {schema}.account WHERE id = 1 FOR UPDATE"))
	out := f.refuses("open-transaction", "till, idle in transaction")
	if out.LockWait > 500*time.Millisecond {
		t.Errorf("waited %s", out.LockWait)
	}
	run(t, f.client(), f.fill("SET lock_timeout = 1000; INSERT INTO {schema}.entry (account, delta, client, n) VALUES (1, 0, 0, 0); DELETE FROM {schema}.entry"))
	run(t, holder, f.fill("UPDATE {schema}.account SET balance = 5 WHERE id = 1"))
	run(t, holder, f.fill("UPDATE {schema}.account SET balance = 0 WHERE id = 1"))
	run(t, holder, "COMMIT")
	f.exec("SELECT setval('shop.entry_id_seq', 1, false)")
	if diff := cmp.Diff(sorted(before), sorted(f.dump())); diff != "" {
		t.Error(diff)
	}
	f.swaps()
}

func TestAttemptEndsAtOldSnapshotAndSwapsWithoutIt(t *testing.T) {
	t.Parallel()
	f := shop(t, plans.Rename, "")
	f.settle(300*time.Millisecond, 200*time.Millisecond)
	reader := f.client()
	run(t, reader, "BEGIN ISOLATION LEVEL REPEATABLE READ")
	run(t, reader, "SELECT 1")
	began := time.Now()
	f.refuses("open-transaction", "holds a snapshot")
	if d, budget := time.Since(began), f.Upgrade.Plan.Settings.Cutover.MaxStall; d > 20*budget {
		t.Errorf("the attempt took %s of a budget of %s", d, budget)
	}
	if n := value[int](t, reader, f.fill("SELECT count(*) FROM {schema}.account")); n != 50 {
		t.Errorf("the reader sees %d rows", n)
	}
	run(t, reader, "COMMIT")
	f.settle(5*time.Second, time.Second)
	f.swaps()
}

func TestAttemptWaitsForSnapshotThatEnds(t *testing.T) {
	t.Parallel()
	f := shop(t, plans.Rename, "")
	f.settle(5*time.Second, time.Second)
	reader, drain := f.client(), f.Parts.Drain
	run(t, reader, "BEGIN ISOLATION LEVEL REPEATABLE READ")
	run(t, reader, "SELECT 1")
	rows := make(chan int, 1)
	f.drainsBy(func(ctx context.Context) (int64, error) {
		n, err := drain(ctx)
		go func() { // ends while the attempt waits
			var count int
			_ = reader.QueryRow(context.Background(), f.fill("SELECT count(*) FROM {schema}.account, pg_sleep(0.2) WHERE id > 0")).Scan(&count)
			_, _ = reader.Exec(context.Background(), "COMMIT")
			rows <- count
		}()
		return n, err
	})
	f.swaps()
	if n := <-rows; n != 50 {
		t.Errorf("the reader saw %d rows", n)
	}
}

// blockedBy starts a client that waits for the fence while the drain runs.
func (f *fixture) blockedBy(isolation, sql string) <-chan error {
	f.t.Helper()
	conn, drain, done := f.client(), f.Parts.Drain, make(chan error, 1)
	run(f.t, conn, "BEGIN ISOLATION LEVEL "+isolation)
	pid := conn.PgConn().PID()
	f.drainsBy(func(ctx context.Context) (int64, error) {
		go func() {
			_, err := conn.Exec(context.Background(), f.fill(sql))
			if err == nil {
				_, err = conn.Exec(context.Background(), "COMMIT")
			}
			done <- err
		}()
		waitFor(f.t, f.pool, "SELECT wait_event_type IS NOT DISTINCT FROM 'Lock' FROM pg_stat_activity WHERE pid = $1", pid)
		return drain(ctx)
	})
	return done
}

func TestBlockedWriterGoesOnAfterTheSwap(t *testing.T) {
	testcontainers.InTurn(t, 6)
	t.Parallel()
	for _, swap := range []plans.Swap{plans.Rename, plans.Move} {
		t.Run(string(swap), func(t *testing.T) {
			t.Parallel()
			f := shop(t, swap, "")
			done := f.blockedBy("READ COMMITTED", "UPDATE {schema}.account SET balance = balance + 7 WHERE id = 1")
			f.swaps()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if b := get[int](f, "SELECT balance FROM {schema}.account WHERE id = 1"); b != 7 {
				t.Errorf("balance %d", b)
			}
		})
	}
}

func TestCopyAndTruncateThatWaitedGoOnAfterTheSwap(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{"TRUNCATE {schema}.account", "COPY {schema}.entry (account, delta, client, n) FROM PROGRAM 'echo 1,2,3,4' (FORMAT csv)"} {
		f := shop(t, plans.Rename, "")
		// A drain that reads production would queue behind the TRUNCATE.
		f.drainsBy(func(context.Context) (int64, error) { return 0, nil })
		done := f.blockedBy("READ COMMITTED", sql)
		f.swaps()
		if err := <-done; err != nil {
			t.Errorf("%s: %v", sql, err)
		}
	}
}

func TestGuardRefusesWriterWithOlderSnapshot(t *testing.T) {
	t.Parallel()
	for _, isolation := range []string{"REPEATABLE READ", "SERIALIZABLE"} {
		f := shop(t, plans.Rename, "")
		done := f.blockedBy(isolation, "UPDATE {schema}.account SET balance = balance + 7")
		f.swaps()
		sqlState(t, <-done, pgerrcode.SerializationFailure)
		if err := f.Cutover.After(context.Background()); err != nil {
			t.Fatal(err)
		}
		if get[bool](f, "SELECT EXISTS (SELECT FROM pg_trigger WHERE tgname = 'pgumbra_guard')") {
			t.Error("the guard is left")
		}
		run(t, f.client(), f.fill("BEGIN ISOLATION LEVEL REPEATABLE READ; UPDATE {schema}.account SET balance = 1; COMMIT"))
	}
}

func TestGuardRefusesReaderWithOlderSnapshot(t *testing.T) {
	t.Parallel()
	f := shop(t, plans.Rename, "")
	sql := "SELECT FROM {schema}.account WHERE id = 1 FOR UPDATE"
	f.exec("CREATE ROLE pgumbra_reader; GRANT USAGE ON SCHEMA {schema}, {shadow} TO pgumbra_reader; " +
		"GRANT ALL ON {shadow}.account, {schema}.account TO pgumbra_reader")
	stale := f.blockedBy("REPEATABLE READ", sql)
	fresh := f.blockedBy("READ COMMITTED", "SET LOCAL ROLE pgumbra_reader; "+sql)
	f.swaps()
	sqlState(t, <-stale, pgerrcode.SerializationFailure)
	if err := <-fresh; err != nil {
		t.Error(err)
	}
	run(t, f.client(), f.fill("BEGIN ISOLATION LEVEL REPEATABLE READ; "+sql+"; COMMIT"))
	run(t, f.client(), f.fill("ANALYZE {schema}.account"))
	if err := f.Cutover.After(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := get[int](f, "SELECT count(*) FROM pg_statistic_ext"); n != 0 {
		t.Errorf("%d read guards are left", n)
	}
	f.exec("DROP OWNED BY pgumbra_reader; DROP ROLE pgumbra_reader")
}

func TestTablesMovedOneByOneUnderReadersAndWriters(t *testing.T) {
	t.Parallel()
	f := shop(t, plans.Move, "CREATE EXTENSION citext; UPDATE pg_extension SET extrelocatable = false;")
	f.settle(2*time.Second, 300*time.Millisecond)
	f.Upgrade.Plan.Settings.Cutover.Attempts = 50
	// Read, then write, in one transaction: raising the lock meets it.
	conn, drain, first := f.client(), f.Parts.Drain, true
	done := make(chan error, 1)
	f.drainsBy(func(ctx context.Context) (int64, error) {
		if first {
			first = false
			run(t, conn, f.fill("BEGIN; SELECT FROM {schema}.account"))
			go func() {
				_, err := conn.Exec(context.Background(), f.fill("UPDATE {schema}.account SET balance = balance + 1 WHERE id = 1; COMMIT"))
				done <- err
			}()
			waitFor(t, f.pool, "SELECT wait_event_type IS NOT DISTINCT FROM 'Lock' FROM pg_stat_activity WHERE pid = $1", conn.PgConn().PID())
		}
		return drain(ctx)
	})
	out, err := f.Run(context.Background())
	if err != nil || !out.Swapped || out.Attempts < 2 {
		t.Errorf("%+v %v", out, err)
	}
	if err := <-done; err != nil {
		t.Error("the client was the victim:", err)
	}
	if b := get[int](f, "SELECT balance FROM {schema}.account WHERE id = 1 AND currency = 'EUR'"); b != 1 {
		t.Errorf("balance %d", b)
	}
}

func TestViolatedForeignKeyRefusesTheSwap(t *testing.T) {
	t.Parallel()
	f := shop(t, plans.Rename, "")
	asked := 0
	f.Parts = violates{f.Parts, func() []string { asked++; return []string{"3 rows"}[min(asked-1, 1):] }}
	f.refuses("foreign-key-violated", "3 rows")
	f.swaps()
}

// proxy hands bytes on between client and server. Armed, it lets one COMMIT
// through and swallows the answer.
type proxy struct {
	listener net.Listener
	server   string
	armed    atomic.Bool
	lose     bool // the COMMIT itself
}

func proxyTo(t *testing.T, server string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	p := &proxy{listener: listener, server: server}
	go p.serve()
	return p
}

func (p *proxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil {
			_ = client.Close()
			continue
		}
		mute := new(atomic.Bool)
		go p.up(client, server, mute)
		go p.down(client, server, mute)
	}
}

func (p *proxy) up(client, server net.Conn, mute *atomic.Bool) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := client.Read(buffer)
		if n > 0 {
			if bytes.Contains(buffer[:n], []byte("COMMIT\x00")) && p.armed.CompareAndSwap(true, false) {
				mute.Store(true)
				if p.lose {
					_ = client.Close() // and the server is not told
					return
				}
			}
			if _, err := server.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			_ = server.Close()
			return
		}
	}
}

func (p *proxy) down(client, server net.Conn, mute *atomic.Bool) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := server.Read(buffer)
		if n > 0 && mute.Load() { // the server has committed: the client never learns
			_ = client.Close()
			_, _ = io.Copy(io.Discard, server)
			return
		}
		if n > 0 {
			if _, err := client.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			_ = client.Close()
			return
		}
	}
}

func TestUnknownOutcomeIsSaid(t *testing.T) {
	t.Parallel()
	f := shop(t, plans.Rename, "")
	// As after a failover that lost the swap and used its number again.
	another := control.Decision{XID: get[string](f, "SELECT pg_current_xact_id()::text"), Timeline: "000000FF"}
	err := f.learn(context.Background(), f.dsn, another, 0)
	if !errors.Is(err, ErrUnknown) {
		t.Fatal(err)
	}
	// As after a crash that lost it, on the same server, which has given its number away
	// since, or has not come to it again.
	another.Timeline = get[string](f, "SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)")
	for _, xid := range []string{another.XID, get[string](f, "SELECT (pg_snapshot_xmax(pg_current_snapshot())::text::bigint + 100000)::text")} {
		another.XID = xid
		var no *notNow
		if err := f.learn(context.Background(), f.dsn, another, 0); !errors.As(err, &no) {
			t.Errorf("transaction %s: %v", xid, err)
		}
	}
}

func TestStructureChangeBehindTheFenceIsSeen(t *testing.T) {
	t.Parallel()
	f := shop(t, plans.Rename, "")
	unchanged := f.Parts
	f.Parts = changes{f.Parts, func(context.Context) ([]string, error) { return []string{"shop.account has another filenode"}, nil }}
	f.refuses("structure-changed", "another filenode")
	f.Parts = unchanged
	f.swaps()
}

func TestBrokenSwapEntryIsAnErrorAndChangesNothing(t *testing.T) {
	t.Parallel()
	f := shop(t, plans.Rename, "")
	before := f.dump()
	f.Parts = enters{f.Parts, []plans.Entry{{SQL: f.fill("ALTER TABLE {shadow}.account ADD CHECK (nothing > 0) NOT VALID")}}}
	_, err := f.Attempt(context.Background())
	sqlState(t, err, "42703")
	if diff := cmp.Diff(before, f.dump()); diff != "" {
		t.Error(diff)
	}
}

func TestRunGivesUpAfterItsAttempts(t *testing.T) {
	t.Parallel()
	f := shop(t, plans.Rename, "")
	f.settle(100*time.Millisecond, 50*time.Millisecond)
	f.Upgrade.Plan.Settings.Cutover.Attempts = 2
	holder := f.client()
	run(t, holder, "BEGIN")
	run(t, holder, f.fill("SELECT FROM {schema}.account WHERE id = 1 FOR UPDATE"))
	out, err := f.Run(context.Background())
	if err != nil || out.Swapped || out.Attempts != 2 {
		t.Fatalf("%+v %v", out, err)
	}
}

func TestClientCancelEndsTheAttemptAtOnce(t *testing.T) {
	t.Parallel()
	f := shop(t, plans.Rename, "")
	ctx, cancel := context.WithCancel(context.Background())
	f.drainsBy(func(ctx context.Context) (int64, error) { cancel(); <-ctx.Done(); return 0, ctx.Err() })
	_, err := f.Attempt(ctx)
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	var tx pgx.Tx
	if tx, err = f.pool.Begin(context.Background()); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(context.Background(), f.fill("LOCK TABLE {schema}.account IN ROW EXCLUSIVE MODE NOWAIT")); err != nil {
		t.Error("the fence still stands:", err)
	}
}
