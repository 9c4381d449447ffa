package replay

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// Verdict of a comparison.
type Verdict struct {
	Rows        int64 // compared, as production has them
	Equal       bool
	Differences []Difference // the first 20
}

// Difference is one row that is not what it should be.
type Difference struct {
	Key        string  // "id=7, line=2"; of tables without a key how often the row is there
	Production *string // transform(production) as text; nil: no such row
	Shadow     *string // nil: no such row
}

const (
	differences = 20
	firstGroup  = 100_000
	leastGroup  = 1_000
	// A group should take this long: its snapshot holds back VACUUM.
	groupTime = 1500 * time.Millisecond
)

// Verify compares transform(production) with the shadow, exactly and while
// production takes writes: group after group of keys, each in a transaction
// that first brings the table to its own snapshot of production, by count and
// two hashes of the rows' text. Tables without a key, and those whose keys are
// not carried as they are, are one group. Generated and volatile columns are
// left out. When all is equal the table's verified_at is set.
//
// Locks and errors as of [Replayer.Batch]: a client that truncates or alters
// the production table waits for the group under way, one or two seconds as a
// rule, and others behind that client. A difference is no error.
func (r *Replayer) Verify(ctx context.Context, t *plans.Table) (Verdict, error) {
	f, err := r.feed(ctx, t)
	if err != nil {
		return Verdict{}, err
	}
	verdict := Verdict{Equal: true}
	if f.kind() != still {
		if verdict, err = r.verifyGroups(ctx, f); err != nil {
			return verdict, fmt.Errorf("verify %s: %w", t.Shadow, err)
		}
	}
	if !verdict.Equal {
		return verdict, nil
	}
	return verdict, r.noteVerified(ctx, t)
}

func (r *Replayer) noteVerified(ctx context.Context, t *plans.Table) error {
	var committed []byte
	err := pg.ReadCommitted(ctx, r.Sides.Shadow, func(tx pgx.Tx) error {
		if _, err := control.Lock(ctx, tx, r.Run, t.N); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE pgumbra.shadow_table SET verified_at = clock_timestamp()
			WHERE run_id = $1 AND n = $2`, r.Run.ID, t.N)
		if err != nil {
			return fmt.Errorf("note the verification of %s: %w", t.Shadow, err)
		}
		committed, err = r.positions(ctx, tx, t)
		return err
	})
	if err != nil {
		return err
	}
	return r.mirror(ctx, committed, t)
}

func (r *Replayer) verifyGroups(ctx context.Context, f *feed) (Verdict, error) {
	all := Verdict{Equal: true}
	g := group{size: firstGroup}
	for {
		began := time.Now()
		one, upper, err := r.verifyGroup(ctx, f, g)
		if err != nil {
			return all, err
		}
		all.Rows += one.Rows
		all.Equal = all.Equal && one.Equal
		all.Differences = append(all.Differences, one.Differences...)
		if upper == nil || len(all.Differences) >= differences {
			all.Differences = all.Differences[:min(differences, len(all.Differences))]
			return all, nil
		}
		g = group{lower: upper, size: adapted(g.size, time.Since(began))}
	}
}

// adapted is the size at which the next group takes about groupTime.
func adapted(size int64, took time.Duration) int64 {
	switch {
	case took > 2*groupTime:
		size /= 4
	case took > groupTime:
		size /= 2
	case took < groupTime/2:
		size *= 2
	}
	return max(size, leastGroup)
}

// verifyGroup compares the keys above g.lower, about g.size of them, and
// returns the last; nil: there are no more.
func (r *Replayer) verifyGroup(ctx context.Context, f *feed, g group) (Verdict, []string, error) {
	var verdict Verdict
	err := r.snapshot(ctx, f, func(e ends, at moment) error {
		_, err := r.advance(ctx, e, f, at)
		if err != nil {
			return err
		}
		if g.upper, err = f.bound(ctx, e.production, g); err != nil {
			return err
		}
		verdict, err = f.compare(ctx, e, g)
		return err
	})
	r.noteAdvance(f.t.N)
	return verdict, g.upper, err
}

// bound finds the last key of a group in production; nil: the rest is the group.
func (f *feed) bound(ctx context.Context, tx pgx.Tx, g group) ([]string, error) {
	if !f.ranged() {
		return nil, nil
	}
	rows, err := tx.Query(ctx, f.boundSQL(g), g.args()...)
	if err != nil {
		return nil, fmt.Errorf("find the end of a group: %w", err)
	}
	upper, err := pgx.CollectRows(rows, pgx.RowTo[[]string])
	if err != nil {
		return nil, fmt.Errorf("find the end of a group: %w", err)
	}
	if len(upper) == 0 {
		return nil, nil
	}
	return upper[0], nil
}

// sums of one side of a group.
type sums struct {
	rows   int64
	hashes [2]string
}

func (f *feed) compare(ctx context.Context, e ends, g group) (Verdict, error) {
	var production, shadow sums
	err := e.both(
		func() error { return f.sum(ctx, e.production, f.productionSums(g), g, &production) },
		func() error { return f.sum(ctx, e.shadow, f.shadowSums(g), g, &shadow) })
	if err != nil {
		return Verdict{}, err
	}
	verdict := Verdict{Rows: production.rows, Equal: production == shadow}
	if verdict.Equal {
		return verdict, nil
	}
	if verdict.Differences, err = f.differences(ctx, e, g); err != nil {
		return verdict, fmt.Errorf("show the differences: %w", err)
	}
	return verdict, nil
}

func (f *feed) sum(ctx context.Context, tx pgx.Tx, text string, g group, s *sums) error {
	if err := tx.QueryRow(ctx, text, g.args()...).Scan(&s.rows, &s.hashes[0], &s.hashes[1]); err != nil {
		return f.refused(statement{"compare", text, nil}, err)
	}
	return nil
}

func (f *feed) differences(ctx context.Context, e ends, g group) ([]Difference, error) {
	images := f.imageSet(g)
	if err := f.stage(ctx, e, anyWay, images); err != nil {
		return nil, err
	}
	rows, err := e.shadow.Query(ctx, f.writer(e).differencesSQL(g), g.args()...)
	if err != nil {
		return nil, err
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Difference])
	if err != nil {
		return nil, err
	}
	return all, f.finish(ctx, e, anyWay, nil, images)
}
