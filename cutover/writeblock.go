package cutover

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// The write block stands on every table of the shadow from the build to the swap. The
// schemas are closed to other roles, but superusers and members of our own role
// come in all the same, and what they write would become production's: none of
// it is in a journal. They are refused; and since they may take the trigger off,
// its row is noted as it was made, as capture does with its own.

// writeBlocksAtOnce bounds the locks of a transaction.
const writeBlocksAtOnce = 100

// CloseShadow puts the write block on each of the shadow's tables that has none on
// record, and notes it: right after the build; for a run that an older pgumbra
// began; and before each attempt, should a table have come. SHARE ROW EXCLUSIVE
// on these tables waits for batches of ours and for autovacuum, which gives way.
// Verdicts from before an older run's write block say nothing of what was written since,
// and are forgotten. Fails, and changes nothing, once the swap is under way or done.
func (c *Cutover) CloseShadow(ctx context.Context) error {
	open, err := c.ungated(ctx)
	if err != nil {
		return err
	}
	for tables := range slices.Chunk(open, writeBlocksAtOnce) {
		if err := c.writeBlock(ctx, tables); err != nil {
			return fmt.Errorf("close the shadow to others: %w", err)
		}
	}
	return nil
}

// ungated makes the write block's function, closed, and lists the tables that have no
// write block on record.
func (c *Cutover) ungated(ctx context.Context) (open []relation, err error) {
	shadow := c.Upgrade.Plan.ShadowSchemas()
	err = pinned(ctx, c.Sides.Shadow, func(tx pgx.Tx) error {
		if err := c.undecided(ctx, tx); err != nil {
			return err
		}
		if err := makeFunction(ctx, tx, closedWriteBlock(c.Upgrade), writeBlockName(c.Upgrade)); err != nil {
			return err
		}
		tables, err := relations(ctx, tx, shadow)
		if err != nil {
			return err
		}
		noted, err := control.WriteBlocked(ctx, tx, c.Upgrade)
		if err == nil && len(noted) == 0 {
			err = control.UnproveAll(ctx, tx, c.Upgrade)
		}
		open = slices.DeleteFunc(tables, func(t relation) bool { return slices.Contains(noted, t.oid) })
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for tables of the shadow that are open to others: %w", err)
	}
	return open, nil
}

func (c *Cutover) writeBlock(ctx context.Context, tables []relation) error {
	return pinned(ctx, c.Sides.Shadow, func(tx pgx.Tx) error {
		if err := c.undecided(ctx, tx); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "SET LOCAL lock_timeout = '10s'"); err != nil {
			return err
		}
		if err := pg.ExecScript(ctx, tx.Conn(), strings.Join(writeBlocks(c.Upgrade, tables), ";\n")); err != nil {
			return err
		}
		return control.NoteWriteBlocks(ctx, tx, c.Upgrade, oidsOf(tables), writeBlockTrigger)
	})
}

func oidsOf(tables []relation) []uint32 {
	all := make([]uint32, len(tables))
	for i, t := range tables {
		all[i] = t.oid
	}
	return all
}

// Reclose puts the write block back on tables that [control.Opened] named. ACCESS EXCLUSIVE:
// what was begun while it was open ends before, and all that comes is refused.
// What was written in between stays: the caller copies the tables again, from
// then on. Those that are to be empty are emptied.
func (c *Cutover) Reclose(ctx context.Context, opened []control.Open) error {
	return pinned(ctx, c.Sides.Shadow, func(tx pgx.Tx) error {
		if err := c.undecided(ctx, tx); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "SET LOCAL lock_timeout = '10s'"); err != nil {
			return err
		}
		for _, o := range opened {
			if err := c.recloseOne(ctx, tx, o); err != nil {
				return fmt.Errorf("close %s to others again: %w", o.Table, err)
			}
		}
		return nil
	})
}

func (c *Cutover) recloseOne(ctx context.Context, tx pgx.Tx, o control.Open) error {
	name := o.Table
	if _, err := tx.Exec(ctx, "LOCK TABLE ONLY "+name.Quoted()+" IN ACCESS EXCLUSIVE MODE"); err != nil {
		return err
	}
	t := relation{name: name}
	if err := tx.QueryRow(ctx, `SELECT $1::regclass::oid`, name.Quoted()).Scan(&t.oid); err != nil {
		return err
	}
	statements := append([]string{"DROP TRIGGER IF EXISTS " + pg.Ident(writeBlockTrigger) + " ON " + name.Quoted()}, writeBlocks(c.Upgrade, []relation{t})...)
	if p := c.Upgrade.Plan.TableOf(o.Root); p != nil && p.Feed == plans.Skipped {
		statements = append(statements, "TRUNCATE "+name.Quoted())
	}
	for _, sql := range statements {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return control.NoteWriteBlocks(ctx, tx, c.Upgrade, []uint32{t.oid}, writeBlockTrigger)
}

// Forget drops the functions of a run that is given up, and whose shadow is gone.
func (c *Cutover) Forget(ctx context.Context) error {
	pools := []*pgxpool.Pool{c.Sides.Production}
	if c.Sides.Remote() && c.Sides.Shadow != nil {
		pools = append(pools, c.Sides.Shadow)
	}
	for _, pool := range pools {
		for _, name := range []pg.Name{writeBlockName(c.Upgrade), guardName(c.Upgrade), fenceName(c.Upgrade)} {
			if _, err := pool.Exec(ctx, dropFunction(name)); err != nil {
				return fmt.Errorf("drop function %s: %w", name, err)
			}
		}
		if err := control.Disown(ctx, pool, c.Upgrade); err != nil {
			return err
		}
	}
	return nil
}

// closedStill refuses the attempt if somebody opened the shadow. From then on
// nobody can: making, dropping and switching triggers needs a lock that the one
// on the shadow's tables keeps out until the end of the transaction that holds it.
func (c *Cutover) closedStill(ctx context.Context, db pg.Querier) error {
	if c.backwards() { // the old side has the fence
		return nil
	}
	found, err := c.checkWriteBlock(ctx, db)
	if err == nil && len(found) > 0 {
		err = refuse(found...)
	}
	return err
}

func (c *Cutover) checkWriteBlock(ctx context.Context, db pg.Querier) ([]Blocker, error) {
	opened, err := control.Opened(ctx, db, c.Upgrade)
	var all []Blocker
	for _, o := range opened {
		all = append(all, Blocker{Code: "shadow-opened", Message: "somebody took the trigger " + writeBlockTrigger + " off " + o.Table.String() + ", or disabled it, and may have written to it",
			Fix: "the run copies the table again by itself; leave triggers of pgumbra alone"})
	}
	return all, err
}
