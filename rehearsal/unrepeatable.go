package rehearsal

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// Unrepeatable finds the columns that no second run of the migrations fills
// alike, from two databases in which they ran in place on the same rows, stored in
// opposite orders: now(), random values, numbers by the order of rows. They are
// named schema.table.column.
func (o Oracle) Unrepeatable(ctx context.Context, one, other string) ([]string, error) {
	found, err := o.differentSums(ctx, one, other)
	if err != nil {
		return nil, err
	}
	for {
		c := &Compared{}
		if err := o.compareRows(ctx, c, one, other, found); err != nil {
			return nil, err
		}
		more, err := o.columnsOf(ctx, one, c.Differences, found)
		if err != nil || len(more) == 0 {
			return found, err
		}
		found = append(found, more...)
	}
}

// differentSums are columns whose values differ, whatever rows they are in: keys
// among them, by which rows would be looked for in vain.
func (o Oracle) differentSums(ctx context.Context, one, other string) ([]string, error) {
	p, err := o.open(ctx, one, other)
	if err != nil {
		return nil, err
	}
	defer p.close(ctx)
	tables, err := o.tables(ctx, p.inPlace, nil)
	if err != nil {
		return nil, err
	}
	var found []string
	for name, columns := range tables {
		for _, c := range columns {
			a, err := summarize(ctx, p.inPlace, name, []string{c})
			if err != nil {
				return nil, err
			}
			b, err := summarize(ctx, p.upgraded, name, []string{c})
			if err != nil {
				return nil, fmt.Errorf("read %s: %w", name, err)
			}
			if a.Rows == b.Rows && a.Hash != b.Hash {
				found = append(found, name.String()+"."+c)
			}
		}
	}
	slices.Sort(found)
	return found, nil
}

// columnsOf are the columns that differences speak of, but for those known. Of rows
// without a key that pair otherwise it is all columns that the table has.
func (o Oracle) columnsOf(ctx context.Context, dsn string, all []Difference, known []string) ([]string, error) {
	found := map[string]bool{}
	var whole []string
	for _, d := range all {
		if d.Column != "" {
			found[d.Object+"."+d.Column] = true
		} else if !slices.Contains(whole, d.Object) {
			whole = append(whole, d.Object)
		}
	}
	if len(found) == 0 && len(whole) > 0 {
		err := o.reading(ctx, dsn, func(conn *pgx.Conn) error {
			tables, err := o.tables(ctx, conn, known)
			for name, columns := range tables {
				for _, c := range columns {
					if slices.Contains(whole, name.String()) {
						found[name.String()+"."+c] = true
					}
				}
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return slices.Sorted(maps.Keys(found)), nil
}

func (o Oracle) reading(ctx context.Context, dsn string, do func(*pgx.Conn) error) error {
	conn, err := pg.Connect(ctx, dsn, pg.Options{Component: "oracle"})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	return do(conn)
}
