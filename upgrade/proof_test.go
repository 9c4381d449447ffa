package upgrade_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

// twoLarge are two tables that take longer to compare than cutover.verify_within,
// by a function that makes each value slow, and small ones behind them.
var twoLarge = history{
	structure: `CREATE SCHEMA shop; CREATE FUNCTION shop.slow(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$BEGIN 
			FOR i IN 1 .. 100 LOOP PERFORM md5($1::text); END LOOP; RETURN $1; END$$;
		CREATE TABLE shop.a_large (id int PRIMARY KEY, n int NOT NULL); CREATE TABLE shop.b_large (id int PRIMARY KEY, n int NOT NULL);
		CREATE TABLE shop.c_small (id int PRIMARY KEY, n int NOT NULL); CREATE TABLE shop.d_small (id int PRIMARY KEY, n int NOT NULL);
		CREATE TABLE shop.e_emptied (id int PRIMARY KEY, n int NOT NULL); CREATE TABLE shop.f_keyless (n int NOT NULL);
		CREATE TABLE shop.g_bulk (id int PRIMARY KEY, n int NOT NULL); INSERT INTO shop.g_bulk SELECT n, n FROM generate_series(1, 1500) n;
		INSERT INTO shop.a_large SELECT n, n FROM generate_series(1, 800) n; INSERT INTO shop.b_large SELECT n, n FROM generate_series(1, 800) n;
		INSERT INTO shop.c_small SELECT n, n FROM generate_series(1, 100) n; INSERT INTO shop.d_small SELECT n, n FROM generate_series(1, 100) n;`,
	migrations: []string{`ALTER TABLE shop.a_large ADD COLUMN m int; ALTER TABLE shop.b_large ADD COLUMN m int;
		UPDATE shop.a_large SET m = shop.slow(n); UPDATE shop.b_large SET m = shop.slow(n);
		ALTER TABLE shop.c_small ADD COLUMN m int; ALTER TABLE shop.d_small ADD COLUMN m int;
		ALTER TABLE shop.e_emptied ADD COLUMN m int; ALTER TABLE shop.f_keyless ADD COLUMN m int; ALTER TABLE shop.g_bulk ADD COLUMN m int;`},
	planFile: "cutover: {verify_within: 1s, max_stall: 3s}\ncopy: {chunk_rows: 100}\n",
}

// Every table is proved once, while all others are followed, and then the cutover
// comes, however short a proof is to be held for good, and whatever clients go on
// with: a hot key, more keys at once than a batch proves, keys that change, a table
// that is emptied time and again. A leader that stops in mid-proof takes nothing of
// it along.
func TestTablesThatTakeLongToProveAreProvedOnce(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	w := build(t, twoLarge)
	w.run(ctx, upgrade.Options{Until: control.Copying})
	stop := w.beset(ctx, [][]string{
		{"UPDATE shop.a_large SET n = n + 1 WHERE id = 1", "UPDATE shop.d_small SET n = n + 1 WHERE id = 1", "UPDATE shop.c_small SET id = -id WHERE id IN (2, -2)"},
		{"UPDATE shop.g_bulk SET n = n + 1", "SELECT pg_sleep(0.5)"},
		{"TRUNCATE shop.e_emptied", "INSERT INTO shop.e_emptied SELECT n, n FROM generate_series(1, 50) n", "INSERT INTO shop.f_keyless VALUES (1)", "SELECT pg_sleep(0.2)"},
	})
	leading, end := context.WithCancel(ctx)
	var first errgroup.Group
	first.Go(func() error { return upgrade.Run(leading, w.file(), upgrade.Options{Log: w.log}) })
	await(ctx, t, w.production, `SELECT count(*) = 1 FROM pgumbra.proof WHERE upto IS NOT NULL AND NOT done AND n = 0`)
	end()
	if err := first.Wait(); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	var before, after, passes int
	replayed := "SELECT rows_replayed FROM pgumbra.shadow_table WHERE n = 3"
	must(t, one(w.production, replayed, &before))
	w.run(ctx, upgrade.Options{Until: control.Following}) // all are proved
	must(t, one(w.production, replayed, &after))
	if after == before {
		t.Error("the small table was not followed while the large ones were proved")
	}
	must(t, one(w.production, "SELECT max(pass) FROM pgumbra.proof", &passes))
	if passes != 1 {
		t.Errorf("some table was proved from its first key on %d times", passes)
	}
	w.run(ctx, upgrade.Options{Cutover: true})
	stop()
	must(t, upgrade.Finish(ctx, w.file(), cutover.DropOld, upgrade.Purge, w.log))
}

// beset has clients repeat their statements, each its own, until the returned function is
// called.
func (w *world) beset(ctx context.Context, statements [][]string) (stop func()) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	var clients errgroup.Group
	for _, own := range statements {
		clients.Go(func() error {
			for ctx.Err() == nil {
				for _, s := range own {
					if err := tryExec(w.production, s); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	return func() {
		w.t.Helper()
		cancel()
		must(w.t, clients.Wait())
	}
}

// Whoever verifies beside a leader that follows traffic ends neither.
func TestVerifyBesideALeaderUnderTraffic(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	w := build(t, orders)
	w.run(ctx, upgrade.Options{Until: control.Following})
	leading, end := context.WithCancel(ctx)
	var leader errgroup.Group
	leader.Go(func() error { return upgrade.Run(leading, w.file(), upgrade.Options{Log: w.log}) })
	stop := w.beset(ctx, [][]string{
		{"UPDATE shop.orders SET total = total + 1 WHERE id = 1", "UPDATE shop.orders SET total = total + 1 WHERE id % 10 = 2"},
		{"UPDATE shop.orders SET total = total + 1 WHERE id = 1", "UPDATE shop.orders SET total = total + 1 WHERE id % 10 = 3"}})
	await(ctx, t, w.production, "SELECT coalesce(heartbeat > clock_timestamp() - interval '2s', false) FROM pgumbra.leader")
	for range 3 {
		verdicts, err := upgrade.Verify(ctx, w.file(), w.log)
		must(t, err)
		if !upgrade.AllEqual(verdicts) {
			t.Errorf("%+v", verdicts)
		}
	}
	stop()
	end()
	if err := leader.Wait(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
