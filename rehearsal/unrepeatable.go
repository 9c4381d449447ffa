package rehearsal

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

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
		a, b, err := onBoth(ctx, p, func(ctx context.Context, conn *pgx.Conn) (sums, error) { return sumsOf(ctx, conn, name, columns) })
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		for i, c := range columns {
			if a.rows == b.rows && a.hashes[i] != b.hashes[i] {
				found = append(found, name.String()+"."+c)
			}
		}
	}
	slices.Sort(found)
	return found, nil
}

// sums are a table's rows and, for each of some columns, a hash of its values that does
// not depend on their order.
type sums struct {
	rows   int64
	hashes []string
}

func sumsOf(ctx context.Context, conn *pgx.Conn, name pg.Name, columns []string) (s sums, err error) {
	hashes := make([]string, len(columns))
	for i, c := range columns {
		hashes[i] = fmt.Sprintf("coalesce(sum(hashtextextended(ROW(%s)::text, 0)::numeric), 0)::text", pg.Ident(c))
	}
	err = conn.QueryRow(ctx, fmt.Sprintf("SELECT count(*), ARRAY[%s]::text[] FROM ONLY %s", strings.Join(hashes, ", "), name.Quoted())).Scan(&s.rows, &s.hashes)
	return s, err
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
