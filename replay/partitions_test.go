package replay

import (
	"testing"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/plans"
)

const partitioned = `CREATE TABLE p (id int, region text, v text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
	CREATE TABLE p_a PARTITION OF p FOR VALUES IN ('a');
	CREATE TABLE p_bc PARTITION OF p FOR VALUES IN ('b', 'c') PARTITION BY LIST (region);
	CREATE TABLE p_b PARTITION OF p_bc FOR VALUES IN ('b'); CREATE TABLE p_c PARTITION OF p_bc FOR VALUES IN ('c');
	INSERT INTO p SELECT i, chr(97 + i % 3), 'v' || i FROM generate_series(1, 12) i;`

func definePartitioned(w *world, p *plans.Plan) {
	w.add(p, w.source("p", plans.RecordRow, "id", "region"), "id bigint = id", "region text = region", "v text = v")
}

func (w *world) samePartitions() {
	w.t.Helper()
	w.equal()
	rows := func(schema string) string {
		return w.text(`SELECT concat(id, region, v) FROM ` + schema + `.p ORDER BY id, region`)
	}
	if production, shadow := rows("shop"), rows("twin"); production != shadow {
		w.t.Errorf("production:\n%s\nshadow:\n%s", production, shadow)
	}
}

func TestBatchPartitionedProduction(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, partitioned+`CREATE TABLE twin.p (id bigint, region text, v text, PRIMARY KEY (id, region))`, definePartitioned)
		w.exec(`UPDATE shop.p SET region = 'c' WHERE id = 3; UPDATE shop.p_bc SET v = 'mid'; DELETE FROM shop.p_b WHERE id = 4; UPDATE shop.p SET id = id + 100 WHERE id < 3`)
		w.samePartitions()
	})
}

func TestBatchTruncatedPartition(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, partitioned+`CREATE TABLE twin.p (id bigint, region text, v text UNIQUE, PRIMARY KEY (id, region)) `,
			func(w *world, p *plans.Plan) { definePartitioned(w, p); p.Tables[0].Upsert = false })
		w.exec(`INSERT INTO shop.p VALUES (20, 'a', 'before'), (21, 'b', 'stays'); TRUNCATE shop.p_a; INSERT INTO shop.p VALUES (22, 'c', 'v3')`)
		w.samePartitions()
		w.exec(`BEGIN; INSERT INTO shop.p VALUES (23, 'b', 'w'); TRUNCATE shop.p_bc; INSERT INTO shop.p VALUES (24, 'b', 'x'); COMMIT`)
		w.samePartitions()
		w.exec(`TRUNCATE shop.p; INSERT INTO shop.p VALUES (1, 'a', 'only')`)
		w.samePartitions()
	})
}

func TestBatchPartitionedShadow(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, partitioned+`CREATE TABLE twin.p (id bigint, region text, v text, PRIMARY KEY (id, region)) PARTITION BY HASH (id);
		CREATE TABLE twin.p0 PARTITION OF twin.p FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE twin.p1 PARTITION OF twin.p FOR VALUES WITH (MODULUS 2, REMAINDER 1)`,
			func(w *world, p *plans.Plan) { definePartitioned(w, p); p.Tables[0].Kind = plans.Partitioned })
		w.exec(`UPDATE shop.p SET id = id + 1 WHERE region = 'b'; DELETE FROM shop.p WHERE id = 6; INSERT INTO shop.p VALUES (30, 'c', 'new')`)
		w.samePartitions()
	})
}

// A TRUNCATE that commits between the snapshot and the first read of the table
// makes it look empty to that snapshot.
func TestBatchRepeatsAfterTruncateDuringIt(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, itemsStructure(`INSERT INTO items SELECT i, 'n', i FROM generate_series(1, 100) i`), func(w *world, p *plans.Plan) {
			items(w, p)
			p.Sources[0].Record = plans.RecordKey
		})
		w.exec(`UPDATE shop.items SET name = 'x' WHERE id = 1`)
		f, err := w.r.applier(w.ctx, w.table(0))
		w.must(err)
		var tries int
		err = w.r.snapshot(w.ctx, f, func(e ends, at moment) error {
			if tries++; tries == 1 {
				w.exec(`TRUNCATE shop.items; INSERT INTO shop.items VALUES (7, 'after', 7)`)
			}
			_, err := w.r.advance(w.ctx, e, f, at)
			return err
		})
		w.must(err)
		if tries != 2 {
			t.Errorf("%d tries", tries)
		}
		w.want(itemRows, "7 after 700")
	})
}

func TestBatchInheritance(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, `CREATE TABLE base (id int PRIMARY KEY, v text); CREATE TABLE kid (extra int, PRIMARY KEY (id)) INHERITS (base);
		INSERT INTO base VALUES (1, 'p1'), (2, 'p2'); INSERT INTO kid VALUES (2, 'k2', 20), (3, 'k3', 30);
		CREATE TABLE twin.base (id bigint PRIMARY KEY, v text); CREATE TABLE twin.kid (extra int, PRIMARY KEY (id)) INHERITS (twin.base)`,
			func(w *world, p *plans.Plan) {
				for _, name := range []string{"base", "kid"} {
					s := w.source(name, plans.RecordKey, "id")
					s.Kind = plans.Inherited
					columns := []string{"id bigint = id", "v text = v"}
					if name == "kid" {
						s.Ancestors = []int{0}
						columns = append(columns, "extra int = extra")
					}
					w.add(p, s, columns...).Kind = plans.Inherited
				}
			})
		w.exec(`UPDATE shop.base SET v = v || '!'; DELETE FROM shop.base WHERE id = 3; UPDATE shop.kid SET extra = 21; INSERT INTO shop.base VALUES (9, 'p9'); DELETE FROM ONLY shop.base WHERE id = 2`)
		w.equal()
		w.want(`SELECT tableoid::regclass || id::text || v FROM twin.base ORDER BY 1`, "twin.base1p1!\ntwin.base9p9\ntwin.kid2k2!")
		w.exec(`TRUNCATE ONLY shop.base`)
		w.equal()
		w.want(`SELECT tableoid::regclass || id::text || v FROM twin.base ORDER BY 1`, "twin.kid2k2!")
	})
}

func TestCatchUpInPiecesGoesOnWhereItWasKilled(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, `CREATE TABLE a (k numeric, s text, v int, PRIMARY KEY (k, s)); CREATE TABLE twin.a (k numeric, s text, v bigint, PRIMARY KEY (k, s));
		INSERT INTO a SELECT i, 's' || i, i FROM generate_series(1, 200) i`, func(w *world, p *plans.Plan) {
			w.add(p, w.source("a", plans.RecordRow, "k", "s"), "k numeric = k", "s text = s", "v bigint = v")
		})
		w.exec(`UPDATE pgumbra.shadow_table SET state = 'catching_up'; UPDATE shop.a SET v = v + 1; UPDATE shop.a SET k = k::numeric(10, 2) WHERE v < 50;
		DELETE FROM shop.a WHERE v > 150`)
		w.r.PieceRows = 100
		f, err := w.r.applier(w.ctx, w.table(0))
		w.must(err)
		for range 2 {
			w.must(w.r.snapshot(w.ctx, f, func(e ends, at moment) error {
				_, err := w.r.nextPieces(w.ctx, e, f, at)
				return err
			}))
			w.exec(`UPDATE shop.a SET v = v + 1000 WHERE v % 7 = 0; INSERT INTO shop.a SELECT max(k) + 1, 'late', 0 FROM shop.a`)
		}
		w.want(`SELECT (pieces > 3)::text || pieces_done FROM pgumbra.shadow_table`, "true2")
		again := &Replayer{Sides: w.sides, Run: w.run, Log: w.r.Log, PieceRows: 100}
		w.must(again.CatchUp(w.ctx, w.table(0)))
		w.want(`SELECT state || COALESCE(pieces, 0) || pieces_done FROM pgumbra.shadow_table`, "indexing00")
		w.equal()
		w.want(`SELECT concat_ws(' ', k, s, v) FROM twin.a ORDER BY k`, w.text(`SELECT concat_ws(' ', k, s, v) FROM shop.a ORDER BY k`))
		w.must(again.CatchUp(w.ctx, w.table(0)))
	})
}

func TestCatchUpWithTruncateIsOnePiece(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, itemsStructure(`INSERT INTO items SELECT i, 'n', i FROM generate_series(1, 100) i`), items)
		w.exec(`UPDATE pgumbra.shadow_table SET state = 'catching_up'; UPDATE shop.items SET name = 'x'`)
		w.r.PieceRows = 10
		f, err := w.r.applier(w.ctx, w.table(0))
		w.must(err)
		w.must(w.r.snapshot(w.ctx, f, func(e ends, at moment) error {
			_, err := w.r.nextPieces(w.ctx, e, f, at)
			return err
		}))
		w.exec(`TRUNCATE shop.items; INSERT INTO shop.items VALUES (5, 'five', 5)`)
		w.must(w.r.CatchUp(w.ctx, w.table(0)))
		w.want(itemRows, "5 five 500")
		w.equal()
	})
}

func TestCatchUpOfKeyWithoutHashIsOnePiece(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, `CREATE TABLE a (b bit(8) PRIMARY KEY, v int); CREATE TABLE twin.a (b bit(8) PRIMARY KEY, v int)`, func(w *world, p *plans.Plan) {
			w.add(p, w.source("a", plans.RecordRow, "b"), "b bit(8) = b", "v int = v")
		})
		w.exec(`UPDATE pgumbra.shadow_table SET state = 'catching_up'; INSERT INTO shop.a SELECT i::bit(8), i FROM generate_series(1, 50) i`)
		w.r.PieceRows = 10
		w.must(w.r.CatchUp(w.ctx, w.table(0)))
		w.equal()
		w.want(`SELECT sum(v)::text FROM twin.a`, "1275")
	})
}

func TestDropJournalledDropsWhatWasCopiedTwice(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, itemsStructure(`INSERT INTO items SELECT i, 'n', i FROM generate_series(1, 5) i; ALTER TABLE twin.items DROP CONSTRAINT items_pkey`), items)
		w.exec(`UPDATE shop.items SET name = 'moved' WHERE id = 2; INSERT INTO twin.items VALUES (2, 'moved', 200); UPDATE pgumbra.shadow_table SET state = 'keying'`)
		tx, err := w.sides.Shadow.Begin(w.ctx)
		w.must(err)
		_, err = control.Lock(w.ctx, tx, w.run, 0)
		w.must(err)
		w.must(w.r.DropJournalled(w.ctx, tx, w.table(0)))
		w.must(tx.Commit(w.ctx))
		w.want(`SELECT string_agg(id::text, ',' ORDER BY id) FROM twin.items`, "1,3,4,5")
		w.exec(`ALTER TABLE twin.items ADD PRIMARY KEY (id); UPDATE pgumbra.shadow_table SET state = 'catching_up'`)
		w.must(w.r.CatchUp(w.ctx, w.table(0)))
		w.want(itemRows, "1 n 100\n2 moved 200\n3 n 300\n4 n 400\n5 n 500")
	})
}
