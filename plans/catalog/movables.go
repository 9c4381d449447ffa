package catalog

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// Movable is an object of a schema that SET SCHEMA moves by itself. What moves
// along with another (indexes, owned sequences, row and array types,
// constraints, triggers) is none.
type Movable struct {
	Kind     string // the words after ALTER: TABLE, MATERIALIZED VIEW, TYPE, ROUTINE, …
	Identity string // the object as SQL text, schema included: shop.orders, shop.f(integer)
	Name     pg.Name
	Class    uint32 // catalog's oid
	OID      uint32
}

// SetSchema is the statement that moves the object. It takes ACCESS EXCLUSIVE
// on a table or sequence; other kinds only lock their own catalog row.
func (m Movable) SetSchema(to string) string {
	return "ALTER " + m.Kind + " " + m.Identity + " SET SCHEMA " + pg.Ident(to)
}

//go:embed movables.sql
var movablesSQL string

// Movables lists what a schema holds and SET SCHEMA can move one by one, in a
// fixed order: routines and operators first, since their identity names types
// and tables by the schema these are in when the list is made. Members of
// extensions stay and are left out. The session's search_path must be
// pg_catalog alone.
func Movables(ctx context.Context, db pg.Querier, schema string) ([]Movable, error) {
	rows, err := db.Query(ctx, movablesSQL, schema)
	if err != nil {
		return nil, fmt.Errorf("list what schema %s holds: %w", schema, err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Movable, error) {
		var m Movable
		err := row.Scan(&m.Kind, &m.Identity, &m.Name.Schema, &m.Name.Name, &m.Class, &m.OID)
		return m, err
	})
	if err != nil {
		return nil, fmt.Errorf("list what schema %s holds: %w", schema, err)
	}
	return all, nil
}
