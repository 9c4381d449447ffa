package conditions

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// migrated is the condition that a row decides and no catalog. A deployment that
// migrates production while a run is under way meets the frozen structure only where a
// migration changes that: one that only writes rows succeeds, and the run's transforms,
// made of the same migrations, would do it to these rows a second time.
var migrated = Condition{
	Code: "version-changed", Sides: Local | Remote, Moments: always,
	Message: "production was migrated in mid-run: it says %[2]s, the plan began with %[3]s; what these migrations wrote to rows, the swap would do again",
	Fix: "pgumbra abort, see that production is what its version says, and run again from there. Where no migration wrote anything, set the version back to %[3]s " +
		"(golang-migrate's force), and the run goes on",
}

// Version is what golang-migrate's table said when the plan was made.
type Version struct {
	Table  pg.Name
	Number *int64 // nil: it had no row, or was not there
}

// AskVersion compares what the table says now. One that is not there, or has no row, says
// nothing: the plan file may have given the version. ACCESS SHARE on it for a moment.
func AskVersion(ctx context.Context, db pg.Querier, planned *Version) ([]Found, error) {
	if planned == nil {
		return nil, nil
	}
	there, err := tableThere(ctx, db, planned.Table)
	if err != nil || !there {
		return nil, err
	}
	var number int64
	var dirty bool
	err = db.QueryRow(ctx, "SELECT version, dirty FROM "+planned.Table.Quoted()+" LIMIT 1").Scan(&number, &dirty)
	switch {
	case errors.Is(err, pgx.ErrNoRows), err == nil && !dirty && planned.Number != nil && *planned.Number == number:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("look for %s: read %s: %w", migrated.Code, planned.Table, err)
	}
	text := said(&number)
	if dirty {
		text += ", dirty"
	}
	return []Found{migrated.found(planned.Table.String(), text, said(planned.Number))}, nil
}

func tableThere(ctx context.Context, db pg.Querier, table pg.Name) (there bool, err error) {
	err = db.QueryRow(ctx, "SELECT pg_catalog.to_regclass($1) IS NOT NULL", table.Quoted()).Scan(&there)
	if err != nil {
		err = fmt.Errorf("look for %s: %w", migrated.Code, err)
	}
	return there, err
}

func said(version *int64) string {
	if version == nil {
		return "no version"
	}
	return fmt.Sprintf("version %d", *version)
}
