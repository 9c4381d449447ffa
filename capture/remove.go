package capture

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
)

// Remove takes away all that capture made for the run, both directions: event
// triggers, triggers, functions, journals, sequences. From any phase, after any
// crash, any number of times. Triggers are found in the catalog, wherever the
// swap has moved their tables. Dropping one takes ACCESS EXCLUSIVE on its table
// for a moment: readers and writers wait at most 100 ms for each attempt.
func Remove(ctx context.Context, pool *pgxpool.Pool, run *control.Run) error {
	locks := removal(pool)
	if err := unfreeze(ctx, pool, run); err != nil {
		return err
	}
	for _, d := range []Direction{ToShadow, ToOld} {
		if err := removeDirection(ctx, locks, run, d); err != nil {
			return err
		}
	}
	return locks.run(ctx, accessExclusive, nil, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, baseDropScript(run.ID))
		return err
	})
}

// baseDropScript drops what all journals share. (full_ and the run's number: as
// an older pgumbra called it.)
func baseDropScript(run int64) string {
	full := own(fmt.Sprintf("full_%d", run)).Quoted()
	script := fmt.Sprintf("DROP SEQUENCE IF EXISTS %s, %s; DROP FUNCTION IF EXISTS %s(pg_catalog.oid), %[2]s(bigint);\n",
		sequence(run).Quoted(), full, fingerprintFunction(run).Quoted())
	return script + limitDropScript(run, ToShadow) + limitDropScript(run, ToOld)
}

// limitDropScript forgets that a direction's journals were closed.
func limitDropScript(run int64, d Direction) string {
	return fmt.Sprintf("DROP SEQUENCE IF EXISTS %s, %s; DROP FUNCTION IF EXISTS %[1]s(bigint);\n",
		fullName(run, d).Quoted(), lookName(run, d).Quoted())
}

// RemoveForward takes away what captures production, freezes included, and
// leaves the reverse capture alone: after the swap.
func RemoveForward(ctx context.Context, pool *pgxpool.Pool, run *control.Run) error {
	if err := unfreeze(ctx, pool, run); err != nil {
		return err
	}
	return removeDirection(ctx, removal(pool), run, ToShadow)
}

// RemoveReverse takes away what captures the new tables and leaves the forward
// capture alone: after a rollback from which the new side is followed again.
func RemoveReverse(ctx context.Context, pool *pgxpool.Pool, run *control.Run) error {
	return removeDirection(ctx, removal(pool), run, ToOld)
}

func removal(pool *pgxpool.Pool) locker {
	return locker{pool: pool, log: slog.New(slog.DiscardHandler), wait: removeWait, patience: removePatience, insists: true}
}

// unfreeze ends the structure freeze. Event triggers belong to no table.
func unfreeze(ctx context.Context, pool *pgxpool.Pool, run *control.Run) error {
	_, err := pool.Exec(ctx, dropEventTriggers(run.ID)+dropFreezeFunction(run.ID))
	if err == nil {
		err = dropPartitionFunctions(ctx, pool, run)
	}
	if err != nil {
		return fmt.Errorf("end the structure freeze: %w", err)
	}
	return nil
}

func removeDirection(ctx context.Context, locks locker, run *control.Run, d Direction) error {
	if err := closeJournals(ctx, locks.pool, run, d); err != nil {
		return err
	}
	// What is closed records nothing; replacing the functions as well ends the
	// freezes. It may find no room for their new text.
	if err := silence(ctx, locks.pool, run, d); err != nil && pg.State(err) != pgerrcode.DiskFull {
		return fmt.Errorf("end the capture: %w", err)
	}
	if err := dropAllTriggers(ctx, locks, run, prefixOf(run, d)); err != nil {
		return err
	}
	if err := dropJournals(ctx, locks, run, d); err != nil {
		return fmt.Errorf("drop the journals: %w", err)
	}
	return nil
}

// prefixOf is what the names of a direction's trigger functions begin with.
func prefixOf(run *control.Run, d Direction) string { return fmt.Sprintf("%s_%d_", d, run.ID) }

// silence replaces the bodies of the functions, which takes no lock on any
// table: from the next statement on they record nothing and refuse nothing.
func silence(ctx context.Context, db pg.Querier, run *control.Run, d Direction) error {
	functions, err := relatedFunctions(ctx, db, prefixOf(run, d))
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, f := range functions {
		b.WriteString(functionText(f, broken))
	}
	if b.Len() == 0 {
		return nil
	}
	_, err = db.Exec(ctx, b.String())
	return err
}

// relatedFunctions are our trigger functions whose names begin with a prefix.
func relatedFunctions(ctx context.Context, db pg.Querier, prefix string) ([]pg.Name, error) {
	return ownNames(ctx, db, `SELECT p.proname FROM pg_catalog.pg_proc p
		JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
		WHERE n.nspname = 'pgumbra' AND pg_catalog.starts_with(p.proname::text, $1)
		  AND p.prorettype = 'pg_catalog.trigger'::pg_catalog.regtype ORDER BY 1`, prefix)
}

// ownNames reads names of objects of ours that begin with a prefix.
func ownNames(ctx context.Context, db pg.Querier, sql, prefix string) ([]pg.Name, error) {
	rows, err := db.Query(ctx, sql, prefix)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (pg.Name, error) {
		var name string
		err := row.Scan(&name)
		return own(name), err
	})
}

// triggeredTable has triggers of ours.
type triggeredTable struct {
	name pg.Name
	oid  uint32
}

// triggered finds the tables with triggers that call functions of a prefix.
func triggered(ctx context.Context, db pg.Querier, prefix string) ([]triggeredTable, error) {
	rows, err := db.Query(ctx, `SELECT DISTINCT n.nspname, c.relname, c.oid
		FROM pg_catalog.pg_trigger t
		JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid JOIN pg_catalog.pg_namespace f ON f.oid = p.pronamespace
		WHERE NOT t.tgisinternal AND f.nspname = 'pgumbra' AND pg_catalog.starts_with(p.proname::text, $1) ORDER BY 3`, prefix)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (t triggeredTable, err error) {
		err = row.Scan(&t.name.Schema, &t.name.Name, &t.oid)
		return t, err
	})
}

// Standing counts the tables that have triggers of a run, and these: what each write
// to production pays for, whether or not a process leads the run.
func Standing(ctx context.Context, db pg.Querier, run *control.Run) (tables, triggers int, err error) {
	err = db.QueryRow(ctx, `SELECT count(DISTINCT tgrelid), count(*) FROM pg_catalog.pg_trigger
		WHERE NOT tgisinternal AND pg_catalog.starts_with(tgname::text, $1)`, triggerPrefix(run.ID)).Scan(&tables, &triggers)
	if err != nil {
		return 0, 0, fmt.Errorf("count the triggers of run %s: %w", run.Name, err)
	}
	return tables, triggers, nil
}

// dropAllTriggers drops the triggers that call functions of a prefix.
func dropAllTriggers(ctx context.Context, locks locker, run *control.Run, prefix string) error {
	tables, err := triggered(ctx, locks.pool, prefix)
	if err != nil {
		return fmt.Errorf("find the triggers of run %s: %w", run.Name, err)
	}
	for _, t := range tables {
		if err := dropTriggersOf(ctx, locks, run, t); err != nil {
			return fmt.Errorf("drop the triggers of %s: %w", t.name, err)
		}
	}
	return nil
}

// dropTriggersOf drops ours from one table, each table in a transaction of its
// own: a table that is busy holds up no other.
func dropTriggersOf(ctx context.Context, locks locker, run *control.Run, t triggeredTable) error {
	return locks.run(ctx, accessExclusive, []pg.Name{t.name}, func(tx pgx.Tx) error {
		return dropTriggers(ctx, tx, run.ID, []uint32{t.oid})
	})
}

// dropTriggers drops the run's triggers from tables that are locked.
func dropTriggers(ctx context.Context, tx pgx.Tx, run int64, tables []uint32) error {
	rows, err := tx.Query(ctx, `SELECT pg_catalog.format('DROP TRIGGER %I ON %I.%I', t.tgname, n.nspname, c.relname)
		FROM pg_catalog.pg_trigger t
		JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE NOT t.tgisinternal AND pg_catalog.starts_with(t.tgname::text, $1) AND t.tgrelid = ANY ($2)`,
		triggerPrefix(run), tables)
	if err != nil {
		return err
	}
	statements, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(statements) == 0 {
		return err
	}
	_, err = tx.Exec(ctx, strings.Join(statements, ";\n"))
	return err
}

// dropTable removes one source's triggers and record; its journal and functions
// are replaced by whoever captures it again.
func dropTable(ctx context.Context, locks locker, run *control.Run, j Journal) error {
	if err := dropAllTriggers(ctx, locks, run, fmt.Sprintf("%s%d_", prefixOf(run, j.Direction), j.N)); err != nil {
		return err
	}
	_, err := locks.pool.Exec(ctx, control.ForgetCaptured(j.Run, j.Direction, j.N))
	return err
}

// dropJournals drops journals, functions and records of a direction; no trigger
// calls the functions any more.
func dropJournals(ctx context.Context, locks locker, run *control.Run, d Direction) error {
	views, err := journalViews(ctx, locks.pool)
	if err != nil {
		return err
	}
	prefix := Journal{Run: run.ID, Direction: d}.viewPrefix()
	for _, v := range views {
		if !strings.HasPrefix(v.Name, prefix) {
			continue
		}
		// A transaction each: all together could need more locks than there are.
		if err := locks.run(ctx, accessExclusive, nil, dropJournal(ctx, v)); err != nil {
			return fmt.Errorf("drop %s: %w", v, err)
		}
	}
	if err := dropFunctions(ctx, locks.pool, run, d); err != nil {
		return err
	}
	return showAll(ctx, locks)
}

func dropJournal(ctx context.Context, view pg.Name) func(pgx.Tx) error {
	return func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, dropJournalScript(view.Name))
		return err
	}
}

// dropJournalScript drops a journal's view and its two tables. CASCADE takes
// the view pgumbra.journal along, which the caller makes anew.
func dropJournalScript(view string) string {
	return fmt.Sprintf("DROP VIEW IF EXISTS %s CASCADE; DROP TABLE IF EXISTS %s; DROP TABLE IF EXISTS %s;\n",
		own(view).Quoted(), own(view+"_a").Quoted(), own(view+"_b").Quoted())
}

func dropFunctions(ctx context.Context, db pg.Querier, run *control.Run, d Direction) error {
	functions, err := relatedFunctions(ctx, db, prefixOf(run, d))
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, f := range functions {
		b.WriteString(dropFunction(f) + ";\n")
	}
	b.WriteString(control.ForgetCaptured(run.ID, d))
	_, err = db.Exec(ctx, b.String())
	return err
}

func dropFunction(name pg.Name) string { return "DROP FUNCTION IF EXISTS " + name.Quoted() + "()" }

func dropFreezeFunction(run int64) string { return dropFunction(freezeFunction(run)) }
