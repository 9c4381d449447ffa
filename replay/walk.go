package replay

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
)

// walk hands out the keys of a table once, range after range, to any number of
// workers.
type walk struct {
	f *applier

	mu     sync.Mutex
	next   []string // where the next range begins; nil: at the first key
	over   bool     // the last range was handed out
	size   int64    // of the next range, in keys
	handed int64    // keys in ranges that were handed out, about
	found  int      // differences
	ranges []*span  // handed out; those of a proof that were recorded are not kept
	free   []*span  // given back

	pass      int // of the proof that this walk carries on
	rows      int64
	done      bool       // all of the proof is recorded, or it was taken back
	recording sync.Mutex // held by who records, so that records are in order
}

// span is one range of a walk.
type span struct {
	group
	keys    int64 // that were wanted of it; the last one has fewer
	verdict Verdict
	done    bool
}

// newWalk begins behind a key; nil: with the first.
func (r *Replayer) newWalk(f *applier, behind []string) *walk {
	return &walk{f: f, next: behind, size: min(r.rangeRows(), firstGroup)}
}

// carriedOn is the walk of a proof that somebody began.
func (r *Replayer) carriedOn(f *applier, p control.Proof) *walk {
	w := r.newWalk(f, p.UpTo)
	w.pass, w.rows, w.handed = p.Pass, p.Rows, p.Rows
	return w
}

// take hands out the next range; nil: there is none. Which keys are in one range
// matters to nobody, so its end is looked up in any snapshot.
func (w *walk) take(ctx context.Context, production pg.Querier) (*span, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.free); n > 0 {
		one := w.free[n-1]
		if err := w.cut(ctx, production, one); err != nil {
			return nil, err
		}
		w.free = slices.DeleteFunc(w.free, func(other *span) bool { return other == one })
		return one, nil
	}
	if w.over {
		return nil, nil
	}
	var upper []string
	if !w.nearlyDone() {
		var err error
		if upper, err = w.f.bound(ctx, production, group{lower: w.next, size: w.size}); err != nil {
			return nil, err
		}
	}
	w.handed += w.size
	one := &span{group: group{lower: w.next, upper: upper}, keys: w.size}
	w.next, w.over = upper, upper == nil
	w.ranges = append(w.ranges, one)
	return one, nil
}

// nearlyDone reports whether what is left, as far as the plan knows, makes one range:
// to find its end would be to pass all of its keys. One that turns out to be too much
// is given back, and cut.
func (w *walk) nearlyDone() bool {
	return w.f.ranged() && w.f.src.Rows > 0 && w.f.src.Rows-w.handed <= w.size*3/2
}

// cut makes two of a range that was given back and has more keys than ranges have
// now.
func (w *walk) cut(ctx context.Context, production pg.Querier, one *span) error {
	middle, err := w.f.bound(ctx, production, group{lower: one.lower, upper: one.upper, size: w.size})
	if err != nil || middle == nil || slices.Equal(middle, one.upper) {
		return err
	}
	rest := &span{group: group{lower: middle, upper: one.upper}, keys: one.keys}
	one.upper, one.keys = middle, w.size
	w.ranges = slices.Insert(w.ranges, slices.Index(w.ranges, one)+1, rest)
	w.free = append(w.free, rest)
	return nil
}

// giveBack a range that could not be compared now: the next ones are smaller, down
// to one key. What ended this one, a pause, a TRUNCATE, a table rewritten, meets the
// short ones less often.
func (w *walk) giveBack(one *span) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.size = max(w.size/shrinks, 1)
	if !w.done {
		w.free = append(w.free, one)
	}
}

// keys that the next range is to have.
func (w *walk) keys() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.size
}

// more reports whether there is a range to take.
func (w *walk) more() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.done && (!w.over || len(w.free) > 0)
}

// stop ends the walk of a proof that was taken back.
func (w *walk) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over, w.free, w.done = true, nil, true
}

func (w *walk) complete() { w.stop() }

// proved notes that a range was proved, and returns what can be recorded: all from
// the first key on without a gap. Nil: nothing more than before.
func (w *walk) proved(one *span) *control.Ranges {
	w.mu.Lock()
	defer w.mu.Unlock()
	one.done = true
	var upTo []string
	n := 0
	for ; n < len(w.ranges) && w.ranges[n].done; n++ {
		w.rows += w.ranges[n].verdict.Rows
		upTo = w.ranges[n].upper
	}
	if n == 0 {
		return nil
	}
	w.ranges = w.ranges[n:]
	return &control.Ranges{Pass: w.pass, UpTo: upTo, Rows: w.rows, Done: w.over && len(w.ranges) == 0}
}

// took adapts the size of ranges to how long one took. The last one says nothing of
// those before it, which may have to be cut yet.
func (w *walk) took(one *span, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if one.upper != nil {
		w.size = adapted(one.keys, d)
	}
}

// differ ends the walk once enough was found.
func (w *walk) differ(v Verdict) (enough bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.found += len(v.Differences)
	w.over = w.over || w.found >= differences
	return w.over
}

// verdict is that of all ranges, in the order of keys.
func (w *walk) verdict() Verdict {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := Verdict{Equal: true}
	for _, one := range w.ranges {
		all.Rows += one.verdict.Rows
		all.Equal = all.Equal && one.verdict.Equal
		all.Differences = append(all.Differences, one.verdict.Differences...)
	}
	all.Differences = all.Differences[:min(differences, len(all.Differences))]
	return all
}

// How many times smaller or larger a range may be than the one before.
const (
	shrinks = 4
	grows   = 16
)

// adapted is the size at which the next group takes about groupTime.
func adapted(size int64, took time.Duration) int64 {
	wanted := float64(size) * float64(groupTime) / float64(max(took, time.Millisecond))
	return max(min(int64(wanted), size*grows), size/shrinks, 1)
}

// bound finds the last key of a group in production; nil: the rest is the group.
func (f *applier) bound(ctx context.Context, db pg.Querier, g group) ([]string, error) {
	if !f.ranged() {
		return nil, nil
	}
	rows, err := db.Query(ctx, f.boundSQL(g), g.args()...)
	if err != nil {
		return nil, fmt.Errorf("find the end of a range: %w", err)
	}
	upper, err := pgx.CollectRows(rows, pgx.RowTo[[]string])
	if err != nil {
		return nil, fmt.Errorf("find the end of a range: %w", err)
	}
	if len(upper) == 0 {
		return nil, nil
	}
	return upper[0], nil
}
