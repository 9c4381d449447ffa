package cutover

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// mixes is a client that in turn draws numbers, and then inserts; and updates the
// same tables before a default draws from the same sequence: whatever is locked
// first, somebody holds what is locked next. It returns how many rows it wrote.
func (f *fixture) mixes(ctx context.Context, client int) (written int64, err error) {
	conn, err := pgx.Connect(context.Background(), f.dsn)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close(context.Background()) }()
	for n := client; ctx.Err() == nil; n++ {
		insert := "INSERT INTO shop.entry (id, account, delta, client, n) VALUES (currval('shop.entry_id_seq'), 1, 0, %d, %d)"
		first := "SELECT nextval('shop.entry_id_seq'), nextval('shop.ticket')"
		if n%2 == 0 {
			insert = "INSERT INTO shop.entry (account, delta, client, n) VALUES (2, nextval('shop.ticket') * 0, %d, %d)"
			first = "UPDATE shop.account SET balance = balance + 1 WHERE id = 1; UPDATE shop.entry SET delta = 1 WHERE false"
		}
		err := pgx.BeginFunc(context.Background(), conn, func(pgx.Tx) error {
			if err := pg.ExecScript(context.Background(), conn, first+"; SELECT pg_sleep(0.002)"); err != nil {
				return err
			}
			return pg.ExecScript(context.Background(), conn, fmt.Sprintf(insert, client, n))
		})
		switch pg.State(err) {
		case "":
			written++
		case "40001", "40P01", "2200H", "55000": // the last: its number is the old sequence's
		default:
			return written, fmt.Errorf("client %d: %w", client, err)
		}
		if err != nil && pg.State(err) == "" {
			return written, err
		}
	}
	return written, nil
}

// TestCutoverComesAmongClientsThatLockInAnyOrder: no order of the locks suits all
// of them, and still nobody starves.
func TestCutoverComesAmongClientsThatLockInAnyOrder(t *testing.T) {
	t.Parallel()
	f := shop(t, plans.Rename, "")
	f.settle(2*time.Second, 300*time.Millisecond)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	var written atomic.Int64
	for client := range 8 {
		group.Go(func() error {
			n, err := f.mixes(ctx, client)
			written.Add(n)
			return err
		})
	}
	waitFor(t, f.pool, "SELECT count(*) > 20 FROM shop.entry")
	out, err := f.Run(ctx)
	if err != nil || !out.Swapped {
		t.Errorf("after %d attempts: %+v %v", out.Attempts, out, err)
	}
	t.Logf("%d attempts, stall %v, lock wait %v, taken %v", out.Attempts, out.Stall, out.LockWait, out.Taken)
	stop()
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	if there := get[int64](f, "SELECT count(*) FROM shop.entry"); there != written.Load() {
		t.Errorf("%d rows of %d that were committed", there, written.Load())
	}
	var ms float64
	if err := f.pool.QueryRow(context.Background(), "SELECT held_ms FROM pgumbra.run WHERE id = $1", f.Upgrade.ID).Scan(&ms); err != nil {
		t.Fatal(err)
	}
	if total := f.settings().Total(); ms > float64(total.Milliseconds()) {
		t.Errorf("clients were held for %.0f ms, of %s", ms, total)
	}
}
