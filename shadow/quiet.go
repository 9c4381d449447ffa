package shadow

import (
	"context"
	_ "embed" // quiet.sql
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
)

// ErrTriggersFire says that replay cannot write the old tables as it must: their
// triggers and foreign keys would act on rows that come with what these have done
// already, and the role may not keep them still. The message has the GRANT.
var ErrTriggersFire = errors.New("triggers and foreign keys of the old tables would act on what is taken back")

//go:embed quiet.sql
var quietSQL string

// Quiet reports whether replay is to write the old tables of a reversed run with
// session_replication_role = replica: they have triggers or foreign keys. Returns
// [ErrTriggersFire] where the role may not set it: it takes a superuser or, from
// PostgreSQL 15 on, a GRANT.
func Quiet(ctx context.Context, sides control.Sides, run *control.Run) (replica bool, err error) {
	var tables []string
	for _, t := range run.Plan.Tables {
		tables = append(tables, t.Shadow.Quoted())
	}
	var loud []string
	var role string
	err = pg.ReadCommitted(ctx, sides.Shadow, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, quietSQL, tables).Scan(&loud, &role); err != nil || len(loud) == 0 {
			return err
		}
		return set(ctx, tx, "session_replication_role", "replica")
	})
	switch {
	case pg.State(err) == pgerrcode.InsufficientPrivilege:
		return false, fmt.Errorf("%w (%s): GRANT SET ON PARAMETER session_replication_role TO %s", ErrTriggersFire, strings.Join(loud, ", "), pg.Ident(role))
	case err != nil:
		return false, fmt.Errorf("look for triggers of the old tables: %w", err)
	}
	return len(loud) > 0, nil
}
