package replay

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// pending is what unread journal rows come to.
type pending struct {
	changes int64
	whole   bool // a TRUNCATE of the table
	member  bool // a TRUNCATE of one of its partitions
}

// readPending counts the unread rows of a table's journals.
func (f *applier) readPending(ctx context.Context, db pg.Querier, position string) (pending, error) {
	var all pending
	for _, j := range f.journals() {
		var one pending
		err := db.QueryRow(ctx, fmt.Sprintf(`SELECT count(*), COALESCE(bool_or(j.op = 't' AND j.member IS NULL), false),
			COALESCE(bool_or(j.op = 't' AND j.member IS NOT NULL), false) FROM %s AS j WHERE %s`,
			j.Name().Quoted(), unread("j", scope{})), position).Scan(&one.changes, &one.whole, &one.member)
		if err != nil {
			return pending{}, fmt.Errorf("read %s: %w", j.Name(), err)
		}
		all.changes += one.changes
		// A parent's TRUNCATE truncates this table by a statement trigger of
		// its own, or with ONLY not at all.
		switch {
		case f.looksUp(j.N):
			all.whole = all.whole || one.whole || one.member
		case f.src == nil || j.N == f.src.N:
			all.whole = all.whole || one.whole
			all.member = all.member || one.member
		}
	}
	return all, nil
}

// apply brings the table from position to the transaction's snapshot.
func (f *applier) apply(ctx context.Context, e ends, s scope, n pending) error {
	if n.changes == 0 {
		return nil
	}
	w := f.writer(e)
	if n.whole || n.member && f.kind() != keyed {
		return f.bring(ctx, e, anyWay, slices.Concat(f.allUnfitSets(), f.takenSets(group{}), []set{f.wholeSet()}), w.rebuild())
	}
	switch f.kind() {
	case derived:
		return f.applyDerived(ctx, e, s)
	case keyless:
		return f.applyKeyless(ctx, e, s)
	}
	if n.member {
		s.reread = true
		if err := f.bring(ctx, e, anyWay, append(f.allUnfitSets(), f.keysWithinSet(group{})), append(w.noteAll(), w.deleteAbsent())); err != nil {
			return err
		}
	}
	return f.bring(ctx, e, f.preferred(n.changes), append(f.unfitSets(s), f.keyedSet(s)), w.applyKeyed(s.on(e)))
}

// bring stages sets, where it must, and runs the statements that read them.
func (f *applier) bring(ctx context.Context, e ends, p planner, sets []set, todo []statement) error {
	if err := f.stage(ctx, e, p, sets...); err != nil {
		return err
	}
	return f.finish(ctx, e, p, todo, sets...)
}

// finish runs the last statements that read sets.
func (f *applier) finish(ctx context.Context, e ends, p planner, todo []statement, sets ...set) error {
	switch {
	case e.remote():
		return f.script(ctx, e.shadow, p, append(todo, f.unstage(sets)))
	case p == anyWay:
		return f.exec(ctx, e.shadow, todo)
	}
	if err := p.set(ctx, e.shadow); err != nil {
		return err
	}
	if err := f.exec(ctx, e.shadow, todo); err != nil {
		return err
	}
	return anyWay.set(ctx, e.shadow) // for whatever else the transaction reads
}

// fewChanges are looked up by the key's index whatever the planner thinks:
// journals are new tables without statistics, and a hash join would read all
// of production for them. Many of a small table are left to the planner.
const fewChanges = 100_000

func (f *applier) preferred(changes int64) planner {
	if changes > fewChanges && changes > f.src.Rows/10 {
		return anyWay
	}
	return byIndex
}

// planner says which ways the planner may go until the transaction ends.
type planner struct{ seqScan, hashJoin, mergeJoin, nestLoop string }

var (
	anyWay = planner{"on", "on", "on", "on"}
	// byIndex makes reading a table from end to end the last resort. Hash joins
	// stay: entries are found again by number, which has no index, and nested
	// loops over 12,000 of them took 12 seconds.
	byIndex = planner{"off", "on", "off", "on"}
	// atOnce reads a table once, as one without its key's index must be.
	atOnce = planner{"on", "on", "on", "off"}
)

func (p planner) set(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, p.sql("$1", "$2", "$3", "$4"), p.seqScan, p.hashJoin, p.mergeJoin, p.nestLoop)
	if err != nil {
		return fmt.Errorf("set planner options: %w", err)
	}
	return nil
}

func (p planner) setBoth(ctx context.Context, e ends) error {
	if err := p.set(ctx, e.production); err != nil || !e.remote() {
		return err
	}
	return p.set(ctx, e.shadow)
}

func (p planner) sql(seqScan, hashJoin, mergeJoin, nestLoop string) string {
	return fmt.Sprintf(`SELECT pg_catalog.set_config('enable_seqscan', %s, true), pg_catalog.set_config('enable_hashjoin', %s, true),
		pg_catalog.set_config('enable_mergejoin', %s, true), pg_catalog.set_config('enable_nestloop', %s, true)`, seqScan, hashJoin, mergeJoin, nestLoop)
}

// around begins and ends a script in which the planner goes these ways.
func (p planner) around() (begin, end string) {
	if p == anyWay {
		return "", ""
	}
	text := func(p planner) string {
		return p.sql(pg.Literal(p.seqScan), pg.Literal(p.hashJoin), pg.Literal(p.mergeJoin), pg.Literal(p.nestLoop))
	}
	return text(p) + ";\n", ";\n" + text(anyWay)
}

// DropJournalled deletes from a freshly copied table each key that a journal
// names and that its position does not have: a row that moved between two
// chunks was copied twice, or not at all, and the first catch-up writes it
// again. In the caller's transaction on the shadow, before the key has an index;
// the table's row must be locked by [control.Lock]. Where the shadow is another
// database it reads the journals in a transaction of its own. Tables that are
// copied in one snapshot have nothing to drop.
func (r *Replayer) DropJournalled(ctx context.Context, tx pgx.Tx, t *plans.Table) error {
	f, err := r.applier(ctx, t)
	if err != nil {
		return err
	}
	if f.kind() != keyed || f.frozen && len(f.lookups) == 0 {
		return nil
	}
	at, err := control.Where(ctx, tx, r.Run, t.N)
	if err != nil || at.Snapshot == "" {
		return err
	}
	s := scope{position: at.Snapshot, reread: true}
	drop := func(e ends) error {
		return f.bring(ctx, e, atOnce, []set{f.touchedSet(s)}, []statement{f.writer(e).deleteTouched(s.on(e))})
	}
	if !r.Sides.Remote() {
		return drop(ends{tx, tx})
	}
	return r.reading(ctx, tx, func(e ends) error {
		if _, err := r.look(ctx, e, []string{at.Snapshot}); err != nil {
			return err
		}
		return drop(e)
	})
}
