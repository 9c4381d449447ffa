package replay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// The proof of a table says: every key up to some key was compared and found
// equal, but for those that journals name after the snapshot `proved`. It begins
// with the table's position and no key; a walk over its keys carries the one on,
// and what proves touched keys again the other. Both only ever read production.
//
// A range that is compared at a later position than `proved` fits in: keys that
// were pending there, or are touched later, are named after `proved` too.
//
// Where looking touched keys up one by one would take longer than comparing all of
// them, a renewal does so: a walk with a snapshot of its own, which carries the
// proof on once it is complete. Until then the proof stands, and grows older.

// Found is a table that differs.
type Found struct {
	Table   *plans.Table
	Verdict Verdict
}

// Found hands over what batches and the prover found to differ since it was last
// asked. The proofs of these tables are taken back already.
func (r *Replayer) Found() []Found {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.found
	r.found = nil
	return all
}

// Differing names the tables that [Replayer.Found] would hand over.
func (r *Replayer) Differing() (tables []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.found {
		tables = append(tables, f.Table.Final.String())
	}
	return tables
}

// Forget what differed of a table whose copy begins anew.
func (r *Replayer) Forget(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.found = slices.DeleteFunc(r.found, func(f Found) bool { return f.Table.N == n })
}

func (r *Replayer) noteFound(found ...Found) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.found = append(r.found, found...)
}

// onShadow runs work in a transaction of the shadow's that checks the epoch, and
// copies what it did to production.
func (r *Replayer) onShadow(ctx context.Context, f *applier, work func(pgx.Tx) error) error {
	var committed []byte
	err := r.repeat(ctx, []*applier{f}, func() error {
		return pg.ReadCommitted(ctx, r.Sides.Shadow, func(tx pgx.Tx) error {
			if err := control.CheckEpoch(ctx, tx, r.Run); err != nil {
				return err
			}
			if err := work(tx); err != nil {
				return err
			}
			var err error
			if r.Sides.Remote() {
				committed, err = r.positions(ctx, tx, f.t)
			}
			return err
		})
	})
	if err != nil {
		return err
	}
	return r.mirror(ctx, committed, f.t)
}

// beginProof begins a pass over all keys.
func (r *Replayer) beginProof(ctx context.Context, f *applier) (pass int, err error) {
	return r.beginPass(ctx, f, control.BeginProof)
}

// beginRenewal begins another, while the proof stands.
func (r *Replayer) beginRenewal(ctx context.Context, f *applier) (pass int, err error) {
	return r.beginPass(ctx, f, control.BeginRenewal)
}

type beginning func(ctx context.Context, tx pgx.Tx, run *control.Run, n int) (pass int, err error)

func (r *Replayer) beginPass(ctx context.Context, f *applier, begin beginning) (pass int, err error) {
	err = r.onShadow(ctx, f, func(tx pgx.Tx) error {
		if _, err := control.Lock(ctx, tx, r.Run, f.t.N); err != nil {
			return err
		}
		pass, err = begin(ctx, tx, r.Run, f.t.N)
		return err
	})
	return pass, err
}

func (r *Replayer) unprove(ctx context.Context, f *applier) error {
	return r.onShadow(ctx, f, func(tx pgx.Tx) error { return control.Unprove(ctx, tx, r.Run, f.t.N) })
}

// differs takes the proof back of a table of which some rows differ.
func (r *Replayer) differs(ctx context.Context, f *applier, v Verdict) error {
	if err := r.unprove(ctx, f); err != nil {
		return err
	}
	r.noteFound(Found{f.t, v})
	return nil
}

// seen is what a comparison found.
type seen struct {
	rest  comparison // without what was pending
	sight            // of it; its transactions are over
	rows  int64      // that production has, with what was pending
	took  time.Duration
}

func (s seen) equal() bool { return s.rest.equal() }

// compareRange compares a group beside batches.
func (r *Replayer) compareRange(ctx context.Context, f *applier, g group) (seen, error) {
	var found seen
	err := r.see(ctx, f, g, func(s sight) error {
		began := time.Now()
		all, err := f.sumUp(ctx, s.ends, g)
		if err != nil {
			return err
		}
		found = seen{all.minus(s.pending), s, all.production.rows, time.Since(began)}
		if all.equal() { // what is pending changed nothing
			found.rest = all
		}
		return nil
	})
	return found, err
}

// compareTouched compares the keys touched since a snapshot beside batches.
func (r *Replayer) compareTouched(ctx context.Context, f *applier, since string, g group) (seen, error) {
	var found seen
	g.touched = since
	err := r.see(ctx, f, g, func(s sight) error {
		n, err := f.readPending(ctx, s.production, since)
		if err != nil {
			return err
		}
		if n.whole || n.member { // replayed a moment ago: it names no keys
			return fmt.Errorf("%s: %w", f.t.Shadow, errBehind)
		}
		all, err := f.sumTouched(ctx, s.ends, scope{position: since}, g)
		if err == nil {
			found = seen{rest: all.minus(s.pending), sight: s}
		}
		return err
	})
	return found, err
}

// errSlow says that a range was given up that took much longer than it should. The
// next one is smaller.
var errSlow = errors.New("comparing a range takes too long")

// rangePatience is how long a range of more than one key may take: long snapshots
// hold back VACUUM.
const rangePatience = 10 * groupTime

func (r *Replayer) compareInTime(ctx context.Context, f *applier, one *span) (seen, error) {
	if !f.ranged() || one.keys == 1 {
		return r.compareRange(ctx, f, one.group)
	}
	limited, cancel := context.WithTimeout(ctx, rangePatience)
	defer cancel()
	found, err := r.compareRange(limited, f, one.group)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("%s, %d keys: %w", f.t.Shadow, one.keys, errSlow)
	}
	return found, err
}

// confirm looks at what differed once more, right after a batch, and by key.
func (r *Replayer) confirm(ctx context.Context, f *applier, since string, g group) (Verdict, error) {
	if since == "" || f.kind() != keyed {
		verdict, _, err := r.verifyGroup(ctx, f, group{lower: g.lower, upper: g.upper})
		return verdict, err
	}
	journals, err := journalStorage(ctx, r.Sides.Production, f)
	if err != nil {
		return Verdict{}, err
	}
	found, err := r.verifyTouched(ctx, f, sight{position: since, journals: journals}, g)
	return Verdict{Equal: len(found) == 0, Differences: found}, err
}

// proveRange proves the next range of a walk. False: there was none.
func (r *Replayer) proveRange(ctx context.Context, w *walk) (bool, error) {
	one, err := w.take(ctx, r.Sides.Production)
	if err != nil || one == nil {
		return false, err
	}
	found, err := r.compareInTime(ctx, w.f, one)
	if err != nil {
		w.giveBack(one)
		return true, err
	}
	w.took(one, found.took)
	r.Log.Debug("compared a range", "table", w.f.t.Final.String(), "rows", found.rows, "seconds", found.took.Seconds())
	one.verdict = Verdict{Rows: found.rows, Equal: found.equal()}
	if !one.verdict.Equal {
		if one.verdict, err = r.confirm(ctx, w.f, "", one.group); err != nil {
			w.giveBack(one)
			return true, err
		}
	}
	if !one.verdict.Equal {
		w.stop()
		return true, r.differs(ctx, w.f, one.verdict)
	}
	return true, r.recordRanges(ctx, w, one, found)
}

// recordRanges records how far the walk came, in order: several workers carry it
// on, and one that records late has nothing to add.
func (r *Replayer) recordRanges(ctx context.Context, w *walk, one *span, found seen) error {
	w.recording.Lock()
	defer w.recording.Unlock()
	ranges := w.proved(one)
	if ranges == nil {
		return nil
	}
	ranges.Took = found.took
	var recorded bool
	err := r.onShadow(ctx, w.f, func(tx pgx.Tx) (err error) {
		if recorded, err = control.RecordRanges(ctx, tx, r.Run, w.f.t.N, *ranges); err != nil || !recorded {
			return err
		}
		return r.recordWhole(ctx, tx, w.f, found.sight)
	})
	if err != nil {
		return err
	}
	if !recorded {
		w.stop()
		return nil
	}
	if ranges.Done {
		w.complete()
		r.Log.Info("verified", "table", w.f.t.Final.String(), "rows", ranges.Rows)
	}
	return control.MirrorProof(ctx, r.Sides, r.Run, w.f.t.N)
}

// recordWhole notes as of when a table without a key is proved: journals say no
// more of it than whether anything came after.
func (r *Replayer) recordWhole(ctx context.Context, tx pgx.Tx, f *applier, s sight) error {
	if f.kind() != keyless {
		return nil
	}
	at, err := control.Lock(ctx, tx, r.Run, f.t.N)
	if err != nil {
		return err
	}
	now, err := control.Where(ctx, tx, r.Run, f.t.N)
	if err != nil {
		return err
	}
	to := s.position
	if now.Replayed == s.replayed && at.Snapshot != nil {
		to = *at.Snapshot
	}
	_, err = control.MoveProof(ctx, tx, r.Run, f.t.N, "", to, s.at)
	return err
}

// recordAgain notes that a table without a key was compared once more.
func (r *Replayer) recordAgain(ctx context.Context, f *applier, pass int, found seen) error {
	err := r.onShadow(ctx, f, func(tx pgx.Tx) error {
		if err := control.RecordAgain(ctx, tx, r.Run, f.t.N, pass, found.took); err != nil {
			return err
		}
		return r.recordWhole(ctx, tx, f, found.sight)
	})
	if err != nil {
		return err
	}
	return control.MirrorProof(ctx, r.Sides, r.Run, f.t.N)
}

// oldProof: what a younger one keeps in the journals is what production wrote since.
const oldProof = 30 * time.Second

// GiveRoom takes the proofs back for which journals keep rows for long, those of
// tables whose touched keys could not be proved again, so that the journals can be
// emptied: the tables are proved anew. What a renewal has proved is kept.
func (r *Replayer) GiveRoom(ctx context.Context) error {
	proofs, err := control.Proofs(ctx, r.Sides.Shadow, r.Run)
	if err != nil {
		return err
	}
	for _, p := range proofs {
		t := &r.Run.Plan.Tables[p.N]
		if p.Proved == "" || p.Current || p.Ago < oldProof || !r.Run.Plan.ProvedByKey(t) {
			continue
		}
		f, err := r.applier(ctx, t)
		if err != nil {
			return err
		}
		r.Log.Warn("the journals grow: taking back a proof", "table", t.Final.String(), "since", p.Ago.String(), "renewing", p.Renewing)
		undo := control.Unprove
		if p.Renewing {
			undo = control.ProofFromRenewal
		}
		if err := r.onShadow(ctx, f, func(tx pgx.Tx) error { return undo(ctx, tx, r.Run, t.N) }); err != nil {
			return err
		}
	}
	return nil
}

// unlessLater drops errors that another look, a moment later, does away with.
func unlessLater(err error) error {
	if isLater(err) {
		return nil
	}
	return err
}

func isLater(err error) bool {
	return errors.Is(err, errBehind) || errors.Is(err, errMoved) || errors.Is(err, errGone) || errors.Is(err, errSlow) || errors.Is(err, errOvertaken) || errors.Is(err, ErrRecopy)
}
