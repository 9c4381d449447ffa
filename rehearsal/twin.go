package rehearsal

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/catalog"
)

// sequence is where a sequence stands.
type sequence struct {
	last   int64
	called bool
}

// standing reads where production's sequences are. Clients may draw from them
// until the fence: what the shadow's give next may be further on, never behind.
func standing(ctx context.Context, dsn string) (map[pg.Name]sequence, error) {
	all := map[pg.Name]sequence{}
	err := Oracle{}.reading(ctx, dsn, func(conn *pgx.Conn) error {
		look, err := catalog.Read(ctx, conn)
		if err != nil {
			return err
		}
		if err := look.ReadValues(ctx, conn, schemasOf(look)); err != nil {
			return err
		}
		for _, s := range look.Sequences {
			all[s.Name] = sequence{s.LastValue, s.IsCalled}
		}
		return nil
	})
	return all, err
}

func schemasOf(look *catalog.Catalog) []string {
	var all []string
	for _, s := range look.Schemas {
		if !strings.HasPrefix(s.Name, "pgumbra") {
			all = append(all, s.Name)
		}
	}
	return all
}

// rowOrder is that in which a twin gets its rows.
type rowOrder string

const (
	asStored  rowOrder = ""
	backwards rowOrder = " ORDER BY ctid DESC"
)

// twin is a database with production's structure as it was before the run, to be
// given production's rows as they were at the fence.
type twin struct {
	dsn       string
	upgraded  string // where clients draw from sequences since the cutover
	sequences map[pg.Name]sequence
	version   pg.Name // golang-migrate's table, which stays as it is
	settings  []setting
}

// naming is what a table is called in production when its rows are taken.
type naming func(pg.Name) pg.Name

func asBefore(n pg.Name) pg.Name { return n }

// load takes the rows from the old side, which holds them since the swap and
// refuses writes.
func (t twin) load(ctx context.Context, production string, called naming, order rowOrder) error {
	to, err := t.open(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = to.Close(context.WithoutCancel(ctx)) }()
	if err := t.settle(ctx, to); err != nil {
		return err
	}
	look, err := catalog.Read(ctx, to)
	if err != nil {
		return err
	}
	tables := slices.DeleteFunc(slices.Clone(look.Tables), func(c *catalog.Table) bool {
		return c.Kind != "r" || c.Extension || c.Name == t.version
	})
	if err := truncate(ctx, to, tables); err != nil {
		return err
	}
	if err := t.copyTables(ctx, production, tables, called, order); err != nil {
		return err
	}
	if err := t.setSequences(ctx, to, look); err != nil {
		return err
	}
	if err := t.pastRows(ctx, to, order); err != nil {
		return err
	}
	return refresh(ctx, t.dsn)
}

// open begins a session in which triggers and foreign keys rest.
func (t twin) open(ctx context.Context) (*pgx.Conn, error) {
	return pg.Connect(ctx, t.dsn, pg.Options{Component: "twin", Settings: map[string]string{"session_replication_role": "replica"}})
}

// copyTables takes as many of them at a time as there are processors.
func (t twin) copyTables(ctx context.Context, production string, tables []*catalog.Table, called naming, order rowOrder) error {
	waiting := make(chan *catalog.Table, len(tables))
	for _, c := range tables {
		waiting <- c
	}
	close(waiting)
	group, ctx := errgroup.WithContext(ctx)
	for range min(runtime.NumCPU(), 4, len(tables)) {
		group.Go(func() error { return t.copyWaiting(ctx, production, waiting, called, order) })
	}
	return group.Wait()
}

// copyWaiting copies one table after the other, until none waits.
func (t twin) copyWaiting(ctx context.Context, production string, waiting <-chan *catalog.Table, called naming, order rowOrder) error {
	from, err := pg.Connect(ctx, production, pg.Options{Component: "twin"})
	if err != nil {
		return err
	}
	defer func() { _ = from.Close(context.WithoutCancel(ctx)) }()
	to, err := t.open(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = to.Close(context.WithoutCancel(ctx)) }()
	for c := range waiting {
		if err := copyRows(ctx, from, to, c, called, order); err != nil {
			return fmt.Errorf("copy the rows of %s: %w", c.Name, err)
		}
	}
	return nil
}

// settle gives a database what production's sessions begin with.
func (t twin) settle(ctx context.Context, conn *pgx.Conn) error {
	for _, s := range t.settings {
		if _, err := conn.Exec(ctx, s.sql(conn.Config().Database)); err != nil {
			return err
		}
	}
	return nil
}

// truncate empties all of them at once: they refer to each other.
func truncate(ctx context.Context, to *pgx.Conn, tables []*catalog.Table) error {
	if len(tables) == 0 {
		return nil
	}
	var names []string
	for _, c := range tables {
		names = append(names, "ONLY "+c.Name.Quoted())
	}
	_, err := to.Exec(ctx, "TRUNCATE "+strings.Join(names, ", ")+" CASCADE")
	return err
}

func copyRows(ctx context.Context, from, to *pgx.Conn, c *catalog.Table, called naming, order rowOrder) error {
	var columns []string
	for _, one := range c.Columns {
		if one.Generated == "" {
			columns = append(columns, one.Name)
		}
	}
	query := fmt.Sprintf("SELECT %s FROM ONLY %s%s", pg.Idents(columns), called(c.Name).Quoted(), order)
	_, err := pg.Pipe(ctx, from.PgConn(), pg.CopyTo(query, pg.Text), to.PgConn(), pg.CopyFrom(c.Name.Quoted(), columns, pg.Text))
	return err
}

func (t twin) setSequences(ctx context.Context, to *pgx.Conn, look *catalog.Catalog) error {
	for _, s := range look.Sequences {
		at, ok := t.sequences[s.Name]
		if !ok {
			continue
		}
		if _, err := to.Exec(ctx, "SELECT setval($1::text::regclass, $2, $3)", s.Name.Quoted(), at.last, at.called); err != nil {
			return fmt.Errorf("set %s: %w", s.Name, err)
		}
	}
	return nil
}

//go:embed twin_sequences.sql
var pastRows string

// pastRows leads sequences past the numbers that rows at the fence have: clients
// drew these after the sequences were read. Where in between a sequence stood at
// the fence nobody knows, so what migrations draw from it is not comparable: the
// twin whose rows are stored backwards stands elsewhere, and the columns that get
// such numbers are found by that.
func (t twin) pastRows(ctx context.Context, to *pgx.Conn, order rowOrder) error {
	now, err := standing(ctx, t.upgraded)
	if err != nil {
		return err
	}
	drawn := map[string]int64{}
	for name, s := range now {
		drawn[name.Schema+"."+name.Name] = s.last
	}
	limits, err := pg.JSON(drawn)
	if err != nil {
		return err
	}
	if _, err := to.Exec(ctx, pastRows); err != nil {
		return fmt.Errorf("lead sequences past the rows: %w", err)
	}
	_, err = to.Exec(ctx, "SELECT pg_temp.pgumbra_past_rows($1::text::jsonb, $2)", string(limits), map[rowOrder]int{backwards: 1000}[order])
	if err != nil {
		return fmt.Errorf("lead sequences past the rows: %w", err)
	}
	return nil
}

// refresh makes materialized views show what their tables hold, on either side
// before they are compared: which moment they show is not what is asked.
func refresh(ctx context.Context, dsn string) error {
	return Oracle{}.reading(ctx, dsn, func(conn *pgx.Conn) error {
		look, err := catalog.Read(ctx, conn)
		if err != nil {
			return err
		}
		views := slices.SortedFunc(maps.Values(populated(look)), func(a, b *catalog.Table) int { return int(int64(a.OID) - int64(b.OID)) })
		for _, v := range views {
			_, err := conn.Exec(ctx, "REFRESH MATERIALIZED VIEW "+v.Name.Quoted())
			if pg.State(err) == "" && err != nil {
				return err
			}
		}
		return nil
	})
}

func populated(look *catalog.Catalog) map[uint32]*catalog.Table {
	views := map[uint32]*catalog.Table{}
	for _, t := range look.Tables {
		if t.Kind == "m" && t.Populated && !strings.HasPrefix(t.Name.Schema, "pgumbra") {
			views[t.OID] = t
		}
	}
	return views
}

// database makes one from another that nobody is connected to.
func database(ctx context.Context, admin, name, template string) error {
	conn, err := pgx.Connect(ctx, admin)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	_, err = conn.Exec(ctx, "CREATE DATABASE "+pg.Ident(name)+" TEMPLATE "+pg.Ident(template))
	if err != nil {
		return fmt.Errorf("make database %s: %w", name, err)
	}
	return nil
}

// errInPlace says that the migrations fail in place, on rows on which the shadow
// was built.
type errInPlace struct{ error }

func (e errInPlace) Unwrap() error { return e.error }

func failedInPlace(err error) (string, bool) {
	var e errInPlace
	if errors.As(err, &e) {
		return e.Error(), true
	}
	return "", false
}
