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
	err := c.Pool.QueryRow(ctx, `
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
		c.Log.Warn("a table is tried again", "table", productionName(t.Table), "error", err)
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
	return pg.ReadCommitted(ctx, c.Pool, func(tx pgx.Tx) error {
		if _, err := control.Lock(ctx, tx, c.Run, t.N); err != nil {
			return err
		}
		if err := markUnlogged(ctx, tx, c.Run, t); err != nil {
			return err
		}
		return control.SetState(ctx, tx, c.Run, t.N, control.CopyingRow)
	})
}

func (c *Copier) checkEpoch(ctx context.Context) error {
	return pg.ReadCommitted(ctx, c.Pool, func(tx pgx.Tx) error { return control.CheckEpoch(ctx, tx, c.Run) })
}

// copyAtOnce locks before it takes its snapshot: TRUNCATE is not MVCC-safe, and
// one between snapshot and lock would show an empty table.
func (c *Copier) copyAtOnce(ctx context.Context, t *tableCopy) error {
	members := c.read(t.Table)
	return pg.RepeatableRead(ctx, c.Pool, func(tx pgx.Tx) error {
		if err := lockBeforeSnapshot(ctx, tx, members); err != nil {
			return err
		}
		var state control.State
		var position string
		err := tx.QueryRow(ctx, `SELECT state, pg_catalog.pg_current_snapshot()::text FROM pgumbra.shadow_table
			WHERE run_id = $1 AND n = $2 FOR UPDATE`, c.Run.ID, t.N).Scan(&state, &position)
		if err != nil || state != control.CopyingRow {
			return err
		}
		if err := c.prepare(ctx, tx); err != nil {
			return err
		}
		for _, m := range members {
			if err := sameTable(ctx, tx, m); err != nil {
				return err
			}
		}
		rows, err := c.insertWhole(ctx, tx, t.Table)
		if err != nil {
			return err
		}
		t.rows.Store(rows)
		return c.endWhole(ctx, tx, t.Table, position, rows)
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

func (c *Copier) insertWhole(ctx context.Context, tx pgx.Tx, t *plans.Table) (int64, error) {
	if t.Feed == plans.Derived {
		tag, err := tx.Exec(ctx, deriveSQL(t))
		return tag.RowsAffected(), err
	}
	leaves, err := c.leaves(ctx, tx, t)
	if err != nil {
		return 0, err
	}
	var rows int64
	for _, l := range leaves {
		tag, err := tx.Exec(ctx, copySQL(c.Run.Plan, t, l.member.Name, wholeTable))
		if err != nil {
			return 0, err
		}
		rows += tag.RowsAffected()
	}
	return rows, nil
}

func (c *Copier) endWhole(ctx context.Context, tx pgx.Tx, t *plans.Table, position string, rows int64) error {
	if err := c.setBegun(ctx, tx, t, control.Keying, position, rows); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `UPDATE pgumbra.shadow_table SET rows_copied = $3 WHERE run_id = $1 AND n = $2`, c.Run.ID, t.N, rows)
	if err != nil {
		return err
	}
	return control.CheckEpoch(ctx, tx, c.Run)
}
