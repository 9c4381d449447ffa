package cutover

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/cutover/traffic"
	"github.com/pgumbra/pgumbra/internal/control"
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

// A rollback that died while clients were led back, and whose old server is gone for good,
// has not happened. One whose COMMIT is there has, and is tidied up, once and again.
func TestRollbackIsResolvedWithoutTheOldServer(t *testing.T) {
	t.Parallel()
	f := remoteShop(t).behindBouncer().backFrom()
	f.dies("after redirect clients")
	alone := &Cutover{Sides: control.Local(f.there.pool), DSN: f.there.dsn, Upgrade: f.Upgrade, Log: f.Log}
	if err := errors.Join(alone.ResolveAlone(context.Background()), f.Traffic.Settle(context.Background(), traffic.Shadow, time.Second)); err != nil {
		t.Fatal(err)
	}
	f.livesIn(traffic.Shadow)
	all := moments()
	f.dies(all[len(all)-1])
	f.there.exec(`DROP TRIGGER "` + remoteFenceTrigger + `" ON shop.entry`) // as after a failover that lost it
	f.there.exec(opened(fenceName(f.Upgrade)))
	f.resolves(WentForward)
	for range 2 {
		if err := f.After(context.Background()); err != nil {
			t.Fatal(err)
		}
		f.livesIn(traffic.Production)
	}
	if get[bool](f, "SELECT EXISTS (SELECT FROM pg_trigger WHERE tgname LIKE '!pgumbra_fence')") || !get[bool](f, "SELECT rollback->>'tidied' <> '' AND (rollback->>'stall_ms')::float8 > 0 FROM pgumbra.run") {
		t.Error("it is not tidied up:", get[string](f, "SELECT rollback::text FROM pgumbra.run"))
	}
}
