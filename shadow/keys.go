package shadow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// DuplicateError says that rows of production collide under a unique index of
// the shadow that production does not have, or that transforms made them equal.
// The user changes rows, transform or migration.
type DuplicateError struct {
	Table  pg.Name // production's, or the final name of one that only the shadow has
	Object string  // index or constraint
	Detail string  // PostgreSQL's, with the key
	Err    error
}

func (e *DuplicateError) Error() string {
	return fmt.Sprintf("rows of %s violate %s in the shadow: %s", e.Table, e.Object, e.Detail)
}

// Unwrap keeps the SQLSTATE.
func (e *DuplicateError) Unwrap() error { return e.Err }

// memoryBudget is what all index builds at once may sort in, at least: a server
// that runs with the default maintenance_work_mem of 64 MB sorts large tables in
// many passes. A server that is configured for more keeps its own.
const memoryBudget = 512 << 20

// BuildKeys takes every table in state keying to catching_up, each in one
// transaction: the rows that are journalled and not in the table's position go
// (dropJournalled, with the shadow's transaction), since they may have been
// copied twice; then the key's index is built. Several tables at once, largest first. Locks only shadow tables.
// Returns [*DuplicateError] when rows collide.
func BuildKeys(ctx context.Context, sides control.Sides, run *control.Run, workers int,
	dropJournalled func(context.Context, pgx.Tx, *plans.Table) error,
) error {
	states, err := control.States(ctx, sides.Shadow, run)
	if err != nil {
		return err
	}
	roots, err := trees(ctx, sides.Shadow, run.Plan)
	if err != nil {
		return err
	}
	done, err := control.Built(ctx, sides.Shadow, run)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(1, workers))
	for _, t := range largestFirst(run.Plan) {
		if states[t.N] != control.Keying {
			continue
		}
		entries := keyEntries(run.Plan, t, roots, done)
		group.Go(func() error { return buildKey(ctx, sides, run, t, entries, workers, dropJournalled) })
	}
	return group.Wait()
}

// keyEntries are all entries that make the key's index: of a partition tree
// those of the root, of each partition, and what attaches one to the other.
func keyEntries(plan *plans.Plan, t *plans.Table, roots map[pg.Name]relation, done map[int]bool) []*plans.Entry {
	return entriesOf(plan, func(e *plans.Entry) bool {
		if done[e.TOC] {
			return false
		}
		return t.KeyIndex != 0 && e.TOC == t.KeyIndex || e.Stage == plans.StageKey && roots[e.Table].Name == t.Shadow
	})
}

func buildKey(ctx context.Context, sides control.Sides, run *control.Run, t *plans.Table, entries []*plans.Entry, workers int,
	dropJournalled func(context.Context, pgx.Tx, *plans.Table) error,
) error {
	err := onSession(ctx, sides.Shadow, func(conn *pgx.Conn) error {
		return pg.ReadCommitted(ctx, conn, func(tx pgx.Tx) error {
			at, err := control.Hold(ctx, tx, run, t.N)
			if err != nil || at.State != control.Keying {
				return err
			}
			if err := setAll(ctx, tx, pathOnShadow(run)...); err != nil {
				return err
			}
			if t.Feed == plans.Copied && len(t.Key) > 0 {
				if err := dropJournalled(ctx, tx, t); err != nil {
					return err
				}
			}
			if err := runIndexes(ctx, tx, run, entries, workers); err != nil {
				return err
			}
			if sides.Remote() { // what was dropped was read in the journal
				if err := secure(ctx, sides, run, tx); err != nil {
					return err
				}
			}
			if err := control.SetState(ctx, tx, run, t.N, control.CatchingUp); err != nil {
				return err
			}
			return control.CheckEpoch(ctx, tx, run)
		})
	})
	if err != nil {
		return fmt.Errorf("build the key of %s: %w", productionName(t), duplicate(t, err))
	}
	return nil
}

// runIndexes runs entries and records them. Without a lock_timeout: on a shadow
// table a statement waits for other index builds of ours, as long as they take.
func runIndexes(ctx context.Context, tx pgx.Tx, run *control.Run, entries []*plans.Entry, workers int) error {
	_, err := tx.Exec(ctx, `
		SELECT pg_catalog.set_config('maintenance_work_mem', (greatest($1::bigint,
		       pg_catalog.pg_size_bytes(pg_catalog.current_setting('maintenance_work_mem'))) / 1024)::text || 'kB', true)`,
		memoryBudget/max(1, workers))
	if err != nil {
		return fmt.Errorf("set maintenance_work_mem: %w", err)
	}
	if err := setAll(ctx, tx, pathOnShadow(run)...); err != nil {
		return err
	}
	for _, e := range entries {
		if err := runEntry(ctx, tx, e); err != nil {
			return err
		}
	}
	return control.NoteBuilt(ctx, tx, run, entries...)
}

func duplicate(t *plans.Table, err error) error {
	var e *pgconn.PgError
	if t == nil || !errors.As(err, &e) || e.Code != pgerrcode.UniqueViolation && e.Code != pgerrcode.ExclusionViolation {
		return err
	}
	table := t.Production
	if table.IsZero() {
		table = t.Final
	}
	return &DuplicateError{Table: table, Object: e.ConstraintName, Detail: e.Detail, Err: err}
}

func largestFirst(plan *plans.Plan) []*plans.Table {
	tables := make([]*plans.Table, len(plan.Tables))
	for i := range plan.Tables {
		tables[i] = &plan.Tables[i]
	}
	slices.SortStableFunc(tables, func(a, b *plans.Table) int { return cmp.Compare(bytesOf(plan, b), bytesOf(plan, a)) })
	return tables
}

func bytesOf(plan *plans.Plan, t *plans.Table) (bytes int64) {
	for i := range plan.Sources {
		if t.ReadsFrom(plan.Sources[i].N) {
			bytes += plan.Sources[i].Bytes
		}
	}
	return bytes
}
