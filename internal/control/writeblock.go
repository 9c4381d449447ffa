package control

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// NoteWriteBlocks notes the triggers of a name that keep all but the run's sessions
// from writing to some tables, in the transaction that made them: as they are now,
// so that whoever disables one, or makes it anew, is seen.
func NoteWriteBlocks(ctx context.Context, tx pg.Querier, run *Run, tables []uint32, trigger string) error {
	_, err := tx.Exec(ctx, `INSERT INTO pgumbra.gate (run_id, relation, trigger, made)
		SELECT $1, t.tgrelid, t.oid, t.xmin::text FROM pg_trigger t WHERE t.tgrelid = ANY ($2) AND t.tgname = $3
		ON CONFLICT (run_id, relation) DO UPDATE SET (trigger, made) = (EXCLUDED.trigger, EXCLUDED.made)`, run.ID, tables, trigger)
	if err != nil {
		return fmt.Errorf("note the write block: %w", err)
	}
	return nil
}

// WriteBlocked are the tables whose write block is on record.
func WriteBlocked(ctx context.Context, db pg.Querier, run *Run) ([]uint32, error) {
	rows, err := db.Query(ctx, `SELECT relation FROM pgumbra.gate WHERE run_id = $1`, run.ID)
	if err != nil {
		return nil, fmt.Errorf("read which tables refuse writes: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[uint32])
}

// ForgetWriteBlocks forgets those of tables that have no trigger of a name any more:
// after a rollback from which the new side is followed again.
func ForgetWriteBlocks(ctx context.Context, db pg.Querier, run *Run, trigger string) error {
	_, err := db.Exec(ctx, `DELETE FROM pgumbra.gate WHERE run_id = $1
		AND relation NOT IN (SELECT tgrelid FROM pg_catalog.pg_trigger WHERE tgname = $2)`, run.ID, trigger)
	if err != nil {
		return fmt.Errorf("forget the write block of before the cutover: %w", err)
	}
	return nil
}

// Open is a table of the shadow whose write block is off.
type Open struct {
	Table pg.Name
	Root  pg.Name // of its partition tree; of others the table
}

// Opened lists the tables whose write block is not as [NoteWriteBlocks] noted it:
// somebody disabled or dropped it, and may have written since. Reads catalogs only.
// With the tables locked against DDL the answer holds for as long as the locks do.
func Opened(ctx context.Context, db pg.Querier, run *Run) ([]Open, error) {
	rows, err := db.Query(ctx, `SELECT n.nspname::text, c.relname::text, rn.nspname::text, r.relname::text
		FROM pgumbra.gate g JOIN pg_catalog.pg_class c ON c.oid = g.relation JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_catalog.pg_class r ON r.oid = coalesce(pg_catalog.pg_partition_root(c.oid), c.oid) JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace
		WHERE g.run_id = $1 AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t
			WHERE t.oid = g.trigger AND t.tgrelid = g.relation AND t.tgenabled = 'A' AND t.xmin::text = g.made)
		ORDER BY g.relation`, run.ID)
	if err != nil {
		return nil, fmt.Errorf("look at the write block of the shadow: %w", err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (o Open, err error) {
		err = row.Scan(&o.Table.Schema, &o.Table.Name, &o.Root.Schema, &o.Root.Name)
		return o, err
	})
	if err != nil {
		return nil, fmt.Errorf("look at the write block of the shadow: %w", err)
	}
	return found, nil
}
