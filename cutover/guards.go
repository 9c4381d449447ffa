package cutover

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
)

//go:embed sql/readguard.sql
var readGuardSQL string

// guards refuse with 40001, on the new tables, whatever reads or writes through a
// snapshot that does not see the mark: sessions that waited for the fence, or
// import such a snapshot. They stay until no such snapshot can be left.
//
// Triggers refuse writes. The mark is their argument: in a table it would be
// invisible to just those snapshots.
//
// No trigger fires for a query. What does run before every query of a table is
// the planner's folding of constants, also in expressions of extended
// statistics. Making those locks a table against VACUUM and DDL only.
func guards(run *control.Run, tables []relation, mark string) []string {
	var triggers []string
	for _, t := range tables {
		triggers = append(triggers, statementTrigger(guardTrigger, t.name, guardName(run), mark),
			"ALTER TABLE ONLY "+t.name.Quoted()+" ENABLE ALWAYS TRIGGER "+guardTrigger)
	}
	return slices.Concat(triggers, readGuards(run, tables, 0, mark))
}

// readGuards are those for queries, of tables or of materialized views, numbered from
// first.
func readGuards(run *control.Run, relations []relation, first int, mark string) []string {
	var statistics []string
	for i, r := range relations {
		statistics = append(statistics, fmt.Sprintf("CREATE STATISTICS %s ON (%s(%s)) FROM %s",
			readGuardName(run, first+i).Quoted(), readFunctionName(run).Quoted(), pg.Literal(fmt.Sprintf("%s/%d", mark, r.oid)), r.name.Quoted()))
	}
	return statistics
}

// prepareGuards makes the functions of both guards.
func prepareGuards(ctx context.Context, tx pgx.Tx, run *control.Run) error {
	if err := makeFunction(ctx, tx, guardFunction(run), guardName(run)); err != nil {
		return err
	}
	for _, sql := range readFunctionTexts(run) {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return fmt.Errorf("make the read guard's function: %w", err)
		}
	}
	return nil
}

func readFunctionTexts(run *control.Run) []string {
	return []string{readFunction(run), "GRANT EXECUTE ON FUNCTION " + readFunctionName(run).Quoted() + "(text) TO PUBLIC"}
}

func guardName(run *control.Run) pg.Name {
	return pg.Name{Schema: control.Schema, Name: fmt.Sprintf("guard_%d", run.ID)}
}

// guardFunction is STABLE, so that it sees the snapshot that the statement reads
// with. At READ COMMITTED, COPY FROM, TRUNCATE and INSERT may have an old one and
// need no refusal: they read nothing of the table through it, and a query that
// feeds an INSERT meets the read guard.
func guardFunction(run *control.Run) string {
	return fmt.Sprintf(`CREATE OR REPLACE FUNCTION %s() RETURNS trigger LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $pgumbra$
BEGIN
    IF NOT pg_visible_in_snapshot(TG_ARGV[0]::xid8, pg_current_snapshot())
        AND (TG_OP IN ('UPDATE', 'DELETE') OR current_setting('transaction_isolation') NOT LIKE 'read %%') THEN
        RAISE EXCEPTION 'could not serialize access: %%.%% was upgraded after this transaction took its snapshot', TG_TABLE_SCHEMA, TG_TABLE_NAME
            USING ERRCODE = '40001', HINT = 'The transaction might succeed if retried.';
    END IF;
    RETURN NULL;
END
$pgumbra$`, guardName(run).Quoted())
}

func readFunctionName(run *control.Run) pg.Name {
	return pg.Name{Schema: control.Schema, Name: fmt.Sprintf("read_guard_%d", run.ID)}
}

func readFunction(run *control.Run) string {
	name := readFunctionName(run).Quoted()
	return strings.NewReplacer("{function}", name, "{oid}", pg.Literal(name+"(text)")+"::regprocedure").Replace(readGuardSQL)
}

// readGuardName is the statistics object on the i-th table; of -1 a pattern for
// all of them.
func readGuardName(run *control.Run, i int) pg.Name {
	n := strconv.Itoa(i)
	if i < 0 {
		n = "%"
	}
	return pg.Name{Schema: control.Schema, Name: fmt.Sprintf("read_guard_%d_%s", run.ID, n)}
}

// dropGuards drops both guards from the new tables, whatever their schema is
// called now. A planner holds the oid of a statistics object while it holds
// nothing but ACCESS SHARE on the table, and fails without it: so the table is
// locked against readers for that moment, as DROP TRIGGER does anyway.
func dropGuards(ctx context.Context, db pg.Beginner, run *control.Run) error {
	type guarded struct {
		Table, Statistics, Owner string
		IsView                   bool
	}
	var all []guarded
	err := pg.ReadCommitted(ctx, db, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT pg_catalog.format('%I.%I', cn.nspname, c.relname), pg_catalog.format('%I.%I', n.nspname, s.stxname),
				pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(c.relowner)), c.relkind = 'm'
			FROM pg_catalog.pg_statistic_ext s
			JOIN pg_catalog.pg_namespace n ON n.oid = s.stxnamespace
			JOIN pg_catalog.pg_class c ON c.oid = s.stxrelid
			JOIN pg_catalog.pg_namespace cn ON cn.oid = c.relnamespace
			WHERE n.nspname = $1 AND s.stxname LIKE $2`, control.Schema, strings.ReplaceAll(readGuardName(run, -1).Name, "_", `\_`))
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, pgx.RowToStructByPos[guarded])
		return err
	})
	if err != nil {
		return fmt.Errorf("list the read guards: %w", err)
	}
	for _, g := range all {
		statements := undoGuards(g.Table, g.Statistics)
		if g.IsView {
			statements = undoViewGuard(g.Table, g.Statistics, g.Owner)
		}
		if err := leading(ctx, db, run, statements...); err != nil {
			return fmt.Errorf("drop the guards of %s: %w", g.Table, err)
		}
	}
	if err := patiently(ctx, db, dropReadFunction(run)); err != nil {
		return err
	}
	return dropTriggers(ctx, db, run, guardTrigger, guardName(run))
}

// undoViewGuard: LOCK TABLE refuses materialized views; an owner that is given once more
// takes the same lock.
func undoViewGuard(view, statistics, owner string) []string {
	return []string{"ALTER MATERIALIZED VIEW " + view + " OWNER TO " + owner, "DROP STATISTICS IF EXISTS " + statistics}
}

// undoGuards drops both guards of a table.
func undoGuards(table, statistics string) []string {
	return []string{"LOCK TABLE ONLY " + table + " IN ACCESS EXCLUSIVE MODE", "DROP STATISTICS IF EXISTS " + statistics,
		"DROP TRIGGER IF EXISTS " + guardTrigger + " ON " + table}
}

func dropReadFunction(run *control.Run) string {
	return "DROP FUNCTION IF EXISTS " + readFunctionName(run).Quoted() + "(text)"
}
