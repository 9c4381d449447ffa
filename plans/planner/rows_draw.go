package planner

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/catalog"
)

// What drawing a sample may cost production: it reads in one snapshot, with
// ACCESS SHARE locks, for drawTime at the most and a statement for
// drawStatement. What does not fit is left out, and said.
const (
	drawTime      = 10 * time.Second
	drawStatement = time.Second
	drawLockWait  = 200 * time.Millisecond
	drawBytes     = 64 << 20 // of all tables, as they are stored
	drawRow       = 256 << 10
	drawWider     = 4      // tables' rows are looked at for extremes in so many times the sample
	drawColumns   = 40     // whose extremes are looked for
	drawClosed    = 10_000 // rows of a table with those that others refer to
	drawWhole     = 2048
)

// drawn is a table of production's with the rows that were taken of it.
type drawn struct {
	table  *catalog.Table // in production
	blocks int64
	tids   map[string]bool // places of the rows, in the drawing's snapshot
	rows   []byte          // as COPY writes them, generated columns left out
	count  int64
	cut    string            // why rows that others refer to may be missing; empty: they do not
	masks  map[string]string // expressions in the place of columns
}

// columns are those that COPY takes.
func (t *drawn) columns() []string {
	var names []string
	for _, c := range t.table.Columns {
		if c.Generated == "" {
			names = append(names, c.Name)
		}
	}
	return names
}

// drawing takes a sample of production's rows: spread over each table, with the
// extremes of its columns, and closed over foreign keys.
type drawing struct {
	tx     pgx.Tx
	limit  int // rows of a table
	until  time.Time
	bytes  int64
	tables map[uint32]*drawn // by oid in production
	keys   []rowKey
	sorts  map[uint32]string   // category of a type, by oid
	leads  map[uint32][]string // columns that a btree index begins with, by table
	look   *catalog.Catalog
}

// rowKey is a foreign key whose rows must come together.
type rowKey struct {
	name          string
	child, parent *catalog.Table
	columns       []string
	refColumns    []string
	operators     []string // parent's column on the left
	valid         bool     // production holds to it
	made          bool     // the migrations make it
}

// drawRows takes the sample. ACCESS SHARE on each table until it is taken.
func (m *survey) drawRows(ctx context.Context, made []rowKey) (*drawing, error) {
	d := newDrawing(m.file.Scratch.Rows, m.production, func(t *catalog.Table) bool { return m.moving(t.Name.Schema) && t.Name != m.version.table })
	return d, d.from(ctx, m.file.Production.DSN, m.session.Encoding, made)
}

// newDrawing is one of some of the tables that hold rows.
func newDrawing(limit int, look *catalog.Catalog, of func(*catalog.Table) bool) *drawing {
	d := &drawing{limit: limit, until: time.Now().Add(drawTime), tables: map[uint32]*drawn{}, look: look}
	for _, t := range look.Tables {
		if t.Kind == "r" && !t.Extension && of(t) {
			d.tables[t.OID] = &drawn{table: t, tids: map[string]bool{}}
		}
	}
	return d
}

// from reads the rows in one snapshot.
func (d *drawing) from(ctx context.Context, dsn, encoding string, made []rowKey) error {
	settings := pg.Looking()
	settings["enable_seqscan"] = "off"
	settings["statement_timeout"], settings["lock_timeout"] = fmt.Sprint(drawStatement.Milliseconds()), fmt.Sprint(drawLockWait.Milliseconds())
	if encoding == sqlASCII {
		settings["client_encoding"] = sqlASCII
	}
	conn, err := pg.Connect(ctx, dsn, pg.Options{Component: "sample", Settings: settings})
	if err != nil {
		return fmt.Errorf("production: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if err := pg.RepeatableRead(ctx, conn, func(tx pgx.Tx) error {
		d.tx = tx
		if _, err := tx.Exec(ctx, "SET TRANSACTION READ ONLY"); err != nil {
			return err
		}
		return d.draw(ctx, made)
	}); err != nil {
		return fmt.Errorf("take a sample of production's rows: %w", err)
	}
	return nil
}

func (d *drawing) draw(ctx context.Context, made []rowKey) error {
	if err := d.lookAround(ctx); err != nil {
		return err
	}
	d.keys = append(d.keys, made...)
	for _, t := range d.ordered() {
		if err := d.attempt(ctx, t, d.pick); err != nil {
			return err
		}
	}
	if err := d.close(ctx); err != nil {
		return err
	}
	for _, t := range d.ordered() {
		if err := d.attempt(ctx, t, d.take); err != nil {
			return err
		}
	}
	return nil
}

// ordered are the tables by name: two samples of the same rows are alike.
func (d *drawing) ordered() []*drawn {
	return slices.SortedFunc(maps.Values(d.tables), func(a, b *drawn) int { return strings.Compare(a.table.Name.Quoted(), b.table.Name.Quoted()) })
}

// attempt does one thing with one table. What the server refuses, or what takes
// too long, leaves the table's rows out.
func (d *drawing) attempt(ctx context.Context, t *drawn, do func(context.Context, pgx.Tx, *drawn) error) error {
	if t.cut != "" && len(t.tids) == 0 {
		return nil
	}
	if time.Now().After(d.until) {
		t.leaveOut("the time for it was up")
		return nil
	}
	err := d.inside(ctx, func(tx pgx.Tx) error { return do(ctx, tx, t) })
	if pg.State(err) == "" || pg.Unreachable(err) {
		return err
	}
	t.leaveOut(serverMessage(err))
	return nil
}

func (t *drawn) leaveOut(why string) {
	t.tids, t.rows, t.count, t.cut = map[string]bool{}, nil, 0, why
}

// inside is a savepoint: what fails in it leaves the snapshot as it is.
func (d *drawing) inside(ctx context.Context, do func(pgx.Tx) error) error {
	point, err := d.tx.Begin(ctx)
	if err != nil {
		return err
	}
	if err := do(point); err != nil {
		_ = point.Rollback(context.WithoutCancel(ctx))
		return err
	}
	return point.Commit(ctx)
}

// pick chooses rows of a table: all of a small one.
func (d *drawing) pick(ctx context.Context, tx pgx.Tx, t *drawn) error {
	if t.blocks == 0 || d.limit == 0 {
		return nil
	}
	if t.blocks <= drawWhole {
		all := fmt.Sprintf("SELECT ctid::text, %s FROM ONLY %s LIMIT %d", storedSize(t.table, ""), t.table.Name.Quoted(), d.limit+1)
		if n, err := d.add(ctx, tx, t, all); err != nil || n <= d.limit {
			return err
		}
		t.tids = map[string]bool{}
	}
	for _, leads := range [][]string{d.leads[t.table.OID], nil} { // an index full of dead rows makes its ends slow
		err := d.inside(ctx, func(pgx.Tx) error {
			_, err := d.add(ctx, tx, t, d.pickSQL(t, leads))
			return err
		})
		if pg.State(err) != pgerrcode.QueryCanceled {
			return err
		}
	}
	t.leaveOut("its rows could not be read within a second")
	return nil
}

// add reads places of rows and their sizes, and keeps those that there is room
// for.
func (d *drawing) add(ctx context.Context, tx pgx.Tx, t *drawn, query string, args ...any) (seen int, err error) {
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	var tid string
	var size int64
	_, err = pgx.ForEachRow(rows, []any{&tid, &size}, func() error {
		seen++
		d.keep(t, tid, size)
		return nil
	})
	return seen, err
}

func (d *drawing) keep(t *drawn, tid string, size int64) (fresh bool) {
	switch {
	case t.tids[tid]:
		return false
	case size > drawRow || d.bytes+size > drawBytes || len(t.tids) >= max(drawWider*d.limit, drawClosed):
		t.cut = "rows that others refer to are too many or too large"
		return false
	}
	t.tids[tid] = true
	d.bytes += size
	return true
}

// take reads the rows.
func (d *drawing) take(ctx context.Context, tx pgx.Tx, t *drawn) error {
	columns := t.columns()
	if len(t.tids) == 0 || len(columns) == 0 {
		return nil
	}
	var rows bytes.Buffer
	tag, err := tx.Conn().PgConn().CopyTo(ctx, &rows, fmt.Sprintf("COPY (SELECT %s FROM ONLY %s WHERE ctid = ANY (%s::tid[])) TO STDOUT",
		t.taken(columns), t.table.Name.Quoted(), pg.Literal("{"+quotedList(slices.Sorted(maps.Keys(t.tids)))+"}")))
	if err != nil {
		return err
	}
	t.rows, t.count = rows.Bytes(), tag.RowsAffected()
	return nil
}

// taken is what is read of a row: production's server evaluates the masks, so what
// they hide never leaves it.
func (t *drawn) taken(columns []string) string {
	var list []string
	for _, c := range columns {
		if mask, ok := t.masks[c]; ok {
			list = append(list, "("+mask+") AS "+pg.Ident(c))
		} else {
			list = append(list, pg.Ident(c))
		}
	}
	return strings.Join(list, ", ")
}

func quotedList(all []string) string { return `"` + strings.Join(all, `","`) + `"` }

// storedSize is what a row takes as it is stored: nothing is unpacked for it.
func storedSize(t *catalog.Table, alias string) string {
	sum := "0"
	for _, c := range t.Columns {
		sum += "+coalesce(pg_column_size(" + alias + pg.Ident(c.Name) + "),0)"
	}
	return "(" + sum + ")::bigint"
}
