package main

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/testcontainers"
)

// A cutover of two databases as one takes from their clients what one of a database by
// itself takes, and the other one's commit. Both are done in turns, there and back, with
// the same clients; docs/groups.md says what was measured.
func TestStallOfAGroupBesideThatOfOneDatabase(t *testing.T) {
	testcontainers.Long(t, func(t *testing.T) {
		ctx := limited(t, 8*time.Minute)
		together, apart := newBank(t), newBank(t)
		for i, dsn := range apart.dsns {
			apart.write(fmt.Sprintf("%d.yaml", i), fmt.Sprintf("name: up\nproduction: {dsn: %q, schemas: [shop]}\nmigrations: {path: migrations}\nscratch: {rows: 0}\n", dsn))
		}
		together.use(ctx)
		apart.use(ctx)
		var stalls [2][]float64 // of one by itself, and of the slower one of a group
		note := func(which int, b *bank, dsns ...string) {
			slowest := 0.0
			for _, dsn := range dsns {
				ms, err := strconv.ParseFloat(b.asked(dsn, `SELECT cutover->>'stall_ms' FROM pgumbra.run`), 64)
				must(t, err)
				slowest = max(slowest, ms)
			}
			stalls[which] = append(stalls[which], slowest)
		}
		for began := time.Now(); len(stalls[1]) < 8 && time.Since(began) < 4*time.Minute; {
			together.do(ctx, exitDone, "run", "--cutover")
			note(1, together, together.dsns...)
			together.do(ctx, exitDone, "rollback", "--follow")
			for i, dsn := range apart.dsns {
				plan := fmt.Sprintf("%d.yaml", i)
				apart.do(ctx, exitDone, "run", "--cutover", "-p", plan)
				note(0, apart, dsn)
				apart.do(ctx, exitDone, "rollback", "--follow", "-p", plan)
			}
		}
		together.settle(ctx)
		apart.settle(ctx)
		one, all := median(stalls[0]), median(stalls[1])
		t.Logf("stall in ms, median: one by itself %.1f of %v, a group of two %.1f of %v: ratio %.2f", one, stalls[0], all, stalls[1], all/one)
	})
}

func median(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}
