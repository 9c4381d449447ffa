package replay

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
)

const (
	// mostTouched keys are looked up one by one; of a table of which more, and more
	// than a quarter, were touched, all keys are compared once more.
	mostTouched = 100_000
	// touchedAtOnce are looked up in one snapshot, or a share of all of them: each
	// piece reads the journals by itself.
	touchedAtOnce  = 20_000
	mostTouchedCut = 50
)

// proveTouched proves the keys again that were touched since the snapshot of a
// table's proof, in pieces, or begins to renew it. What was pending meanwhile
// remains.
func (r *Replayer) proveTouched(ctx context.Context, f *applier) error {
	f.touching.Lock()
	defer f.touching.Unlock()
	p, err := control.ProofOf(ctx, r.Sides.Shadow, r.Run, f.t.N)
	if err != nil || !p.Begun || p.Current || p.Renewing {
		return err
	}
	n, err := f.readPending(ctx, r.Sides.Production, p.Proved)
	if err != nil {
		return err
	}
	switch all := n.whole || n.member; {
	case all && !p.Complete: // concerns every key: once all of them are proved
		return nil
	case all, p.Complete && n.changes > mostTouched && f.src != nil && n.changes > f.src.Rows/4:
		return r.renew(ctx, f, n)
	}
	began := time.Now()
	defer r.holdBack(f.t.N, n.changes)()
	to, differs, err := r.compareAllTouched(ctx, f, p.Proved, n)
	if err != nil || differs {
		return err
	}
	r.noteRate(f.t.N, n.changes, time.Since(began))
	return r.onShadow(ctx, f, func(tx pgx.Tx) error {
		moved, err := control.MoveProof(ctx, tx, r.Run, f.t.N, p.Proved, to.position, to.at)
		if err == nil && !moved {
			err = errOvertaken
		}
		return err
	})
}

// errOvertaken says that a batch carried a proof further meanwhile, or that somebody
// took it back.
var errOvertaken = errors.New("the proof is another one by now")

// compareAllTouched compares, piece after piece, the keys touched since a snapshot.
// The proof may move to the sight of the first piece: what is touched later is named
// after it.
func (r *Replayer) compareAllTouched(ctx context.Context, f *applier, since string, n pending) (to sight, differs bool, err error) {
	pieces, err := r.divide(ctx, f, n, min((n.changes+touchedAtOnce-1)/touchedAtOnce, mostTouchedCut))
	if err != nil {
		return to, false, err
	}
	for piece := range pieces {
		g := group{pieces: pieces, piece: piece}
		found, err := r.compareTouched(ctx, f, since, g)
		if err != nil {
			return to, false, err
		}
		if !found.equal() {
			verdict, err := r.confirm(ctx, f, since, g)
			if err != nil {
				return to, false, err
			}
			if !verdict.Equal {
				return to, true, r.differs(ctx, f, verdict)
			}
		}
		if piece == 0 {
			to = found.sight
		}
	}
	return to, false, nil
}

// renew begins to compare all keys once more, while the proof stands.
func (r *Replayer) renew(ctx context.Context, f *applier, n pending) error {
	r.Log.Info("comparing all keys once more", "table", f.t.Final.String(), "changes", n.changes)
	if _, err := r.beginRenewal(ctx, f); err != nil {
		return err
	}
	return control.MirrorProof(ctx, r.Sides, r.Run, f.t.N)
}
