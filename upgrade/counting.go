package upgrade

import (
	"context"
	"fmt"
	"time"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/replay"
)

// counts are journal rows written and replayed so far.
type counts struct{ journalled, replayed int64 }

// untracked are the counts where the server keeps no statistics: what is replayed
// and what is left make up what was written. The two are read a moment apart, and
// of a remote shadow from a copy, so that a total may seem to shrink.
func (before counts) untracked(replayed, pending int64) counts {
	now := counts{replayed + pending, replayed}
	if replayed >= before.replayed {
		now.journalled = max(now.journalled, before.journalled)
	}
	return now
}

// count measures journal rows in and out for status, and says early when
// following will never catch up. The sequence does not count them: entries of a
// bulk statement share a number.
func (w *worker) count(ctx context.Context) error {
	var now counts
	var tracked bool
	err := w.sides.Production.QueryRow(ctx, `SELECT pg_catalog.current_setting('track_counts')::boolean,
		(SELECT coalesce(sum(pg_stat_get_tuples_inserted(oid)), 0)::bigint FROM pg_class
		 WHERE relnamespace = 'pgumbra'::regnamespace AND relkind = 'r' AND relname ~ ('^' || $2::text || '_' || $1::text || '_[0-9]+_[ab]$')),
		`+control.ReplayedOf("$1::text::bigint"),
		fmt.Sprint(w.run.ID), w.journalWord()).Scan(&tracked, &now.journalled, &now.replayed)
	if err != nil {
		return fmt.Errorf("count changes: %w", err)
	}
	pending, err := w.pending(ctx)
	if err != nil {
		return err
	}
	if !tracked {
		now = w.counts.untracked(now.replayed, pending)
	}
	w.counts = now
	w.lastPending.Store(pending)
	w.forecast.Observe(time.Now(), now.journalled, now.replayed, pending)
	held := w.strangers.resume != nil // nothing is replayed, which is told
	if _, outlook := w.forecast.ETA(); outlook == replay.Never && !held && time.Since(w.counted) > time.Minute {
		w.counted = time.Now()
		w.log.Warn("production changes faster than replay follows; see docs/what-if.md", "pending", pending)
	}
	in, out := w.forecast.Rates()
	return control.NoteRates(ctx, w.sides.Record(), w.run, in, out)
}

// journalWord is what the names of the journals that are followed begin with.
func (w *worker) journalWord() string {
	if w.run.Plan.Backwards() {
		return "reverse"
	}
	return "journal"
}
