package replay

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// same compares items of both sides.
func (w *world) same() {
	w.t.Helper()
	w.want(itemRows, w.text(`SELECT format('%s %s %s', id, name, price * 100) FROM shop.items ORDER BY id`))
}

// The shadow commits a batch and the network breaks before it can say so.
func TestBatchWhoseCommitWasNotHeardIsNotAppliedAgain(t *testing.T) {
	t.Parallel()
	server := testcontainers.Shared(t)
	proxy := testcontainers.StartProxy(t, server.Addr())
	w := worldIn(t, testcontainers.Database(t), proxy.Through(testcontainers.Database(t)), withoutKey, defineKeyless)
	for range 3 {
		w.exec(`INSERT INTO shop.log VALUES (7, 'once')`)
		before := w.position()
		sprung := proxy.HideAnswer([]byte("commit\x00"))
		if _, err := w.r.Batch(w.ctx, w.table(0)); !pg.Unreachable(err) {
			t.Fatalf("got %v", err)
		}
		<-sprung
		if w.position() == before {
			t.Error("the batch was not committed")
		}
		w.batch(0)
		w.verified(0)
	}
	w.want(`SELECT count(*)::text FROM twin.log WHERE what = 'once'`, "3")
}

// A batch that broke off before it was committed is done again.
func TestBatchGoesOnWhenTheShadowIsBack(t *testing.T) {
	t.Parallel()
	server := testcontainers.Shared(t)
	proxy := testcontainers.StartProxy(t, server.Addr())
	w := worldIn(t, testcontainers.Database(t), proxy.Through(testcontainers.Database(t)), withoutKey, defineKeyless)
	f, err := w.r.applier(w.ctx, w.table(0))
	w.must(err)
	w.exec(`INSERT INTO shop.log VALUES (7, 'once')`)
	err = w.r.snapshot(w.ctx, f, func(e ends, at moment) error {
		_, err := w.r.advance(w.ctx, e, f, at)
		proxy.Cut()
		return err
	})
	if !pg.Unreachable(err) {
		t.Fatalf("got %v", err)
	}
	if _, err := w.r.Batch(w.ctx, w.table(0)); !pg.Unreachable(err) {
		t.Fatalf("got %v", err)
	}
	proxy.Heal()
	w.batch(0)
	w.verified(0)
	w.want(`SELECT count(*)::text FROM twin.log WHERE what = 'once'`, "1")
}

func (w *world) position() string {
	w.t.Helper()
	return w.text(`SELECT position::text FROM pgumbra.shadow_table WHERE n = 0`)
}

// Production forgets in a crash what it had committed asynchronously, and gives
// its transaction numbers out again.
func TestShadowIsNotAheadOfProductionAfterCrash(t *testing.T) {
	t.Parallel()
	server, err := testcontainers.Start(t.Context(), testcontainers.Options{Settings: map[string]string{
		"synchronous_commit": "off", "wal_writer_delay": "10s", "autovacuum": "off", "shared_buffers": "32MB"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop(context.WithoutCancel(t.Context())) })
	w := worldIn(t, server.DSN("postgres"), testcontainers.Database(t), itemsStructure(""), items)
	crash := func() {
		w.must(server.Crash(w.ctx))
		w.must(server.Restart(w.ctx))
		w.pool.Reset()
	}
	for i := range 3 {
		w.hastily(server, `INSERT INTO shop.items VALUES ($1, 'kept', $1)`, i)
		w.batch(0)
		crash()
		w.same()
		w.hastily(server, `INSERT INTO shop.items VALUES ($1, 'lost', 1)`, 100+i)
		crash()
		w.same()
		w.hastily(server, `INSERT INTO shop.items VALUES ($1, 'with the same number', 2)`, 200+i)
		w.equal()
		w.same()
	}
	w.want(`SELECT string_agg(id::text, ' ' ORDER BY id) FROM twin.items`, "0 1 2 200 201 202")
}

// hastily commits asynchronously.
func (w *world) hastily(server *testcontainers.Server, query string, args ...any) {
	w.t.Helper()
	conn, err := pgx.Connect(w.ctx, server.DSN("postgres"))
	w.must(err)
	_, err = conn.Exec(w.ctx, query, args...)
	w.must(errors.Join(err, conn.Close(w.ctx)))
}

func TestBatchOfAnotherProductionIsRefused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"another system":        `UPDATE pgumbra.run SET origin = '{"system": "1", "timeline": "00000001", "database": 1}'`,
		"another timeline":      `UPDATE pgumbra.run SET origin = jsonb_set(origin::jsonb, '{timeline}', '"00000009"')`,
		"lost transactions":     `UPDATE pgumbra.shadow_table SET position = '4000000000:4000000000:'`,
		"lost a transaction":    `UPDATE pgumbra.shadow_table SET position = format('%s:%s:', pg_snapshot_xmin(position)::text::bigint - 5, pg_snapshot_xmax(position)::text::bigint + 5000000)::pg_snapshot`,
		"in progress once more": `UPDATE pgumbra.shadow_table SET position = format('%s:%s:', held, held::bigint + 1)::pg_snapshot FROM (SELECT '%held%' AS held) h`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := remote(t, itemsStructure(""), items)
			open := w.begin()
			var held string
			w.must(open.tx.QueryRow(w.ctx, `INSERT INTO shop.items VALUES (1, 'a', 1) RETURNING pg_current_xact_id()::text`).Scan(&held))
			w.exec(strings.ReplaceAll(change, "%held%", held))
			w.sides.Production.Reset()
			if _, err := w.replayer().Batch(w.ctx, w.table(0)); !errors.Is(err, control.ErrOrigin) {
				t.Errorf("got %v", err)
			}
			w.must(open.tx.Rollback(w.ctx))
			w.want(itemRows, "")
		})
	}
}

// Status and the emptying of journals read production's copy of the positions.
func TestBatchLeavesItsPositionInProduction(t *testing.T) {
	t.Parallel()
	w := remote(t, itemsStructure(""), items)
	w.exec(`INSERT INTO shop.items VALUES (1, 'a', 1), (2, 'b', 2)`)
	w.batch(0)
	const columns = `state || ' ' || position::text || ' ' || rows_replayed || ' ' || (verified_at IS NOT NULL)`
	mirrored := func() (text string) {
		w.must(w.pool.QueryRow(w.ctx, `SELECT `+columns+` FROM pgumbra.shadow_table`).Scan(&text))
		return text
	}
	w.want(`SELECT `+columns+` FROM pgumbra.shadow_table`, mirrored())
	w.script(w.sides.Shadow, `UPDATE pgumbra.shadow_table SET position = NULL`)
	w.must(control.Mirror(w.ctx, w.sides, w.run)) // as one that read before the batch, and writes after it
	if text := mirrored(); text == "" {
		t.Error("an older copy took the place of a newer one")
	}
	w.script(w.sides.Shadow, `UPDATE pgumbra.shadow_table SET position = '3:3:'`)
	w.script(w.pool, `DELETE FROM pgumbra.shadow_table`)
	w.verified(0)
	w.want(`SELECT `+columns+` FROM pgumbra.shadow_table`, mirrored())
	pending, err := w.r.Pending(w.ctx, w.pool, w.table(0))
	w.must(err)
	if pending != 0 {
		t.Errorf("%d pending", pending)
	}
}

// A wait that ends is no sign of trouble: a batch that waits for another of the
// same table takes its snapshot after it.
func TestBatchThatWaitedForAnotherIsNotBehindIt(t *testing.T) {
	t.Parallel()
	w := remote(t, itemsStructure(""), items)
	f, err := w.r.applier(w.ctx, w.table(0))
	w.must(err)
	var other errgroup.Group
	err = w.r.snapshot(w.ctx, f, func(e ends, at moment) error {
		other.Go(func() error {
			_, err := w.r.Batch(w.ctx, w.table(0))
			return err
		})
		w.waitFor(`SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database())`)
		w.exec(`INSERT INTO shop.items VALUES (1, 'a', 1)`)
		_, err := w.r.advance(w.ctx, e, f, at)
		return err
	})
	w.must(err)
	w.must(other.Wait())
	w.same()
}

// waitFor asks the shadow until the answer is yes.
func (w *world) waitFor(query string) {
	w.t.Helper()
	w.waitForOn(w.sides.Shadow, query)
}

func (w *world) waitForOn(db pg.Querier, query string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, 20*time.Second)
	defer cancel()
	for yes := false; !yes; {
		w.must(db.QueryRow(ctx, query).Scan(&yes))
	}
}

// Types that do not travel as themselves: NOT NULL domains, domains that would
// cut, composites and arrays of them, as columns and as keys.
func TestBatchOfTypesThatTravelAsOthers(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, `CREATE DOMAIN short AS varchar(3) NOT NULL; CREATE TYPE mood AS ENUM ('low', 'high'); CREATE TYPE pair AS (a int, b varchar(4));
			CREATE DOMAIN full_pair AS pair NOT NULL;
			CREATE TABLE a (k pair, s text, f pair, ps pair[], ms mood[], v varchar(5), n numeric(6, 2), b bit(3), PRIMARY KEY (k, s));
			CREATE TABLE twin.a (k shop.pair, s shop.short, f shop.full_pair, ps shop.pair[], ms shop.mood[], v varchar(5), n numeric(6, 2), b bit(3),
				token uuid DEFAULT gen_random_uuid(), PRIMARY KEY (k, s));
			INSERT INTO a SELECT (i, 'p')::pair, 's' || i, (i, NULL)::pair, ARRAY[(1, 'x')::pair, NULL], '{low,NULL}', 'v', i, '101' FROM generate_series(1, 9) i`,
			func(w *world, p *plans.Plan) {
				w.add(p, w.source("a", plans.RecordRow, "k", "s"), "k shop.pair = k", "s shop.short = s", "f shop.full_pair = f", "ps shop.pair[] = ps",
					"ms shop.mood[] = ms", "v varchar(5) = v", "n numeric(6,2) = n", "b bit(3) = b", "token uuid = volatile").Upsert = false
			})
		tokens := w.text(`SELECT token::text FROM twin.a WHERE (k).a BETWEEN 2 AND 4 ORDER BY k`)
		w.exec(`UPDATE shop.a SET ps = NULL, n = 7.125 WHERE (k).a = 2; DELETE FROM shop.a WHERE (k).a = 5; UPDATE shop.a SET k.a = 40 WHERE (k).a = 6;
			INSERT INTO shop.a (k, s, f, ms) VALUES ((50, 'a, "'), 'new', (1, 'b '), '{}')`)
		w.equal()
		const rows = `SELECT ROW(k, s, f, ps, ms, v, n, b)::text FROM %s.a ORDER BY 1`
		w.want(fmt.Sprintf(rows, "twin"), w.text(fmt.Sprintf(rows, "shop")))
		w.want(`SELECT token::text FROM twin.a WHERE (k).a BETWEEN 2 AND 4 ORDER BY k`, tokens)
		w.exec(`UPDATE twin.a SET v = 'x' WHERE (k).a = 1`)
		verdict, err := w.r.Verify(w.ctx, w.table(0))
		w.must(err)
		if len(verdict.Differences) != 1 || verdict.Differences[0].Key != "k=(1,p), s=s1" {
			t.Errorf("verdict %+v", verdict)
		}
		w.exec(`UPDATE twin.a SET v = 'v' WHERE (k).a = 1; UPDATE shop.a SET s = 'four' WHERE (k).a = 40`)
		if _, err := w.r.Batch(w.ctx, w.table(0)); !errors.Is(err, ErrConflict) || pg.State(err) != "22001" {
			t.Errorf("got %v", err)
		}
	})
}

// What is staged is gone with the batch, whose tables stay for the next.
func TestBatchLeavesNothingStaged(t *testing.T) {
	t.Parallel()
	w := remote(t, itemsStructure(withoutKey), func(w *world, p *plans.Plan) {
		items(w, p)
		defineKeyless(w, p)
	})
	w.exec(`INSERT INTO shop.items VALUES (1, 'a', 1), (2, 'b', 2); INSERT INTO shop.log VALUES (1, 'x'), (1, 'y')`)
	w.equal()
	w.exec(`DELETE FROM shop.log WHERE what = 'x'; UPDATE twin.items SET title = 'z'`)
	w.batch(1)
	_, err := w.r.Verify(w.ctx, w.table(0)) // stages what differs too
	w.must(err)
	var tables, bytes int
	w.must(w.sides.Shadow.QueryRow(w.ctx, `SELECT count(*), sum(pg_relation_size(oid)) FROM pg_class
		WHERE relpersistence = 't' AND relkind = 'r'`).Scan(&tables, &bytes))
	if tables == 0 || bytes != 0 {
		t.Errorf("%d tables of %d bytes", tables, bytes)
	}
}
