package replay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/plans"
)

// proving runs a prover and batches of all tables until done says so, or for as
// long as a test may take. It returns what differed.
func (w *world) proving(done func() bool) []Found {
	w.t.Helper()
	return w.provingUntil(done, nil)
}

// provingPart ends in the midst of the proof of the first table.
func (w *world) provingPart() {
	w.t.Helper()
	var part atomic.Bool
	w.provingUntil(part.Load, func(ctx context.Context) {
		if len(w.proofs()[0].UpTo) > 0 {
			part.Store(true)
			<-ctx.Done()
		}
	})
}

func (w *world) provingUntil(done func() bool, afterRange func(context.Context)) []Found {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
	defer cancel()
	p := NewProver(w.r, time.Second)
	p.afterRange = afterRange
	ended := make(chan error, 1)
	workers := 2
	if afterRange != nil { // another one might be through with the table before it looks
		workers = 1
	}
	go func() { ended <- p.Run(ctx, workers) }()
	var found []Found
	for ctx.Err() == nil {
		for n := range w.run.Plan.Tables {
			w.batch(n)
		}
		if found = append(found, w.r.Found()...); len(found) > 0 || done() {
			break
		}
		select {
		case err := <-ended:
			w.t.Fatalf("the prover ended: %v; %+v", err, w.proofs())
		case <-p.Signal():
		case <-time.After(10 * time.Millisecond):
		}
	}
	if ctx.Err() != nil {
		w.t.Error("not done in time: ", w.text(`SELECT concat_ws(' ', t.n, t.state, t.position, t.proved, t.verified_at, p.pass, p.upto, p.rows, p.done)
			FROM pgumbra.shadow_table t LEFT JOIN pgumbra.proof p USING (run_id, n) ORDER BY t.n`))
	}
	cancel()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		w.t.Error(err)
	}
	return append(found, w.r.Found()...)
}

func (w *world) proofs() []control.Proof {
	w.t.Helper()
	all, err := control.Proofs(w.ctx, w.sides.Shadow, w.run)
	w.must(err)
	return all
}

// complete: every table is proved, and nothing was touched since.
func (w *world) complete() bool {
	for _, p := range w.proofs() {
		if !p.Complete || !p.Current {
			return false
		}
	}
	return true
}

func (w *world) proved() {
	w.t.Helper()
	for _, f := range w.proving(w.complete) {
		w.t.Errorf("%s differs: %+v", f.Table.Shadow, f.Verdict)
	}
}

// passes counts how often each table was proved from its first key on.
func (w *world) passes(want ...int) {
	w.t.Helper()
	for i, p := range w.proofs() {
		if p.Pass != want[i] {
			w.t.Errorf("table %d was proved in %d passes, want %d", i, p.Pass, want[i])
		}
	}
}

const manyItems = `INSERT INTO items SELECT i, 'n' || i, i FROM generate_series(1, 6000) i;`

func TestProverProvesEachKeyOnceUnderTraffic(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, itemsStructure(manyItems+`CREATE TABLE small (id int PRIMARY KEY); CREATE TABLE twin.small (id int PRIMARY KEY); INSERT INTO small VALUES (1);
			CREATE FUNCTION shop.slow(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN IF $1 > 3100 THEN PERFORM pg_sleep(0.0005); END IF; RETURN 0; END'`),
			func(w *world, p *plans.Plan) {
				w.add(p, w.source("items", plans.RecordRow, "id"), "id bigint = id", "title text = name", "cents bigint = (shop.slow(id) + price) * 100")
				w.add(p, w.source("small", plans.RecordRow, "id"), "id int = id")
			})
		w.script(w.sides.Shadow, `CREATE TABLE twin.complete (o serial, n int); CREATE FUNCTION twin.complete() RETURNS trigger LANGUAGE plpgsql AS
			'BEGIN INSERT INTO twin.complete (n) VALUES (NEW.n); RETURN NULL; END';
			CREATE TRIGGER complete AFTER UPDATE OF done ON pgumbra.proof FOR EACH ROW WHEN (NEW.done) EXECUTE FUNCTION twin.complete()`)
		w.r.RangeRows = 10
		stop := w.busy()
		for _, f := range w.proving(func() bool {
			all := w.proofs()
			return all[0].Complete && all[1].Complete
		}) {
			t.Errorf("%s differs: %+v", f.Table.Shadow, f.Verdict)
		}
		w.want(`SELECT n::text FROM twin.complete ORDER BY o`, "1\n0") // the small one does not wait for the large one
		for _, f := range w.proving(func() bool { return w.proofs()[0].Ago < 300*time.Millisecond }) {
			t.Errorf("%s differs: %+v", f.Table.Shadow, f.Verdict)
		}
		stop()
		w.proved()
		w.passes(1, 1)
		w.want(`SELECT (verified_at IS NOT NULL)::text FROM pgumbra.shadow_table ORDER BY n`, "true\ntrue")
		w.want(`SELECT rows::text FROM pgumbra.proof WHERE n = 1`, "1")
	})
}

func TestProverGoesOnWhereAnotherWasKilled(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, itemsStructure(manyItems), items)
		w.r.RangeRows = 10
		w.provingPart()
		first := w.proofs()[0]
		if first.Complete || first.UpTo == nil {
			t.Fatalf("proof %+v", first)
		}
		// What was proved once is not read again: it would be found to differ.
		w.exec(`UPDATE twin.items SET title = 'damaged' WHERE id = 1`)
		w.r = w.replayer()
		w.proved()
		w.passes(1)
		w.exec(`UPDATE shop.items SET price = 0 WHERE id = 1`)
		w.proved()
		w.want(`SELECT title FROM twin.items WHERE id = 1`, "n1")
	})
}

func TestProverFindsDamagedRows(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		for name, damage := range map[string]struct{ before, after, key string }{
			"before it is proved": {before: `UPDATE twin.items SET title = 'x' WHERE id = 3000`, key: "id=3000"},
			"as a batch writes it": {after: `CREATE FUNCTION twin.spoil() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.title := ''spoilt'' || NEW.id`,
				key: "id=7"},
		} {
			t.Run(name, func(t *testing.T) {
				w := newWorld(t, itemsStructure(manyItems), items)
				w.r.RangeRows = 1000
				if damage.before != "" {
					w.exec(damage.before)
				} else {
					w.proved()
					w.script(w.sides.Shadow, damage.after+"; RETURN NEW; END'; CREATE TRIGGER spoil BEFORE INSERT OR UPDATE ON twin.items FOR EACH ROW EXECUTE FUNCTION twin.spoil(); ALTER TABLE twin.items ENABLE ALWAYS TRIGGER spoil")
					w.exec(`UPDATE shop.items SET price = -1 WHERE id = 7`)
				}
				var keys []string // what differs is told again by each pass
				for _, f := range w.proving(func() bool { return false }) {
					for _, d := range f.Verdict.Differences {
						keys = append(keys, d.Key)
					}
				}
				if got := slices.Compact(keys); len(got) != 1 || got[0] != damage.key {
					t.Errorf("found %q", keys)
				}
				w.want(`SELECT (verified_at IS NULL)::text FROM pgumbra.shadow_table`, "true")
			})
		}
	})
}

// A bulk statement touches more keys than a batch proves itself.
func TestProverProvesTouchedKeysOfBulkStatements(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, itemsStructure(manyItems), items)
		w.proved()
		w.exec(`UPDATE shop.items SET price = price + 1 WHERE id <= 2500; DELETE FROM shop.items WHERE id BETWEEN 2400 AND 2600; INSERT INTO shop.items VALUES (-1, 'new', 1)`)
		w.batch(0)
		if p := w.proofs()[0]; p.Current || !p.Complete {
			t.Errorf("proof %+v", p)
		}
		w.exec(`UPDATE twin.items SET cents = 0 WHERE id = 2000; INSERT INTO twin.items VALUES (2500, 'back', 1)`)
		found := w.proving(w.complete)
		if len(found) == 0 {
			t.Error("found nothing")
		}
		for _, f := range found { // by the touched keys, and as often as a pass ended before it was stopped
			if len(f.Verdict.Differences) != 2 || f.Verdict.Differences[1].Key != "id=2500" {
				t.Errorf("found %+v", f)
			}
		}
		w.exec(`UPDATE shop.items SET price = 5 WHERE id = 2000; INSERT INTO shop.items VALUES (2500, 'n', 1)`)
		w.proved()
		w.passes(1 + len(found))
	})
}

// The batch that replays a TRUNCATE proves the table, whatever was proved of it
// before; what is inserted then counts as touched.
func TestBatchWithATruncateProvesTheTable(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, itemsStructure(manyItems), items)
		w.r.RangeRows = 10
		w.provingPart()
		for i := range 3 {
			w.exec(`TRUNCATE shop.items; INSERT INTO shop.items VALUES (1, 'a', 1)`)
			if i == 1 {
				w.exec(`INSERT INTO shop.items SELECT i, 'n' || i, i FROM generate_series(2, 3000) i`)
			}
			w.batch(0)
			if p := w.proofs()[0]; !p.Complete || !p.Current {
				t.Errorf("proof %+v", p)
			}
		}
		w.proved()
		w.passes(1)
		w.exec(`TRUNCATE shop.items; INSERT INTO shop.items VALUES (7, 'a', 1)`)
		w.script(w.sides.Shadow, `CREATE FUNCTION twin.spoil() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.title := ''spoilt''; RETURN NEW; END';
			CREATE TRIGGER spoil BEFORE INSERT ON twin.items FOR EACH ROW EXECUTE FUNCTION twin.spoil(); ALTER TABLE twin.items ENABLE ALWAYS TRIGGER spoil`)
		w.batch(0)
		if found := w.r.Found(); len(found) != 1 || found[0].Verdict.Differences[0].Key != "id=7" {
			t.Errorf("found %+v", found)
		}
		w.want(`SELECT (verified_at IS NULL)::text FROM pgumbra.shadow_table`, "true")
	})
}

// Where most keys were touched all are compared once more, and until that is done
// the proof before stands: statements that come faster keep none from being complete.
func TestProofStandsWhileItIsRenewed(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, itemsStructure(manyItems), items)
		w.proved()
		w.exec(`UPDATE shop.items SET price = price + 1 WHERE id % 2 = 0`)
		w.batch(0)
		f, err := w.r.applier(w.ctx, &w.run.Plan.Tables[0])
		w.must(err)
		before := w.proofs()[0]
		w.must(w.r.renew(w.ctx, f, pending{changes: 3000}))
		w.r.RangeRows = 10
		w.provingPart()
		if p := w.proofs()[0]; !p.Complete || !p.Renewing || p.Proved != before.Proved {
			t.Errorf("proof %+v before %+v", p, before)
		}
		w.exec(`UPDATE shop.items SET price = price + 1 WHERE id % 2 = 0`)
		w.r = w.replayer() // another process goes on
		for _, found := range w.proving(func() bool { return w.proofs()[0].Proved != before.Proved }) {
			t.Errorf("found %+v", found)
		}
		if p := w.proofs()[0]; !p.Complete || p.Renewing || p.Current {
			t.Errorf("proof %+v", p)
		}
		w.proved()
		w.passes(2)
	})
}

// Behind the fence all that was touched is proved, however much it is.
func TestDrainedTablesAreProvedWhole(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, itemsStructure(manyItems+`CREATE TABLE log (v text); CREATE TABLE twin.log (v text); INSERT INTO log SELECT i FROM generate_series(1, 2000) i`),
			func(w *world, p *plans.Plan) {
				items(w, p)
				w.add(p, w.source("log", plans.RecordImage), "v text = v")
			})
		w.proved()
		touched := `UPDATE shop.items SET price = price + 1 WHERE id > 1000; INSERT INTO shop.log VALUES ('x')`
		w.exec(touched)
		drained := func() (left []string) {
			_, err := w.r.Drain(w.ctx)
			w.must(err)
			left, err = w.r.ProveDrained(w.ctx, time.Minute)
			w.must(err)
			return left
		}
		if left := drained(); len(left) > 0 || !w.complete() {
			t.Errorf("left %v, %+v", left, w.proofs())
		}
		w.exec(touched)
		w.batch(0)
		w.batch(1)
		w.exec(`UPDATE twin.items SET title = 'x' WHERE id = 3000; UPDATE twin.log SET v = 'y' WHERE v = '7'`)
		drained()
		if got := w.r.Differing(); len(got) != 2 {
			t.Errorf("differing: %v", got)
		}
	})
}

func TestProverOfTablesThatAreComparedAsAWhole(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, `CREATE TABLE log (v text); CREATE TABLE twin.log (v text); CREATE TABLE a (id int PRIMARY KEY, g int, v int); CREATE TABLE twin.a (id text PRIMARY KEY, v int);
			CREATE TABLE twin.sums (g int PRIMARY KEY, v bigint);
			INSERT INTO log SELECT i % 7 FROM generate_series(1, 100) i; INSERT INTO a SELECT i, i % 10, i FROM generate_series(1, 100) i`, func(w *world, p *plans.Plan) {
			w.add(p, w.source("log", plans.RecordImage), "v text = v")
			a := w.source("a", plans.RecordRow, "id")
			a.Tracked = []string{"g"}
			w.add(p, a, "id text = 'a-' || id", "v int = v")
			p.Tables = append(p.Tables, plans.Table{Shadow: w.name("sums"), Feed: plans.Derived, Kind: plans.Plain, Source: -1,
				From: "SELECT g, sum(v) AS v FROM a GROUP BY g", Columns: transforms([]string{"g int = g", "v bigint = v"}),
				Key:     []plans.Pair{{Shadow: "g", Type: "integer", Equals: "OPERATOR(pg_catalog.=)"}},
				Watches: []plans.Watch{{Source: 1, Columns: []plans.WatchPair{{Column: "g", Shadow: "g"}}}}})
		})
		w.proved()
		w.exec(`INSERT INTO shop.log VALUES ('s')`)
		w.batch(0) // compares a table as small as that
		if p := w.proofs()[0]; !p.Complete || !p.Current {
			t.Errorf("proof %+v", p)
		}
		w.exec(`INSERT INTO shop.log SELECT i FROM generate_series(1, 2000) i`)
		for i := range 3 {
			w.exec(fmt.Sprintf(`UPDATE shop.a SET v = v + 1, g = %d WHERE id %% 9 = %[1]d; DELETE FROM shop.a WHERE id = 50 + %[1]d; INSERT INTO shop.log VALUES ('x'), ('2')`, i))
			w.proved()
		}
		w.passes(1, 1, 1)
		w.exec(`UPDATE shop.a SET v = 1 WHERE id IN (16, 17); INSERT INTO shop.log VALUES ('z')`)
		for n := range 3 {
			w.batch(n)
		}
		w.exec(`UPDATE twin.log SET v = 'y' WHERE v = 'x'; UPDATE twin.a SET v = 0 WHERE id = 'a-7'; UPDATE twin.sums SET v = 0 WHERE g = 7`)
		w.script(w.sides.Shadow, `UPDATE pgumbra.shadow_table SET proved_at = proved_at - interval '1 hour'`)
		found := map[int]bool{}
		for round := 0; round < 20 && (!found[0] || !found[2]); round++ { // the first may be found again before the other is
			for _, f := range w.proving(w.complete) {
				found[f.Table.N] = true
			}
		}
		if !found[0] || !found[2] || found[1] { // nobody touched the second one's damaged key
			t.Errorf("found %v", found)
		}
	})
}
