package replay

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/plans"
)

// errUndo rolls a transaction back that only looked.
var errUndo = errors.New("rolled back on purpose")

// locate finds the key at which replay of a table fails, and the expression, by
// replaying half of the touched keys, then half of these, and so on, in
// savepoints of a transaction that is rolled back. PostgreSQL names the key of
// a violated constraint, but not the row on which an expression fails. Of a derived table
// the rows of its query are halved, which nothing but expressions can fail on.
func (r *Replayer) locate(ctx context.Context, f *applier, conflict *Conflict) {
	search := f.search
	if f.kind() == derived {
		search = f.searchReached
	}
	if f.kind() != keyed && f.kind() != derived || conflict.State == "" || strings.HasPrefix(conflict.State, "23") {
		return
	}
	err := r.once(ctx, f, 1, func(e ends, at moment) error {
		if at.Snapshot == nil {
			return errUndo
		}
		s := scope{position: *at.Snapshot, pieces: 1}
		if at.State == control.CatchingUp || at.State == control.FollowingState || at.State == control.Indexing {
			conflict.Key, conflict.Column, conflict.Expression = search(ctx, e, s)
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

// searchReached is search for a derived table.
func (f *applier) searchReached(ctx context.Context, e ends, s scope) (key, column, expression string) {
	rcs, err := f.reaches(ctx, e, s)
	if err != nil || len(f.t.Key) == 0 {
		return "", "", ""
	}
	for w, rc := range rcs {
		if rc.values == 0 {
			continue
		}
		rows := reachedRows{f, "WITH " + f.reached(s, w) + " ", f.reachedRows(w, rc), s.args()}
		if row, found := rows.failing(ctx, e.production); found {
			return rows.describe(ctx, e.production, row)
		}
	}
	return "", "", ""
}

// reachedRows are the rows of a derived table's query that touched values reach, in the
// order of their key.
type reachedRows struct {
	f          *applier
	with, from string
	args       []any
}

func (r reachedRows) key(i int) string { return r.f.queried(r.f.t.Key[i].Shadow) }

// of asks something of those from one place to another.
func (r reachedRows) of(what string, from, to int64) statement {
	return statement{sql: fmt.Sprintf("%sSELECT %s FROM (SELECT %s.* FROM %s ORDER BY %s OFFSET %d LIMIT %d) AS %[3]s", r.with, what, r.f.alias(), r.from,
		list(len(r.f.t.Key), r.key), from, to-from), args: r.args}
}

// fail reports whether an expression of some columns fails on one of them.
func (r reachedRows) fail(ctx context.Context, tx pgx.Tx, from, to int64, columns ...plans.Column) bool {
	one := r.of(list(len(columns), func(i int) string { return typed(columns[i]) }), from, to)
	return undone(ctx, tx, func(tx pgx.Tx) error { return r.f.exec(ctx, tx, []statement{one}) }) != nil
}

// failing is the place of the first row that fails.
func (r reachedRows) failing(ctx context.Context, tx pgx.Tx) (from int64, found bool) {
	var to int64
	count := r.of("count(*)", 0, 1<<40)
	if tx.QueryRow(ctx, count.sql, count.args...).Scan(&to) != nil || to == 0 || !r.fail(ctx, tx, 0, to, r.f.written()...) {
		return 0, false
	}
	for to-from > 1 {
		if half := (from + to) / 2; r.fail(ctx, tx, from, half, r.f.written()...) {
			to = half
		} else {
			from = half
		}
	}
	return from, true
}

// describe names one of them by its key, and the first expression that fails on it.
func (r reachedRows) describe(ctx context.Context, tx pgx.Tx, row int64) (key, column, expression string) {
	name := r.of(named(len(r.f.t.Key), func(i int) string { return r.f.t.Key[i].Shadow }, r.key), row, row+1)
	if tx.QueryRow(ctx, name.sql, name.args...).Scan(&key) != nil {
		return "", "", ""
	}
	for _, c := range r.f.written() {
		if r.fail(ctx, tx, row, row+1, c) {
			return key, c.Shadow, c.Expression
		}
	}
	return key, "", ""
}

// describe names the one key in scope and the first expression that fails on it.
func (f *applier) describe(ctx context.Context, tx pgx.Tx, s scope) (key, column, expression string) {
	text := f.touched(s) + fmt.Sprintf(" SELECT %s FROM %s_t", named(len(f.src.Key), func(i int) string { return f.src.Key[i].Name }, f.k), f.own)
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
		return f.bring(ctx, e, anyWay, []set{f.keyedSet(s)}, f.writer(e).applyKeyed(s.on(e)))
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
