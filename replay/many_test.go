package replay

import (
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/plans"
)

// TestBatchOfManyChanges: entries are found again by their number, which has
// no index, and kept values by their key; neither may be looked for one by one.
func TestBatchOfManyChanges(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		for _, upsert := range []bool{true, false} {
			w := newWorld(t, `CREATE TABLE a (x int, y int, v text, PRIMARY KEY (x, y)); INSERT INTO a SELECT n, n % 7, 'x' FROM generate_series(1, 20000) n;
			CREATE TABLE twin.a (x int, y int, v text, token uuid DEFAULT gen_random_uuid(), PRIMARY KEY (x, y))`,
				func(w *world, p *plans.Plan) {
					w.add(p, w.source("a", plans.RecordRow, "x", "y"), "x int = x", "y int = y", "v text = v", "token uuid = volatile").Upsert = upsert
				})
			// one transaction each, so that no key is read again
			w.exec(`INSERT INTO shop.a SELECT n, n % 7, 'x' || n FROM generate_series(20001, 40000) n`)
			w.exec(`UPDATE shop.a SET v = v || 'y' WHERE x % 3 = 0`)
			w.exec(`DELETE FROM shop.a WHERE x % 5 = 0`)
			began := time.Now()
			w.batch(0)
			if d := time.Since(began); d > 10*time.Second {
				t.Errorf("upsert %v: the batch took %s", upsert, d)
			} else {
				t.Logf("upsert %v: %s", upsert, d)
			}
			w.verified(0)
		}
	})
}
