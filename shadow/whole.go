package shadow

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// inOneSnapshot tells which tables can't be copied in chunks: those without a
// key, whose doubled rows could not be told apart; derived ones; and those whose
// shadow has a unique index already (one that a recopy could not drop), which a
// doubled row would violate.
func (c *Copier) inOneSnapshot(ctx context.Context, t *plans.Table) (bool, error) {
	if t.Feed == plans.Derived || len(t.Key) == 0 {
		return true, nil
	}
	source := &c.Run.Plan.Sources[t.Source]
	if len(source.Key) == 0 || source.Record == plans.RecordImage {
		return true, nil
	}
	var unique bool
	err := c.Sides.Shadow.QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM pg_catalog.pg_index i WHERE (i.indisunique OR i.indisexclusion) AND i.indrelid IN (
			SELECT relid FROM pg_catalog.pg_partition_tree($1::regclass) UNION SELECT $1::regclass))`,
		t.Shadow.Quoted()).Scan(&unique)
	if err != nil {
		return false, fmt.Errorf("look for indexes of %s: %w", t.Shadow, err)
	}
	return unique, nil
}

// copyWhole copies a table in one transaction, whose snapshot is its position.
func (c *Copier) copyWhole(ctx context.Context, t *tableCopy) error {
	if err := c.announce(ctx, t.Table); err != nil {
		return err
	}
	err := c.copyAtOnce(ctx, t)
	for repeatable(err) && ctx.Err() == nil {
		c.Log.Warn("a table is tried again", "table", c.known(t.Table), "error", err)
		if err := c.checkEpoch(ctx); err != nil {
			return err
		}
		err = c.copyAtOnce(ctx, t)
	}
	if err != nil {
		return c.explain(ctx, job{table: t}, err)
	}
	c.report(t, true)
	return nil
}

// announce shows the table as under way: its one transaction shows nothing
// before its end.
func (c *Copier) announce(ctx context.Context, t *plans.Table) error {
	return across(ctx, c.Sides, c.Run, pg.ReadCommitted, func(e ends) error {
		if _, err := control.Lock(ctx, e.shadow, c.Run, t.N); err != nil {
			return err
		}
		if err := markUnlogged(ctx, e, c.Run, t); err != nil {
			return err
		}
		return control.SetState(ctx, e.shadow, c.Run, t.N, control.CopyingRow)
	})
}

func (c *Copier) checkEpoch(ctx context.Context) error {
	return pg.ReadCommitted(ctx, c.Sides.Shadow, func(tx pgx.Tx) error { return control.CheckEpoch(ctx, tx, c.Run) })
}

// copyAtOnce locks before it takes its snapshot: TRUNCATE is not MVCC-safe, and
// one between snapshot and lock would show an empty table.
func (c *Copier) copyAtOnce(ctx context.Context, t *tableCopy) error {
	members := c.read(t.Table)
	return across(ctx, c.Sides, c.Run, pg.RepeatableRead, func(e ends) error {
		if err := lockBeforeSnapshot(ctx, e.production, members); err != nil {
			return err
		}
		at, err := control.Hold(ctx, e.shadow, c.Run, t.N)
		if err != nil || at.State != control.CopyingRow {
			return err
		}
		var position string
		if err := e.production.QueryRow(ctx, `SELECT pg_catalog.pg_current_snapshot()::text`).Scan(&position); err != nil {
			return err
		}
		if err := c.prepare(ctx, e); err != nil {
			return err
		}
		for _, m := range members {
			if err := sameTable(ctx, e.production, m); err != nil {
				return err
			}
		}
		rows, err := c.transferWhole(ctx, e, t.Table)
		if err != nil {
			return err
		}
		t.rows.Store(rows)
		return c.endWhole(ctx, e, t.Table, position, rows)
	})
}

// read is what a copy of the table reads: the leaves of its source, or of all
// that a derived table may read.
func (c *Copier) read(t *plans.Table) []plans.Member {
	var members []plans.Member
	for i := range c.Run.Plan.Sources {
		s := &c.Run.Plan.Sources[i]
		if !t.ReadsFrom(s.N) && (t.Feed != plans.Derived || !s.Frozen) {
			continue
		}
		for _, m := range s.Members {
			if m.Leaf {
				members = append(members, m)
			}
		}
	}
	return members
}

// lockBeforeSnapshot uses only utility statements: neither SET nor LOCK takes a
// snapshot, every SELECT does.
func lockBeforeSnapshot(ctx context.Context, tx pgx.Tx, members []plans.Member) error {
	if _, err := tx.Exec(ctx, "SET LOCAL lock_timeout = '"+lockWait+"'"); err != nil {
		return err
	}
	for _, m := range members {
		if _, err := tx.Exec(ctx, "LOCK TABLE ONLY "+m.Name.Quoted()+" IN ACCESS SHARE MODE"); err != nil {
			return err
		}
	}
	return nil
}

func (c *Copier) transferWhole(ctx context.Context, e ends, t *plans.Table) (int64, error) {
	if t.Feed == plans.Derived {
		return c.transferDerived(ctx, e, t)
	}
	leaves, err := c.leaves(ctx, e.production, t)
	if err != nil {
		return 0, err
	}
	var rows int64
	for _, l := range leaves {
		n, err := c.transfer(ctx, e, t, l.member.Name, nil)
		if err != nil {
			return 0, err
		}
		rows += n
	}
	return rows, nil
}

func (c *Copier) endWhole(ctx context.Context, e ends, t *plans.Table, position string, rows int64) error {
	if err := c.setBegun(ctx, e, t, control.Keying, position, rows); err != nil {
		return err
	}
	if err := control.NoteCopied(ctx, e.shadow, c.Run, t.N, rows); err != nil {
		return err
	}
	return control.CheckEpoch(ctx, e.shadow, c.Run)
}
