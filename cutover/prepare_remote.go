package cutover

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// prepareRemote does before the fence whatever needs none: reverse journals and
// write block on the shadow, golang-migrate's row there, the fence's function in
// production, still open. Idempotent.
func (c *Cutover) prepareRemote(ctx context.Context) error {
	if err := c.prepareShadow(ctx); err != nil {
		return err
	}
	err := pinned(ctx, c.Sides.Production, func(tx pgx.Tx) error {
		if err := c.undecided(ctx, tx); err != nil {
			return err
		}
		return makeFunction(ctx, tx, opened(fenceName(c.Upgrade)), fenceName(c.Upgrade))
	})
	if err != nil || c.backwards() { // the old side has its version, and is closed by the fence
		return err
	}
	err = pinned(ctx, c.Sides.Shadow, func(tx pgx.Tx) error {
		if err := c.undecided(ctx, tx); err != nil {
			return err
		}
		return c.versionInShadow(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("the shadow: %w", err)
	}
	return c.CloseShadow(ctx)
}

// errDecided says that a swap is under way or done: opening the fence now, or
// closing the write block, could leave two databases that take writes, or none.
var errDecided = errors.New("a cutover of this run is under way or done")

// undecided locks the run's row on one side until the transaction's end, and
// makes sure that nothing has been decided.
func (c *Cutover) undecided(ctx context.Context, tx pgx.Tx) error {
	if err := control.CheckEpoch(ctx, tx, c.Upgrade); err != nil {
		return err
	}
	decided, err := control.Decided(ctx, tx, c.Upgrade)
	if err == nil && decided {
		err = errDecided
	}
	return err
}

// versionThere writes golang-migrate's row on the shadow where its table does
// not move with a schema. Production's is made by an entry of the plan. Where
// there is none it is made with the structure that golang-migrate gives it, and
// as much access as the role's tables have.
func versionThere(plan *plans.Plan) []string {
	statements := outsideVersion(plan)
	if len(statements) == 0 || plan.VersionTable.Exists {
		return statements
	}
	schema := "CREATE SCHEMA IF NOT EXISTS " + pg.Ident(plan.VersionTable.Name.Schema)
	if plan.Behind == nil {
		return append([]string{schema}, statements...)
	}
	if plan.Behind.Role != "" { // it makes the table, as in place
		schema += " AUTHORIZATION " + pg.Ident(plan.Behind.Role)
	}
	return []string{schema}
}
