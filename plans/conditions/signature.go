package conditions

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
)

//go:embed sql/signature.sql
var signatureSQL string

// Signature is a hash over what schemas hold and what is said of it, privileges
// and the states of triggers too: as long as it is what it was when the schemas were
// compared with the plan, they are as the plan has them. near are schemas to which
// unqualified names may lead, too: of these only what decides what an expression gives.
// One query, cheap enough for the stall of a cutover. Takes no lock on any table.
func Signature(ctx context.Context, db pg.Querier, schemas, near []string) (signature string, err error) {
	if err := db.QueryRow(ctx, signatureSQL, schemas, notNull(near)).Scan(&signature); err != nil {
		return "", fmt.Errorf("sign the schemas: %w", err)
	}
	return signature, nil
}

// Meaning is the part of a signature for functions, operators, casts, types, collations
// and text search: as long as it is the same, so is what an expression makes of a row.
func Meaning(signature string) string { return signature[strings.LastIndexByte(signature, '/')+1:] }
