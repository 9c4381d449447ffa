package shadow

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/testcontainers"
)

func TestThrottleHoldsBackWhileASlotRetainsTooMuch(t *testing.T) {
	t.Parallel()
	w := newWorld(t, items)
	w.plain("items")
	w.plan.Settings.Copy.MaxRetainedWAL = 1
	w.start()
	slot := "slot_" + w.text("SELECT oid FROM pg_database WHERE datname = current_database()")
	w.text("SELECT pg_create_physical_replication_slot('" + slot + "', true)")
	dropped := false
	drop := func() {
		if !dropped {
			w.text("SELECT pg_drop_replication_slot('" + slot + "')")
		}
		dropped = true
	}
	w.exec("CREATE TABLE shop.noise AS SELECT generate_series(1, 1000)")
	throttle := &throttle{pool: w.pool, run: w.run, log: discard}
	reason, err := throttle.look(w.t.Context())
	if err != nil || !strings.HasPrefix(reason, "slot "+slot+" retains") {
		drop()
		t.Fatalf("%q, %v", reason, err)
	}
	w.wants(reason, "SELECT throttled FROM pgumbra.leader")
	drop()
	must(t, throttle.wait(w.t.Context()))
	w.wants("", "SELECT throttled FROM pgumbra.leader")
}

func TestThrottleAsksOfStandbysAndBackends(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "SELECT 1")
	w.start()
	throttle := &throttle{pool: w.pool, run: w.run, log: discard}
	for _, ask := range []func(context.Context) (string, error){throttle.lag, throttle.activity} {
		if reason, err := ask(w.t.Context()); err != nil || reason != "" {
			t.Errorf("%q, %v", reason, err)
		}
	}
}

// TestCopyPausesWhileAStandbyIsBehind: a real standby whose replay stands still, then one
// whose network does. The copy pauses, says for whom, and goes on once that has caught up.
func TestCopyPausesWhileAStandbyIsBehind(t *testing.T) {
	testcontainers.InTurn(t, 4)
	t.Parallel()
	if _, err := testcontainers.Bin("pg_basebackup"); err != nil {
		t.Skip(err)
	}
	ctx := testcontainers.Limited(t, time.Minute)
	primary, err := testcontainers.Start(ctx, testcontainers.Options{})
	must(t, err)
	t.Cleanup(func() { _ = primary.Discard(context.WithoutCancel(ctx)) })
	link := testcontainers.StartProxy(t, primary.Addr())
	standby, err := primary.Standby(ctx, link.Addr())
	must(t, err)
	t.Cleanup(func() { _ = standby.Discard(context.WithoutCancel(ctx)) })
	replica, err := pgx.Connect(ctx, standby.DSN("postgres"))
	must(t, err)
	defer func() { _ = replica.Close(ctx) }()
	replay := func(what string) {
		_, err := replica.Exec(ctx, "SELECT pg_catalog.pg_wal_replay_"+what+"()")
		must(t, err)
	}

	w := worldAt(t, primary.DSN("postgres"), "", items)
	w.plain("items")
	w.plan.Settings.Copy.MaxReplicaLag = 2 * lookEvery
	w.start()
	for what, do := range map[string]struct{ stops, goesOn func() }{
		"its replay stands still":  {func() { replay("pause") }, func() { replay("resume") }},
		"its network stands still": {link.Stall, link.Heal},
	} {
		throttle := &throttle{pool: w.pool, run: w.run, log: discard}
		must(t, throttle.wait(ctx))
		do.stops()
		w.exec("CREATE TABLE IF NOT EXISTS shop.noise (n int); INSERT INTO shop.noise SELECT generate_series(1, 10000)")
		for reason := ""; !strings.HasPrefix(reason, "standby walreceiver is ") || !strings.Contains(reason, "copy.max_replica_lag: 2 s"); {
			select {
			case <-ctx.Done():
				t.Fatalf("%s, and the copy goes on: %q", what, reason)
			case <-time.After(lookEvery / 4):
			}
			var err error
			reason, err = throttle.look(ctx)
			must(t, err)
		}
		do.goesOn()
		must(t, throttle.wait(ctx))
		w.wants("", "SELECT throttled FROM pgumbra.leader")
	}
}
