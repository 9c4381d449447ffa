package replay

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// Clients change four tables at random in transactions that nest, roll back and
// overlap, while others replay and verify: whatever the order, every
// verification must find both sides equal.
func TestReplayEqualsProductionUnderTraffic(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		const seed, clients, length = 20261122, 4, 4 * time.Second
		w := newWorld(t, `
		CREATE TABLE items (id int PRIMARY KEY, name text UNIQUE, price int);
		CREATE TABLE wide (id int PRIMARY KEY, v text);
		CREATE TABLE log (what int, n int);
		CREATE TABLE parts (id int, part int, v int, PRIMARY KEY (id, part)) PARTITION BY LIST (part);
		CREATE TABLE parts_0 PARTITION OF parts FOR VALUES IN (0); CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
		CREATE FUNCTION echo() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF NEW.price % 5 = 0 AND pg_trigger_depth() = 1 THEN UPDATE shop.items SET price = price + 1 WHERE id = NEW.id; END IF;
			IF NEW.price % 11 = 0 THEN DELETE FROM shop.items WHERE id = NEW.id; END IF;
			RETURN NULL; END $$;
		CREATE TRIGGER echo AFTER INSERT OR UPDATE ON items FOR EACH ROW EXECUTE FUNCTION echo();
		CREATE TABLE twin.items (id bigint PRIMARY KEY, title text UNIQUE, cents bigint, token uuid DEFAULT gen_random_uuid());
		CREATE TABLE twin.wide (id bigint PRIMARY KEY, v text);
		CREATE TABLE twin.log (n bigint, what text);
		CREATE TABLE twin.parts (id bigint, part int, v int, PRIMARY KEY (id, part));
		CREATE TABLE twin.sums (part int PRIMARY KEY, total bigint)`,
			func(w *world, p *plans.Plan) {
				w.add(p, w.source("items", plans.RecordRow, "id"), "id bigint = id", "title text = name", "cents bigint = price * 100", "token uuid = volatile").Upsert = false
				wide := w.add(p, w.source("wide", plans.RecordKey, "id"), "id bigint = id", "v text = upper(v)")
				wide.Where, wide.SoleKey = "v NOT LIKE 'x%'", true
				w.add(p, w.source("log", plans.RecordImage), "n bigint = n", "what text = what")
				s := w.source("parts", plans.RecordRow, "id", "part")
				w.add(p, s, "id bigint = id", "part int = part", "v int = v").SoleKey = true
				p.Tables = append(p.Tables, plans.Table{Shadow: pg.Name{Schema: "twin", Name: "sums"}, Feed: plans.Derived, Kind: plans.Plain, Source: -1,
					Columns: transforms([]string{"part int = part", "total bigint = total"}),
					Key:     []plans.Pair{{Shadow: "part", Expression: "part", Type: "integer", Equals: "OPERATOR(pg_catalog.=)"}},
					From:    "SELECT part, sum(v) AS total FROM parts GROUP BY part",
					Watches: []plans.Watch{{Source: 3, Columns: []plans.WatchPair{{Column: "part", Shadow: "part"}}}}})
			})
		ctx, cancel := context.WithCancel(w.ctx)
		defer cancel()
		g, _ := errgroup.WithContext(w.ctx)
		for c := range clients {
			random := rand.New(rand.NewPCG(seed, uint64(c)))
			g.Go(func() error {
				for ctx.Err() == nil {
					if err := w.randomTransaction(random); err != nil {
						return err
					}
				}
				return nil
			})
		}
		w.r = w.inApplyWorkers() // those whose rows are not in each other's way
		for i := range w.run.Plan.Tables {
			g.Go(func() error { return w.follow(ctx, i) })
		}
		const enough = `SELECT (min(rows_replayed) > 50)::text FROM pgumbra.shadow_table`
		for began := time.Now(); time.Since(began) < length || w.text(enough) != "true" && time.Since(began) < 20*length; {
			<-time.After(100 * time.Millisecond) // a slow machine gets longer
		}
		cancel()
		w.must(g.Wait())
		w.equal()
		for _, table := range []string{"items", "wide", "log", "parts", "sums"} {
			t.Logf("%s: %s rows", table, w.text(`SELECT count(*)::text FROM twin.`+table))
		}
		t.Logf("replayed: %s", w.text(`SELECT string_agg(rows_replayed::text, ' ' ORDER BY n) FROM pgumbra.shadow_table`))
		w.want(enough, "true")
	})
}

// follow replays a table, and verifies it now and then, until ctx ends.
func (w *world) follow(ctx context.Context, n int) error {
	for round := 1; ctx.Err() == nil; round++ {
		if _, err := w.r.Batch(w.ctx, w.table(n)); err != nil {
			return err
		}
		if round%8 != 0 {
			continue
		}
		verdict, err := w.r.Verify(w.ctx, w.table(n))
		if err != nil {
			return err
		}
		if !verdict.Equal {
			return fmt.Errorf("%s differs at %s", w.table(n).Shadow, verdict.Differences[0].Key)
		}
	}
	return nil
}

// randomTransaction does a few statements; errors that concurrent clients
// cause each other undo it.
func (w *world) randomTransaction(random *rand.Rand) error {
	tx, err := w.pool.Begin(w.ctx)
	if err != nil {
		return err
	}
	for range 1 + random.IntN(4) {
		if _, err = tx.Exec(w.ctx, randomStatement(random), pgx.QueryExecModeSimpleProtocol); err != nil {
			break
		}
	}
	expected := []string{pgerrcode.DeadlockDetected, pgerrcode.UniqueViolation, pgerrcode.SerializationFailure} // the last: a row that moved to another partition
	switch {
	case err == nil && random.IntN(6) > 0:
		return tx.Commit(w.ctx)
	case err == nil || slices.Contains(expected, pg.State(err)):
		return tx.Rollback(w.ctx)
	}
	return errors.Join(err, tx.Rollback(w.ctx))
}

func randomStatement(random *rand.Rand) string {
	n, m := random.IntN(40), random.IntN(1000)
	switch random.IntN(16) {
	case 0, 1:
		return fmt.Sprintf(`INSERT INTO shop.items VALUES (%d, 'n%d', %d) ON CONFLICT (id) DO UPDATE SET price = excluded.price`, n, m, m)
	case 2:
		return fmt.Sprintf(`UPDATE shop.items SET price = price + 1 WHERE id BETWEEN %d AND %[1]d + 3`, n)
	case 3:
		return fmt.Sprintf(`UPDATE shop.items SET id = id + 1000 - 2000 * (id / 1000) WHERE id %% 1000 = %d`, n)
	case 4:
		return fmt.Sprintf(`DELETE FROM shop.items WHERE id = %d; INSERT INTO shop.items VALUES (%[1]d, 'again%[2]d', %[2]d)`, n, m)
	case 5:
		return fmt.Sprintf(`SAVEPOINT s; DELETE FROM shop.items WHERE id < %d; ROLLBACK TO s; UPDATE shop.items SET name = 'r%d' WHERE id = %[1]d`, n, m)
	case 6, 7:
		return fmt.Sprintf(`INSERT INTO shop.wide VALUES (%d, '%c%d') ON CONFLICT (id) DO UPDATE SET v = excluded.v || wide.v`, n, "axb"[m%3], m)
	case 8:
		return fmt.Sprintf(`UPDATE shop.wide SET v = left(md5(v), 4) WHERE id %% 3 = %d`, n%3)
	case 9:
		return fmt.Sprintf(`INSERT INTO shop.log SELECT %d, generate_series(1, 3)`, n%4)
	case 10:
		return `UPDATE shop.log SET what = what + 1 WHERE ctid IN (SELECT ctid FROM shop.log WHERE what < 5 ORDER BY random() LIMIT 2)`
	case 11:
		return fmt.Sprintf(`DELETE FROM shop.log WHERE ctid IN (SELECT ctid FROM shop.log WHERE n = %d LIMIT 3)`, 1+n%3)
	case 12, 13:
		return fmt.Sprintf(`INSERT INTO shop.parts VALUES (%d, %d, %d) ON CONFLICT (id, part) DO UPDATE SET v = excluded.v`, n, n%2, m)
	case 14:
		return fmt.Sprintf(`UPDATE shop.parts SET part = 1 - part, id = id + 1 - 2 * part WHERE id = %d AND part = %d`, n, n%2)
	}
	if m < 40 {
		return []string{`TRUNCATE shop.parts_0`, `TRUNCATE shop.wide`, `TRUNCATE shop.log`, `TRUNCATE shop.items`}[m%4]
	}
	return `DELETE FROM shop.parts WHERE v % 7 = 0`
}
