package conditions

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/pgumbra/pgumbra/internal/pg"
)

//go:embed sql/signature.sql
var signatureSQL string

// Signature is a hash over what schemas hold and what is said of it, privileges
// and the states of triggers too: as long as it is what it was when the schemas were
// compared with the plan, they are as the plan has them. One query, cheap enough for
// the stall of a cutover. Takes no lock on any table.
func Signature(ctx context.Context, db pg.Querier, schemas []string) (signature string, err error) {
	if err := db.QueryRow(ctx, signatureSQL, schemas).Scan(&signature); err != nil {
		return "", fmt.Errorf("sign the schemas: %w", err)
	}
	return signature, nil
}
