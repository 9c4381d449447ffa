package replay

import (
	"fmt"
	"testing"

	"github.com/pgumbra/pgumbra/capture"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// Two sessions may read the same WAL position: entries of different transactions
// then have one number. The last entry of a key is still told from others.
func TestBatchTellsEntriesWithOneNumberApart(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, withoutKey+`CREATE COLLATION shop.nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false); CREATE TABLE items (id int, who text COLLATE nocase, v int, PRIMARY KEY (id, who));
			CREATE TABLE twin.items (id bigint, who text COLLATE shop.nocase, v int, PRIMARY KEY (id, who));
			INSERT INTO items SELECT i, 'Bob', 0 FROM generate_series(1, 6) i`,
			func(w *world, p *plans.Plan) {
				defineKeyless(w, p)
				source := w.source("items", plans.RecordRow, "id", "who")
				w.add(p, source, "id bigint = id", "who text = who", "v integer = v").Where = "v < 9"
			})
		for _, s := range []string{
			`UPDATE shop.items SET v = 1 WHERE id = 1; INSERT INTO shop.log VALUES (7, 'x')`,
			`UPDATE shop.items SET v = 2 WHERE id = 2; INSERT INTO shop.log VALUES (7, 'x')`,
			`UPDATE shop.items SET v = 9 WHERE id = 3; DELETE FROM shop.log WHERE at = 2`,
			`DELETE FROM shop.items WHERE id = 4; INSERT INTO shop.log VALUES (8, 'y')`,
			`UPDATE shop.items SET who = 'BOB' WHERE id = 5; UPDATE shop.log SET at = 3 WHERE at = 1`,
			`INSERT INTO shop.items VALUES (7, 'Eve', 7)`,
		} {
			w.exec(s)
		}
		for i := range w.run.Plan.Sources {
			for _, table := range capture.JournalOf(w.run, &w.run.Plan.Sources[i]).Tables() {
				w.exec(fmt.Sprintf(`UPDATE %[1]s j SET seq = '1/0'::pg_lsn + 8 * e.n
					FROM (SELECT ctid, row_number() OVER (PARTITION BY xid ORDER BY seq) AS n FROM %[1]s) e WHERE e.ctid = j.ctid`, table.Quoted()))
			}
		}
		w.equal()
		w.want(`SELECT format('%s %s %s', id, who, v) FROM twin.items ORDER BY 1`, "1 Bob 1\n2 Bob 2\n5 BOB 0\n6 Bob 0\n7 Eve 7")
		w.want(logRows, "3 f a\n3 f a\n3 f a\n7 f x\n7 f x\n8 f y")
	})
}
