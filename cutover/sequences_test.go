package cutover

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// numbers is a ledger of what nextval handed out.
type numbers struct {
	mu     sync.Mutex
	handed map[string]map[int64]int
	failed atomic.Int64
}

func (n *numbers) add(sequence string, number int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.handed == nil {
		n.handed = map[string]map[int64]int{}
	}
	if n.handed[sequence] == nil {
		n.handed[sequence] = map[int64]int{}
	}
	n.handed[sequence][number]++
}

func (n *numbers) check(t *testing.T) {
	t.Helper()
	for sequence, handed := range n.handed {
		low, high, twice := int64(math.MaxInt64), int64(math.MinInt64), 0
		for number, times := range handed {
			low, high = min(low, number), max(high, number)
			if times > 1 {
				twice++
			}
		}
		t.Logf("%s: %d numbers from %d to %d; %d calls refused in all", sequence, len(handed), low, high, n.failed.Load())
		if twice > 0 {
			t.Errorf("%s: %d numbers were handed out twice", sequence, twice)
		}
	}
}

// draws numbers from a sequence, each in a transaction of its own.
func (n *numbers) draws(ctx context.Context, f *fixture, sequence string) error {
	conn, err := pgx.Connect(context.Background(), f.dsn)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.Background()) }()
	for ctx.Err() == nil {
		var number int64
		err := conn.QueryRow(context.Background(), "SELECT nextval($1::text::regclass)", sequence).Scan(&number)
		if pg.State(err) == "2200H" { // one that came too late for the old sequence: not served, but not served twice
			n.failed.Add(1)
			continue
		}
		if err != nil {
			return fmt.Errorf("draw from %s: %w", sequence, err)
		}
		n.add(sequence, number)
	}
	return nil
}

// drawsAndInserts is what object mappers do: the number first, the row later in
// the same transaction.
func (n *numbers) drawsAndInserts(ctx context.Context, f *fixture, client int) error {
	return n.client(ctx, f, func(tx pgx.Tx, i int) (id int64, err error) {
		if err := tx.QueryRow(ctx, f.fill("SELECT nextval('{schema}.entry_id_seq')")).Scan(&id); err != nil {
			return 0, err
		}
		_, err = tx.Exec(ctx, f.fill("INSERT INTO {schema}.entry (id, account, delta, client, n) VALUES ($1, 1, 0, $2, $3)"), id, client, i)
		return id, err
	})
}

// inserts is a transaction that writes a table before a default draws.
func (n *numbers) inserts(ctx context.Context, f *fixture, client int) error {
	return n.client(ctx, f, func(tx pgx.Tx, i int) (id int64, err error) {
		if _, err := tx.Exec(ctx, f.fill("UPDATE {schema}.account SET balance = balance WHERE id = $1"), client+1); err != nil {
			return 0, err
		}
		return 0, tx.QueryRow(ctx, f.fill("INSERT INTO {schema}.account (id) VALUES ($1) RETURNING ticket"), 100_000*(client+1)+i).Scan(&id)
	})
}

func (n *numbers) client(ctx context.Context, f *fixture, do func(pgx.Tx, int) (int64, error)) error {
	conn, err := pgx.Connect(context.Background(), f.dsn)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.Background()) }()
	for i := 0; ctx.Err() == nil; i++ {
		tx, err := conn.Begin(context.Background())
		if err != nil {
			return err
		}
		id, err := do(tx, i)
		if err == nil {
			err = tx.Commit(context.Background())
		} else {
			_ = tx.Rollback(context.Background())
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case pg.State(err) == "2200H":
			n.failed.Add(1)
		case err != nil:
			return err
		case id != 0:
			n.add("shop.entry_id_seq", id)
		}
	}
	return nil
}

func TestNumbersAreHandedOutOnceThroughManyCutovers(t *testing.T) {
	t.Parallel()
	f := shop(t, plans.Rename, "")
	n := new(numbers)
	ctx, stop := context.WithCancel(context.Background())
	group, ctx := errgroup.WithContext(ctx)
	for i := range 2 {
		group.Go(func() error { return n.draws(ctx, f, "shop.entry_id_seq") })
		group.Go(func() error { return n.draws(ctx, f, "shop.ticket") })
		group.Go(func() error { return n.drawsAndInserts(ctx, f, i) })
		group.Go(func() error { return n.inserts(ctx, f, 10+i) })
	}
	for round := range 3 {
		g := f
		if round > 0 {
			g = upgradeOf(t, f.dsn, f.pool, "shop", plans.Rename, fmt.Sprintf("r%d", round+1))
		}
		g.Upgrade.Plan.Settings.Cutover.Attempts = 10
		out, err := g.Run(ctx)
		if err != nil || !out.Swapped {
			t.Errorf("round %d: %+v %v", round, out, err)
			break
		}
		t.Logf("round %d: %d attempts, stall %v, lock wait %v", round, out.Attempts, out.Stall, out.LockWait)
		if err := errors.Join(g.Cutover.After(ctx), g.Cutover.Finish(ctx, DropOld)); err != nil {
			t.Error(err)
		}
	}
	stop()
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	n.check(t)
}

func TestSequenceGoesOnAsProductionsWould(t *testing.T) {
	t.Parallel()
	f := shop(t, plans.Rename, "")
	f.settle(time.Second, 200*time.Millisecond)
	f.exec("SELECT setval('shop.entry_id_seq', 5000)")
	reader := f.client()
	run(t, reader, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
	f.refuses("open-transaction", "holds a snapshot")
	run(t, reader, "COMMIT")
	f.exec("TRUNCATE {schema}.entry RESTART IDENTITY; ALTER SEQUENCE shop.ticket RESTART WITH 70")
	if id := value[int64](t, reader, "INSERT INTO shop.entry (account, delta, client, n) VALUES (1, 0, 0, 0) RETURNING id"); id != 1 {
		t.Fatal(id)
	}
	f.settle(5*time.Second, 300*time.Millisecond)
	f.swaps()
	if id := value[int64](t, reader, "INSERT INTO shop.entry (account, delta, client, n) VALUES (1, 0, 0, 0) RETURNING id"); id != 2 {
		t.Errorf("the next number is %d, want 2", id)
	}
	if next := value[int64](t, reader, "SELECT nextval('shop.ticket')"); next != 70 {
		t.Errorf("the shared sequence goes on at %d, want 70", next)
	}
	_, err := reader.Exec(context.Background(), f.fill("SELECT nextval('{old}.entry_id_seq')"))
	sqlState(t, err, "2200H")
}

func TestWhoWaitsForANumberGetsOne(t *testing.T) {
	t.Parallel()
	f := shop(t, plans.Rename, "")
	f.exec("SELECT setval('shop.entry_id_seq', 5000)")
	done := f.blockedBy("READ COMMITTED", "SELECT set_config('test.number', nextval('shop.entry_id_seq')::text, false)")
	f.swaps()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	next := get[int64](f, "SELECT nextval('shop.entry_id_seq')")
	if next <= 5001 || next > 5020 {
		t.Errorf("the next number is %d; 5001 is handed out", next)
	}
}

func TestPlaceOfASuccessor(t *testing.T) {
	t.Parallel()
	up := counter{Last: 40, Called: true, Increment: 1, Min: 1, Max: 1000, Start: 1, Cache: 1}
	with := func(c counter, change func(*counter)) counter { change(&c); return c }
	for name, c := range map[string]struct {
		s      succession
		last   int64
		called bool
	}{
		"as it is":            {succession{old: up, target: with(up, func(c *counter) { c.Last, c.Called = 1, false })}, 40, true},
		"never used":          {succession{old: with(up, func(c *counter) { c.Last, c.Called = 7, false }), target: with(up, func(c *counter) { c.Last, c.Called = 1, false })}, 7, false},
		"the copy drew":       {succession{old: up, target: with(up, func(c *counter) { c.Last = 90 })}, 90, true},
		"too small a twin":    {succession{old: up, target: with(up, func(c *counter) { c.Max, c.Called = 30, false })}, 30, true},
		"below a twin":        {succession{old: up, target: with(up, func(c *counter) { c.Min, c.Called = 100, false })}, 100, false},
		"downwards":           {succession{old: with(up, func(c *counter) { c.Increment, c.Last = -2, -8; c.Min, c.Max = -100, -1 }), target: with(up, func(c *counter) { c.Increment, c.Min, c.Max, c.Called = -2, -100, -1, false }), waiting: 1}, -28, true},
		"some wait":           {succession{old: up, target: with(up, func(c *counter) { c.Called = false }), waiting: 1}, 50, true},
		"cachefuls":           {succession{old: with(up, func(c *counter) { c.Cache = 5 }), target: with(up, func(c *counter) { c.Called = false }), waiting: 1}, 90, true},
		"no room for them":    {succession{old: with(up, func(c *counter) { c.Last = 995 }), target: with(up, func(c *counter) { c.Called = false }), waiting: 1}, 995, true},
		"the whole of bigint": {succession{old: with(up, func(c *counter) { c.Last, c.Min, c.Max = math.MaxInt64-10, math.MinInt64, math.MaxInt64 }), target: with(up, func(c *counter) { c.Max, c.Called = math.MaxInt64, false }), waiting: 1}, math.MaxInt64, true},
	} {
		if last, called := c.s.place(); last != c.last || called != c.called {
			t.Errorf("%s: %d, %t; want %d, %t", name, last, called, c.last, c.called)
		}
	}
}
