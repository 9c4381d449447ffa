package shadow

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// lacking is a partition without its part of an index of the table above it.
type lacking struct {
	index, partition string // SQL text
	partitionOID     uint32
	definition       string // what comes after CREATE INDEX ON …, or after ADD
	constraint       bool
	unique           bool
}

// CompleteIndexes gives each partition of the shadow's that came in mid-run, and
// that the plan's statements therefore do not name, its part of the indexes of
// the tables above it. As long as one is lacking such an index is not valid.
// SHARE on the partition, for which our own batches wait.
func CompleteIndexes(ctx context.Context, sides control.Sides, run *control.Run) error {
	for i := range run.Plan.Tables {
		t := &run.Plan.Tables[i]
		if t.Kind != plans.Partitioned && t.Source < 0 {
			continue
		}
		err := pg.ReadCommitted(ctx, sides.Shadow, func(tx pgx.Tx) error {
			if err := control.CheckEpoch(ctx, tx, run); err != nil {
				return err
			}
			all, err := lackingIn(ctx, tx, t)
			if err != nil {
				return err
			}
			if err := setAll(ctx, tx, pathOnShadow(run)...); err != nil {
				return err
			}
			for _, l := range all {
				if err := l.complete(ctx, tx); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("complete the indexes of %s: %w", t.Shadow, err)
		}
	}
	return nil
}

func lackingIn(ctx context.Context, tx pgx.Tx, t *plans.Table) ([]lacking, error) {
	rows, err := tx.Query(ctx, `
		SELECT pg_catalog.format('%I.%I', xn.nspname, x.relname), pg_catalog.format('%I.%I', cn.nspname, c.relname), c.oid, i.indisunique, k.oid IS NOT NULL,
		       coalesce(pg_catalog.pg_get_constraintdef(k.oid), pg_catalog.substring(pg_catalog.pg_get_indexdef(x.oid), ' (USING .*)$'))
		FROM pg_catalog.pg_partition_tree(pg_catalog.to_regclass($1)) t
		JOIN pg_catalog.pg_index i ON i.indrelid = t.relid AND NOT i.indisvalid
		JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid AND x.relkind = 'I' JOIN pg_catalog.pg_namespace xn ON xn.oid = x.relnamespace
		JOIN pg_catalog.pg_inherits h ON h.inhparent = t.relid
		JOIN pg_catalog.pg_class c ON c.oid = h.inhrelid JOIN pg_catalog.pg_namespace cn ON cn.oid = c.relnamespace
		LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = x.oid AND k.conrelid = t.relid AND k.contype IN ('p', 'u')
		WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_inherits hi JOIN pg_catalog.pg_index ci ON ci.indexrelid = hi.inhrelid
			WHERE hi.inhparent = x.oid AND ci.indrelid = c.oid)
		ORDER BY t.level DESC, x.oid, c.oid`, t.Shadow.Quoted())
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (l lacking, err error) {
		err = row.Scan(&l.index, &l.partition, &l.partitionOID, &l.unique, &l.constraint, &l.definition)
		return l, err
	})
}

func (l lacking) complete(ctx context.Context, tx pgx.Tx) error {
	script := "CREATE INDEX ON " + l.partition + " " + l.definition
	switch {
	case l.constraint:
		script = "ALTER TABLE " + l.partition + " ADD " + l.definition
	case l.unique:
		script = "CREATE UNIQUE INDEX ON " + l.partition + " " + l.definition
	}
	if _, err := tx.Exec(ctx, script); err != nil {
		return err
	}
	var made string
	err := tx.QueryRow(ctx, `SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_index i
		JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE i.indrelid = $1 ORDER BY i.indexrelid DESC LIMIT 1`, l.partitionOID).Scan(&made)
	if err == nil {
		_, err = tx.Exec(ctx, "ALTER INDEX "+l.index+" ATTACH PARTITION "+made)
	}
	return err
}
