package shadow

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// Recopy takes a table back to waiting, from any state before the swap: its
// shadow is emptied, its indexes and the constraints on them are dropped where
// nothing depends on them (they would slow the copy, and rows that are copied
// twice would violate them), its chunks and position forgotten. The caller then
// goes through [Copier.Copy], [BuildKeys], catch-up and [BuildIndexes] again.
// Volatile values are made anew. A table that the migrations filled is filled
// again at once and stays as it is otherwise.
func (c *Copier) Recopy(ctx context.Context, t *plans.Table, reason string) error {
	_, err := c.recopy(ctx, t, reason, nil)
	return err
}

// recopy does nothing if the table is not of the given generation any more.
func (c *Copier) recopy(ctx context.Context, t *plans.Table, reason string, generation *int32) (begun bool, err error) {
	err = across(ctx, c.Sides, c.Run, pg.ReadCommitted, func(e ends) error {
		if _, err := control.Lock(ctx, e.shadow, c.Run, t.N); err != nil {
			return err
		}
		now, err := control.Where(ctx, e.shadow, c.Run, t.N)
		if err != nil || generation != nil && *generation != now.Recopied {
			return err
		}
		begun = true
		if err := dropForeignKeys(ctx, e.shadow, t); err != nil {
			return err
		}
		if t.Feed == plans.Carried {
			return reload(ctx, e.shadow, c.Run, t)
		}
		if err := dropIndexes(ctx, e.shadow, c.Run, t); err != nil {
			return err
		}
		return c.empty(ctx, e, t, reason)
	})
	if err != nil {
		return false, fmt.Errorf("begin the copy of %s again: %w", c.known(t), err)
	}
	return begun, nil
}

func truncate(ctx context.Context, tx pgx.Tx, t *plans.Table) error {
	only := ""
	if t.Kind == plans.Inherited {
		only = "ONLY "
	}
	_, err := tx.Exec(ctx, "TRUNCATE "+only+t.Shadow.Quoted())
	return err
}

func reload(ctx context.Context, tx pgx.Tx, run *control.Run, t *plans.Table) error {
	if err := truncate(ctx, tx, t); err != nil {
		return err
	}
	_, err := load(ctx, tx, run, t)
	return err
}

func (c *Copier) empty(ctx context.Context, e ends, t *plans.Table, reason string) error {
	if err := truncate(ctx, e.shadow, t); err != nil {
		return err
	}
	for _, tx := range []pgx.Tx{e.shadow, e.production} {
		if err := control.ForgetUnlogged(ctx, tx, c.Run, t.N); err != nil {
			return err
		}
	}
	if err := control.CopyAgain(ctx, e.shadow, c.Run, t.N, reason); err != nil {
		return err
	}
	return control.Event(ctx, e.production, c.Run, control.RecopyBegun, map[string]any{"table": productionName(t), "reason": reason})
}

// dropIndexes in a savepoint: where something depends on one (a view that groups
// by a primary key), all stay, and the copy is made in one snapshot.
func dropIndexes(ctx context.Context, tx pgx.Tx, run *control.Run, t *plans.Table) error {
	err := pgx.BeginFunc(ctx, tx, func(inner pgx.Tx) error {
		rows, err := inner.Query(ctx, indexesSQL, t.Shadow.Quoted())
		if err != nil {
			return err
		}
		statements, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		for _, sql := range statements {
			if _, err := inner.Exec(ctx, sql); err != nil {
				return err
			}
		}
		return forgetIndexes(ctx, inner, run, t)
	})
	var e *pgconn.PgError
	if errors.As(err, &e) && e.Code == pgerrcode.DependentObjectsStillExist {
		return nil
	}
	return err
}

// indexesSQL makes the statements that drop the indexes of a tree, and the
// constraints that stand on them. What is attached to a parent's goes with it.
const indexesSQL = `
	WITH tree AS (
		SELECT relid::oid AS oid FROM pg_catalog.pg_partition_tree($1::regclass) UNION SELECT $1::regclass::oid
	)
	SELECT CASE WHEN con.oid IS NOT NULL
	       THEN pg_catalog.format('ALTER TABLE %I.%I DROP CONSTRAINT %I', tn.nspname, t.relname, con.conname)
	       ELSE pg_catalog.format('DROP INDEX %I.%I', xn.nspname, x.relname) END
	FROM pg_catalog.pg_index i
	JOIN tree ON tree.oid = i.indrelid
	JOIN pg_catalog.pg_class t ON t.oid = i.indrelid JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
	JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid JOIN pg_catalog.pg_namespace xn ON xn.oid = x.relnamespace
	LEFT JOIN pg_catalog.pg_constraint con ON con.conindid = i.indexrelid AND con.conrelid = i.indrelid AND con.contype IN ('p', 'u', 'x')
	WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_inherits h WHERE h.inhrelid = i.indexrelid)
	ORDER BY i.indexrelid`

// forgetIndexes lets [BuildKeys] and [BuildIndexes] make them again, and what
// hangs on them; what a TRUNCATE leaves (statistics, policies) stays recorded.
func forgetIndexes(ctx context.Context, tx pgx.Tx, run *control.Run, t *plans.Table) error {
	roots, err := trees(ctx, tx, run.Plan)
	if err != nil {
		return err
	}
	var dropped []*plans.Entry
	for _, e := range entriesOf(run.Plan, inStage(plans.StageKey, plans.StageIndex, plans.StageLate)) {
		switch e.Tag {
		case "INDEX", "INDEX ATTACH", "CONSTRAINT", "COMMENT":
			if roots[e.Table].Name == t.Shadow {
				dropped = append(dropped, e)
			}
		}
	}
	return control.ForgetBuilt(ctx, tx, run, dropped...)
}
