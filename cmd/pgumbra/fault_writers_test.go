package main

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// writers write to what is production, and try to write to the other side.
type writers struct {
	t    *testing.T
	stop func()
	dsn  func() string // of the new production

	mu             sync.Mutex
	acked, unknown int
	old, new       []taken
	strange        []string
}

// taken is a write that a side took.
type taken struct{ began, ended time.Time }

// writeToBoth lets clients write until the check. In one database the name leads to
// either side, and the other one has a name of its own; with another server each
// side is written to directly.
func writeToBoth(ctx context.Context, o *operator, place string) *writers {
	w := &writers{t: o.t, dsn: func() string { return o.dsnOf(theShadow) }}
	life, stop := context.WithCancel(ctx)
	var all sync.WaitGroup
	begin := func(dsn, sql string, took func(began time.Time, err error)) {
		all.Go(func() { writeOn(life, dsn, sql, took) })
	}
	const update = "UPDATE shop.a SET n = n + 1 WHERE id = 1"
	begin(o.dsn, update, func(began time.Time, err error) { w.note(&w.old, began, err) })
	if place == remote {
		begin(o.there, update, func(began time.Time, err error) { w.note(&w.new, began, err) })
		begin(o.there, "UPDATE pgumbra_up_shop.a SET n = n + 1 WHERE id = 1", w.refused)
	} else {
		begin(o.dsn, "UPDATE pgumbra_up_shop.a SET n = n + 1 WHERE id = 1", w.refused)
		begin(o.dsn, "UPDATE pgumbra_up_old_shop.a SET n = n + 1 WHERE id = 1", w.refused)
	}
	w.stop = sync.OnceFunc(func() { stop(); all.Wait() })
	o.t.Cleanup(w.stop)
	return w
}

// writeOn repeats a statement, on a new session after each lost one.
func writeOn(ctx context.Context, dsn, sql string, took func(time.Time, error)) {
	var conn *pgx.Conn
	for ctx.Err() == nil {
		if conn == nil || conn.IsClosed() {
			var err error
			if conn, err = pgx.Connect(ctx, dsn); err != nil {
				conn = nil
			}
		}
		if conn != nil {
			began := time.Now()
			tag, err := conn.Exec(context.WithoutCancel(ctx), sql)
			if err != nil || tag.RowsAffected() > 0 { // an empty table takes nothing
				took(began, err)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
	if conn != nil {
		_ = conn.Close(context.Background())
	}
}

func (w *writers) note(side *[]taken, began time.Time, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch state := pg.State(err); {
	case err == nil:
		w.acked++
		*side = append(*side, taken{began, time.Now()})
	case state == "" || pg.Unreachable(err): // nobody knows
		w.unknown++
	case slices.Contains([]string{pgerrcode.ReadOnlySQLTransaction, pgerrcode.UndefinedTable, "3F000", pgerrcode.SerializationFailure, "57P03", pgerrcode.DiskFull}, state):
	default:
		w.strange = append(w.strange, err.Error())
	}
}

// refused notes a write to a side that is not production: none may come through.
func (w *writers) refused(_ time.Time, err error) {
	if err == nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.strange = append(w.strange, "the side that is not production took a write")
	}
}

// wrote ends the writing and asks for each acknowledged write, and whether both
// sides took some at one time: then they would have taken turns more often than there
// were swaps.
func (w *writers) wrote(ctx context.Context, t *testing.T, swaps int) {
	t.Helper()
	w.stop()
	for _, text := range slices.Compact(slices.Sorted(slices.Values(w.strange))) {
		t.Error(text)
	}
	if turns := turns(w.old, w.new); len(w.new) > 0 && turns > swaps {
		t.Errorf("the sides took turns %d times in taking writes, and were swapped %d times", turns, swaps)
	}
	conn, err := pgx.Connect(ctx, w.dsn())
	must(t, err)
	defer conn.Close(ctx)
	var found int
	must(t, conn.QueryRow(ctx, "SELECT n - 1 FROM shop.a WHERE id = 1").Scan(&found))
	if found < w.acked || found > w.acked+w.unknown {
		t.Errorf("%d writes were acknowledged, of %d nobody knows, and %d are there", w.acked, w.unknown, found)
	}
	t.Logf("%d writes acknowledged, of %d nobody knows", w.acked, w.unknown)
}

// turns is how often it was for certain the other side's turn to take a write: one that
// began when the last one had ended. Beginning with the old side.
func turns(before, after []taken) (n int) {
	sides := [][]taken{slices.Clone(before), slices.Clone(after)}
	for _, s := range sides {
		slices.SortFunc(s, func(a, b taken) int { return a.ended.Compare(b.ended) })
	}
	var last time.Time
	for ; ; n++ {
		i := slices.IndexFunc(sides[n%2], func(w taken) bool { return w.began.After(last) })
		if i < 0 {
			return n - 1
		}
		last = sides[n%2][i].ended
	}
}
