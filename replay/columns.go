package replay

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// base is the name under which the user's expressions know the row set they
// are evaluated over.
func (f *applier) base() string {
	if f.src != nil {
		return f.src.Name.Name
	}
	return "q"
}

// written are the columns that copy and replay fill; the others fill themselves.
func (f *applier) written() []plans.Column {
	return slices.DeleteFunc(slices.Clone(f.t.Columns), func(c plans.Column) bool {
		return c.Generated || c.Volatile || c.Expression == ""
	})
}

// fresh are the columns that new rows get: those of rows that are there already and
// keep them, too, where there is an expression for it.
func (f *applier) fresh() []plans.Column {
	return slices.DeleteFunc(slices.Clone(f.t.Columns), func(c plans.Column) bool { return c.Generated || c.Expression == "" })
}

// compared are the columns that verification looks at. Rows that no key tells apart
// are known by all of them.
func (f *applier) compared() []plans.Column {
	if f.byImage() {
		return f.written()
	}
	return slices.DeleteFunc(f.written(), func(c plans.Column) bool { return c.Uncompared })
}

// volatile columns were made once for each key and keep their value.
func (f *applier) volatile() []plans.Column {
	return slices.DeleteFunc(slices.Clone(f.t.Columns), func(c plans.Column) bool { return c.Generated || !c.Volatile })
}

func (f *applier) column(shadow string) (plans.Column, bool) {
	for _, c := range f.t.Columns {
		if c.Shadow == shadow {
			return c, true
		}
	}
	return plans.Column{}, false
}

// pair of a production key column.
func (f *applier) pair(production string) (plans.Pair, bool) {
	for _, p := range f.t.Key {
		if p.Production == production {
			return p, true
		}
	}
	return plans.Pair{}, false
}

// pairs in the order of the key that replay goes by: the source's, or a
// derived table's own.
func (f *applier) pairs() []plans.Pair {
	if f.src == nil {
		return f.t.Key
	}
	var all []plans.Pair
	for _, k := range f.src.Key {
		if p, ok := f.pair(k.Name); ok {
			all = append(all, p)
		}
	}
	return all
}

func columnNames(src *plans.Source) []string {
	if src == nil {
		return nil
	}
	var names []string
	for _, c := range src.Columns {
		names = append(names, c.Name)
	}
	return names
}

func typeOf(src *plans.Source, column string) string {
	for _, c := range src.Columns {
		if c.Name == column {
			return c.Type
		}
	}
	return ""
}

func integer(sqlType string) bool {
	switch strings.TrimPrefix(sqlType, "pg_catalog.") {
	case "smallint", "integer", "bigint", "int2", "int4", "int8":
		return true
	}
	return false
}

// unused is a beginning that none of the names has.
func unused(names []string) string {
	own := "umbra"
	for slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, own) }) {
		own += "_"
	}
	return own
}

func collations(ctx context.Context, db pg.Querier, table pg.Name) (map[string]string, error) {
	rows, err := db.Query(ctx, `SELECT a.attname::text, n.nspname::text, c.collname::text
		FROM pg_catalog.pg_attribute AS a
		JOIN pg_catalog.pg_collation AS c ON c.oid = a.attcollation
		JOIN pg_catalog.pg_namespace AS n ON n.oid = c.collnamespace
		WHERE a.attrelid = pg_catalog.to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped`, table.Quoted())
	if err != nil {
		return nil, fmt.Errorf("read the columns of %s: %w", table, err)
	}
	defer rows.Close()
	all := make(map[string]string)
	for rows.Next() {
		var column string
		var collation pg.Name
		if err := rows.Scan(&column, &collation.Schema, &collation.Name); err != nil {
			return nil, err
		}
		all[column] = collation.Quoted()
	}
	return all, rows.Err()
}
