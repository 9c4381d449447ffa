package replay

import (
	"slices"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/internal/control"
)

// BenchmarkProof: the first proof of a table of 2 M rows, by two workers, against
// the sums of record hashes of production's table and of the shadow's, one after the
// other, interleaved. And touched keys that are proved again in a second.
func BenchmarkProof(b *testing.B) {
	w := together(b, itemsStructure(`INSERT INTO items SELECT i, 'name of ' || i, i FROM generate_series(1, 2000000) i`), items)
	w.exec(`VACUUM (ANALYZE) shop.items; VACUUM (ANALYZE) twin.items`)
	var ours, bare, touched []float64
	for range 5 {
		began := time.Now()
		w.exec(`SELECT sum(pg_catalog.hash_record_extended(ROW(id, name, price), id)) FROM shop.items; SELECT sum(pg_catalog.hash_record_extended(ROW(id, title, cents), id)) FROM twin.items`)
		bare = append(bare, time.Since(began).Seconds())
		w.must(control.ClearProof(w.ctx, w.sides, w.run, control.Doubt{Why: "to be proved"}))
		began = time.Now()
		w.proved()
		ours = append(ours, time.Since(began).Seconds())
		w.exec(`UPDATE shop.items SET price = price + 1 WHERE id % 40 = 0`)
		w.batch(0)
		began = time.Now()
		w.must(w.r.ProveRest(w.ctx))
		touched = append(touched, 50_000/time.Since(began).Seconds())
	}
	middle := func(all []float64) float64 { return slices.Sorted(slices.Values(all))[len(all)/2] }
	b.ReportMetric(middle(ours)/middle(bare), "ours/bare")
	b.ReportMetric(middle(touched), "touched-keys/s")
	b.Logf("first proof of 2 M rows: %.2f s, bare %.2f s, ratio %.2f (at most 1.3 wanted); %.0f touched keys a second (%d assumed)",
		middle(ours), middle(bare), middle(ours)/middle(bare), middle(touched), 20_000)
}
