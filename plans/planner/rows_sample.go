package planner

import (
	"context"
	"fmt"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/catalog"
)

// Sampled is a table with some of production's rows.
type Sampled struct {
	Name    pg.Name
	Columns []string // those that Rows holds, generated ones left out
	Rows    []byte   // as COPY writes them as text
	Count   int64
	Cut     string // why rows are missing that others refer to; empty: they are not
}

// Sample are the rows that [SampleRows] takes.
type Sample struct {
	DSN     string
	Schemas []string
	Leave   pg.Name                       // golang-migrate's version table
	Rows    int                           // of each table, about
	Masks   map[pg.Name]map[string]string // SQL expressions in the place of columns
}

// SampleRows takes rows of production's for a rehearsal, as the dry run does: spread
// over each table, with the extremes of its columns, closed over foreign keys, in
// one snapshot that only reads. ACCESS SHARE on each table until it is taken, ten
// seconds in all.
func SampleRows(ctx context.Context, s Sample) ([]Sampled, error) {
	conn, err := pg.Connect(ctx, s.DSN, pg.Options{Component: "sample"})
	if err != nil {
		return nil, fmt.Errorf("production: %w", err)
	}
	look, err := catalog.Read(ctx, conn)
	_ = conn.Close(context.WithoutCancel(ctx))
	if err != nil {
		return nil, err
	}
	moving := map[string]bool{}
	for _, name := range s.Schemas {
		moving[name] = true
	}
	d := newDrawing(s.Rows, look, func(t *catalog.Table) bool { return moving[t.Name.Schema] && t.Name != s.Leave })
	for _, t := range d.tables {
		t.masks = s.Masks[t.table.Name]
		if root := look.Root(t.table); root != t.table {
			t.masks = s.Masks[root.Name]
		}
	}
	if err := d.from(ctx, s.DSN, "", nil); err != nil {
		return nil, err
	}
	var all []Sampled
	for _, t := range d.ordered() {
		all = append(all, Sampled{Name: t.table.Name, Columns: t.columns(), Rows: t.rows, Count: t.count, Cut: t.cut})
	}
	return all, nil
}
