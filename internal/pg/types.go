package pg

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// ColumnType is a column's type as COPY between two servers needs it.
type ColumnType struct {
	Column string
	// SQL is the type without its modifier, schema-qualified: for a column that
	// holds such values for a while.
	SQL string
	// Sent is the type to which a value is cast before it is sent. An explicit
	// cast to varchar(n), to a domain over it or to a composite with such a field
	// cuts silently, where an INSERT fails; so a domain goes as its base type, a
	// composite as text, and the receiving side's input functions apply the rest
	// as an INSERT would.
	Sent string
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
// composites, ranges of the user's) or bytes of a version of its own. (Enums go
// as their labels and are alike too; their arrays hold an oid.)
const alike = `bool bytea char name int2 int4 int8 text oid json jsonb xid8 point lseg path box polygon line circle
	float4 float8 money macaddr macaddr8 inet cidr bpchar varchar date time timestamp timestamptz interval timetz
	bit varbit numeric uuid pg_lsn tsvector int4range int8range numrange tsrange tstzrange daterange`

//go:embed types.sql
var typesSQL string

// ColumnTypes reads the columns of a table, in their order, generated ones too.
// None: the table is not there.
func ColumnTypes(ctx context.Context, db Querier, table Name) ([]ColumnType, error) {
	rows, err := db.Query(ctx, typesSQL, table.Quoted(), alike)
	if err != nil {
		return nil, fmt.Errorf("read the columns of %s: %w", table, err)
	}
	types, err := pgx.CollectRows(rows, pgx.RowToStructByPos[ColumnType])
	if err != nil {
		return nil, fmt.Errorf("read the columns of %s: %w", table, err)
	}
	return types, nil
}
