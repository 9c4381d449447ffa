package shadow

import (
	"context"
	"strings"
	"testing"
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
