package replay

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// CatchUp replays what was journalled while a table was copied, in bounded
// pieces by key hash, each a transaction of its own, and moves the table from
// catching_up to indexing. Tables in a later state are left alone. A killed
// CatchUp goes on with the first piece that is not done.
//
// The position becomes the first piece's snapshot when all are done: keys of
// later pieces are then further on than it says, which the next batch takes in
// its stride, since it writes states and not differences. Errors as of
// [Replayer.Batch].
func (r *Replayer) CatchUp(ctx context.Context, t *plans.Table) error {
	f, err := r.feed(ctx, t)
	if err != nil {
		return err
	}
	for {
		var more bool
		err := r.snapshot(ctx, f, func(e ends, at moment) (err error) {
			more, err = r.piece(ctx, e, f, at)
			return err
		})
		if err != nil || !more {
			return err
		}
	}
}

// piece replays the next piece; false: it was the last one.
func (r *Replayer) piece(ctx context.Context, e ends, f *feed, at moment) (more bool, err error) {
	switch {
	case at.State == control.Indexing || at.State == control.InStep:
		return false, nil
	case at.State != control.CatchingUp:
		return false, fmt.Errorf("%s is %s: %w", f.t.Shadow, at.State, ErrRecopy)
	case f.kind() == still:
		return false, control.SetState(ctx, e.shadow, r.Run, f.t.N, control.Indexing)
	case at.Snapshot == nil:
		return false, &RecopyError{f.t, "it has no position"}
	}
	n, err := f.readNews(ctx, e.production, *at.Snapshot)
	if err != nil {
		return false, err
	}
	pieces, err := r.pieces(ctx, e.production, f, at, n)
	if err != nil {
		return false, err
	}
	s := scope{position: *at.Snapshot, pieces: pieces, piece: int64(at.PiecesDone)}
	if err := f.apply(ctx, e, s, n); err != nil {
		return false, err
	}
	done, first := int64(at.PiecesDone)+1, at.now
	if at.PiecesPosition != nil && pieces > 1 {
		first = *at.PiecesPosition
	}
	if done < pieces {
		return true, r.recordPiece(ctx, e.shadow, f, pieces, done, first, n.changes/pieces)
	}
	return false, r.caughtUp(ctx, e.shadow, f, first, n.changes/pieces)
}

// pieces in which the catch-up is done. A TRUNCATE among the entries concerns
// all keys at once: what is left is done in one piece then.
func (r *Replayer) pieces(ctx context.Context, tx pgx.Tx, f *feed, at moment, n news) (int64, error) {
	switch {
	case f.kind() != keyed || n.whole || n.member:
		return 1, nil
	case at.Pieces != nil:
		return int64(*at.Pieces), nil
	}
	pieces := (n.changes + r.pieceRows() - 1) / r.pieceRows()
	if pieces <= 1 {
		return 1, nil
	}
	hashes, err := f.hashes(ctx, tx)
	if err != nil || !hashes {
		return 1, err
	}
	return pieces, nil
}

// hashes reports whether all types of the key have a hash function. No catalog
// says it for domains, arrays and composites, so the function itself is asked,
// with an entry there is, in a savepoint.
func (f *feed) hashes(ctx context.Context, tx pgx.Tx) (bool, error) {
	probe, err := tx.Begin(ctx)
	if err != nil {
		return false, fmt.Errorf("begin a savepoint: %w", err)
	}
	_, err = probe.Exec(ctx, fmt.Sprintf(`SELECT %s FROM %s AS j WHERE j.op <> 't' LIMIT 1`,
		f.hash(f.entryKey), f.journal.Name().Quoted()))
	if back := probe.Rollback(ctx); back != nil {
		return false, fmt.Errorf("roll back to a savepoint: %w", back)
	}
	if pg.State(err) == undefinedFunction {
		return false, nil
	}
	return err == nil, err
}

const undefinedFunction = "42883"

func (r *Replayer) recordPiece(ctx context.Context, tx pgx.Tx, f *feed, pieces, done int64, first string, changes int64) error {
	_, err := tx.Exec(ctx, `UPDATE pgumbra.shadow_table SET pieces = $3, pieces_done = $4,
		pieces_position = $5::pg_snapshot, rows_replayed = rows_replayed + $6 WHERE run_id = $1 AND n = $2`,
		r.Run.ID, f.t.N, pieces, done, first, changes)
	if err != nil {
		return fmt.Errorf("record piece %d of %s: %w", done, f.t.Shadow, err)
	}
	return nil
}

func (r *Replayer) caughtUp(ctx context.Context, tx pgx.Tx, f *feed, position string, changes int64) error {
	if err := control.SetPosition(ctx, tx, r.Run, f.t.N, position, changes); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `UPDATE pgumbra.shadow_table SET pieces = NULL, pieces_done = 0, pieces_position = NULL
		WHERE run_id = $1 AND n = $2`, r.Run.ID, f.t.N)
	if err != nil {
		return fmt.Errorf("forget the pieces of %s: %w", f.t.Shadow, err)
	}
	return control.SetState(ctx, tx, r.Run, f.t.N, control.Indexing)
}
