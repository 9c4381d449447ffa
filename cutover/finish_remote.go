package cutover

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
)

// finishRemote: the old schemas still bear their true names in production, and
// whatever is there of ours but the fence goes in any case.
func (c *Cutover) finishRemote(ctx context.Context, old OldSide) error {
	err := c.each(ctx, []task{{"drop the shadow's structure from production", c.Parts.DropSkeleton}, {"open the write block", c.dropWriteBlock}})
	if err != nil {
		return err
	}
	if old == DropOld {
		if err := c.dropProduction(ctx); err != nil {
			return err
		}
	}
	if err := c.lockOut(ctx, c.Sides.Production, closedFence(c.Upgrade, placeOf(c.ShadowDSN), passNobody)); err != nil {
		return err
	}
	if err := control.Disown(ctx, c.Sides.Shadow, c.Upgrade); err != nil {
		return err
	}
	// The shadow's record first: production's says that all is done.
	if err := control.EndAdopted(ctx, c.Sides.Shadow, c.Upgrade); err != nil {
		return err
	}
	return finished(ctx, c.Sides.Production, c.Upgrade)
}

// dropProduction drops the old schemas, and of those that hold extensions all
// but these: other things of the database may use them.
func (c *Cutover) dropProduction(ctx context.Context) error {
	var whole, shared, all []string
	for _, s := range c.Upgrade.Plan.Schemas {
		all = append(all, s.Production)
		if s.Swap == plans.Move || s.Production == "public" {
			shared = append(shared, s.Production)
		} else {
			whole = append(whole, s.Production)
		}
	}
	if err := dropAllTables(ctx, c.Sides.Production, all); err != nil {
		return err
	}
	for _, schema := range shared {
		if err := c.empty(ctx, schema, all); err != nil {
			return err
		}
	}
	if len(whole) > 0 {
		if err := cleared(ctx, c.Sides.Production, all, "SELECT", "DROP SCHEMA IF EXISTS "+pg.Idents(whole)+" CASCADE"); err != nil {
			return err
		}
	}
	return patiently(ctx, c.Sides.Production, dropFunction(fenceName(c.Upgrade)))
}

// empty drops what is left in a schema that stays.
func (c *Cutover) empty(ctx context.Context, schema string, inside []string) error {
	var drops []string
	err := pinned(ctx, c.Sides.Production, func(tx pgx.Tx) (err error) {
		drops, err = emptying(ctx, tx, schema)
		return err
	})
	if err != nil || len(drops) == 0 {
		return err
	}
	return cleared(ctx, c.Sides.Production, inside, "SELECT", strings.Join(drops, ";\n"))
}

// emptying are the statements that drop all that a schema holds but extensions.
func emptying(ctx context.Context, db pg.Querier, schema string) (all []string, err error) {
	objects, err := catalog.Movables(ctx, db, schema)
	for _, o := range objects {
		all = append(all, "DROP "+o.Kind+" IF EXISTS "+o.Identity+" CASCADE")
	}
	return all, err
}
