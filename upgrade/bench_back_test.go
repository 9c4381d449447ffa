package upgrade_test

import (
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/upgrade"
)

// BenchmarkThereAndBack: how long writers wait for a cutover, for the rollback after it
// and for the second cutover of the same run, under the random clients, one after the
// other in each round.
func BenchmarkThereAndBack(b *testing.B) {
	benchmark(b, func(t *testing.T) {
		ctx := limited(t, 10*time.Minute)
		var there, back, again []float64
		for range 3 {
			w := build(t, trafficHistory(t))
			f := newFleet(t, w)
			f.start(ctx)
			w.run(ctx, upgrade.Options{Cutover: true})
			there = append(there, stall(t, w, "cutover"))
			f.more(200)
			must(t, upgrade.Rollback(ctx, w.file(), upgrade.Options{As: control.RollbackAs{Follow: true}, Log: w.log}))
			back = append(back, stall(t, w, "rollback"))
			f.more(200)
			w.run(ctx, upgrade.Options{Cutover: true})
			again = append(again, stall(t, w, "cutover"))
			f.stop()
			must(t, upgrade.Finish(ctx, w.file(), cutover.DropOld, upgrade.Purge, w.log))
		}
		b.ReportMetric(median(back)/median(there), "rollback/cutover")
		b.ReportMetric(median(again)/median(there), "second/first")
		b.Logf("stalls: cutover %.0f ms, rollback %.0f ms (%.2f), second cutover %.0f ms (%.2f)", median(there), median(back), median(back)/median(there),
			median(again), median(again)/median(there))
	})
}

// stall of the last swap of a kind, in milliseconds.
func stall(t *testing.T, w *world, swap string) (ms float64) {
	t.Helper()
	must(t, one(w.production, "SELECT ("+swap+"->>'stall_ms')::float8 FROM pgumbra.run", &ms))
	return ms
}
