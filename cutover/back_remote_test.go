package cutover

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgerrcode"

	"github.com/pgumbra/pgumbra/cutover/traffic"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// backFrom is the run right before its rollback from another database.
func (f *fixture) backFrom() *fixture {
	f.t.Helper()
	f.swaps()
	if err := f.After(context.Background()); err != nil {
		f.t.Fatal(err)
	}
	b := *f
	b.Cutover = &Cutover{Sides: f.Sides.Reversed(), DSN: f.there.dsn, ShadowDSN: f.dsn, Upgrade: f.Upgrade.Reversed(), Log: f.Log, Parts: idleParts{}}
	tool := b.tool()
	tool.Guard(b.MayLead)
	b.Traffic = tool
	return &b
}

// served checks that clients write there, through PgBouncer and past it, that the
// other side refuses, and what the record says.
func (f *fixture) served(side traffic.Place) {
	f.t.Helper()
	live, dead, phase := f.there, f, control.Watching
	if side == traffic.Production {
		live, dead, phase = f, f.there, control.RolledBack
	}
	count := "SELECT count(*)::int FROM shop.entry WHERE client = 99"
	before := get[int](live, count)
	for _, dsn := range []string{f.through, live.dsn} {
		if err := f.writes(dsn, write); err != nil {
			f.t.Errorf("%s takes no writes: %v", side, err)
		}
	}
	if n := get[int](live, count) - before; n != 2 {
		f.t.Errorf("%d of 2 writes came to the %s", n, side)
	}
	if err := f.writes(dead.dsn, write); pg.State(err) != pgerrcode.ReadOnlySQLTransaction {
		f.t.Errorf("the other side: %v", err)
	}
	if is := get[string](f, "SELECT phase FROM pgumbra.run"); is != string(phase) || f.Upgrade.Phase != phase {
		f.t.Errorf("phase %s, %s in memory", is, f.Upgrade.Phase)
	}
	if !get[bool](f.there, "SELECT switch IS NULL FROM pgumbra.run") {
		f.t.Error("it is not over:", get[string](f.there, "SELECT switch::text FROM pgumbra.run"))
	}
}

// A rollback that dies at any step, or fails there, has happened or not: whoever comes
// next finds out by asking the old server, and clients are served by just one.
func TestDeathAtEachStepOfARollbackIsResolved(t *testing.T) {
	t.Parallel()
	f := remoteShop(t).behindBouncer().backFrom()
	all := moments()
	first, last := all[:3], all[len(all)-1] // before anything is noted, and after the decision
	for _, at := range testcontainers.Some(t, all[:len(all)-1], 4) {
		f.dies(at)
		want := WentBack
		for _, s := range first {
			if at == s {
				want = Settled
			}
		}
		f.resolves(want)
		f.served(traffic.Shadow)
		if t.Failed() {
			t.Fatal(at)
		}
	}
	f.dies("after redirect clients") // and the old server is gone for good
	alone := &Cutover{Sides: control.Local(f.there.pool), DSN: f.there.dsn, Upgrade: f.Upgrade, Log: f.Log}
	if err := errors.Join(alone.ResolveAlone(context.Background()), f.Traffic.Settle(context.Background(), traffic.Shadow, time.Second)); err != nil {
		t.Fatal(err)
	}
	f.served(traffic.Shadow)
	f.dies(last)
	f.there.exec(`DROP TRIGGER "` + remoteFenceTrigger + `" ON shop.entry`) // as after a failover that lost it
	f.there.exec(opened(fenceName(f.Upgrade)))
	f.resolves(WentForward)
	f.served(traffic.Production)
	for range 2 {
		if err := f.After(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	f.served(traffic.Production)
	if get[bool](f, "SELECT EXISTS (SELECT FROM pg_trigger WHERE tgname LIKE '!pgumbra_fence')") || !get[bool](f, "SELECT rollback->>'tidied' <> '' AND (rollback->>'stall_ms')::float8 > 0 FROM pgumbra.run") {
		t.Error("it is not tidied up:", get[string](f, "SELECT rollback::text FROM pgumbra.run"))
	}
}
