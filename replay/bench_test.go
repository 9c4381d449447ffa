package replay

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/plans"
)

// BenchmarkProof measures, interleaved, with medians: the first proof of a table of
// 2 M rows by two workers against the bare sums of record hashes of both sides, one
// after the other; touched keys that are proved again in a second; and how much is
// pending, on average, while clients write and all keys are being proved, against
// nobody proving anything. Decision 22 has what it said.
func BenchmarkProof(b *testing.B) {
	w := local(b, itemsStructure(`INSERT INTO items SELECT i, 'name of ' || i, i FROM generate_series(1, 2000000) i`), func(w *world, p *plans.Plan) {
		items(w, p)
		p.Sources[0].Rows = 2_000_000
	})
	for _, table := range []string{"shop.items", "twin.items"} {
		_, err := w.pool.Exec(w.ctx, "VACUUM (ANALYZE) "+table)
		w.must(err)
	}
	var bare, ours, touched, idle, proving []float64
	for range 5 {
		bare = append(bare, seconds(func() {
			w.exec(`SELECT sum(pg_catalog.hash_record_extended(ROW(id, name, price), id)) FROM shop.items;
				SELECT sum(pg_catalog.hash_record_extended(ROW(id, title, cents), id)) FROM twin.items`)
		}))
		w.unproved()
		ours = append(ours, seconds(w.proved))
		w.exec(`UPDATE shop.items SET price = price + 1 WHERE id % 40 = 0`)
		w.batch(0)
		touched = append(touched, 50_000/seconds(func() { w.must(w.r.ProveRest(w.ctx)) }))
		idle = append(idle, w.pendingUnderTraffic(false))
		proving = append(proving, w.pendingUnderTraffic(true))
		w.proved()
	}
	b.ReportMetric(median(ours)/median(bare), "ours/bare")
	b.ReportMetric(median(touched), "touched-keys/s")
	b.ReportMetric(median(proving)/median(idle), "pending/pending")
	b.Logf("first proof of 2 M rows %.2f s, bare %.2f s, ratio %.2f; %.0f touched keys a second; pending %.0f, while proving %.0f, ratio %.2f",
		median(ours), median(bare), median(ours)/median(bare), median(touched), median(idle), median(proving), median(proving)/median(idle))
}

func seconds(work func()) float64 {
	began := time.Now()
	work()
	return time.Since(began).Seconds()
}

func median(all []float64) float64 { return slices.Sorted(slices.Values(all))[len(all)/2] }

func (w *world) unproved() {
	w.t.Helper()
	w.must(control.ClearProof(w.ctx, w.sides, w.run, control.Doubt{Why: "to be proved"}))
}

// pendingUnderTraffic is how many journal rows a batch finds on average, for four
// seconds in which two clients write.
func (w *world) pendingUnderTraffic(alsoProve bool) float64 {
	w.t.Helper()
	w.unproved()
	ctx, cancel := context.WithTimeout(w.ctx, 4*time.Second)
	defer cancel()
	ended := make(chan error, 1)
	if alsoProve {
		go func() { ended <- NewProver(w.r, 0).Run(ctx, 2) }()
	} else {
		ended <- nil
	}
	stop := w.busy()
	defer stop()
	var sum, looks int64
	for ctx.Err() == nil {
		sum += w.batch(0).Changes
		looks++
		pause(ctx, 20*time.Millisecond)
	}
	w.must(unlessCanceled(ctx, <-ended))
	return float64(sum) / float64(looks)
}
