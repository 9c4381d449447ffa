package cutover

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/plans"
)

// TestTimeTakenFromClientsIsCountedAndBounded: failed attempts too, and once
// another one might be too much none is tried until the budget is raised.
func TestTimeTakenFromClientsIsCountedAndBounded(t *testing.T) {
	t.Parallel()
	f := shop(t, plans.Rename, "")
	f.settle(300*time.Millisecond, 200*time.Millisecond)
	reader := f.client()
	run(t, reader, "BEGIN ISOLATION LEVEL REPEATABLE READ")
	run(t, reader, "SELECT 1")
	f.Upgrade.Plan.Settings.Cutover.MaxTotalStall = 850 * time.Millisecond
	for n := 1; n <= 2; n++ {
		if slices.Contains(f.codes(), "total-stall") {
			t.Fatalf("refused before attempt %d", n)
		}
		if out := f.refuses("open-transaction", "holds a snapshot"); out.Taken < 250*time.Millisecond {
			t.Errorf("attempt %d held clients for %s", n, out.Taken)
		}
	}
	run(t, reader, "COMMIT")
	attempts := get[int](f, "SELECT attempts FROM pgumbra.run")
	if held := get[float64](f, "SELECT held_ms FROM pgumbra.run"); attempts != 2 || held < 500 {
		t.Errorf("%d attempts, %.0f ms", attempts, held)
	}
	found, err := f.Check(context.Background())
	if err != nil || len(found) != 1 || found[0].Code != "total-stall" || !found[0].Lasting {
		t.Fatalf("%+v, %v", found, err)
	}
	f.settle(3*time.Second, 200*time.Millisecond) // the swap itself is not what this is about
	f.Upgrade.Plan.Settings.Cutover.MaxTotalStall = time.Minute
	if got := f.codes(); len(got) > 0 {
		t.Errorf("after the budget was raised: %v", got)
	}
	f.swaps()
	if held := get[float64](f, "SELECT held_ms FROM pgumbra.run"); held < 500 || get[int](f, "SELECT attempts FROM pgumbra.run") != 3 {
		t.Errorf("%.0f ms after the swap", held)
	}
}

// TestWhatACutoverTookDoesNotStandAgainstARollback, in one database and to another, while
// another attempt at a cutover is refused in both.
func TestWhatACutoverTookDoesNotStandAgainstARollback(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, f := range map[string]*fixture{"local": shop(t, plans.Rename, ""), "remote": remoteShop(t)} {
		const much = "UPDATE pgumbra.run SET attempts = 9, held_ms = 1000000"
		f.exec(much)
		if !slices.Contains(f.codes(), "total-stall") {
			t.Errorf("%s: a cutover is not refused", name)
		}
		f.exec("UPDATE pgumbra.run SET held_ms = 0")
		f.swaps()
		if err := f.After(ctx); err != nil {
			t.Fatal(err)
		}
		f.exec(much)
		back := &Cutover{Sides: f.Sides.Reversed(), DSN: f.dsn, Upgrade: f.Upgrade.Reversed(), Log: f.Log, Parts: idleParts{}}
		if f.there != nil {
			back.DSN, back.ShadowDSN = f.there.dsn, f.dsn
		}
		if against, err := back.Check(ctx); err != nil || len(against) > 0 {
			t.Errorf("%s: against the rollback: %+v, %v", name, against, err)
		}
	}
}
