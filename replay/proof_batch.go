package replay

import (
	"context"
	"fmt"

	"github.com/pgumbra/pgumbra/internal/control"
)

// smallBatch is up to how many touched keys a batch proves itself, and up to how
// many rows a table without a key. Beyond it they are proved beside batches, which
// must not wait for it.
const smallBatch = 1000

// mostAtOnce rows of a table are compared by a batch in which one of its
// partitions was emptied: it has looked at every key already.
const mostAtOnce = 1_000_000

// proveBatch compares what a batch has just written, and what was touched since
// the last proof, with production at the batch's snapshot.
func (r *Replayer) proveBatch(ctx context.Context, e ends, f *applier, at moment, n pending) (control.ProofMove, error) {
	if at.Proved == nil {
		return control.ProofStays, nil
	}
	current := n.changes == 0 && *at.Proved == *at.Snapshot
	switch whole, err := f.comparedWhole(ctx, e, n, current); {
	case err != nil:
		return control.ProofStays, err
	case whole:
		return f.proveWhole(ctx, e, at)
	case current:
		return control.ProofMoves, nil
	case f.kind() != keyed || n.changes > smallBatch || n.member:
		return control.ProofStays, nil
	}
	if *at.Proved != *at.Snapshot {
		since, err := f.readPending(ctx, e.production, *at.Proved)
		if err != nil || since.changes > smallBatch || since.whole || since.member {
			return control.ProofStays, err
		}
	}
	s := scope{position: *at.Proved}
	c, err := f.sumTouched(ctx, e, s, group{})
	if err != nil || c.equal() {
		return control.ProofMoves, err
	}
	verdict := Verdict{Rows: c.production.rows}
	if verdict.Differences, err = f.touchedDifferences(ctx, e, s, group{}); err != nil {
		return control.ProofStays, fmt.Errorf("show the differences: %w", err)
	}
	*at.found = append(*at.found, Found{f.t, verdict})
	return control.ProofCleared, nil
}

// comparedWhole reports whether a batch compares all rows there are: after a
// TRUNCATE it has just written all of them, and of a small table without a key
// nothing less can be compared.
func (f *applier) comparedWhole(ctx context.Context, e ends, n pending, current bool) (bool, error) {
	switch {
	case n.whole:
		return true, nil
	case n.member:
		return f.src == nil || f.src.Rows <= mostAtOnce, nil
	case f.kind() != keyless || current:
		return false, nil
	}
	var rows int
	err := e.production.QueryRow(ctx, fmt.Sprintf("SELECT count(*) FROM (SELECT FROM %s LIMIT %d) AS c", f.whole(), smallBatch+1)).Scan(&rows)
	if err != nil {
		return false, fmt.Errorf("count the rows of %s: %w", f.t.Shadow, err)
	}
	return rows <= smallBatch, nil
}

// proveWhole compares every row, as it is right after what a batch wrote.
func (f *applier) proveWhole(ctx context.Context, e ends, at moment) (control.ProofMove, error) {
	verdict, err := f.compare(ctx, e, group{})
	if err != nil || verdict.Equal {
		return control.ProofWhole, err
	}
	*at.found = append(*at.found, Found{f.t, verdict})
	return control.ProofCleared, nil
}
