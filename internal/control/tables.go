package control

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// State of a shadow table.
type State string

// The states of a shadow table, in order.
const (
	Waiting    State = "waiting"     // not begun
	CopyingRow State = "copying"     // chunks under way
	Keying     State = "keying"      // rows complete; key index under way
	CatchingUp State = "catching_up" // first catch-up, in pieces
	Indexing   State = "indexing"    // other indexes and constraints under way
	InStep     State = "following"   // equals production at its position
)

// Position is a shadow table's row in the control schema.
type Position struct {
	N              int
	State          State
	Snapshot       *string // pg_snapshot as text; nil before copying began
	Pieces         *int
	PiecesDone     int
	PiecesPosition *string
}

// Lock locks a table's row FOR UPDATE until the end of the transaction, after
// comparing the epoch under the same lock order for all: the run's row first
// (FOR SHARE), then the table's. Each transaction that writes a shadow table
// begins with it; in a REPEATABLE READ transaction it takes the snapshot.
// Returns [ErrDeposed] when another leader took over.
func Lock(ctx context.Context, tx pgx.Tx, run *Run, n int) (Position, error) {
	if err := CheckEpoch(ctx, tx, run); err != nil {
		return Position{}, err
	}
	p := Position{N: n}
	err := tx.QueryRow(ctx, `SELECT state, position::text, pieces, pieces_done, pieces_position::text
		FROM pgumbra.shadow_table WHERE run_id = $1 AND n = $2 FOR UPDATE`, run.ID, n).
		Scan(&p.State, &p.Snapshot, &p.Pieces, &p.PiecesDone, &p.PiecesPosition)
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

// SetPosition records the production snapshot that the table now equals and
// adds to its count of replayed changes.
func SetPosition(ctx context.Context, tx pg.Querier, run *Run, n int, snapshot string, replayed int64) error {
	_, err := tx.Exec(ctx, `UPDATE pgumbra.shadow_table
		SET position = $3::pg_snapshot, rows_replayed = rows_replayed + $4 WHERE run_id = $1 AND n = $2`,
		run.ID, n, snapshot, replayed)
	if err != nil {
		return fmt.Errorf("position of table %d: %w", n, err)
	}
	return nil
}
