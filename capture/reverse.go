package capture

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// reversed reports whether a shadow table's changes are kept for going back:
// what was copied or derived from production. Tables that production never had
// have nowhere to go back to.
func reversed(t *plans.Table) bool { return t.Feed == plans.Copied || t.Feed == plans.Derived }

// armFunction makes the reverse triggers, inside the swap.
func armFunction(run int64) pg.Name { return own(fmt.Sprintf("arm_%d", run)) }

// PrepareReverse makes the reverse journals with their functions on the shadow
// tables, under their names while the shadow is built, and all that the swap
// then needs to call. No trigger is made yet: our own replay writes these
// tables. Does nothing where the plan wants no watch. May be called again, until
// the swap.
func PrepareReverse(ctx context.Context, pool *pgxpool.Pool, run *control.Run) error {
	if !run.Plan.Settings.Watch.Enabled {
		return nil
	}
	var targets []*target
	var arm strings.Builder
	for i := range run.Plan.Tables {
		table := &run.Plan.Tables[i]
		if !reversed(table) {
			continue
		}
		t, err := reverseTarget(ctx, pool, run, table)
		if err != nil {
			return err
		}
		targets = append(targets, t)
		arm.WriteString(t.armScript())
	}
	ready, err := armed(ctx, pool, run.ID, arm.String())
	if err != nil || ready {
		return err
	}
	return prepareReverse(ctx, newInstaller(pool, run, slog.New(slog.DiscardHandler)), targets, arm.String())
}

// armed reports whether all is prepared already: the function that arms comes
// last, and its text holds each table's oid.
func armed(ctx context.Context, db pg.Querier, run int64, script string) (ready bool, err error) {
	err = db.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_proc WHERE oid = pg_catalog.to_regprocedure($1) AND prosrc = $2)`,
		armFunction(run).Quoted()+"()", armBody(script)).Scan(&ready)
	if err != nil {
		return false, fmt.Errorf("look for the reverse triggers: %w", err)
	}
	return ready, nil
}

func prepareReverse(ctx context.Context, in *installer, targets []*target, arm string) error {
	for _, t := range targets {
		if err := in.prepare(ctx, t); err != nil {
			return fmt.Errorf("make the reverse journal of %s: %w", t.Table, err)
		}
	}
	if err := showAll(ctx, in.locks); err != nil {
		return err
	}
	err := in.tx(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, armText(in.run.ID, arm))
		return err
	})
	if err != nil {
		return fmt.Errorf("prepare the reverse triggers: %w", err)
	}
	return nil
}

// armScript makes a table's triggers and records it, without a fingerprint: the
// swap renames what it would hold. [RecordReverse] adds it.
func (t *target) armScript() string {
	return t.triggersScript() + fmt.Sprintf(`INSERT INTO pgumbra.captured (run_id, n, production, direction, fingerprint)
		VALUES (%d, %d, %s, 'reverse', '{"root": %d}');`+"\n", t.Run, t.N, pg.Literal(t.Table.String()), t.oid)
}

func armBody(script string) string { return "BEGIN\n" + script + "END" }

func armText(run int64, script string) string {
	name := armFunction(run).Quoted()
	return fmt.Sprintf("CREATE OR REPLACE FUNCTION %s() RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS %s;\n"+
		"REVOKE ALL ON FUNCTION %s() FROM PUBLIC", name, pg.Literal(armBody(script)), name)
}

// ReverseTriggers is one statement that makes the reverse triggers, to be run
// inside the swap while the shadow tables still go by their shadow names; ""
// where there is no watch. SHARE ROW EXCLUSIVE on tables that nobody else knows.
func ReverseTriggers(run *control.Run) string {
	if !run.Plan.Settings.Watch.Enabled {
		return ""
	}
	return "SELECT " + armFunction(run.ID).Quoted() + "()"
}

// RecordReverse records the fingerprints of the new tables after the swap. May
// be called again: what is recorded stays.
func RecordReverse(ctx context.Context, pool *pgxpool.Pool, run *control.Run) error {
	_, err := pool.Exec(ctx, `UPDATE pgumbra.captured
		SET fingerprint = `+fingerprintFunction(run.ID).Quoted()+`((fingerprint->>'root')::oid)::json
		WHERE run_id = $1 AND direction = 'reverse' AND fingerprint->'structure' IS NULL`, run.ID)
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
	err := db.QueryRow(ctx, `SELECT (fingerprint->>'root')::oid FROM pgumbra.captured
		WHERE run_id = $1 AND direction = 'reverse' AND n = $2`, run.ID, t.N).Scan(&root)
	if err != nil {
		return nil, fmt.Errorf("look up the capture of %s: %w", t.Final, err)
	}
	return check(ctx, db, j, root)
}
