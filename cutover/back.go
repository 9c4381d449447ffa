package cutover

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
)

// A rollback is a cutover of the reversed run: the new side is production, the old
// one the shadow, in one database or each in its own. What is here differs before and after
// the attempt; where a step of it differs, that asks for [Cutover.backwards] or the plan's
// direction.

// checkMadeSince names tables that were made in the new schemas since the cutover:
// the old side has nothing like them.
func (c *Cutover) checkMadeSince(ctx context.Context, db pg.Querier) ([]Blocker, error) {
	before, err := c.readTaken(ctx, db)
	if err != nil {
		return nil, err
	}
	production, _ := c.Upgrade.Plan.SchemaNames()
	now, err := relations(ctx, db, production)
	var all []Blocker
	for _, t := range now {
		if !slices.Contains(before.Tables, t.oid) {
			all = append(all, Blocker{Code: "made-since", Message: t.name.String() + " was made after the cutover, and would be left behind with the new side", Lasting: true,
				Fix: "drop it, or move it to another schema: ALTER TABLE ... SET SCHEMA"})
		}
	}
	return all, err
}

// prepareBack makes the functions of guard and fence. Rows are looked for that the
// old side's foreign keys would refuse, had replay asked them.
func (c *Cutover) prepareBack(ctx context.Context) error {
	if err := c.prepareShadow(ctx); err != nil {
		return err
	}
	return pg.ReadCommitted(ctx, c.Sides.Production, func(tx pgx.Tx) error { return c.prepareFunctions(ctx, tx) })
}

// afterBack leaves nothing of ours on the tables that are production again: guards,
// the fence's triggers, and capture of both directions. The new side stays, and
// refuses writes; one on a server that is away, Sides.Production nil, is left out. May be
// repeated until it returns nil, by any process.
func (c *Cutover) afterBack(ctx context.Context) error {
	fence := fenceFunction(c.Upgrade, passNobody)
	if c.Sides.Remote() {
		fence = closedFence(c.Upgrade, placeOf(c.ShadowDSN), passNobody)
	}
	if c.Sides.Production == nil { // it has its fence, and perhaps clients are still held
		if err := c.settle(ctx, c.to()); err != nil {
			return err
		}
	}
	if err := c.freeOld(ctx); err != nil {
		return err
	}
	if err := c.Parts.RemoveCapture(ctx); err != nil {
		return fmt.Errorf("remove capture: %w", err)
	}
	if c.Sides.Production != nil {
		if err := c.lockOut(ctx, c.Sides.Production, fence); err != nil {
			return err
		}
	}
	if err := control.Disown(ctx, c.Sides.Shadow, c.Upgrade); err != nil {
		return err
	}
	return control.NoteTidied(ctx, c.Sides.Record(), c.Upgrade)
}

// freeOld takes fence and guards, which only one database has, off the tables that are
// production again.
func (c *Cutover) freeOld(ctx context.Context) error {
	trigger := remoteFenceTrigger
	if !c.Sides.Remote() {
		trigger = fenceTrigger
		if err := c.unguard(ctx); err != nil {
			return err
		}
	}
	return dropTriggers(ctx, c.Sides.Shadow, c.Upgrade, trigger, oldFenceName(c.Upgrade))
}

// FreeOld takes off the tables that are production again what refused writes to them: all
// that can be done after a rollback while the new server is away.
func (c *Cutover) FreeOld(ctx context.Context) error { return c.freeOld(ctx) }

// AfterToFollow is [Cutover.After] of a rollback from which the new side is followed
// again: production is freed of what the watch left, and the new side closed to
// others as a shadow is, before its fence goes. again is the cutover of the run as it
// goes on. unswap takes away what the swap gave the new side. May be repeated until
// it returns nil, by any process.
func (c *Cutover) AfterToFollow(ctx context.Context, again *Cutover, unswap func(context.Context) error) error {
	if err := c.freeOld(ctx); err != nil {
		return err
	}
	if err := unswap(ctx); err != nil {
		return err
	}
	if err := control.ForgetWriteBlocks(ctx, c.Sides.Production, c.Upgrade, writeBlockTrigger); err != nil {
		return err
	}
	if err := again.CloseShadow(ctx); err != nil {
		return err
	}
	trigger := fenceTrigger
	if c.Sides.Remote() {
		trigger = remoteFenceTrigger
	}
	return dropTriggers(ctx, c.Sides.Production, c.Upgrade, trigger, fenceName(c.Upgrade))
}

// DropAbandoned drops the new side after a rollback, with all its data. It refuses
// with [ErrDependents] rather than drop anything outside.
func (c *Cutover) DropAbandoned(ctx context.Context) error {
	drop := func(ctx context.Context) error { return dropOld(ctx, c.Sides.Production, c.Upgrade) }
	if c.Sides.Remote() {
		drop = c.dropAbandoned
	}
	if err := drop(ctx); err != nil {
		return err
	}
	return control.Disown(ctx, c.Sides.Production, c.Upgrade)
}

// dropAbandoned drops it in a database of its own, with what the swap made there beside
// the schemas: another run builds there again.
func (c *Cutover) dropAbandoned(ctx context.Context) error {
	if err := c.dropProduction(ctx); err != nil {
		return err
	}
	v := c.Upgrade.Plan.VersionTable
	if v == nil || v.Moves {
		return nil
	}
	return patiently(ctx, c.Sides.Production, "DROP TABLE IF EXISTS "+v.Name.Quoted())
}
