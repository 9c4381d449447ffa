package cutover

import (
	"context"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// A client that waits for the fence to have a table for itself stands before the
// drain, which reads that table: the attempt ends long before max_stall is used up.
func TestDrainDoesNotWaitBehindAClientThatWaitsForTheFence(t *testing.T) {
	t.Parallel()
	f := shop(t, plans.Rename, "")
	f.settle(20*time.Second, time.Second)
	reader, drain := f.ours(), f.Parts.Drain
	self, err := pg.Self(context.Background(), reader)
	if err != nil {
		t.Fatal(err)
	}
	f.Own = func() pg.Backends { return pg.Backends{self} }
	f.drainsBy(func(ctx context.Context) (int64, error) {
		if _, err := reader.Exec(ctx, f.fill("SELECT count(*) FROM {schema}.account")); err != nil {
			return 0, err
		}
		return drain(ctx)
	})
	reading := f.Parts
	done := f.blockedBy("READ COMMITTED", "LOCK TABLE {schema}.account IN ACCESS EXCLUSIVE MODE")
	out := f.refuses("lock-queue", "LOCK TABLE")
	if out.Taken > 10*time.Second {
		t.Errorf("the attempt took %s from clients", out.Taken)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	reader = f.ours() // what is cancelled is closed
	if self, err = pg.Self(context.Background(), reader); err != nil {
		t.Fatal(err)
	}
	f.Parts = reading
	f.swaps()
}
