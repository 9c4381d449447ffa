package cutover

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// TestSwapIsTriedWithoutATrace: behind whatever locks clients hold on production,
// in each way of swapping, and before a swap that then succeeds.
func TestSwapIsTriedWithoutATrace(t *testing.T) {
	testcontainers.InTurn(t, 6)
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

// TestStageThatNobodyKnowsIsAnError: what the swap gets is told in a dry run and tried in a
// trial, or it says that it is not.
func TestStageThatNobodyKnowsIsAnError(t *testing.T) {
	t.Parallel()
	if err := new(Told).add([]stage{{"surprise", nil}}); !errors.Is(err, errUnknownStage) {
		t.Errorf("told: %v", err)
	}
	run := &control.Run{Plan: &plans.Plan{Run: "up"}}
	a := &attempt{c: &Cutover{Upgrade: run, Parts: idleParts{}}, plan: run.Plan, facts: &facts{}}
	for _, s := range (local{a}).script() {
		if _, known := tried[s.name]; !known {
			t.Errorf("nothing says how %q is tried", s.name)
		}
	}
}

// TestDryRunTellsTheVersionRowOfTheShadow where its table moves with a schema: it is written
// before the fence, in one database and to another.
func TestDryRunTellsTheVersionRowOfTheShadow(t *testing.T) {
	t.Parallel()
	to := int64(7)
	for _, remotely := range []bool{false, true} {
		plan := &plans.Plan{Run: "up", Remote: remotely, ToVersion: &to, VersionTable: &plans.VersionTable{Name: pg.Name{Schema: "shop", Name: "schema_migrations"}, Moves: true},
			Schemas: []plans.Schema{{Production: "shop", Shadow: "up_shop", Old: "old_shop"}}}
		a := &attempt{c: &Cutover{Upgrade: &control.Run{Plan: plan}}, plan: plan, facts: &facts{}}
		var told []string
		for _, s := range transportOf(a, remotely, progress{}).prepared() {
			told = append(told, s.sql...)
		}
		if all := strings.Join(told, "\n"); !strings.Contains(all, `INSERT INTO "up_shop"."schema_migrations" (version, dirty) VALUES (7, false)`) {
			t.Errorf("remotely %t:\n%s", remotely, all)
		}
	}
}
