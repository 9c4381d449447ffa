package shadow

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// BuildIndexes takes every table in state indexing to following: the indexes and
// constraints that are left, several at once, each recorded in its own
// transaction so that none is built twice; what needs them; VACUUM (ANALYZE),
// without which index-only scans would read the whole heap right after the
// swap; and the materialized views. Tables that nothing feeds get theirs too.
//
// CREATE INDEX keeps out writers of the shadow table, who are only we. Returns
// [*DuplicateError] when rows collide under a new unique index.
func BuildIndexes(ctx context.Context, sides control.Sides, run *control.Run, workers int) error {
	b, err := newIndexer(ctx, sides.Shadow, run, workers)
	if err != nil {
		return err
	}
	units := b.units()
	late := b.late()
	ready := b.inState(control.Indexing)
	if len(units) == 0 && len(late) == 0 && len(ready) == 0 {
		return nil
	}
	if err := b.parallel(ctx, len(units), func(ctx context.Context, i int) error { return b.build(ctx, units[i]) }); err != nil {
		return err
	}
	for _, e := range late {
		if err := b.makeLate(ctx, e); err != nil {
			return err
		}
	}
	if err := b.vacuum(ctx, ready); err != nil {
		return err
	}
	if err := RefreshViews(ctx, sides, b.run); err != nil {
		return err
	}
	return b.inStep(ctx, ready)
}

type indexer struct {
	pool    *pgxpool.Pool
	run     *control.Run
	workers int
	states  map[int]control.State
	roots   map[pg.Name]relation
	done    map[int]bool
}

// unit is entries that must follow one another.
type unit struct {
	table   *plans.Table // for people; may be nil
	entries []*plans.Entry
}

func newIndexer(ctx context.Context, pool *pgxpool.Pool, run *control.Run, workers int) (*indexer, error) {
	b := &indexer{pool: pool, run: run, workers: max(1, workers)}
	var err error
	if b.states, err = control.States(ctx, pool, run); err != nil {
		return nil, err
	}
	if b.roots, err = trees(ctx, pool, run.Plan); err != nil {
		return nil, err
	}
	b.done, err = control.Built(ctx, pool, run)
	return b, err
}

// due are the entries of some stages that are still to be run, on tables whose
// turn has come: those that are fed are past their first catch-up.
func (b *indexer) due(stages ...plans.Stage) []*plans.Entry {
	staged := inStage(stages...)
	return entriesOf(b.run.Plan, func(e *plans.Entry) bool {
		if !staged(e) || b.done[e.TOC] {
			return false
		}
		t := b.run.Plan.TableOf(b.root(e).Name)
		if t == nil {
			return true
		}
		state, fed := b.states[t.N]
		return !fed || state == control.Indexing || state == control.FollowingState
	})
}

func (b *indexer) root(e *plans.Entry) relation {
	if r, known := b.roots[e.Table]; known {
		return r
	}
	return relation{Name: e.Table}
}

// units groups what must keep pg_dump's order: the indexes of a partition tree,
// where a root's is made on ONLY it and its partitions' attached, and
// constraints, which lock their table against each other anyway. Indexes of
// plain tables are independent. Key entries are here for tables that nothing
// feeds: the others have theirs.
func (b *indexer) units() []unit {
	var units []unit
	groups := map[pg.Name]int{}
	for _, e := range b.due(plans.StageKey, plans.StageIndex) {
		if b.early(e) {
			continue
		}
		root := b.root(e)
		t := b.run.Plan.TableOf(root.Name)
		if e.Tag == "INDEX" && (root.kind == "r" || root.kind == "m") {
			units = append(units, unit{table: t, entries: []*plans.Entry{e}})
			continue
		}
		i, known := groups[root.Name]
		if !known {
			i = len(units)
			groups[root.Name] = i
			units = append(units, unit{table: t})
		}
		units[i].entries = append(units[i].entries, e)
	}
	slices.SortStableFunc(units, func(x, y unit) int { return cmp.Compare(b.bytes(y), b.bytes(x)) })
	return units
}

// early: the relation is still to be made. A materialized view that groups by a
// primary key needs it, so pg_dump makes it, and its indexes, after that.
func (b *indexer) early(e *plans.Entry) bool {
	_, known := b.roots[e.Table]
	return !known && !e.Table.IsZero()
}

func (b *indexer) late() []*plans.Entry {
	var late []*plans.Entry
	for _, e := range b.due(plans.StageIndex, plans.StageLate) {
		if e.Stage == plans.StageLate || b.early(e) {
			late = append(late, e)
		}
	}
	return late
}

func (b *indexer) bytes(u unit) int64 {
	if u.table == nil {
		return 0
	}
	return bytesOf(b.run.Plan, u.table)
}

// parallel runs f for 0 … n-1 on as many goroutines as there are workers.
func (b *indexer) parallel(ctx context.Context, n int, f func(context.Context, int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(b.workers)
	for i := range n {
		group.Go(func() error { return f(ctx, i) })
	}
	return group.Wait()
}

// build runs a unit, each entry in a transaction of its own.
func (b *indexer) build(ctx context.Context, u unit) error {
	return onSession(ctx, b.pool, func(conn *pgx.Conn) error {
		for _, e := range u.entries {
			err := asOwner(ctx, b.pool, b.run, func() error {
				return pg.ReadCommitted(ctx, conn, func(tx pgx.Tx) error {
					if err := runIndexes(ctx, tx, b.run, []*plans.Entry{e}, b.workers); err != nil {
						return err
					}
					return control.CheckEpoch(ctx, tx, b.run)
				})
			})
			if err != nil {
				return duplicate(u.table, err)
			}
		}
		return nil
	})
}

// makeLate runs one entry. What it makes anew gets no default privileges.
func (b *indexer) makeLate(ctx context.Context, e *plans.Entry) error {
	return onSession(ctx, b.pool, func(conn *pgx.Conn) error {
		return asOwner(ctx, b.pool, b.run, func() error {
			return pg.ReadCommitted(ctx, conn, func(tx pgx.Tx) error { return b.runLate(ctx, tx, e) })
		})
	})
}

func (b *indexer) runLate(ctx context.Context, tx pgx.Tx, e *plans.Entry) error {
	known, err := objects(ctx, tx, b.run)
	if err != nil {
		return err
	}
	if err := runIndexes(ctx, tx, b.run, []*plans.Entry{e}, b.workers); err != nil {
		return err
	}
	if err := resetPrivileges(ctx, tx, b.run, known); err != nil {
		return err
	}
	return control.CheckEpoch(ctx, tx, b.run)
}

func (b *indexer) inState(s control.State) []*plans.Table {
	var tables []*plans.Table
	for _, t := range largestFirst(b.run.Plan) {
		if state, fed := b.states[t.N]; fed && state == s {
			tables = append(tables, t)
		}
	}
	return tables
}

// vacuum sets visibility maps and statistics. Tables that were only filled once
// are small and come along.
func (b *indexer) vacuum(ctx context.Context, ready []*plans.Table) error {
	tables := slices.Clone(ready)
	for i := range b.run.Plan.Tables {
		if t := &b.run.Plan.Tables[i]; t.Feed == plans.Carried {
			tables = append(tables, t)
		}
	}
	return b.parallel(ctx, len(tables), func(ctx context.Context, i int) error {
		err := asOwner(ctx, b.pool, b.run, func() error {
			return underPath(ctx, b.pool, b.run, "VACUUM (ANALYZE) "+tables[i].Shadow.Quoted())
		})
		if err != nil {
			return fmt.Errorf("vacuum %s: %w", tables[i].Shadow, err)
		}
		return nil
	})
}

// RefreshViews fills the materialized views, each of which may read earlier
// ones. Not CONCURRENTLY: before the swap nobody reads them.
func RefreshViews(ctx context.Context, sides control.Sides, run *control.Run) error {
	for _, name := range run.Plan.Matviews {
		if _, err := RefreshView(ctx, sides, run, name); err != nil {
			return fmt.Errorf("refresh %s: %w", name, err)
		}
	}
	return nil
}

// RefreshView fills one of them, and says whether its owner had to be lent rights
// for it, which [Seal] takes back.
func RefreshView(ctx context.Context, sides control.Sides, run *control.Run, view pg.Name) (lent bool, err error) {
	pool, times := sides.Shadow, 0
	err = asOwner(ctx, pool, run, func() error {
		times++
		return refresh(ctx, pool, run, view, "")
	})
	if err == nil {
		err = underPath(ctx, pool, run, "ANALYZE "+view.Quoted())
	}
	return times > 1, err
}

// EmptyView makes one unscannable, as production's is.
func EmptyView(ctx context.Context, sides control.Sides, run *control.Run, view pg.Name) error {
	return refresh(ctx, sides.Shadow, run, view, " WITH NO DATA")
}

func refresh(ctx context.Context, pool *pgxpool.Pool, run *control.Run, view pg.Name, with string) error {
	return pg.ReadCommitted(ctx, pool, func(tx pgx.Tx) error {
		if err := setAll(ctx, tx, pathOnShadow(run)...); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "REFRESH MATERIALIZED VIEW "+view.Quoted()+with); err != nil {
			return err
		}
		return control.CheckEpoch(ctx, tx, run)
	})
}

func (b *indexer) inStep(ctx context.Context, tables []*plans.Table) error {
	return pg.ReadCommitted(ctx, b.pool, func(tx pgx.Tx) error {
		for _, t := range tables {
			if _, err := control.Lock(ctx, tx, b.run, t.N); err != nil {
				return err
			}
			if err := control.SetState(ctx, tx, b.run, t.N, control.FollowingState); err != nil {
				return err
			}
		}
		return nil
	})
}
