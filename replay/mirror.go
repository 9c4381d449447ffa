package replay

import (
	"context"
	"fmt"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// positions of tables as the shadow has them, for mirror.
func (r *Replayer) positions(ctx context.Context, shadow pg.Querier, tables ...*plans.Table) (rows []byte, err error) {
	numbers := make([]int, len(tables))
	for i, t := range tables {
		numbers[i] = t.N
	}
	err = shadow.QueryRow(ctx, `SELECT pg_catalog.json_agg(t) FROM (
		SELECT n, state, position, recopied, rows_replayed, verified_at FROM pgumbra.shadow_table WHERE run_id = $1 AND n = ANY ($2)) t`,
		r.Run.ID, numbers).Scan(&rows)
	if err != nil {
		return nil, fmt.Errorf("read the shadow's positions: %w", err)
	}
	return rows, nil
}

// mirror copies what was just committed on the shadow to production's control
// schema, where unread journal rows are looked for by it. It may be lost in a
// crash, and may be late: a position that is behind makes a batch that finds
// nothing new.
func (r *Replayer) mirror(ctx context.Context, committed []byte, tables ...*plans.Table) error {
	if !r.Sides.Apart() || len(tables) == 0 {
		return nil
	}
	tag, err := r.Sides.Production.Exec(ctx, `UPDATE pgumbra.shadow_table AS old
		SET (state, position, recopied, rows_replayed, verified_at) = (t.state, t.position, t.recopied, t.rows_replayed, t.verified_at)
		FROM pg_catalog.json_to_recordset($2) AS t (n integer, state text, position pg_snapshot, recopied integer, rows_replayed bigint, verified_at timestamptz)
		WHERE old.run_id = $1 AND old.n = t.n AND pg_catalog.set_config('synchronous_commit', 'off', true) = 'off'`, r.Run.ID, committed)
	if err != nil {
		return fmt.Errorf("mirror the shadow's positions: %w", err)
	}
	if int(tag.RowsAffected()) < len(tables) { // the first time
		return control.Mirror(ctx, r.Sides, r.Run)
	}
	return nil
}
