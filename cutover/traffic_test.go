package cutover

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// sorted lets dumps be compared whose rows lie in another order.
func sorted(dump string) []string {
	lines := strings.Split(dump, "\n")
	slices.Sort(lines)
	return lines
}

// ledger is what clients were told is committed.
type ledger struct {
	mu      sync.Mutex
	acked   map[[2]int]int64 // client, number → delta
	retries atomic.Int64     // of clients above READ COMMITTED
}

// traffic is one client: it moves money, reads what it wrote, and notes each
// commit. Below REPEATABLE READ any error ends the test.
func (l *ledger) traffic(ctx context.Context, f *fixture, client int, mode pgx.QueryExecMode, isolation pgx.TxIsoLevel) error {
	config, err := pgx.ParseConfig(f.dsn)
	if err != nil {
		return err
	}
	config.DefaultQueryExecMode = mode
	conn, err := pgx.ConnectConfig(context.Background(), config)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.Background()) }()
	random := rand.New(rand.NewPCG(1, uint64(client)))
	for n := 0; ctx.Err() == nil; n++ {
		account, delta := random.IntN(50)+1, random.Int64N(100)
		err := pgx.BeginTxFunc(context.Background(), conn, pgx.TxOptions{IsoLevel: isolation}, func(tx pgx.Tx) error {
			return f.transfer(tx, account, delta, client, n)
		})
		if isolation != pgx.ReadCommitted && pg.State(err) == pgerrcode.SerializationFailure {
			l.retries.Add(1)
			continue
		}
		if err != nil {
			return fmt.Errorf("client %d (%s, %s): %w", client, mode, isolation, err)
		}
		l.mu.Lock()
		l.acked[[2]int{client, n}] = delta
		l.mu.Unlock()
	}
	return nil
}

func (f *fixture) transfer(tx pgx.Tx, account int, delta int64, client, n int) error {
	ctx := context.Background()
	var before, after int64
	if err := tx.QueryRow(ctx, f.fill("SELECT balance FROM {schema}.account WHERE id = $1 FOR UPDATE"), account).Scan(&before); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, f.fill("UPDATE {schema}.account SET balance = balance + $1 WHERE id = $2"), delta, account); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, f.fill("INSERT INTO {schema}.entry (account, delta, client, n) VALUES ($1, $2, $3, $4)"), account, delta, client, n); err != nil {
		return err
	}
	if err := tx.QueryRow(ctx, f.fill("SELECT balance FROM {schema}.account WHERE id = $1"), account).Scan(&after); err != nil {
		return err
	}
	if after != before+delta {
		return fmt.Errorf("account %d: %d, then %d + %d", account, after, before, delta)
	}
	return nil
}

// audit is a REPEATABLE READ reader: whatever it sees must be one state.
func (l *ledger) audit(ctx context.Context, f *fixture) error {
	conn, err := pgx.Connect(context.Background(), f.dsn)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.Background()) }()
	for ctx.Err() == nil {
		var balances, entries int64
		err := pgx.BeginTxFunc(context.Background(), conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
			if err := tx.QueryRow(context.Background(), f.fill("SELECT sum(balance)::bigint FROM {schema}.account")).Scan(&balances); err != nil {
				return err
			}
			return tx.QueryRow(context.Background(), f.fill("SELECT coalesce(sum(delta), 0)::bigint FROM {schema}.entry")).Scan(&entries)
		})
		if pg.State(err) == pgerrcode.SerializationFailure {
			l.retries.Add(1)
			continue
		}
		if err != nil {
			return fmt.Errorf("audit: %w", err)
		}
		if balances != entries {
			return fmt.Errorf("audit: balances are %d, entries say %d", balances, entries)
		}
	}
	return nil
}

func (l *ledger) check(t *testing.T, f *fixture) {
	t.Helper()
	rows, err := f.pool.Query(context.Background(), f.fill("SELECT client, n, delta, count(*) FROM {schema}.entry GROUP BY 1, 2, 3"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	var client, n, count int
	var delta int64
	_, err = pgx.ForEachRow(rows, []any{&client, &n, &delta, &count}, func() error {
		found++
		if want, ok := l.acked[[2]int{client, n}]; !ok || want != delta || count != 1 {
			t.Errorf("client %d, number %d: %d times %d, acknowledged %d (%t)", client, n, count, delta, want, ok)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found != len(l.acked) {
		t.Errorf("%d commits acknowledged, %d there", len(l.acked), found)
	}
	wrong := get[int](f, `SELECT count(*) FROM {schema}.account a
		WHERE balance <> (SELECT coalesce(sum(delta), 0) FROM {schema}.entry e WHERE e.account = a.id)`)
	if wrong != 0 {
		t.Errorf("%d balances are wrong", wrong)
	}
}

func TestSwapsUnderTrafficLoseNothingAndFailNobody(t *testing.T) {
	t.Parallel()
	for _, swap := range []plans.Swap{plans.Rename, plans.Move} {
		t.Run(string(swap), func(t *testing.T) {
			t.Parallel()
			f := shop(t, swap, map[plans.Swap]string{plans.Move: extensions}[swap])
			l := &ledger{acked: map[[2]int]int64{}}
			ctx, stop := context.WithCancel(context.Background())
			group, ctx := errgroup.WithContext(ctx)
			modes := []pgx.QueryExecMode{pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeExec, pgx.QueryExecModeCacheStatement}
			for i, mode := range modes {
				group.Go(func() error { return l.traffic(ctx, f, i, mode, pgx.ReadCommitted) })
			}
			group.Go(func() error { return l.traffic(ctx, f, 10, pgx.QueryExecModeCacheStatement, pgx.RepeatableRead) })
			group.Go(func() error { return l.audit(ctx, f) })
			var stalls []time.Duration
			for round := range 4 {
				g := f
				if round > 0 {
					g = upgradeOf(t, f.dsn, f.pool, f.schema.Production, swap, fmt.Sprintf("r%d", round+1))
				}
				if swap == plans.Move {
					g.exec("CREATE TABLE {shadow}.word (w citext PRIMARY KEY); CREATE INDEX word_trgm ON {shadow}.word USING gin ((w::text) gin_trgm_ops)")
				}
				g.Upgrade.Plan.Settings.Cutover.Attempts = 50
				out, err := g.Run(ctx)
				if err != nil || !out.Swapped {
					t.Errorf("round %d: %+v %v", round, out, err)
					break
				}
				stalls = append(stalls, out.Stall)
				if err := g.Cutover.After(ctx); err != nil {
					t.Error(err)
				}
				if err := g.Cutover.Finish(ctx, DropOld); err != nil {
					t.Error(err)
				}
			}
			stop()
			if err := group.Wait(); err != nil {
				t.Error(err)
			}
			l.check(t, f)
			t.Logf("%d commits, %d retries above READ COMMITTED, stalls %v", len(l.acked), l.retries.Load(), stalls)
		})
	}
}
