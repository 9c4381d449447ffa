package replay

import (
	"context"
	"fmt"

	"github.com/jackc/pgerrcode"
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
	f, err := r.applier(ctx, t)
	if err != nil {
		return err
	}
	for {
		more, err := r.catchUp(ctx, f)
		if err != nil || !more {
			return err
		}
	}
}

// catchUp replays the next pieces, one in each apply worker; false: there are no more.
func (r *Replayer) catchUp(ctx context.Context, f *applier) (more bool, err error) {
	changes, err := r.pendingOf(ctx, f)
	if err != nil {
		return false, err
	}
	applyWorkers, release := r.applyWorkersFor(f, control.CatchingUp, changes)
	defer release()
	err = r.snapshotIn(ctx, f, applyWorkers, func(e ends, at moment) (err error) {
		more, err = r.nextPieces(ctx, e, f, at)
		return err
	})
	return more, err
}

// nextPieces replays what of the pieces comes next; false: it was the last.
func (r *Replayer) nextPieces(ctx context.Context, e ends, f *applier, at moment) (more bool, err error) {
	switch {
	case at.State == control.Indexing || at.State == control.FollowingState:
		return false, nil
	case at.State != control.CatchingUp:
		return false, fmt.Errorf("%s is %s: %w", f.t.Shadow, at.State, ErrRecopy)
	case f.kind() == static:
		return false, control.SetState(ctx, e.shadow, r.Run, f.t.N, control.Indexing)
	case at.Snapshot == nil:
		return false, &RecopyError{f.t, "it has no position"}
	}
	n, err := f.readPending(ctx, e.production, *at.Snapshot)
	if err != nil {
		return false, err
	}
	pieces, err := r.pieces(ctx, f, at, n)
	if err != nil {
		return false, err
	}
	next := divided(*at.Snapshot, pieces, int64(at.PiecesDone), at.applyWorkers)
	if err := r.applyInApplyWorkers(ctx, e, f, next, n); err != nil {
		return false, err
	}
	done, first := int64(at.PiecesDone+len(next)), at.now
	if at.PiecesPosition != nil && pieces > 1 {
		first = *at.PiecesPosition
	}
	changes := n.changes * int64(len(next)) / pieces
	if done < pieces {
		return true, r.recordPieces(ctx, e.shadow, f, pieces, done, first, changes)
	}
	return false, r.caughtUp(ctx, e.shadow, f, first, changes)
}

// divided are the scopes of the next pieces, at most one for each apply worker. Pieces
// that were done before the catch-up had to be made in one do not count.
func divided(position string, pieces, done int64, applyWorkers int) []scope {
	if pieces == 1 {
		return []scope{{position: position}}
	}
	var next []scope
	for piece := done; piece < min(pieces, done+int64(applyWorkers)); piece++ {
		next = append(next, scope{position: position, pieces: pieces, piece: piece})
	}
	return next
}

// pieces in which the catch-up is done. A TRUNCATE among the entries concerns
// all keys at once: what is left is done in one piece then.
func (r *Replayer) pieces(ctx context.Context, f *applier, at moment, n pending) (int64, error) {
	if at.Pieces != nil && !n.whole && !n.member {
		return int64(*at.Pieces), nil
	}
	return r.divide(ctx, f, n, max(int64(at.applyWorkers), (n.changes+r.pieceRows()-1)/r.pieceRows()))
}

// divide is how many pieces can be had where so many are wanted: one, unless keys
// can be hashed and the news concern each by itself. Spellings of one key would be in
// several.
func (r *Replayer) divide(ctx context.Context, f *applier, n pending, wanted int64) (int64, error) {
	if wanted <= 1 || f.kind() != keyed || n.whole || n.member || f.respelt {
		return 1, nil
	}
	hashes, err := f.hashes(ctx, r.Sides.Production)
	if err != nil || !hashes {
		return 1, err
	}
	return wanted, nil
}

// hashes reports whether all types of the key have a hash function. No catalog
// says it for domains, arrays and composites, so the function itself is asked,
// which looks at the types of NULLs too.
func (f *applier) hashes(ctx context.Context, production pg.Querier) (bool, error) {
	_, err := production.Exec(ctx, "SELECT "+f.hash(func(i int) string {
		return collate("NULL::"+f.src.Key[i].Type, f.src.Key[i].Collation)
	}))
	if pg.State(err) == pgerrcode.UndefinedFunction {
		return false, nil
	}
	return err == nil, err
}

func (r *Replayer) recordPieces(ctx context.Context, tx pgx.Tx, f *applier, pieces, done int64, first string, changes int64) error {
	return control.NotePieces(ctx, tx, r.Run, f.t.N, control.Pieces{Of: pieces, Done: done, Snapshot: first}, changes)
}

func (r *Replayer) caughtUp(ctx context.Context, tx pgx.Tx, f *applier, position string, changes int64) error {
	return control.EndPieces(ctx, tx, r.Run, f.t.N, position, changes)
}
