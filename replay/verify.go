package replay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/plans"
)

// Verdict of a comparison.
type Verdict struct {
	Rows        int64        `json:"rows"` // compared, as production has them
	Equal       bool         `json:"equal"`
	Differences []Difference `json:"differences"` // the first 20
}

// Difference is one row that is not what it should be.
type Difference struct {
	Key        string  `json:"key"`        // "id=7, line=2"; of tables without a key how often the row is there
	Production *string `json:"production"` // transform(production) as text; nil: no such row
	Shadow     *string `json:"shadow"`     // nil: no such row
}

const (
	differences = 20
	firstGroup  = 10_000 // keys, until it is known how long they take
	// A group should take this long: its snapshot holds back VACUUM.
	groupTime = 1500 * time.Millisecond
)

// Verify compares transform(production) with the shadow, exactly and while
// production takes writes: range after range of keys, several at once, each at a
// snapshot of its own, by count and by a hash of each row. Changes that were not
// replayed yet at that snapshot are left out there, and their keys compared right
// after a batch. Tables without a key, and those whose keys are not carried as
// they are, are one range. Generated and volatile columns are left out. When all
// is equal the table's verified_at is set.
//
// It is a guest: a leader that follows meanwhile goes on. Locks: ACCESS SHARE on
// production for as long as a range takes, one or two seconds as a rule; the
// table's row in the control schema for a moment where changes were pending, and
// for as long as one range takes where it differs. Errors as of [Replayer.Batch];
// a difference is none.
func (r *Replayer) Verify(ctx context.Context, t *plans.Table) (Verdict, error) {
	f, err := r.applier(ctx, t)
	if err != nil {
		return Verdict{}, err
	}
	if f.kind() == static {
		return Verdict{Equal: true}, nil
	}
	pass, err := r.passOf(ctx, f)
	if err != nil {
		return Verdict{}, err
	}
	verdict, err := r.verifyRanges(ctx, f)
	switch {
	case err != nil:
		return verdict, fmt.Errorf("verify %s: %w", t.Shadow, err)
	case !verdict.Equal:
		return verdict, r.unprove(ctx, f)
	case r.Guest:
		return verdict, nil
	}
	return verdict, r.noteVerified(ctx, f, control.Ranges{Pass: pass, Rows: verdict.Rows, Done: true})
}

// passOf is the pass of a table's proof that a verification completes.
func (r *Replayer) passOf(ctx context.Context, f *applier) (pass int, err error) {
	if r.Guest {
		return 0, nil
	}
	proofs, err := control.Proofs(ctx, r.Sides.Shadow, r.Run)
	if err != nil {
		return 0, err
	}
	for _, p := range proofs {
		switch {
		case p.N != f.t.N || !p.Begun:
		case p.Complete && !p.Renewing:
			return r.beginRenewal(ctx, f)
		default:
			return p.Pass, nil
		}
	}
	return r.beginProof(ctx, f)
}

// noteVerified completes the proof in the transaction of a batch.
func (r *Replayer) noteVerified(ctx context.Context, f *applier, all control.Ranges) error {
	err := r.snapshot(ctx, f, func(e ends, at moment) error {
		if _, err := r.advance(ctx, e, f, at); err != nil {
			return err
		}
		_, err := control.RecordRanges(ctx, e.shadow, r.Run, f.t.N, all)
		return err
	})
	if err != nil {
		return err
	}
	return control.MirrorProof(ctx, r.Sides, r.Run, f.t.N)
}

func (r *Replayer) verifyRanges(ctx context.Context, f *applier) (Verdict, error) {
	w := r.newWalk(f, nil)
	g, ctx := errgroup.WithContext(ctx)
	for range r.workers() {
		g.Go(func() error { return r.verifySome(ctx, w) })
	}
	err := g.Wait()
	return w.verdict(), err
}

// verifySome compares ranges of a walk until there are no more, or differences
// enough.
func (r *Replayer) verifySome(ctx context.Context, w *walk) error {
	for {
		one, err := w.take(ctx, r.Sides.Production)
		if err != nil || one == nil {
			return err
		}
		began := time.Now()
		if one.verdict, err = r.verifyRange(ctx, w.f, one.group); err != nil {
			return err
		}
		w.took(one, time.Since(began))
		if w.differ(one.verdict) {
			return nil
		}
	}
}

// verifyRange compares one range beside whoever replays, and what was pending in
// it, or all of it where it differs, as whoever replays.
func (r *Replayer) verifyRange(ctx context.Context, f *applier, g group) (Verdict, error) {
	var all, rest comparison
	var since sight
	err := r.untilSeen(ctx, f, g, func(s sight) (err error) {
		if all, err = f.sumUp(ctx, s.ends, g); err == nil {
			rest, since = all.minus(s.pending), s
		}
		return err
	})
	verdict := Verdict{Rows: all.production.rows, Equal: true}
	switch {
	case err != nil || all.equal():
		return verdict, err
	case rest.equal() && f.kind() == keyless: // the sums hold what is pending
		return verdict, nil
	case rest.equal() && f.kind() == keyed:
		verdict.Differences, err = r.verifyTouched(ctx, f, since, g)
		if !errors.Is(err, errGone) {
			verdict.Equal = len(verdict.Differences) == 0
			return verdict, err
		}
	}
	verdict, _, err = r.verifyGroup(ctx, f, g)
	return verdict, err
}

// errGone says that the journals were emptied of what was pending at a sight.
var errGone = errors.New("the journals do not hold any more what was pending")

// verifyTouched compares the keys that changed since a sight, right after a batch.
func (r *Replayer) verifyTouched(ctx context.Context, f *applier, since sight, g group) (found []Difference, err error) {
	s := scope{position: since.position}
	err = r.snapshot(ctx, f, func(e ends, at moment) error {
		if _, err := r.advance(ctx, e, f, at); err != nil {
			return err
		}
		n, err := f.readPending(ctx, e.production, since.position)
		if err != nil {
			return err
		}
		if n.whole || n.member || emptied(ctx, e.production, f, since.journals) != nil {
			return errGone
		}
		c, err := f.sumTouched(ctx, e, s, g)
		if err == nil && !c.equal() {
			found, err = f.touchedDifferences(ctx, e, s, g)
		}
		return err
	})
	if err == nil {
		r.noteAdvance(f.t.N)
	}
	return found, err
}

// verifyGroup compares the keys above g.lower up to g.upper or, where g.size says
// so, so many of them, right after a batch. It returns the last; nil: there are no
// more.
func (r *Replayer) verifyGroup(ctx context.Context, f *applier, g group) (Verdict, []string, error) {
	var verdict Verdict
	err := r.snapshot(ctx, f, func(e ends, at moment) error {
		_, err := r.advance(ctx, e, f, at)
		if err != nil {
			return err
		}
		if g.size > 0 {
			if g.upper, err = f.bound(ctx, e.production, g); err != nil {
				return err
			}
		}
		verdict, err = f.compare(ctx, e, g)
		return err
	})
	r.noteAdvance(f.t.N)
	return verdict, g.upper, err
}

func (f *applier) compare(ctx context.Context, e ends, g group) (Verdict, error) {
	c, err := f.sumUp(ctx, e, g)
	if err != nil {
		return Verdict{}, err
	}
	verdict := Verdict{Rows: c.production.rows, Equal: c.equal()}
	if verdict.Equal {
		return verdict, nil
	}
	if verdict.Differences, err = f.differences(ctx, e, g); err != nil {
		return verdict, fmt.Errorf("show the differences: %w", err)
	}
	if f.byImage() && f.t.Own != "" { // of what sums leave out there may be rows on both sides
		verdict.Equal = len(verdict.Differences) == 0
	}
	return verdict, nil
}

func (f *applier) differences(ctx context.Context, e ends, g group) ([]Difference, error) {
	sets := []set{f.imageSet(g)}
	if !f.byImage() {
		sets = append(sets, f.takenSets(g)...)
	}
	if err := f.stage(ctx, e, anyWay, sets...); err != nil {
		return nil, err
	}
	return f.collect(ctx, e, f.writer(e).differencesSQL(g), g.args(), sets...)
}

// collect reads differences, and ends what was staged for them.
func (f *applier) collect(ctx context.Context, e ends, text string, args []any, staged ...set) ([]Difference, error) {
	if len(args) == 0 {
		args = []any{pgx.QueryExecModeExec}
	}
	rows, err := e.shadow.Query(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Difference])
	if err != nil {
		return nil, err
	}
	return all, f.finish(ctx, e, anyWay, nil, staged...)
}
