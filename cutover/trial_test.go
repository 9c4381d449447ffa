package cutover

import (
	"context"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// TestSwapIsTriedWithoutATrace: behind whatever locks clients hold on production,
// in each way of swapping, and before a swap that then succeeds.
func TestSwapIsTriedWithoutATrace(t *testing.T) {
	testcontainers.InTurn(t, 4)
	t.Parallel()
	ways := map[string]func(t *testing.T) *fixture{
		"rename": func(t *testing.T) *fixture { return shop(t, plans.Rename, "") },
		"move":   func(t *testing.T) *fixture { return shop(t, plans.Move, "CREATE EXTENSION citext;") },
		"remote": func(t *testing.T) *fixture { return remoteShop(t) },
	}
	for name, world := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := context.Background()
			f := world(t)
			if err := f.CloseShadow(ctx); err != nil { // as the build leaves it
				t.Fatal(err)
			}
			f.settle(10*time.Second, time.Second)
			writer := f.client()
			run(t, writer, f.fill("BEGIN; UPDATE {schema}.account SET balance = 1; SELECT nextval('{schema}.ticket')"))
			before := f.dump()
			run(t, writer, f.fill("LOCK TABLE {schema}.entry IN ACCESS EXCLUSIVE MODE"))
			trial, err := f.Trial(ctx)
			if err != nil || trial.SwapMS <= 0 || len(trial.Swap) < 4 || trial.Skipped != "" {
				t.Fatalf("%+v %v", trial, err)
			}
			t.Logf("%+v", trial)
			run(t, writer, "ROLLBACK")
			if after := f.dump(); after != before {
				t.Errorf("the trial left\n%s", after)
			}
			f.swaps()
		})
	}
}

// TestProcessStoppedInTheTrialLetsGo: what it has locked on the shadow is free again
// after max_stall, as it is in an attempt.
func TestProcessStoppedInTheTrialLetsGo(t *testing.T) {
	t.Parallel()
	const stall, bearable = time.Second, 4
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	f := shop(t, plans.Rename, "")
	f.settle(stall, time.Second)
	p, err := openPair(ctx, f.DSN)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close(ctx)
	if err := f.beginTrial(ctx, p, lateLock); err != nil {
		t.Fatal(err)
	}
	lock := f.fill("LOCK TABLE {shadow}.account IN ACCESS EXCLUSIVE MODE")
	if err := pg.ExecScript(ctx, p.locker, lock); err != nil {
		t.Fatal(err)
	}
	began := time.Now() // nothing comes of the process any more
	f.exec("BEGIN; " + lock + "; ROLLBACK")
	if waited := time.Since(began); waited > bearable*stall {
		t.Errorf("who wants a table of the shadow's waited %s for a stopped process", waited)
	}
	if _, err := p.locker.Exec(ctx, "SELECT 1"); Hindered(err) == "" {
		t.Errorf("the trial goes on as if nothing had been: %v", err)
	}
}
