package capture

import (
	"context"
	_ "embed" // reverse.sql
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgerrcode"
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
	var targets []toPrepare
	for i := range run.Plan.Tables {
		if t := &run.Plan.Tables[i]; run.Plan.CapturedFromSwap(t) {
			targets = append(targets, toPrepare{t.N, func() (*target, error) { return reverseTarget(ctx, pool, run, t) }})
		}
	}
	return newInstaller(pool, run, slog.New(slog.DiscardHandler)).prepareAhead(ctx, ToOld, targets)
}

// PrepareForward is PrepareReverse before a rollback after which the new side is
// followed again: it captures the old tables, under the names that they have until
// then. SHARE ROW EXCLUSIVE on each, for which our own batches wait: nobody else may
// write there.
func PrepareForward(ctx context.Context, pool *pgxpool.Pool, run *control.Run) error {
	var targets []toPrepare
	for i := range run.Plan.Sources {
		src := &run.Plan.Sources[i]
		targets = append(targets, toPrepare{src.N, func() (*target, error) { return oldTarget(ctx, pool, run, src) }})
	}
	return newInstaller(pool, run, slog.New(slog.DiscardHandler)).prepareAhead(ctx, ToShadow, targets)
}

// toPrepare is a table to capture before a swap.
type toPrepare struct {
	n    int
	read func() (*target, error)
}

// prepareAhead makes journals and triggers of a direction that is to begin with a
// swap. What an earlier time left of it is closed, and begins anew.
func (in *installer) prepareAhead(ctx context.Context, d Direction, targets []toPrepare) error {
	in.locks.wait = reverseWait
	ready, begun, err := in.prepared(ctx, d)
	if err != nil {
		return err
	}
	targets = slices.DeleteFunc(targets, func(t toPrepare) bool { return slices.Contains(ready, t.n) })
	if len(targets) == 0 {
		return nil
	}
	if err := in.baseOnce(ctx); err != nil {
		return err
	}
	if !begun {
		if _, err := in.pool.Exec(ctx, limitDropScript(in.run.ID, d)); err != nil {
			return fmt.Errorf("open the journals again: %w", err)
		}
	}
	if err := Guard(ctx, in.pool, in.run, d); err != nil {
		return err
	}
	for _, p := range targets {
		t, err := p.read()
		if err != nil {
			return err
		}
		if err := in.prepare(ctx, t); err != nil {
			return fmt.Errorf("make the %s journal of %s: %w", d, t.Table, err)
		}
		if err := in.arm(ctx, t); err != nil {
			return fmt.Errorf("prepare the %s capture of %s: %w", d, t.Table, err)
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

// prepared are the tables, by their numbers, that have a direction's capture
// already; not those that an older pgumbra made, whose triggers any client could
// silence by its application_name, or that lack a partition which came since. begun:
// whether the direction captures anything.
func (in *installer) prepared(ctx context.Context, d Direction) (ready []int, begun bool, err error) {
	rows, err := in.pool.Query(ctx, `SELECT k.n, EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = (k.fingerprint->>'root')::oid AND pg_catalog.starts_with(t.tgname::text, $1)
		              AND pg_catalog.pg_get_triggerdef(t.oid) NOT LIKE '%application_name%')
		  AND NOT EXISTS (SELECT FROM pg_catalog.pg_partition_tree((k.fingerprint->>'root')::oid::regclass) m
		      WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = m.relid AND pg_catalog.starts_with(t.tgname::text, $1)))
		FROM `+control.Captured(in.run.ID, d)+` k`, triggerPrefix(in.run.ID))
	if err != nil {
		return nil, false, fmt.Errorf("look for the %s capture: %w", d, err)
	}
	var n int
	var whole bool
	_, err = pgx.ForEachRow(rows, []any{&n, &whole}, func() error {
		if begun = true; whole {
			ready = append(ready, n)
		}
		return nil
	})
	if err != nil {
		return nil, false, fmt.Errorf("look for the %s capture: %w", d, err)
	}
	return ready, begun, nil
}

var (
	//go:embed reverse.sql
	reverseSQL string
	//go:embed enable.sql
	enableSQL string
)

// ReverseTriggers is to be run inside the swap: it fails it if a trigger that
// [PrepareReverse] made is not there or not enabled. "" where there is no watch. Reads
// catalogs only, unless migrations ran behind the fence: DISABLE TRIGGER USER around a
// backfill concerns ours, and ENABLE does not give back that they fire always.
func ReverseTriggers(run *control.Run) string {
	switch {
	case !run.Plan.Reversible():
		return ""
	case run.Plan.Behind != nil:
		return spelt(enableSQL, run, ToOld) + triggersThere(run, ToOld, capturedFromSwap(run))
	}
	return triggersThere(run, ToOld, capturedFromSwap(run))
}

// ForwardTriggers is [ReverseTriggers] for those that [PrepareForward] made.
func ForwardTriggers(run *control.Run) string {
	return triggersThere(run, ToShadow, len(run.Plan.Sources))
}

func capturedFromSwap(run *control.Run) (n int) {
	for i := range run.Plan.Tables {
		if run.Plan.CapturedFromSwap(&run.Plan.Tables[i]) {
			n++
		}
	}
	return n
}

// triggersThere wants all of so many tables captured: where nothing was prepared, no
// trigger is missing.
func triggersThere(run *control.Run, d Direction, tables int) string {
	return strings.ReplaceAll(spelt(reverseSQL, run, d), "{tables}", strconv.Itoa(tables))
}

func spelt(sql string, run *control.Run, d Direction) string {
	return strings.NewReplacer("{captured}", control.Captured(run.ID, d), "{direction}", string(d)).Replace(sql)
}

// RecordReverse records the fingerprints of the new tables after the swap, under
// their final names, once: what is changed of them later, by whomever and whoever
// leads then, differs from that record. Does nothing where nothing is recorded for a
// way back, or it is recorded already. Returns [ErrChanged] where a trigger is gone or
// silent already.
func RecordReverse(ctx context.Context, pool *pgxpool.Pool, run *control.Run) error {
	if !run.Plan.Reversible() {
		return nil
	}
	return pg.ReadCommitted(ctx, pool, func(tx pgx.Tx) error {
		var missing bool
		err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM `+control.Captured(run.ID, ToOld)+` k WHERE fingerprint->>'swapped' IS NULL)`).Scan(&missing)
		if err != nil {
			return fmt.Errorf("look whether the tables are recorded: %w", err)
		}
		if !missing {
			return nil
		}
		if _, err := tx.Exec(ctx, triggersThere(run, ToOld, capturedFromSwap(run))); pg.State(err) == pgerrcode.RaiseException {
			return fmt.Errorf("%w: %w", ErrChanged, err)
		} else if err != nil {
			return fmt.Errorf("look for the triggers: %w", err)
		}
		return recordSwapped(ctx, tx, run, ToOld)
	})
}

// RecordForward records those of production's tables after a rollback.
func RecordForward(ctx context.Context, pool *pgxpool.Pool, run *control.Run) error {
	return recordSwapped(ctx, pool, run, ToShadow)
}

func recordSwapped(ctx context.Context, db pg.Querier, run *control.Run, d Direction) error {
	_, err := db.Exec(ctx, control.SetFingerprint(run.ID, d, "", "("+fingerprintFunction(run.ID).Quoted()+`((fingerprint->>'root')::oid) || '{"swapped": true}')::json`))
	if err != nil {
		return fmt.Errorf("record the tables under their names: %w", err)
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
