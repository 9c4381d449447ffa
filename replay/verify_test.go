package replay

import (
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/plans"
)

func TestVerifyNamesTheKeysThatDiffer(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, itemsStructure(`INSERT INTO items SELECT i, 'n' || i, i FROM generate_series(1, 5000) i`), items)
		w.exec(`UPDATE twin.items SET title = 'tampered' WHERE id = 77; DELETE FROM twin.items WHERE id = 4999; INSERT INTO twin.items VALUES (-5, 'extra', 0)`)
		verdict, err := w.r.Verify(w.ctx, w.table(0))
		w.must(err)
		if verdict.Equal || verdict.Rows != 5000 || len(verdict.Differences) != 3 {
			t.Fatalf("verdict %+v", verdict)
		}
		want := []string{"id=-5 (none) (-5,extra,0)", "id=77 (77,n77,7700) (77,tampered,7700)", "id=4999 (4999,n4999,499900) (none)"}
		for i, d := range verdict.Differences {
			if got := d.Key + " " + shownText(d.Production) + " " + shownText(d.Shadow); got != want[i] {
				t.Errorf("got %s, want %s", got, want[i])
			}
		}
		w.want(`SELECT (verified_at IS NULL)::text FROM pgumbra.shadow_table`, "true")
	})
}

func TestVerifyGoesByGroupsOfKeys(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, `CREATE TABLE a (x int, y varchar(10), v text, PRIMARY KEY (x, y)); CREATE TABLE twin.a (x bigint, y text, v text, PRIMARY KEY (x, y));
		INSERT INTO a SELECT i / 10, 'k' || i % 10, 'v' || i FROM generate_series(1, 2000) i`, func(w *world, p *plans.Plan) {
			w.add(p, w.source("a", plans.RecordRow, "x", "y"), "x bigint = x", "y text = a.y", "v text = v")
		})
		f, err := w.r.applier(w.ctx, w.table(0))
		w.must(err)
		if !f.ranged() {
			t.Fatal("not by ranges")
		}
		w.exec(`DELETE FROM twin.a WHERE x = 100 AND y = 'k3'`)
		var rows int64
		var groups, different int
		g := group{size: 300}
		for {
			w.exec(`UPDATE shop.a SET v = v || '!' WHERE x % 13 = 1`)
			verdict, upper, err := w.r.verifyGroup(w.ctx, f, g)
			w.must(err)
			rows += verdict.Rows
			groups++
			for _, d := range verdict.Differences {
				different++
				if d.Key != "x=100, y=k3" {
					t.Errorf("difference at %s", d.Key)
				}
			}
			if upper == nil {
				break
			}
			g = group{lower: upper, size: 300}
		}
		if rows != 2000 || groups != 7 || different != 1 {
			t.Errorf("%d rows in %d groups, %d differences", rows, groups, different)
		}
	})
}

func TestVerifyWholeTableWhereKeysAreMadeAnew(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, `CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE twin.a (id text PRIMARY KEY, v text); INSERT INTO a SELECT i, i FROM generate_series(1, 50) i`,
			func(w *world, p *plans.Plan) {
				w.add(p, w.source("a", plans.RecordRow, "id"), "id text = 'a-' || id", "v text = v")
			})
		w.exec(`UPDATE shop.a SET v = 'x' WHERE id = 9; DELETE FROM shop.a WHERE id = 10; UPDATE shop.a SET id = 1000 WHERE id = 11`)
		if rows := w.verified(0).Rows; rows != 49 {
			t.Errorf("%d rows", rows)
		}
		w.want(`SELECT string_agg(id, ' ') FROM twin.a WHERE id IN ('a-9', 'a-10', 'a-11', 'a-1000') AND v IN ('x', '11')`, "a-9 a-1000")
		w.want(`SELECT (verified_at IS NOT NULL)::text FROM pgumbra.shadow_table`, "true")
		w.exec(`UPDATE twin.a SET v = '' WHERE id = 'a-9'`)
		verdict, err := w.r.Verify(w.ctx, w.table(0))
		w.must(err)
		if len(verdict.Differences) != 1 || verdict.Differences[0].Key != "id=a-9" {
			t.Errorf("verdict %+v", verdict)
		}
	})
}

func TestVerifyLeavesOutWhatTheShadowMakes(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, `CREATE TABLE a (id int PRIMARY KEY, f float8, n numeric); INSERT INTO a VALUES (1, 0.1, 1.0), (2, 'NaN', 'NaN'), (3, '-Infinity', 1e30), (4, '-0', 0);
		CREATE TABLE twin.a (id int PRIMARY KEY, f float8, n numeric, twice float8 GENERATED ALWAYS AS (f * 2) STORED, r float8 DEFAULT random())`,
			func(w *world, p *plans.Plan) {
				a := w.add(p, w.source("a", plans.RecordRow, "id"), "id int = id", "f float8 = f", "n numeric = n", "r float8 = volatile")
				a.Columns = append(a.Columns, plans.Column{Shadow: "twice", Type: "float8", Generated: true})
			})
		w.exec(`UPDATE shop.a SET n = n + 1`)
		w.equal()
		w.exec(`UPDATE twin.a SET f = 0.0 WHERE id = 4`)
		verdict, err := w.r.Verify(w.ctx, w.table(0))
		w.must(err)
		if verdict.Equal {
			t.Error("0 and -0 are not the same image")
		}
	})
}

func TestConflictNamesRowAndExpression(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		for _, record := range []plans.Record{plans.RecordRow, plans.RecordKey} {
			w := newWorld(t, `CREATE TABLE a (id int PRIMARY KEY, v int); CREATE TABLE twin.a (id int PRIMARY KEY, v int)`,
				func(w *world, p *plans.Plan) {
					w.add(p, w.source("a", record, "id"), "id int = id", "v int = 100 / v")
				})
			w.exec(`INSERT INTO shop.a SELECT i, i - 7 FROM generate_series(1, 500) i`)
			_, err := w.r.Batch(w.ctx, w.table(0))
			action := "upsert"
			if w.sides.Remote() { // production evaluates the expressions
				action = "read what changed"
			}
			if want := "twin.a: " + action + ": division by zero, at the row with id=7, column v (100 / v) (SQLSTATE 22012)"; err == nil || err.Error() != want {
				t.Errorf("got %v", err)
			}
			w.exec(`UPDATE shop.a SET v = 1 WHERE id = 7`)
			if record == plans.RecordKey {
				w.equal()
			}
		}
	})
}

func TestDrainEmptiesAllJournals(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, itemsStructure(`CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE twin.a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY); CREATE TABLE twin.b (id int PRIMARY KEY)`),
			func(w *world, p *plans.Plan) {
				items(w, p)
				w.add(p, w.source("a", plans.RecordRow, "id"), "id int = id")
				w.add(p, w.source("b", plans.RecordKey, "id"), "id int = id")
			})
		w.exec(`INSERT INTO shop.items VALUES (1, 'a', 1); INSERT INTO shop.a SELECT generate_series(1, 10); DELETE FROM shop.a WHERE id = 1; INSERT INTO shop.b VALUES (1)`)
		pending, err := w.r.PendingAll(w.ctx, w.pool)
		w.must(err)
		if len(pending) != 3 || pending[0] != 1 || pending[1] != 11 || pending[2] != 1 {
			t.Errorf("pending %v", pending)
		}
		w.batch(2)
		fence := w.begin()
		fence.exec(`LOCK TABLE shop.items, shop.a, shop.b IN EXCLUSIVE MODE`)
		changes, err := w.r.Drain(w.ctx)
		w.must(err)
		if changes != 12 {
			t.Errorf("drained %d", changes)
		}
		fence.exec(`UPDATE pgumbra.run SET phase = 'cutover'`)
		fence.commit()
		changes, err = w.r.Drain(w.ctx)
		w.must(err)
		one, err := w.r.Pending(w.ctx, w.pool, w.table(1))
		w.must(err)
		if changes != 0 || one != 0 {
			t.Errorf("drained %d, %d left", changes, one)
		}
		w.equal()
	})
}

func TestForecast(t *testing.T) {
	t.Parallel()
	start := time.Unix(0, 0)
	for name, c := range map[string]struct {
		in, out, pending int64 // a second; pending at the end
		seconds          int
		eta              time.Duration
		outlook          Outlook
	}{
		"too early":       {in: 10, out: 1000, pending: 90_000, seconds: 3, outlook: Measuring},
		"nothing pending": {in: 10, out: 10, seconds: 1, outlook: InStep},
		"a batch behind":  {in: 1000, out: 1000, pending: 900, seconds: 30, outlook: InStep},
		"catching up":     {in: 1000, out: 3000, pending: 100_000, seconds: 30, eta: 50 * time.Second, outlook: Converging},
		"falling back":    {in: 3000, out: 1000, pending: 100_000, seconds: 30, outlook: Never},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var f Forecast
			for s := range c.seconds {
				f.Observe(start.Add(time.Duration(s)*time.Second), int64(s)*c.in, int64(s)*c.out, c.pending)
			}
			eta, outlook := f.ETA()
			if outlook != c.outlook || (eta-c.eta).Abs() > time.Millisecond {
				t.Errorf("got %v, %v", eta, outlook)
			}
		})
	}
	var f Forecast
	f.Observe(start, 100, 100, 5)
	f.Observe(start.Add(10*time.Second), 200, 200, 5)
	f.Observe(start.Add(11*time.Second), 10, 200, 5)
	if in, out := f.Rates(); in != 0 || out != 0 {
		t.Errorf("rates %v, %v after totals shrank", in, out)
	}
	if ETA(100, 5, 5) != nil || *ETA(0, 0, 0) != 0 || *ETA(100, 5, 15) != 10 {
		t.Error("ETA from rates")
	}
}
