package cutover

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/conditions"
)

// CodeUnlike is the code of a blocker: migrations behind the fence made something else
// than in scratch of a table whose rows are to go back.
const CodeUnlike = "behind-fence-unlike"

// wayBackWhole looks, once the migrations have run behind the fence, whether the tables
// are those that the way back was made for, and captured. It is asked in the swapping
// transaction, whose structure nobody else sees yet. Reads catalogs only.
func (a *attempt) wayBackWhole(ctx context.Context) error {
	locker := a.shadow.locker
	for i := range a.plan.Behind.Tables {
		after := &a.plan.Behind.Tables[i]
		if after.Why != "" {
			continue
		}
		now, err := columnsOf(ctx, locker, after.Final)
		if err != nil {
			return fmt.Errorf("look what the migrations made of %s: %w", after.Final, err)
		}
		if !hasColumns(now, after.Columns) {
			return refuse(Blocker{Code: CodeUnlike, Lasting: true,
				Message: "the migrations behind the fence make something else of " + after.Final.String() + " here than on the empty structure, so that it is not known how its rows go back",
				Fix:     "pgumbra abort; then set watch.enabled: false, if there is no need to go back, and run again"})
		}
	}
	for _, check := range a.c.reverseCheck() {
		if err := pg.ExecScript(ctx, locker, check); err != nil {
			return fmt.Errorf("look at the reverse capture: %w", err)
		}
	}
	production, _ := a.plan.SchemaNames()
	var err error
	a.facts.migrated, err = relations(ctx, locker, production)
	if err == nil && a.c.Sides.Remote() {
		err = a.belongingsMigrated(ctx, production)
	}
	return err
}

// belongingsMigrated: what the migrations gave the database is no change of later.
func (a *attempt) belongingsMigrated(ctx context.Context, production []string) (err error) {
	if _, err = a.shadow.locker.Exec(ctx, "SET LOCAL search_path = pg_catalog"); err == nil {
		a.facts.taken.Belongings, err = conditions.Belongings(ctx, a.shadow.locker, production)
	}
	return err
}

// columnsOf are a table's live columns, types spelt with their schemas.
func columnsOf(ctx context.Context, db pg.Querier, table pg.Name) ([]plans.SourceColumn, error) {
	rows, err := db.Query(ctx, `SELECT a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attgenerated <> '', a.attnotnull
		FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`, table.Schema, table.Name)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[plans.SourceColumn])
}

// hasColumns: what is there beside them is of no concern to rows that go back.
func hasColumns(now, planned []plans.SourceColumn) bool {
	return !slices.ContainsFunc(planned, func(p plans.SourceColumn) bool {
		return !slices.ContainsFunc(now, func(n plans.SourceColumn) bool {
			return n.Name == p.Name && n.Type == p.Type && n.Generated == p.Generated
		})
	})
}
