package generate

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

//go:embed sql/types.sql
var typesSQL string

// typ is what a value's making must know of its type.
type typ struct {
	OID        uint32
	Bare       string // pg_type.typname
	Name       string // as SQL
	Kind       string // pg_type.typtype
	Category   string // pg_type.typcategory
	Element    uint32 // of an array; 0: none
	Base       uint32 // of a domain
	Typmod     int32  // of a domain's base
	Subtype    uint32 // of a range
	Range      uint32 // of a multirange
	Checks     []string
	NotNull    bool     // of a domain
	Attributes []uint32 // of a composite type
	Typmods    []int32
}

type types map[uint32]*typ

func readTypes(ctx context.Context, db pg.Querier) (types, error) {
	rows, err := db.Query(ctx, typesSQL)
	if err != nil {
		return nil, fmt.Errorf("read the types: %w", err)
	}
	all := types{}
	list, err := pgx.CollectRows(rows, pgx.RowToAddrOfStructByPos[typ])
	if err != nil {
		return nil, fmt.Errorf("read the types: %w", err)
	}
	for _, t := range list {
		all[t.OID] = t
	}
	return all, nil
}

// notNull reports whether a domain takes no NULL.
func (all types) notNull(oid uint32) bool {
	for t := all[oid]; t != nil && t.Kind == "d"; t = all[t.Base] {
		if t.NotNull {
			return true
		}
	}
	return false
}

// base is a type without the domains around it, its modifier, and what these
// domains ask of a value.
func (all types) base(oid uint32, typmod int32) (t *typ, modifier int32, checks []string) {
	t = all[oid]
	for t != nil && t.Kind == "d" {
		checks = append(checks, t.Checks...)
		oid, typmod = t.Base, t.Typmod
		t = all[oid]
	}
	return t, typmod, checks
}
