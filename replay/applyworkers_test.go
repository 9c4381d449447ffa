package replay

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// inApplyWorkers is a replayer to which every table is hot.
func (w *world) inApplyWorkers() *Replayer {
	r := w.replayer()
	r.ApplyWorkers, r.HotChanges = 3, 1
	return r
}

func soleItems(w *world, p *plans.Plan) {
	items(w, p)
	p.Tables[0].SoleKey = true
}

func TestHotTableIsReplayedByWorkers(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		for _, record := range []plans.Record{plans.RecordRow, plans.RecordKey} {
			for _, upsert := range []bool{true, false} {
				w := newWorld(t, itemsStructure(`INSERT INTO items SELECT n, 'n' || n, n FROM generate_series(1, 500) n`), func(w *world, p *plans.Plan) {
					soleItems(w, p)
					p.Tables[0].Upsert, p.Sources[0].Record = upsert, record
				})
				w.r = w.inApplyWorkers()
				w.exec(`UPDATE shop.items SET price = -price WHERE id % 2 = 0; DELETE FROM shop.items WHERE id % 5 = 0;
				UPDATE shop.items SET id = id + 1000 WHERE id % 7 = 0; INSERT INTO shop.items SELECT n, 'new', n FROM generate_series(501, 600) n`)
				if changes := w.batch(0).Changes; changes < 500 {
					t.Errorf("%d changes", changes)
				}
				w.same()
				if w.batch(0).Changes != 0 {
					t.Error("the position did not move")
				}
				w.equal()
			}
		}
	})
}

// Without another row of the same table in its way a row may be written alone;
// TRUNCATE concerns all at once.
func TestHotTableWithTruncateIsReplayedAsOne(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, itemsStructure(`INSERT INTO items SELECT n, 'n', n FROM generate_series(1, 50) n`), soleItems)
		w.r = w.inApplyWorkers()
		w.exec(`UPDATE shop.items SET price = 1; TRUNCATE shop.items; INSERT INTO shop.items SELECT n, 'again', n FROM generate_series(20, 70) n`)
		w.batch(0)
		w.same()
	})
}

// swap exchanges unique values between rows that fall into different apply workers.
const swap = `BEGIN; UPDATE shop.items SET name = 'x' || name; UPDATE shop.items SET name = 'n' || 101 - id; COMMIT`

func TestHotTableWithOtherUniqueIndexIsReplayedAsOne(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, itemsStructure(`INSERT INTO items SELECT n, 'n' || n, n FROM generate_series(1, 100) n; ALTER TABLE twin.items ADD UNIQUE (title)`),
			func(w *world, p *plans.Plan) { items(w, p); p.Tables[0].Upsert = false })
		w.r = w.inApplyWorkers()
		w.exec(swap)
		w.batch(0)
		w.same()
	})
}

func TestWorkersOfBatchThatFailedAreMadeGood(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, itemsStructure(`INSERT INTO items SELECT n, 'n', n FROM generate_series(1, 100) n; ALTER TABLE twin.items ADD CHECK (title <> 'bad')`), soleItems)
		w.r = w.inApplyWorkers()
		before := w.position()
		w.exec(`UPDATE shop.items SET price = price + 1; DELETE FROM shop.items WHERE id % 4 = 0; UPDATE shop.items SET name = 'bad' WHERE id = 50`)
		if _, err := w.r.Batch(w.ctx, w.table(0)); !errors.Is(err, ErrConflict) {
			t.Fatalf("got %v", err)
		}
		if w.position() != before {
			t.Error("the position moved")
		}
		// What the other apply workers may have written is not what comes next.
		w.exec(`UPDATE shop.items SET name = 'good', price = price * 2; INSERT INTO shop.items SELECT n * 4, 'back', 0 FROM generate_series(1, 10) n;
		DELETE FROM shop.items WHERE id % 3 = 0`)
		w.batch(0)
		w.same()
		w.verified(0)
	})
}

// An apply worker whose leader died still writes: states that are older than the next
// batch's. That one must wait for it.
func TestBatchWaitsForWorkersThatWereLeftBehind(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, itemsStructure(`INSERT INTO items VALUES (1, 'a', 1)`), soleItems)
		orphan, err := w.sides.Shadow.Begin(w.ctx)
		w.must(err)
		_, err = control.Join(w.ctx, orphan, w.run, 0)
		w.must(err)
		w.exec(`DELETE FROM shop.items`)
		w.r = w.inApplyWorkers()
		var batch errgroup.Group
		batch.Go(func() error {
			_, err := w.r.Batch(w.ctx, w.table(0))
			return err
		})
		w.waitFor(`SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database())`)
		_, err = orphan.Exec(w.ctx, `INSERT INTO twin.items VALUES (1, 'a', 100) ON CONFLICT (id) DO UPDATE SET title = 'late'`)
		w.must(err)
		w.must(orphan.Commit(w.ctx))
		w.must(batch.Wait())
		w.want(itemRows, "")
	})
}

func TestWorkerOfDeposedLeaderWritesNothing(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, itemsStructure(""), soleItems)
		f, err := w.r.applier(w.ctx, w.table(0))
		w.must(err)
		w.exec(`INSERT INTO shop.items VALUES (1, 'a', 1)`)
		position := w.position()
		w.must(w.r.begin(w.ctx, func(e ends) error {
			var snapshot string
			if err := e.production.QueryRow(w.ctx, `SELECT pg_export_snapshot()`).Scan(&snapshot); err != nil {
				return err
			}
			w.exec(`UPDATE pgumbra.run SET epoch = epoch + 1`)
			err := w.r.applyWorker(w.ctx, f, scope{position: position}, snapshot, pending{changes: 1})
			if !errors.Is(err, control.ErrFencedOff) && !Passing(err) {
				t.Errorf("got %v", err)
			}
			return nil
		}))
		w.want(itemRows, "")
	})
}

// Keys that differ in production may be one to the shadow: what is gone and what
// came in its place belong together.
func TestPiecesGoByTheKeysOfTheShadow(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, `CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
			CREATE TABLE users (name text PRIMARY KEY, n int); CREATE TABLE twin.users (name text COLLATE shop.ci PRIMARY KEY, n bigint);
			INSERT INTO users SELECT 'user' || n, n FROM generate_series(1, 100) n`,
			func(w *world, p *plans.Plan) {
				w.add(p, w.source("users", plans.RecordRow, "name"), "name text = name", "n bigint = n").SoleKey = true
			})
		w.r = w.inApplyWorkers()
		w.exec(`DELETE FROM shop.users; INSERT INTO shop.users SELECT 'USER' || n, -n FROM generate_series(1, 100) n`)
		w.batch(0)
		sameUsers := func() {
			w.want(`SELECT name || n FROM twin.users ORDER BY name COLLATE "C"`, w.text(`SELECT name || n FROM shop.users ORDER BY name COLLATE "C"`))
		}
		sameUsers()
		w.exec(`UPDATE pgumbra.shadow_table SET state = 'catching_up'; DELETE FROM shop.users; INSERT INTO shop.users SELECT 'User' || n, n FROM generate_series(1, 100) n`)
		w.r.PieceRows = 10
		w.must(w.r.CatchUp(w.ctx, w.table(0)))
		sameUsers()
	})
}

func TestCatchUpByWorkers(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, itemsStructure(`INSERT INTO items SELECT n, 'n' || n, n FROM generate_series(1, 100) n`), items)
		w.exec(swap + `; UPDATE pgumbra.shadow_table SET state = 'catching_up'`)
		w.r = w.inApplyWorkers()
		w.r.PieceRows = 20 // more pieces than workers
		w.must(w.r.CatchUp(w.ctx, w.table(0)))
		w.want(`SELECT state || COALESCE(pieces, 0) || pieces_done FROM pgumbra.shadow_table`, "indexing00")
		w.same()
	})
}

// A client that locks a whole table, as TRUNCATE does, waits for the apply worker
// that has read it already, and the others queue behind the client. As the one that
// leads waits for the others in this process, no server sees a circle in it.
func TestClientThatLocksTableIsNotInCircleOfApplyWorkers(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, itemsStructure(`INSERT INTO items SELECT n, 'n', n FROM generate_series(1, 300) n`), soleItems)
		w.r = w.inApplyWorkers()
		late := lateWorkers{begun: make(chan struct{}, 10), goOn: make(chan struct{})}
		from, to := w.traced(w.pool, late), w.sides.Shadow
		if !w.sides.Remote() {
			to = from
		}
		w.r.Sides = w.between(from, to)
		w.exec(`UPDATE shop.items SET price = price + 1`)
		var g errgroup.Group
		g.Go(func() error {
			_, err := w.r.Batch(w.ctx, w.table(0))
			return err
		})
		<-late.begun
		w.waitForOn(w.pool, `SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'shop.items'::regclass AND mode = 'AccessShareLock')`)
		g.Go(func() error {
			_, err := w.pool.Exec(w.ctx, `BEGIN; SET LOCAL lock_timeout = '20s'; LOCK TABLE shop.items IN ACCESS EXCLUSIVE MODE; COMMIT`, pgx.QueryExecModeSimpleProtocol)
			return err
		})
		w.waitForOn(w.pool, `SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'shop.items'::regclass AND NOT granted)`)
		close(late.goOn)
		w.must(g.Wait())
		w.same()
	})
}

// lateWorkers lets apply workers begin only when they are told to.
type lateWorkers struct{ begun, goOn chan struct{} }

func (l lateWorkers) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	if strings.HasPrefix(q.SQL, "SET TRANSACTION SNAPSHOT") {
		l.begun <- struct{}{}
		select {
		case <-l.goOn:
		case <-ctx.Done():
		}
	}
	return ctx
}

func (l lateWorkers) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// traced are sessions like those of a pool whose queries pass a tracer.
func (w *world) traced(of *pgxpool.Pool, tracer pgx.QueryTracer) *pgxpool.Pool {
	w.t.Helper()
	pool, err := pg.NewPoolWith(w.ctx, of.Config().ConnString(), 16, pg.Options{Component: "traced", SearchPath: "shop"},
		func(c *pgxpool.Config) { c.ConnConfig.Tracer = tracer })
	w.must(err)
	w.t.Cleanup(pool.Close)
	return pool
}

// Sessions are ended at any moment, of leaders and of apply workers, while production
// changes: nothing is lost, whoever had committed what.
func TestWorkersSurviveConnectionsThatAreCut(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, itemsStructure(`INSERT INTO items SELECT n, 'n', n FROM generate_series(1, 300) n`), soleItems)
		r, ended := w.inApplyWorkers(), 0
		from := w.victims(w.pool)
		to := from
		if w.sides.Remote() {
			to = w.victims(w.sides.Shadow)
		}
		r.Sides = w.between(from, to)
		w.r = w.inApplyWorkers()
		for round := range 40 {
			w.exec(fmt.Sprintf(`DELETE FROM shop.items WHERE id %% 5 = %d; UPDATE shop.items SET price = price + 1 WHERE id %% 3 = %[1]d %% 3;
				INSERT INTO shop.items SELECT n, 'again', %[1]d FROM generate_series(%[1]d %% 5, 300, 5) n ON CONFLICT (id) DO UPDATE SET name = 'more'`, round))
			var batch errgroup.Group
			batch.Go(func() error {
				_, err := r.Batch(w.ctx, w.table(0))
				return err
			})
			<-time.After(time.Duration(round%15) * time.Millisecond) // any moment will do
			for _, side := range []*pgxpool.Pool{w.pool, w.sides.Shadow} {
				w.script(side, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pgumbra/victim'
					AND datname = current_database() AND random() < 0.3`)
			}
			switch err := batch.Wait(); {
			case pg.Unreachable(err):
				ended++
			case err != nil:
				t.Fatal(err)
			}
			w.batch(0) // at once, while what is left of the other may still be at work
			w.same()
		}
		if ended < 5 {
			t.Errorf("only %d batches of 40 were hit", ended)
		}
		w.verified(0)
	})
}

// victims are sessions beside those of the test.
func (w *world) victims(of *pgxpool.Pool) *pgxpool.Pool {
	w.t.Helper()
	pool, err := pg.NewPool(w.ctx, of.Config().ConnString(), 16, pg.Options{Component: "victim", SearchPath: "shop"})
	w.must(err)
	w.t.Cleanup(pool.Close)
	return pool
}
