package replay

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
)

// errUndo rolls a transaction back that only looked.
var errUndo = errors.New("rolled back on purpose")

// locate finds the key at which replay of a table fails, and the expression, by
// replaying half of the touched keys, then half of these, and so on, in
// savepoints of a transaction that is rolled back. PostgreSQL names the key of
// a violated constraint, but not the row on which an expression fails.
func (r *Replayer) locate(ctx context.Context, f *applier, conflict *Conflict) {
	if f.kind() != keyed || conflict.State == "" || strings.HasPrefix(conflict.State, "23") {
		return
	}
	err := r.once(ctx, f, 1, func(e ends, at moment) error {
		if at.Snapshot == nil {
			return errUndo
		}
		s := scope{position: *at.Snapshot, pieces: 1}
		if at.State == control.CatchingUp || at.State == control.FollowingState || at.State == control.Indexing {
			conflict.Key, conflict.Column, conflict.Expression = f.search(ctx, e, s)
		}
		return errUndo
	})
	if !errors.Is(err, errUndo) {
		r.Log.Warn("the row in conflict was not found", "table", f.t.Shadow.String(), "error", err)
	}
}

// search halves until one key is left. Empty: nothing fails any more, or only
// several rows together.
func (f *applier) search(ctx context.Context, e ends, s scope) (key, column, expression string) {
	for s.pieces < 1<<40 {
		var keys int64
		count := f.touched(s) + fmt.Sprintf(" SELECT count(*) FROM %s_t", f.own)
		if err := e.production.QueryRow(ctx, count, s.args()...).Scan(&keys); err != nil || keys == 0 {
			return "", "", ""
		}
		if keys == 1 {
			return f.describe(ctx, e.production, s)
		}
		halves := [2]scope{s, s}
		for i := range halves {
			halves[i].pieces, halves[i].piece = 2*s.pieces, s.piece+int64(i)*s.pieces
		}
		switch {
		case f.try(ctx, e, halves[0]) != nil:
			s = halves[0]
		case f.try(ctx, e, halves[1]) != nil:
			s = halves[1]
		default:
			return "", "", ""
		}
	}
	return "", "", ""
}

// describe names the one key in scope and the first expression that fails on it.
func (f *applier) describe(ctx context.Context, tx pgx.Tx, s scope) (key, column, expression string) {
	text := f.touched(s) + fmt.Sprintf(" SELECT pg_catalog.concat_ws(', ', %s) FROM %s_t", list(len(f.src.Key), func(i int) string {
		return pg.Literal(f.src.Key[i].Name+"=") + " || " + f.k(i) + "::text"
	}), f.own)
	if err := tx.QueryRow(ctx, text, s.args()...).Scan(&key); err != nil {
		return "", "", ""
	}
	for _, c := range f.written() {
		one := statement{sql: fmt.Sprintf("%s SELECT %s FROM %s", f.touched(s), typed(c), f.current(s)), args: s.args()}
		if undone(ctx, tx, func(tx pgx.Tx) error { return f.exec(ctx, tx, []statement{one}) }) != nil {
			return key, c.Shadow, c.Expression
		}
	}
	return key, "", ""
}

// try replays the keys in scope in savepoints that are rolled back.
func (f *applier) try(ctx context.Context, e ends, s scope) error {
	replay := func(e ends) error {
		return f.bring(ctx, e, anyWay, f.keyedSet(s), f.writer(e).applyKeyed(s.on(e)))
	}
	return undone(ctx, e.production, func(production pgx.Tx) error {
		if !e.remote() {
			return replay(ends{production, production})
		}
		return undone(ctx, e.shadow, func(shadow pgx.Tx) error { return replay(ends{production, shadow}) })
	})
}

// undone runs work in a savepoint that is rolled back.
func undone(ctx context.Context, tx pgx.Tx, work func(pgx.Tx) error) error {
	probe, err := tx.Begin(ctx)
	if err != nil {
		return err
	}
	return errors.Join(work(probe), probe.Rollback(ctx))
}
