package capture

import (
	"context"
	_ "embed" // reverse.sql
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// PrepareReverse makes the reverse journals, functions and triggers in the
// shadow's database (pool), on the shadow tables, under their names while the shadow is built. The triggers stay
// silent for sessions of ours, and nobody else
// writes these tables before the swap. SHARE ROW EXCLUSIVE on each shadow table
// for a moment, for which our own batches wait. Does nothing where the plan wants
// no watch; what is there already is kept, so it may be called before each
// attempt of a cutover.
func PrepareReverse(ctx context.Context, pool *pgxpool.Pool, run *control.Run) error {
	if !run.Plan.Reversible() {
		return nil
	}
	in := newInstaller(pool, run, slog.New(slog.DiscardHandler))
	in.locks.wait = reverseWait
	missing, err := in.unprepared(ctx)
	if err != nil || len(missing) == 0 {
		return err
	}
	if err := in.baseOnce(ctx); err != nil {
		return err
	}
	if err := Guard(ctx, in.pool, run, ToOld); err != nil {
		return err
	}
	for _, table := range missing {
		t, err := reverseTarget(ctx, pool, run, table)
		if err != nil {
			return err
		}
		if err := in.prepare(ctx, t); err != nil {
			return fmt.Errorf("make the reverse journal of %s: %w", t.Table, err)
		}
		if err := in.arm(ctx, t); err != nil {
			return fmt.Errorf("prepare the reverse capture of %s: %w", t.Table, err)
		}
	}
	return showAll(ctx, in.locks)
}

// baseOnce makes the run's fingerprint where it is not: in the database of a
// shadow of its own.
func (in *installer) baseOnce(ctx context.Context) error {
	var there bool
	err := in.pool.QueryRow(ctx, `SELECT pg_catalog.to_regprocedure($1) IS NOT NULL`,
		fingerprintFunction(in.run.ID).Quoted()+"(pg_catalog.oid)").Scan(&there)
	if err != nil {
		return fmt.Errorf("look for the fingerprint's function: %w", err)
	}
	if there {
		return nil
	}
	return in.base(ctx)
}

// reverseWait is long: only batches of ours hold locks on shadow tables, or a
// vacuum, and nobody queues behind us.
const reverseWait = 30 * time.Second

// unprepared are the shadow tables that have no reverse capture yet, or one that
// an older pgumbra made, whose triggers any client could silence by its
// application_name, or that lacks a partition which came since.
func (in *installer) unprepared(ctx context.Context) ([]*plans.Table, error) {
	rows, err := in.pool.Query(ctx, `SELECT k.n FROM `+control.Captured(in.run.ID, ToOld)+` k
		WHERE EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = (k.fingerprint->>'root')::oid AND pg_catalog.starts_with(t.tgname::text, $1)
		              AND pg_catalog.pg_get_triggerdef(t.oid) NOT LIKE '%application_name%')
		  AND NOT EXISTS (SELECT FROM pg_catalog.pg_partition_tree((k.fingerprint->>'root')::oid::regclass) m
		      WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = m.relid AND pg_catalog.starts_with(t.tgname::text, $1)))`,
		triggerPrefix(in.run.ID))
	if err != nil {
		return nil, fmt.Errorf("look for the reverse capture: %w", err)
	}
	ready, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		return nil, fmt.Errorf("look for the reverse capture: %w", err)
	}
	var missing []*plans.Table
	for i := range in.run.Plan.Tables {
		if t := &in.run.Plan.Tables[i]; t.Captured() && !slices.Contains(ready, t.N) {
			missing = append(missing, t)
		}
	}
	return missing, nil
}

//go:embed reverse.sql
var reverseSQL string

// ReverseTriggers is one statement to be run inside the swap: it fails it if a
// trigger that [PrepareReverse] made is not there or not enabled. "" where there
// is no watch. Reads catalogs only.
func ReverseTriggers(run *control.Run) string {
	if !run.Plan.Reversible() {
		return ""
	}
	return strings.ReplaceAll(reverseSQL, "{captured}", control.Captured(run.ID, ToOld))
}

// RecordReverse records the fingerprints of the new tables after the swap, under
// their final names. Does nothing where nothing is recorded for a way back.
func RecordReverse(ctx context.Context, pool *pgxpool.Pool, run *control.Run) error {
	if !run.Plan.Reversible() {
		return nil
	}
	_, err := pool.Exec(ctx, control.SetFingerprint(run.ID, ToOld, "", fingerprintFunction(run.ID).Quoted()+`((fingerprint->>'root')::oid)::json`))
	if err != nil {
		return fmt.Errorf("record the new tables: %w", err)
	}
	return nil
}

// CheckReverse compares a captured shadow table with the record that
// [RecordReverse] made, as [Check] does for production's.
func CheckReverse(ctx context.Context, db pg.Querier, run *control.Run, t *plans.Table) ([]Change, error) {
	j := Reverse(run, t)
	var root uint32
	err := db.QueryRow(ctx, `SELECT (fingerprint->>'root')::oid`+control.CapturedRow, run.ID, ToOld, t.N).Scan(&root)
	if err != nil {
		return nil, fmt.Errorf("look up the capture of %s: %w", t.Final, err)
	}
	return check(ctx, db, j, root)
}
