package capture

import (
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

func TestJournalNames(t *testing.T) {
	t.Parallel()
	run := &control.Run{ID: 7, Plan: new(plans.Plan)}
	j := JournalOf(run, &plans.Source{N: 3, Record: plans.RecordRow, Key: []plans.KeyColumn{{Name: "b"}, {Name: "a"}},
		Tracked: []string{"c"}, Columns: []plans.SourceColumn{{Name: "a"}, {Name: "b"}, {Name: "c"}}})
	if got := j.Name().Quoted() + j.Tables()[1].Quoted(); got != `"pgumbra"."journal_7_3""pgumbra"."journal_7_3_b"` {
		t.Error(got)
	}
	if got := strings.Join(j.Columns(), " "); got != "seq xid op member k_0 k_1 t_0 img" {
		t.Error(got)
	}
	r := Reverse(run, &plans.Table{N: 2, Key: []plans.Pair{{Shadow: "x"}}, Columns: []plans.Column{{Shadow: "x"}}})
	if r.Name().Name != "reverse_7_2" || !r.HasImage() || !slices.Equal(r.Keys, []string{"x"}) {
		t.Error(r)
	}
}

// shadowOf makes a shadow table of another shape for a source and adds it to
// the plan.
func (f *fixture) shadowOf(n int) *plans.Table {
	f.Helper()
	_, err := f.pool.Exec(f.ctx, `CREATE SCHEMA pgumbra_shop_v2_shop; CREATE TABLE pgumbra_shop_v2_shop.orders (order_id bigint PRIMARY KEY, memo text)`)
	f.must(err)
	f.run.Plan.Tables = append(f.run.Plan.Tables, plans.Table{Shadow: named("pgumbra_shop_v2_shop", "orders"), Final: named("shop", "orders"),
		Feed: plans.Copied, Kind: plans.Plain, Source: n, Production: f.source(n).Name,
		Columns: []plans.Column{{Shadow: "order_id", Type: "bigint"}, {Shadow: "memo", Type: "text"}},
		Key:     []plans.Pair{{Production: "id", Shadow: "order_id", Type: "bigint"}}})
	_, err = f.pool.Exec(f.ctx, `INSERT INTO pgumbra.shadow_table (run_id, n, production, shadow, state, position) VALUES ($1, 0, '', '', 'following', pg_current_snapshot())`, f.run.ID)
	f.must(err)
	return &f.run.Plan.Tables[0]
}

// The row type's schema is renamed in the swap: bodies must not name it.
func TestReverseCaptureWorksAfterTheSwap(t *testing.T) {
	t.Parallel()
	f := ordersFixture(t)
	f.install()
	table := f.shadowOf(0)
	f.must(PrepareReverse(f.ctx, f.pool, f.run))
	oid := f.one(`SELECT 'pgumbra.reverse_` + f.one(`SELECT id FROM pgumbra.run`) + `_0'::regclass::oid`)
	f.must(PrepareReverse(f.ctx, f.pool, f.run))
	if got := f.one(`SELECT 'pgumbra.reverse_` + f.one(`SELECT id FROM pgumbra.run`) + `_0'::regclass::oid`); got != oid {
		t.Error("the reverse journal was made anew for another attempt")
	}
	f.must(pg.ExecScript(f.ctx, f.ours(), ReverseTriggers(f.run)+`; ALTER SCHEMA shop RENAME TO old; ALTER SCHEMA pgumbra_shop_v2_shop RENAME TO shop`))
	f.must(RecordReverse(f.ctx, f.pool, f.run))
	f.must(RemoveForward(f.ctx, f.pool, f.run))
	f.exec(`INSERT INTO shop.orders VALUES (1, 'a'), (2, NULL); UPDATE shop.orders SET memo = 'b' WHERE order_id = 1; UPDATE shop.orders SET order_id = 3 WHERE order_id = 1; DELETE FROM shop.orders WHERE order_id = 2; TRUNCATE shop.orders`)
	got := f.one(`SELECT string_agg(concat_ws(' ', op, k_0, img), ',' ORDER BY seq) FROM ` + Reverse(f.run, table).Name().Quoted())
	if want := `i 1 (1,a),i 2 (2,),u 1 (1,b),d 1,u 3 (3,b),d 2,t`; got != want {
		t.Errorf("journal %s, want %s", got, want)
	}
	if changes, err := CheckReverse(f.ctx, f.pool, f.run, table); err != nil || len(changes) > 1 || len(changes) == 1 && changes[0].Kind != Filenode {
		t.Errorf("changes %v, %v", changes, err)
	}
	f.must(Remove(f.ctx, f.pool, f.run))
	if got := f.one(`SELECT count(*) FROM pg_trigger WHERE tgname LIKE '!pgumbra%'`); got != "0" {
		t.Errorf("%s triggers left", got)
	}
}

func TestViewShowsAllJournalsInOrder(t *testing.T) {
	t.Parallel()
	f := newFixture(t, orders+tree+`CREATE TABLE shop.keyless (a int, b text)`, plans.Source{Name: named("shop", "orders")},
		plans.Source{Name: named("p", "root"), Kind: plans.Partitioned, Record: plans.RecordKey}, plans.Source{Name: named("shop", "keyless")})
	f.install()
	f.exec(`DELETE FROM shop.orders WHERE id = 1; INSERT INTO p.root VALUES (77, 'us', 1, 'x'); INSERT INTO shop.keyless VALUES (1, 'x'); TRUNCATE p.l; DELETE FROM shop.orders WHERE id = 2`)
	got := f.one(`SELECT string_agg(concat_ws(' ', "table", op, key), ', ') FROM pgumbra.journal`)
	if want := `shop.orders d (1), p.root i (77,us,1), shop.keyless i (1,x), p.root t p.l, shop.orders d (2)`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if size, err := Size(f.ctx, f.pool, f.run); err != nil || size < 6*8192 {
		t.Errorf("size %d, %v", size, err)
	}
}

func TestRotateLosesNothingUnderWriters(t *testing.T) {
	rotateAt = 1
	f := ordersFixture(t)
	f.install()
	f.shadowOf(0)
	w := f.follow(0)
	writers, ctx := errgroup.WithContext(f.ctx)
	for i := range 4 {
		conn := f.ours()
		writers.Go(func() error {
			for n := range 300 {
				_, err := conn.Exec(ctx, `INSERT INTO shop.orders (id, total) VALUES ($1, 0) ON CONFLICT (id) DO UPDATE SET total = shop.orders.total + 1, note = $1::text`, 1000*(i+1)+n%50)
				if err == nil && n%7 == 0 {
					_, err = conn.Exec(ctx, `DELETE FROM shop.orders WHERE id = $1`, 1000*(i+1)+n%50)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	done := make(chan error, 1)
	go func() { done <- writers.Wait() }()
	used := map[string]bool{}
	for finished := false; !finished; {
		select {
		case err := <-done:
			f.must(err)
			finished = true
		default:
		}
		f.must(Rotate(f.ctx, f.pool, f.run))
		active, err := activeTable(f.ctx, f.pool, w.j)
		f.must(err)
		used[active.Name] = true
		if d := w.step(); d != "" {
			t.Fatal(d)
		}
		_, err = f.pool.Exec(f.ctx, `UPDATE pgumbra.shadow_table SET position = $1::pg_snapshot`, w.position)
		f.must(err)
	}
	if len(used) != 2 {
		t.Errorf("active were %v", used)
	}
	f.must(Rotate(f.ctx, f.pool, f.run))
	f.must(Rotate(f.ctx, f.pool, f.run))
	if got := f.one(`SELECT least(pg_relation_size($1::regclass), pg_relation_size($2::regclass))`, w.j.Tables()[0].Quoted(), w.j.Tables()[1].Quoted()); got != "0" {
		t.Errorf("no table is empty: %s", got)
	}
	if got := f.changes(0); len(got) != 0 {
		t.Errorf("rotation shows as %v", got)
	}
}

func TestRotateKeepsWhatSomeReaderHasNotApplied(t *testing.T) {
	rotateAt = 1
	f := ordersFixture(t)
	f.install()
	f.shadowOf(0)
	w := f.follow(0)
	f.exec(`UPDATE shop.orders SET total = 1`)
	f.must(Rotate(f.ctx, f.pool, f.run))
	f.exec(`UPDATE shop.orders SET total = 2 WHERE id = 1`)
	for _, position := range []string{w.position, ""} {
		_, err := f.pool.Exec(f.ctx, `UPDATE pgumbra.shadow_table SET position = NULLIF($1, '')::pg_snapshot`, position)
		f.must(err)
		f.must(Rotate(f.ctx, f.pool, f.run))
		if got := f.one(`SELECT count(*) FROM ` + w.j.Name().Quoted()); got != "11" {
			t.Errorf("position %q: %s entries left", position, got)
		}
	}
	_, err := f.pool.Exec(f.ctx, `UPDATE pgumbra.shadow_table SET position = pg_current_snapshot()`)
	f.must(err)
	f.must(Rotate(f.ctx, f.pool, f.run))
	if got := f.one(`SELECT count(*) FROM ` + w.j.Name().Quoted()); got != "1" {
		t.Errorf("%s entries left", got)
	}
}

// Keys that were touched since a table was proved are found in its journal.
func TestRotateKeepsWhatIsToBeProvedAgain(t *testing.T) {
	rotateAt = 1
	f := ordersFixture(t)
	f.install()
	f.shadowOf(0)
	f.exec(`UPDATE shop.orders SET total = 1`)
	f.must(Rotate(f.ctx, f.pool, f.run))
	f.exec(`UPDATE shop.orders SET total = 2 WHERE id = 1`)
	_, err := f.pool.Exec(f.ctx, `UPDATE pgumbra.shadow_table SET proved = position, position = pg_current_snapshot()`)
	f.must(err)
	f.must(Rotate(f.ctx, f.pool, f.run))
	if got := f.one(`SELECT count(*) FROM ` + JournalOf(f.run, f.source(0)).Name().Quoted()); got != "11" {
		t.Errorf("%s entries left", got)
	}
	_, err = f.pool.Exec(f.ctx, `UPDATE pgumbra.shadow_table SET proved = position`)
	f.must(err)
	f.must(Rotate(f.ctx, f.pool, f.run))
	if got := f.one(`SELECT count(*) FROM ` + JournalOf(f.run, f.source(0)).Name().Quoted()); got != "1" {
		t.Errorf("%s entries left", got)
	}
}

func TestReadersOfAJournal(t *testing.T) {
	t.Parallel()
	plan := &plans.Plan{Sources: []plans.Source{{N: 0}, {N: 1, Ancestors: []int{0}}, {N: 2}}, Tables: []plans.Table{
		{N: 0, Feed: plans.Copied, Source: 0}, {N: 1, Feed: plans.Copied, Source: 1}, {N: 2, Feed: plans.Carried, Source: -1},
		{N: 3, Feed: plans.Derived, Source: -1, Watches: []plans.Watch{{Source: 1}, {Source: 2}}}}}
	for source, want := range [][]int{{0, 1, 3}, {1, 3}, {3}} {
		if got := readersOf(plan, source); !slices.Equal(got, want) {
			t.Errorf("source %d: %v, want %v", source, got, want)
		}
	}
}

func TestBreakEndsCaptureWithoutHoldingUpWriters(t *testing.T) {
	t.Parallel()
	f := ordersFixture(t)
	f.install()
	w := f.follow(0)
	f.exec(`UPDATE shop.orders SET total = 1 WHERE id = 1`)
	reader := f.ours() // holds ACCESS SHARE: the triggers cannot be dropped
	_, err := reader.Exec(f.ctx, `BEGIN; SELECT id FROM shop.orders`)
	f.must(err)
	done := make(chan error, 1)
	go func() { done <- Break(f.ctx, f.pool, f.run, "journals too large") }()
	for f.one(`SELECT failure FROM pgumbra.run`) == "" {
	}
	f.exec(`UPDATE shop.orders SET total = 2; DELETE FROM shop.orders WHERE id = 5`)
	_, err = reader.Exec(f.ctx, `COMMIT`)
	f.must(err)
	f.must(<-done)
	if got := w.ops(); got != "u(1)" {
		t.Errorf("journal %s", got)
	}
	if got := f.one(`SELECT failure FROM pgumbra.run`); got != "journals too large" {
		t.Errorf("failure %q", got)
	}
	if got := f.changes(0); got[Triggers] == "" {
		t.Errorf("changes %v", got)
	}
	f.must(Remove(f.ctx, f.pool, f.run))
}

func TestCheckSeesSilencedFunctions(t *testing.T) {
	t.Parallel()
	f := ordersFixture(t)
	f.install()
	f.must(silence(f.ctx, f.pool, f.run, ToShadow))
	if got := f.changes(0); !strings.Contains(got[Triggers], "broken off") {
		t.Errorf("changes %v", got)
	}
	rotateAt := f.source(0)
	if err := lead(f.ctx, f.pool, f.run, rotateAt, JournalOf(f.run, rotateAt).Tables()[1]); err == nil {
		t.Error("rotation brought silenced functions back to life")
	}
}

// While a reader lags, the others would read what it has yet to apply again and
// again; in step, an index would only cost.
func TestRotateIndexesWhileSomeReaderLags(t *testing.T) {
	rotateAt = 1
	f := ordersFixture(t)
	f.install()
	f.shadowOf(0)
	tables := JournalOf(f.run, f.source(0)).Tables()
	indexes := func() string {
		return f.one(`SELECT string_agg(indexrelid::regclass::text, ' ') FROM pg_index WHERE indrelid IN ($1::regclass, $2::regclass)`, tables[0].Quoted(), tables[1].Quoted())
	}
	rotate := func(state control.State) string {
		_, err := f.pool.Exec(f.ctx, `UPDATE pgumbra.shadow_table SET state = $1, position = pg_current_snapshot()`, state)
		f.must(err)
		f.exec(`UPDATE shop.orders SET total = 1`)
		f.must(Rotate(f.ctx, f.pool, f.run))
		return indexes()
	}
	if got := rotate(control.CatchingUp); got != indexName(tables[1]).String() {
		t.Errorf("a reader lags, indexes %s", got)
	}
	conn := f.ours()
	_, err := conn.Exec(f.ctx, `SET enable_seqscan = off`)
	f.must(err)
	rows, err := conn.Query(f.ctx, "EXPLAIN SELECT seq FROM "+JournalOf(f.run, f.source(0)).Name().Quoted()+" WHERE "+Unread("'5:5:'::pg_snapshot"))
	f.must(err)
	plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
	f.must(err)
	if got := strings.Count(strings.Join(plan, "\n"), "Bitmap Index Scan on "+indexName(tables[1]).Name); got != 1 {
		t.Errorf("plan:\n%s", strings.Join(plan, "\n"))
	}
	for range 4 {
		rotate(control.FollowingState)
	}
	if got := indexes(); got != "NULL" {
		t.Errorf("all readers are in step, indexes %s", got)
	}
}
