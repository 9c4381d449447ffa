package capture

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/testcontainers"
)

func TestMain(m *testing.M) { testcontainers.Run(m) }

// fixture is a database with a run in phase capturing.
type fixture struct {
	testing.TB
	ctx  context.Context
	dsn  string
	pool *pgxpool.Pool
	run  *control.Run

	signed string // the last signature
}

// newFixture runs the script in a fresh database and plans the capture of the
// sources. Each source is described by its name and what is not read from the
// catalog.
func newFixture(t testing.TB, script string, sources ...plans.Source) *fixture {
	t.Helper()
	f := &fixture{TB: t, ctx: context.Background(), dsn: testcontainers.Database(t)}
	f.must(control.Migrate(f.ctx, f.dsn))
	pool, err := pg.NewPool(f.ctx, f.dsn, 8, pg.Options{Component: "test"})
	f.must(err)
	t.Cleanup(pool.Close)
	f.pool = pool
	f.exec(script)
	plan := &plans.Plan{Run: "shop-v2", Settings: plans.DefaultSettings()}
	for i, s := range sources {
		s.N = i
		f.complete(&s)
		plan.Sources = append(plan.Sources, s)
	}
	run, err := control.Create(f.ctx, pool, plan)
	f.must(err)
	f.run = run
	f.enter(control.Capturing)
	return f
}

func (f *fixture) enter(p control.Phase) {
	f.Helper()
	_, err := f.pool.Exec(f.ctx, `UPDATE pgumbra.run SET phase = $2 WHERE id = $1`, f.run.ID, p)
	f.must(err)
	f.run.Phase = p
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) exec(script string) {
	f.Helper()
	if err := f.try(script); err != nil {
		f.Fatalf("%s: %v", script, err)
	}
}

// try runs a script on a session of its own, as a client with libpq's defaults
// would.
func (f *fixture) try(script string) error {
	conn, err := pgx.Connect(f.ctx, f.dsn)
	f.must(err)
	defer conn.Close(f.ctx)
	return pg.ExecScript(f.ctx, conn, script)
}

func (f *fixture) one(sql string, args ...any) string {
	f.Helper()
	var text *string
	f.must(f.pool.QueryRow(f.ctx, "SELECT ("+sql+")::text", args...).Scan(&text))
	if text == nil {
		return "NULL"
	}
	return *text
}

func (f *fixture) install() {
	f.Helper()
	f.must(Install(f.ctx, f.pool, f.run, quiet()))
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func (f *fixture) source(n int) *plans.Source { return &f.run.Plan.Sources[n] }

// complete reads from the catalog what planning would.
func (f *fixture) complete(s *plans.Source) {
	f.Helper()
	if s.Kind == "" {
		s.Kind = plans.Plain
	}
	var text string
	f.must(f.pool.QueryRow(f.ctx, `SELECT json_build_object(
		'oid', c.oid::bigint,
		'members', (SELECT json_agg(json_build_object('oid', m.oid::bigint, 'leaf', m.relkind <> 'p',
				'name', json_build_object('schema', m.relnamespace::regnamespace::name, 'name', m.relname)) ORDER BY m.oid <> c.oid, m.oid)
			FROM pg_class m WHERE m.oid = c.oid OR m.oid IN (SELECT relid FROM pg_partition_tree(c.oid))),
		'columns', (SELECT json_agg(json_build_object('name', attname, 'type', format_type(atttypid, atttypmod)) ORDER BY attnum)
			FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped),
		'key', (SELECT COALESCE(json_agg(json_build_object('name', a.attname) ORDER BY k.i), '[]')
			FROM pg_index i, unnest(i.indkey) WITH ORDINALITY k(attnum, i), pg_attribute a
			WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid AND a.attnum = k.attnum))::text
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2`,
		s.Name.Schema, s.Name.Name).Scan(&text))
	key := s.Key
	f.must(json.Unmarshal([]byte(text), s))
	if key != nil {
		s.Key = key
	}
	if s.Record == "" {
		s.Record = plans.RecordRow
		if len(s.Key) == 0 {
			s.Record = plans.RecordImage
		}
	}
}

func named(schema, name string) pg.Name { return pg.Name{Schema: schema, Name: name} }

// follower applies a journal to a copy of its table the way replay does, but in
// memory, and compares the outcome with the table.
type follower struct {
	*fixture
	j        Journal
	table    string
	position string
	rows     map[string]string // by key
	bag      map[string]int    // keyless: how many of each
}

func (f *fixture) follow(n int) *follower {
	f.Helper()
	w := &follower{fixture: f, j: JournalOf(f.run, f.source(n)), rows: map[string]string{}, bag: map[string]int{}}
	w.table = w.j.Table.Quoted()
	if w.j.Kind == plans.Inherited {
		w.table = "ONLY " + w.table
	}
	f.snapshot(func(tx pgx.Tx, s string) {
		w.position = s
		for _, r := range w.production(tx) {
			w.rows[r[0]] = r[1]
			w.bag[r[1]]++
		}
	})
	return w
}

func (f *fixture) snapshot(do func(tx pgx.Tx, snapshot string)) {
	f.Helper()
	f.must(pg.RepeatableRead(f.ctx, f.pool, func(tx pgx.Tx) error {
		var s string
		err := tx.QueryRow(f.ctx, `SELECT pg_current_snapshot()::text`).Scan(&s)
		if err == nil {
			do(tx, s)
		}
		return err
	}))
}

// production reads key and row of the whole table.
func (w *follower) production(tx pgx.Tx) [][2]string {
	w.Helper()
	rows, err := tx.Query(w.ctx, "SELECT ROW("+pg.Idents(w.j.Keys)+")::text, r::text FROM "+w.table+" AS r")
	w.must(err)
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r [2]string, err error) {
		err = row.Scan(&r[0], &r[1])
		return r, err
	})
	w.must(err)
	return all
}

type entry struct {
	xid, op, key string
	member       *uint32
	img          *string
}

func (w *follower) entries(tx pgx.Tx) []entry {
	w.Helper()
	img := "NULL::text"
	if w.j.HasImage() {
		img = "img::text"
	}
	rows, err := tx.Query(w.ctx, "SELECT xid::text, op::text, member, ROW("+pg.Idents(w.j.KeyColumns())+")::text, "+img+
		" FROM "+w.j.Name().Quoted()+" WHERE "+Unread("$1::pg_snapshot")+" ORDER BY seq", w.position)
	w.must(err)
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e entry, err error) {
		err = row.Scan(&e.xid, &e.op, &e.member, &e.key, &e.img)
		return e, err
	})
	w.must(err)
	return all
}

// step applies what is new and reports how the copy then differs from the table.
func (w *follower) step() string {
	w.Helper()
	var difference string
	w.snapshot(func(tx pgx.Tx, s string) {
		live := map[string]string{}
		bag := map[string]int{}
		for _, r := range w.production(tx) {
			live[r[0]] = r[1]
			bag[r[1]]++
		}
		if w.j.Record == plans.RecordImage {
			w.applyBag(w.entries(tx))
			difference = differ(w.bag, bag)
		} else {
			w.apply(w.entries(tx), live)
			difference = differ(w.rows, live)
		}
		w.position = s
	})
	return difference
}

func (w *follower) apply(entries []entry, live map[string]string) {
	count := map[string]int{}
	for i, e := range entries {
		if e.op == OpTruncate && e.member == nil {
			w.rows = map[string]string{}
			w.apply(entries[i+1:], live)
			return
		}
		if e.op != OpOld {
			count[e.xid+e.key]++
		}
	}
	last := map[string]entry{}
	again := map[string]bool{}
	for _, e := range entries {
		switch e.op {
		case OpTruncate:
			for k := range w.rows {
				again[k] = true
			}
		case OpOld:
		default:
			last[e.key] = e
			again[e.key] = again[e.key] || count[e.xid+e.key] > 1
		}
	}
	for key, e := range last {
		switch {
		case e.op == OpDelete:
			delete(w.rows, key)
		case e.img == nil:
			again[key] = true
		default:
			w.rows[key] = *e.img
		}
	}
	for key, yes := range again {
		if !yes {
			continue
		}
		delete(w.rows, key)
		if row, there := live[key]; there {
			w.rows[key] = row
		}
	}
}

func (w *follower) applyBag(entries []entry) {
	for _, e := range entries {
		switch e.op {
		case OpTruncate:
			w.bag = map[string]int{}
		case OpInsert:
			w.bag[*e.img]++
		case OpDelete:
			w.bag[*e.img]--
		}
	}
}

func differ[V comparable](got, want map[string]V) string {
	var b strings.Builder
	var zero V
	for k, v := range got {
		if v != zero && want[k] != v {
			fmt.Fprintf(&b, "copy has %s = %v, table %v\n", k, v, want[k])
		}
	}
	for k, v := range want {
		if got[k] != v {
			fmt.Fprintf(&b, "table has %s = %v, copy %v\n", k, v, got[k])
		}
	}
	return b.String()
}

// ops are the operations in the journal since the last step, in order.
func (w *follower) ops() string {
	w.Helper()
	var all []string
	w.snapshot(func(tx pgx.Tx, _ string) {
		for _, e := range w.entries(tx) {
			all = append(all, e.op+e.key)
		}
	})
	return strings.Join(all, " ")
}

// ours is a session by whose name the structure freeze knows us.
func (f *fixture) ours() *pgx.Conn {
	f.Helper()
	config, err := pg.Config(f.dsn, pg.Options{Component: "test"})
	f.must(err)
	pg.Sign(&config.Config)
	conn, err := pgx.ConnectConfig(f.ctx, config)
	f.must(err)
	f.Cleanup(func() { conn.Close(f.ctx) })
	return conn
}
