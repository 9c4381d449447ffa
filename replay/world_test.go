package replay

import (
	"context"
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

// world is production in schema shop, a shadow in schema twin, a run, and
// capture: in one database, or in two, which then have the structure of both. Of a way
// back production is the new side, and the shadow the old one.
type world struct {
	t     testing.TB
	ctx   context.Context
	dsn   string
	pool  *pgxpool.Pool // production's clients
	sides control.Sides
	run   *control.Run
	r     *Replayer
}

func (w *world) open(dsn, structure string) *pgxpool.Pool {
	w.t.Helper()
	w.must(control.Migrate(w.ctx, dsn))
	pool, err := pg.NewPool(w.ctx, dsn, 16, pg.Options{Component: "test", SearchPath: "shop"})
	w.must(err)
	w.t.Cleanup(pool.Close)
	w.script(pool, "CREATE SCHEMA shop; CREATE SCHEMA twin; SET search_path = shop; "+structure+"; RESET search_path")
	return pool
}

// replayer is one that remembers nothing.
func (w *world) replayer() *Replayer {
	return &Replayer{Sides: w.sides, Run: w.run, Log: slog.New(slog.DiscardHandler), Idle: 1}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// exec runs a script by the simple protocol. Remote, statements that name the
// shadow's tables go there.
func (w *world) exec(script string) {
	w.t.Helper()
	var part []string
	at := w.pool
	for statement := range strings.SplitSeq(script, ";") {
		if side := w.side(statement); side != at && strings.TrimSpace(statement) != "" {
			w.script(at, strings.Join(part, ";"))
			at, part = side, nil
		}
		part = append(part, statement)
	}
	w.script(at, strings.Join(part, ";"))
}

// side is where what a statement names lives.
func (w *world) side(statement string) *pgxpool.Pool {
	for _, name := range []string{"twin.", "pgumbra.shadow_table", "pgumbra.run"} {
		if strings.Contains(statement, name) {
			return w.sides.Shadow
		}
	}
	return w.pool
}

func (w *world) script(pool *pgxpool.Pool, text string) {
	w.t.Helper()
	conn, err := pool.Acquire(w.ctx)
	w.must(err)
	defer conn.Release()
	w.must(pg.ExecScript(w.ctx, conn.Conn(), text))
}

func (w *world) text(query string, args ...any) string {
	w.t.Helper()
	rows, err := w.side(query).Query(w.ctx, query, args...)
	w.must(err)
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	w.must(err)
	return strings.Join(all, "\n")
}

// copy fills a shadow table in one snapshot, which becomes its position.
func (w *world) copy(t *plans.Table, state control.State) {
	w.t.Helper()
	f, err := w.r.applier(w.ctx, t)
	w.must(err)
	w.must(w.r.begin(w.ctx, func(e ends) error {
		position, err := w.r.look(w.ctx, e, nil)
		if err == nil && (t.Feed == plans.Copied || t.Feed == plans.Derived) {
			to := f.writer(e)
			err = f.bring(w.ctx, e, anyWay, []set{f.wholeSet()}, []statement{{"copy", to.inserting(to.written(), to.whole(), ""), nil}})
		}
		if err != nil {
			return err
		}
		_, err = e.shadow.Exec(w.ctx, `INSERT INTO pgumbra.shadow_table (run_id, n, production, shadow, state, position)
			VALUES ($1, $2, $3, $4, $5, $6::text::pg_snapshot)
			ON CONFLICT (run_id, n) DO UPDATE SET state = excluded.state, position = excluded.position`,
			w.run.ID, t.N, t.Production.String(), t.Shadow.String(), state, position)
		return err
	}))
}

func (w *world) table(n int) *plans.Table { return &w.run.Plan.Tables[n] }

func (w *world) batch(n int) Result {
	w.t.Helper()
	result, err := w.r.Batch(w.ctx, w.table(n))
	w.must(err)
	return result
}

// equal replays and verifies all tables, and asks Verify's own judgement of
// columns nothing: tables are equal if their rows read the same.
func (w *world) equal() {
	w.t.Helper()
	for i := range w.run.Plan.Tables {
		w.batch(i)
		w.verified(i)
	}
}

func (w *world) verified(n int) Verdict {
	w.t.Helper()
	verdict, err := w.r.Verify(w.ctx, w.table(n))
	w.must(err)
	for _, d := range verdict.Differences {
		w.t.Errorf("%s: production %s, shadow %s", d.Key, shownText(d.Production), shownText(d.Shadow))
	}
	if !verdict.Equal {
		w.t.Errorf("%s differs", w.table(n).Shadow)
	}
	return verdict
}

func shownText(s *string) string {
	if s == nil {
		return "(none)"
	}
	return *s
}

// want compares the one-column rows of a query, sorted by it.
func (w *world) want(query, rows string) {
	w.t.Helper()
	if got := w.text(query); got != rows {
		w.t.Errorf("%s:\n%s\nwant:\n%s", query, got, rows)
	}
}

// source reads a production table for the plan.
func (w *world) source(name string, record plans.Record, key ...string) plans.Source {
	w.t.Helper()
	s := plans.Source{Name: pg.Name{Schema: "shop", Name: name}, Kind: plans.Plain, Record: record}
	err := w.pool.QueryRow(w.ctx, `SELECT to_regclass($1)::oid, relkind = 'p' FROM pg_class WHERE oid = to_regclass($1)`, s.Name.Quoted()).
		Scan(&s.OID, scanKind{&s.Kind})
	w.must(err)
	rows, err := w.pool.Query(w.ctx, `SELECT attname, format_type(atttypid, atttypmod), attgenerated <> '',
		COALESCE(quote_ident(n.nspname) || '.' || quote_ident(c.collname), '')
		FROM pg_attribute LEFT JOIN pg_collation c ON c.oid = attcollation LEFT JOIN pg_namespace n ON n.oid = collnamespace
		WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped ORDER BY attnum`, s.OID)
	w.must(err)
	var c plans.SourceColumn
	var collation string
	_, err = pgx.ForEachRow(rows, []any{&c.Name, &c.Type, &c.Generated, &collation}, func() error {
		s.Columns = append(s.Columns, c)
		for _, k := range key {
			if k == c.Name {
				s.Key = append(s.Key, plans.KeyColumn{Name: k, Type: c.Type, Collation: collation, Equals: "OPERATOR(pg_catalog.=)"})
			}
		}
		return nil
	})
	w.must(err)
	rows, err = w.pool.Query(w.ctx, `SELECT c.oid, n.nspname, c.relname, c.relkind = 'r' FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
		WHERE c.oid = $1 OR c.oid IN (SELECT relid FROM pg_partition_tree($1)) ORDER BY c.oid <> $1, c.oid`, s.OID)
	w.must(err)
	var m plans.Member
	_, err = pgx.ForEachRow(rows, []any{&m.OID, &m.Name.Schema, &m.Name.Name, &m.Leaf}, func() error {
		s.Members = append(s.Members, m)
		return nil
	})
	w.must(err)
	return s
}

type scanKind struct{ kind *plans.Kind }

func (s scanKind) Scan(src any) error {
	if p, ok := src.(bool); ok && p {
		*s.kind = plans.Partitioned
	}
	return nil
}

// add a source and a shadow table that is copied from it; transforms are
// "column type = expression", each key column must be carried by its own name.
func (w *world) add(p *plans.Plan, s plans.Source, columns ...string) *plans.Table {
	p.Sources = append(p.Sources, s)
	t := plans.Table{Shadow: pg.Name{Schema: "twin", Name: s.Name.Name}, Feed: plans.Copied, Kind: plans.Plain,
		Source: len(p.Sources) - 1, Production: s.Name, Upsert: true}
	t.Columns = transforms(columns)
	for _, k := range s.Key {
		for _, c := range t.Columns {
			if c.Shadow == k.Name {
				t.Key = append(t.Key, plans.Pair{Production: k.Name, Shadow: c.Shadow, Expression: c.Expression, Type: c.Type, Equals: k.Equals})
			}
		}
	}
	p.Tables = append(p.Tables, t)
	return &p.Tables[len(p.Tables)-1]
}

// transforms reads "id bigint = id" lists; "v volatile" is a volatile column.
func transforms(list []string) []plans.Column {
	var all []plans.Column
	for _, text := range list {
		left, expr, _ := strings.Cut(text, " = ")
		name, sqlType, _ := strings.Cut(left, " ")
		all = append(all, plans.Column{Shadow: name, Type: sqlType, Expression: expr, Volatile: expr == "volatile"})
		if expr == "volatile" {
			all[len(all)-1].Expression = ""
		}
	}
	return all
}

// session is a client that keeps a transaction open.
type session struct {
	w  *world
	tx pgx.Tx
}

func (w *world) begin() *session {
	w.t.Helper()
	tx, err := w.pool.Begin(w.ctx)
	w.must(err)
	return &session{w, tx}
}

func (s *session) exec(query string, args ...any) {
	s.w.t.Helper()
	_, err := s.tx.Exec(s.w.ctx, query, args...)
	s.w.must(err)
}

func (s *session) commit() {
	s.w.t.Helper()
	s.w.must(s.tx.Commit(s.w.ctx))
}

func itemsStructure(extra string) string {
	return fmt.Sprintf(`CREATE TABLE items (id int PRIMARY KEY, name text, price int);
		CREATE TABLE twin.items (id bigint PRIMARY KEY, title text, cents bigint); %s`, extra)
}

// items is the plain case: a wider key, a renamed column, a computed one.
func items(w *world, p *plans.Plan) {
	w.add(p, w.source("items", plans.RecordRow, "id"), "id bigint = id", "title text = name", "cents bigint = price * 100")
}

// name of a shadow table.
func (w *world) name(table string) pg.Name { return pg.Name{Schema: "twin", Name: table} }
