package capture

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// rotateAt is the size in bytes from which a journal's active table is
// exchanged. Small enough that scanning one costs a batch milliseconds, large
// enough that functions are replaced seldom.
var rotateAt int64 = 4 << 20

// Size is what all journals of the run take on disk, in bytes, indexes and
// TOAST included. It locks no table: one that is dropped meanwhile counts 0.
func Size(ctx context.Context, db pg.Querier, run *control.Run) (bytes int64, err error) {
	err = db.QueryRow(ctx, `SELECT COALESCE(pg_catalog.sum(pg_catalog.pg_total_relation_size(c.oid)), 0)::bigint
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = 'pgumbra' AND c.relkind = 'r' AND c.relname ~ $1`,
		fmt.Sprintf(`^(journal|reverse)_%d_[0-9]+_[ab]$`, run.ID)).Scan(&bytes)
	if err != nil {
		return 0, fmt.Errorf("measure the journals: %w", err)
	}
	return bytes, nil
}

// Rotate keeps the journals of the plan's sources small: it empties the table
// that triggers no longer write to once every reader has applied all of it, and
// leads the triggers over to the empty one when the other has grown. Neither
// touches a table of the user's. A journal that is busy is left for next time.
//
// Emptying takes ACCESS EXCLUSIVE on the drained table: it is got only when no
// transaction that wrote to it is open, and from then on all its rows are
// visible. A writer that began with the old function body waits and then writes
// to the drained table: readers see both, so nothing is lost.
func Rotate(ctx context.Context, pool *pgxpool.Pool, run *control.Run) error {
	sizes, err := heapSizes(ctx, pool, run)
	if err != nil {
		return fmt.Errorf("measure the journals: %w", err)
	}
	for i := range run.Plan.Sources {
		src := &run.Plan.Sources[i]
		tables := JournalOf(run, src).Tables()
		a, b := sizes[tables[0].Name], sizes[tables[1].Name]
		if min(a, b) == 0 && max(a, b) < rotateAt {
			continue
		}
		if err := rotate(ctx, pool, run, src, sizes); err != nil {
			return fmt.Errorf("rotate the journal of %s: %w", src.Name, err)
		}
	}
	return nil
}

func rotate(ctx context.Context, pool *pgxpool.Pool, run *control.Run, src *plans.Source, sizes map[string]int64) error {
	j := JournalOf(run, src)
	active, err := activeTable(ctx, pool, j)
	if err != nil {
		return err
	}
	other := j.Tables()[0]
	if active == other {
		other = j.Tables()[1]
	}
	if sizes[other.Name] > 0 {
		return drain(ctx, pool, run, j, other)
	}
	if sizes[active.Name] < rotateAt {
		return nil
	}
	return lead(ctx, pool, run, src, other)
}

// heapSizes are the sizes of the tables of a direction's journals in bytes, by name.
func heapSizes(ctx context.Context, db pg.Querier, run *control.Run) (map[string]int64, error) {
	rows, err := db.Query(ctx, `SELECT c.relname, COALESCE(pg_catalog.pg_relation_size(c.oid), 0)
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = 'pgumbra' AND c.relkind = 'r' AND c.relname ~ $1`, "^"+JournalOf(run, new(plans.Source)).viewPrefix()+"[0-9]+_[ab]$")
	if err != nil {
		return nil, err
	}
	sizes := map[string]int64{}
	var name string
	var size int64
	_, err = pgx.ForEachRow(rows, []any{&name, &size}, func() error {
		sizes[name] = size
		return nil
	})
	return sizes, err
}

// activeTable reads from a trigger function which table it writes to.
func activeTable(ctx context.Context, db pg.Querier, j Journal) (pg.Name, error) {
	var source string
	err := db.QueryRow(ctx, `SELECT prosrc FROM pg_catalog.pg_proc WHERE oid = pg_catalog.to_regprocedure($1)`,
		j.function(fnTruncate).Quoted()+"()").Scan(&source)
	if err != nil {
		return pg.Name{}, fmt.Errorf("find the active journal of %s: %w", j.Table, err)
	}
	tables := j.Tables()
	if strings.Contains(source, tables[1].Quoted()) {
		return tables[1], nil
	}
	return tables[0], nil
}

// lead makes the triggers write to another table of the journal, by replacing
// their functions' bodies: no lock on the captured table.
func lead(ctx context.Context, pool *pgxpool.Pool, run *control.Run, src *plans.Source, to pg.Name) error {
	t, err := sourceTarget(ctx, pool, run, src)
	if err != nil {
		return err
	}
	if err := Guard(ctx, pool, run, t.Direction); err != nil {
		return err
	}
	err = pg.ReadCommitted(ctx, pool, func(tx pgx.Tx) error {
		if err := control.CheckEpoch(ctx, tx, run); err != nil {
			return err
		}
		if err := unbroken(ctx, tx, t.Journal); err != nil {
			return err
		}
		if err := indexForLaggard(ctx, tx, run, t, to); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, t.functionsScript(to))
		return err
	})
	return unlessBusy(ctx, err)
}

// indexForLaggard gives an empty table an index if some reader is not in step:
// until it is, the table cannot be emptied again, and the readers that are in
// step would read all of it, each time. [drain] drops the index. Takes SHARE on
// the table, which nobody writes to.
func indexForLaggard(ctx context.Context, tx pgx.Tx, run *control.Run, t *target, table pg.Name) error {
	all, err := control.InStep(ctx, tx, run, readersOf(run.Plan, t.N))
	if err != nil || all {
		return err
	}
	l := locker{wait: removeWait}
	if err := l.lock(ctx, tx, shareRowExclusive, []pg.Name{table}); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, indexScript(table))
	return err
}

// unbroken refuses to bring functions back to life that [Break] has silenced:
// what was written in between is in no journal.
func unbroken(ctx context.Context, db pg.Querier, j Journal) error {
	var broken bool
	err := db.QueryRow(ctx, `SELECT pg_catalog.count(*) > 0 FROM pg_catalog.pg_proc p
		WHERE p.oid = pg_catalog.to_regprocedure($1) AND p.prosrc LIKE '%capture was broken off%'`,
		j.function(fnTruncate).Quoted()+"()").Scan(&broken)
	if err == nil && broken {
		return fmt.Errorf("%w: the capture of %s was broken off", ErrNotInstalled, j.Table)
	}
	return err
}

// drain empties a table if each reader's position is past all of its rows.
func drain(ctx context.Context, pool *pgxpool.Pool, run *control.Run, j Journal, drained pg.Name) error {
	readers := readersOf(run.Plan, j.N)
	err := pg.ReadCommitted(ctx, pool, func(tx pgx.Tx) error {
		if err := control.CheckEpoch(ctx, tx, run); err != nil {
			return err
		}
		l := locker{pool: pool, log: slog.New(slog.DiscardHandler), wait: removeWait}
		if err := l.lock(ctx, tx, accessExclusive, []pg.Name{drained}); err != nil {
			return err
		}
		past, err := allPast(ctx, tx, run, drained, readers)
		if err != nil || !past {
			return err
		}
		_, err = tx.Exec(ctx, "TRUNCATE ONLY "+drained.Quoted()+"; DROP INDEX IF EXISTS "+indexName(drained).Quoted())
		return err
	})
	return unlessBusy(ctx, err)
}

// unlessBusy leaves a journal that is in use for next time.
func unlessBusy(ctx context.Context, err error) error {
	if err != nil && gaveWay(ctx, err) {
		return nil
	}
	return err
}

// allPast reports whether each reader's committed position sees each row of the
// table, and so does the snapshot up to which it is proved, where keys that were
// touched since are to be proved again. A reader without a position has yet to
// choose one: it may be choosing an older snapshot right now.
func allPast(ctx context.Context, tx pgx.Tx, run *control.Run, table pg.Name, readers []int) (past bool, err error) {
	provers := slices.DeleteFunc(slices.Clone(readers), func(n int) bool { return !run.Plan.ProvedByKey(&run.Plan.Tables[n]) })
	err = tx.QueryRow(ctx, `SELECT NOT EXISTS (
			SELECT FROM pg_catalog.unnest($2::integer[]) r(n)
			LEFT JOIN `+control.TablesOf("$1")+` t ON t.n = r.n
			WHERE t.position IS NULL OR EXISTS (
				SELECT FROM ONLY `+table.Quoted()+` j WHERE `+UnreadOf("j", "CASE WHEN r.n = ANY ($3) THEN COALESCE(t.proved, t.position) ELSE t.position END")+`))`,
		run.ID, readers, provers).Scan(&past)
	return past, err
}

// readersOf are the shadow tables that read a source's journal: copied from it
// or from a descendant by INHERITS, or derived from it.
func readersOf(plan *plans.Plan, source int) []int {
	var all []int
	for _, t := range plan.Tables {
		if reads(plan, &t, source) {
			all = append(all, t.N)
		}
	}
	return all
}

func reads(plan *plans.Plan, t *plans.Table, source int) bool {
	if t.Feed == plans.Copied && t.Source >= 0 && (t.Source == source || slices.Contains(plan.Sources[t.Source].Ancestors, source)) {
		return true
	}
	return slices.ContainsFunc(t.Watches, func(w plans.Watch) bool {
		return w.Source == source || slices.Contains(plan.Sources[w.Source].Ancestors, source)
	})
}
