package shadow

import (
	"context"
	_ "embed" // unswap.sql
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

//go:embed unswap.sql
var unswapSQL string

// Unswap makes of a shadow that was production what it was before: what the swap
// gave it, triggers, rules, foreign keys, checks that are not valid, is taken away
// until the next one, which makes it again. It would act on what is replayed. And
// functions of transforms are made again, and the skeleton of a shadow elsewhere. For a run that was rolled back; the
// shadow's tables refuse writes of others. ACCESS EXCLUSIVE on one of them at a
// time. Idempotent.
func Unswap(ctx context.Context, sides control.Sides, run *control.Run) error {
	rows, err := sides.Shadow.Query(ctx, unswapSQL, run.Plan.ShadowSchemas())
	if err != nil {
		return fmt.Errorf("look for what the swap made: %w", err)
	}
	statements, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("look for what the swap made: %w", err)
	}
	for _, e := range entriesOf(run.Plan, inStage(plans.StageSwap)) {
		switch e.Tag {
		case "CHECK CONSTRAINT":
			if !e.Table.IsZero() {
				statements = append(statements, "ALTER TABLE IF EXISTS "+e.Table.Quoted()+" DROP CONSTRAINT IF EXISTS "+pg.Ident(plans.ConstraintName(*e)))
			}
		case "DROP INDEX": // replay finds rows by it
			statements = append(statements, made(run.Plan, e.TOC+1)...)
		case tagRowSecurity: // Seal enables it again where it does not stand in our way
			statements = append(statements, "ALTER TABLE IF EXISTS "+e.Table.Quoted()+" DISABLE ROW LEVEL SECURITY")
		}
	}
	for _, sql := range statements {
		if err := patiently(ctx, sides.Shadow, run, sql); err != nil {
			return fmt.Errorf("take away what the swap made (%s): %w", strings.SplitN(sql, "\n", 2)[0], err)
		}
	}
	if err := makeSkeleton(ctx, sides, run); err != nil {
		return err
	}
	return makeTransforms(ctx, sides.Production, run)
}

// made is the text of an entry, which may have been run already.
func made(plan *plans.Plan, toc int) (all []string) {
	for _, e := range entriesOf(plan, func(e *plans.Entry) bool { return e.TOC == toc }) {
		all = append(all, strings.Replace(e.SQL, "CREATE INDEX ", "CREATE INDEX IF NOT EXISTS ", 1))
	}
	return all
}
