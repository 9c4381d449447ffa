package control

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// State of a shadow table.
type State string

// The states of a shadow table, in order.
const (
	Waiting        State = "waiting"     // not begun
	CopyingRow     State = "copying"     // chunks under way
	Keying         State = "keying"      // rows complete; key index under way
	CatchingUp     State = "catching_up" // first catch-up, in pieces
	Indexing       State = "indexing"    // other indexes and constraints under way
	FollowingState State = "following"   // equals production at its position
)

// Position is a shadow table's row in the control schema.
type Position struct {
	N              int
	State          State
	Snapshot       *string // pg_snapshot as text; nil before copying began
	Pieces         *int
	PiecesDone     int
	PiecesPosition *string
	Proved         *string // snapshot up to which the table is proved; nil: it is not
}

// Lock locks a table's row FOR UPDATE until the end of the transaction, after
// comparing the epoch under the same lock order for all: the run's row first
// (FOR SHARE), then the table's. Each transaction that writes a shadow table
// begins with it; in a REPEATABLE READ transaction it takes the snapshot.
// Returns [ErrFencedOff] when another leader took over.
func Lock(ctx context.Context, tx pgx.Tx, run *Run, n int) (Position, error) {
	return lock(ctx, tx, run, n, "UPDATE")
}

// Lead is [Lock] for a transaction that divides its work among others: it keeps
// everybody out but those who [Join], who may also be what is left of another
// leader's. So the row must have been had by [Lock] before, in a transaction
// that ended.
func Lead(ctx context.Context, tx pgx.Tx, run *Run, n int) (Position, error) {
	return lock(ctx, tx, run, n, "NO KEY UPDATE")
}

// Join is [Lock] for a transaction that takes a part of the work of one that
// leads. Whoever locks the row next waits for it.
func Join(ctx context.Context, tx pgx.Tx, run *Run, n int) (Position, error) {
	return lock(ctx, tx, run, n, "KEY SHARE")
}

func lock(ctx context.Context, tx pgx.Tx, run *Run, n int, strength string) (Position, error) {
	if err := CheckEpoch(ctx, tx, run); err != nil {
		return Position{}, err
	}
	p := Position{N: n}
	err := tx.QueryRow(ctx, `SELECT state, position::text, pieces, pieces_done, pieces_position::text, proved::text
		FROM pgumbra.shadow_table WHERE run_id = $1 AND n = $2 FOR `+strength, run.ID, n).
		Scan(&p.State, &p.Snapshot, &p.Pieces, &p.PiecesDone, &p.PiecesPosition, &p.Proved)
	if err != nil {
		return Position{}, fmt.Errorf("lock the position of table %d: %w", n, err)
	}
	return p, nil
}

// SetState moves a table on, in the transaction of the work it stands for.
func SetState(ctx context.Context, tx pg.Querier, run *Run, n int, to State) error {
	_, err := tx.Exec(ctx, `UPDATE pgumbra.shadow_table SET state = $3 WHERE run_id = $1 AND n = $2`, run.ID, n, to)
	if err != nil {
		return fmt.Errorf("table %d to state %s: %w", n, to, err)
	}
	return nil
}

// SetPosition records the production snapshot that the table now equals, adds to
// its count of replayed changes, and does to its proof what the batch says: as of the
// beginning of the transaction, which is not later than the snapshot.
func SetPosition(ctx context.Context, tx pg.Querier, run *Run, n int, snapshot string, replayed int64, proof ProofMove) error {
	_, err := tx.Exec(ctx, `UPDATE pgumbra.shadow_table
		SET position = $3::pg_snapshot, rows_replayed = rows_replayed + $4,
		    proved = CASE WHEN $5 IN ('moves', 'whole') THEN $3::pg_snapshot WHEN $5 = 'stays' THEN proved END,
		    proved_at = CASE WHEN $5 IN ('moves', 'whole') THEN now() WHEN $5 = 'stays' THEN proved_at END,
		    verified_at = CASE WHEN $5 = 'stays' THEN verified_at WHEN $5 = 'whole' OR $5 = 'moves' AND verified_at IS NOT NULL THEN now() END
		WHERE run_id = $1 AND n = $2`,
		run.ID, n, snapshot, replayed, proof)
	if err != nil {
		return fmt.Errorf("position of table %d: %w", n, err)
	}
	return nil
}

// Row is what the control schema says of a shadow table, for status and for
// deciding what comes next.
type Row struct {
	N            int
	Production   string
	Shadow       string
	State        State
	RowsCopied   int64 // sum of finished chunks
	RowsTotal    int64
	RowsReplayed int64
	VerifiedAt   *time.Time
	VerifiedAgo  time.Duration // by the server's clock
	Current      bool          // nothing was touched since it was proved, as far as batches have come
	RowsProved   int64
	Took         time.Duration // to compare it the last time, of a table that is compared as a whole
	Recopied     int
}

// Tables reads all shadow tables of a run, in the plan's order.
func Tables(ctx context.Context, db pg.Querier, run *Run) ([]Row, error) {
	rows, err := db.Query(ctx, `
		SELECT t.n, t.production, t.shadow, t.state,
		       greatest(t.rows_copied, (SELECT coalesce(sum(c.rows), 0)::bigint FROM pgumbra.chunk c WHERE c.run_id = t.run_id AND c.n = t.n)),
		       t.rows_total, t.rows_replayed, t.verified_at,
		       coalesce(extract(epoch FROM clock_timestamp() - t.verified_at), 0)::float8, t.recopied,
		       coalesce(t.proved::text = t.position::text, false),
		       CASE WHEN t.proved IS NULL THEN 0 WHEN t.verified_at IS NOT NULL THEN greatest(p.rows, t.rows_total) ELSE coalesce(p.rows, 0) END, coalesce(p.seconds, 0)
		FROM pgumbra.shadow_table t LEFT JOIN pgumbra.proof p USING (run_id, n) WHERE t.run_id = $1 ORDER BY t.n`, run.ID)
	if err != nil {
		return nil, fmt.Errorf("read the tables' states: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (Row, error) {
		var r Row
		var ago, took float64
		err := row.Scan(&r.N, &r.Production, &r.Shadow, &r.State, &r.RowsCopied, &r.RowsTotal, &r.RowsReplayed,
			&r.VerifiedAt, &ago, &r.Recopied, &r.Current, &r.RowsProved, &took)
		r.VerifiedAgo, r.Took = time.Duration(ago*float64(time.Second)), time.Duration(took*float64(time.Second))
		return r, err
	})
}

// States reads each shadow table's state by its number in the plan.
func States(ctx context.Context, db pg.Querier, run *Run) (map[int]State, error) {
	rows, err := db.Query(ctx, `SELECT n, state FROM pgumbra.shadow_table WHERE run_id = $1`, run.ID)
	if err != nil {
		return nil, fmt.Errorf("read the tables' states: %w", err)
	}
	states := map[int]State{}
	var n int
	var s State
	_, err = pgx.ForEachRow(rows, []any{&n, &s}, func() error {
		states[n] = s
		return nil
	})
	return states, err
}

// AheadOfProduction names a table whose position counts transactions that the server its
// rows come from has not begun: that was restored, or exchanged. "": there is none. The
// positions are read where they are written: a copy is as old as the server that it is on.
func AheadOfProduction(ctx context.Context, sides Sides, run *Run) (table string, err error) {
	var next string
	err = sides.Production.QueryRow(ctx, `SELECT pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text`).Scan(&next)
	if err == nil {
		err = sides.Shadow.QueryRow(ctx, `SELECT production FROM pgumbra.shadow_table
			WHERE run_id = $1 AND pg_catalog.pg_snapshot_xmax(position) > $2::text::xid8 LIMIT 1`, run.ID, next).Scan(&table)
	}
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return "", fmt.Errorf("compare the positions with production: %w", err)
	}
	return table, nil
}

// Pieces of a first catch-up, by the hash of the key, each in a transaction of its own.
type Pieces struct {
	Of, Done int64
	Snapshot string // of production, that all of them begin from
}

// NotePieces notes a piece in the transaction that replayed it, and so many changes.
func NotePieces(ctx context.Context, tx pg.Querier, run *Run, n int, p Pieces, changes int64) error {
	_, err := tx.Exec(ctx, `UPDATE pgumbra.shadow_table SET pieces = $3, pieces_done = $4,
		pieces_position = $5::pg_snapshot, rows_replayed = rows_replayed + $6 WHERE run_id = $1 AND n = $2`,
		run.ID, n, p.Of, p.Done, p.Snapshot, changes)
	if err != nil {
		return fmt.Errorf("record piece %d of table %d: %w", p.Done, n, err)
	}
	return nil
}

// EndPieces ends the first catch-up of a table at a position: its indexes come next.
func EndPieces(ctx context.Context, tx pg.Querier, run *Run, n int, snapshot string, changes int64) error {
	if err := SetPosition(ctx, tx, run, n, snapshot, changes, ProofCleared); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `UPDATE pgumbra.shadow_table SET pieces = NULL, pieces_done = 0, pieces_position = NULL
		WHERE run_id = $1 AND n = $2`, run.ID, n)
	if err != nil {
		return fmt.Errorf("forget the pieces of table %d: %w", n, err)
	}
	return SetState(ctx, tx, run, n, Indexing)
}

// InStep reports whether all of some tables follow.
func InStep(ctx context.Context, db pg.Querier, run *Run, tables []int) (all bool, err error) {
	err = db.QueryRow(ctx, `SELECT pg_catalog.count(*) >= pg_catalog.cardinality($2::integer[]) FROM pgumbra.shadow_table
		WHERE run_id = $1 AND n = ANY ($2) AND position IS NOT NULL AND state = $3`, run.ID, tables, FollowingState).Scan(&all)
	if err != nil {
		return false, fmt.Errorf("look which tables follow: %w", err)
	}
	return all, nil
}

// TablesOf is a relation of the shadow tables of the run whose number an expression
// is, for FROM: n, position and proved, its snapshots. For statements that read
// journals beside it.
func TablesOf(run string) string {
	return "(SELECT n, position, proved FROM pgumbra.shadow_table WHERE run_id = " + run + ")"
}

// ReplayedOf is SQL of how many changes were replayed in all, of the run whose number
// an expression is.
func ReplayedOf(run string) string {
	return "(SELECT coalesce(sum(rows_replayed), 0)::bigint FROM pgumbra.shadow_table WHERE run_id = " + run + ")"
}

// Purge removes a run's record; with the last record the control schema goes
// too. Never while a run is live: its own rows are all that undoes it. Run nil:
// only a control schema that holds no run, as a process leaves it that died
// before it recorded one.
func Purge(ctx context.Context, conn *pgx.Conn, run *Run) error {
	return pg.ReadCommitted(ctx, conn, func(tx pgx.Tx) error {
		if run != nil {
			if _, err := tx.Exec(ctx, `DELETE FROM pgumbra.run WHERE id = $1`, run.ID); err != nil {
				return fmt.Errorf("remove the record of run %s: %w", run.Name, err)
			}
		}
		needed, err := needed(ctx, tx)
		if err != nil || needed {
			return err
		}
		return dropSchema(ctx, tx)
	})
}

const dropAll = `DROP SCHEMA IF EXISTS pgumbra CASCADE`

// DescribePurge tells what [Purge] ends with.
const DescribePurge = "-- only with --purge, with the last record\n" + dropAll

// dropSchema drops the control schema, but for functions of triggers that still
// stand on tables of the user's: an old side that was kept refuses writes by
// them, and would take them silently otherwise.
func dropSchema(ctx context.Context, tx pgx.Tx) error {
	statements := []string{dropAll}
	var guards bool
	err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
		WHERE p.pronamespace = pg_catalog.to_regnamespace('pgumbra'))`).Scan(&guards)
	if err == nil && guards {
		statements, err = dropRelations(ctx, tx)
	}
	if err != nil {
		return fmt.Errorf("look what the control schema holds: %w", err)
	}
	for _, sql := range statements {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return fmt.Errorf("drop the control schema: %w", err)
		}
	}
	return nil
}

// dropRelations are the statements that drop the control schema's tables and
// views, and what belongs to them.
func dropRelations(ctx context.Context, tx pgx.Tx) ([]string, error) {
	rows, err := tx.Query(ctx, `
		SELECT pg_catalog.format('DROP %s IF EXISTS %I.%I CASCADE', CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, n.nspname, c.relname)
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = 'pgumbra' AND c.relkind IN ('r', 'v', 'S') ORDER BY c.relkind <> 'r', c.oid`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// ForgetEarlier removes the records of runs of this run's name that were over when
// it began: with the last one of a name all of them go. It takes no lock on them,
// since nobody leads a run that is over.
func ForgetEarlier(ctx context.Context, db pg.Querier, run *Run) error {
	_, err := db.Exec(ctx, `DELETE FROM pgumbra.run WHERE name = $1 AND id < $2 AND phase = ANY ($3)`, run.Name, run.ID, over)
	if err != nil {
		return fmt.Errorf("remove the records of earlier runs of the name %s: %w", run.Name, err)
	}
	return nil
}

// needed reports whether the control schema holds a run, or anything that is
// not ours.
func needed(ctx context.Context, tx pgx.Tx) (needed bool, err error) {
	there, err := Exists(ctx, tx)
	if err != nil {
		return false, err
	}
	sql := `SELECT EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = to_regnamespace('pgumbra')
		AND c.relname NOT IN ('version', 'version_pkey'))`
	if there {
		sql = `SELECT EXISTS (SELECT FROM pgumbra.run)`
	}
	err = tx.QueryRow(ctx, sql).Scan(&needed)
	return needed, err
}
