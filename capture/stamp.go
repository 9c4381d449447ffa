package capture

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
)

//go:embed stamp.sql
var stampSQL string

// Stamp is a digest of the catalog row versions behind all captured tables of
// production: two equal stamps mean that nothing about these tables changed in
// between, files included. Two that differ mean only that [Check] must look: a
// GRANT shows too. One query in some ten milliseconds for a thousand tables,
// where Check takes milliseconds for each: check all before the fence, and
// compare stamps behind it.
func Stamp(ctx context.Context, db pg.Querier, run *control.Run) (stamp string, err error) {
	if err := db.QueryRow(ctx, stampSQL, run.ID).Scan(&stamp); err != nil {
		return "", fmt.Errorf("stamp the captured tables: %w", err)
	}
	return stamp, nil
}
