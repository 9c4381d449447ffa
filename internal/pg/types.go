package pg

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// ColumnType is a column's type as COPY between two servers needs it.
type ColumnType struct {
	Column string
	// SQL is the type without its modifier, schema-qualified: input functions
	// and assignments apply varchar(n)'s n as an INSERT would, while an explicit
	// cast to it cuts silently.
	SQL string
	// Binary: all supported servers write it alike.
	Binary bool
}

// FormatOf is the fastest COPY format that is right for all columns.
func FormatOf(columns []ColumnType) Format {
	for _, c := range columns {
		if !c.Binary {
			return Text
		}
	}
	return Binary
}

// alike are the built-in types whose binary format is the same in PostgreSQL 14
// to 18, by name. Left out on purpose: whatever holds oids (reg types, records,
// composites, ranges of the user's) or bytes of a version of its own.
const alike = `bool bytea char name int2 int4 int8 text oid json jsonb xid8 point lseg path box polygon line circle
	float4 float8 money macaddr macaddr8 inet cidr bpchar varchar date time timestamp timestamptz interval timetz
	bit varbit numeric uuid pg_lsn tsvector int4range int8range numrange tsrange tstzrange daterange`

// ColumnTypes reads the columns of a table, in their order, generated ones too.
// None: the table is not there.
func ColumnTypes(ctx context.Context, db Querier, table Name) ([]ColumnType, error) {
	rows, err := db.Query(ctx, `SELECT a.attname::text, pg_catalog.format_type(a.atttypid, -1),
		n.nspname = 'pg_catalog' AND coalesce(e.typname, t.typname) = ANY (pg_catalog.regexp_split_to_array($2, '\s+'))
		FROM pg_catalog.pg_attribute AS a
		JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
		LEFT JOIN pg_catalog.pg_type AS e ON e.oid = t.typelem AND e.typarray = t.oid
		JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
		WHERE a.attrelid = pg_catalog.to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`, table.Quoted(), alike)
	if err != nil {
		return nil, fmt.Errorf("read the columns of %s: %w", table, err)
	}
	types, err := pgx.CollectRows(rows, pgx.RowToStructByPos[ColumnType])
	if err != nil {
		return nil, fmt.Errorf("read the columns of %s: %w", table, err)
	}
	return types, nil
}
