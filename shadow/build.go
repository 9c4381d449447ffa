package shadow

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// piece is how many objects are made or dropped in one transaction. Each holds
// a few locks until the commit, and the lock table is shared by all sessions:
// 64 a connection by default.
const piece = 100

// TakenError says that a schema with a name of ours exists and was not made by
// this run. The user renames or drops it, or gives the run another name.
type TakenError struct{ Schema string }

func (e *TakenError) Error() string {
	return fmt.Sprintf("schema %s exists already and was not made by this run; rename or drop it, or choose another run name", e.Schema)
}

// Build makes the shadow: schemas, types, functions, tables without indexes,
// views; then fills tables whose rows the migrations brought, and records each
// fed table. What an interrupted Build left is dropped first.
//
// Where the shadow is another database, the same structure is made in production
// too, and stays empty there: the skeleton, in whose types and functions
// transforms are evaluated where the rows are.
//
// It locks nothing of production's: shared types and sequences are only referred
// to. Privileges are those of the plan alone; default privileges of the database
// do not leak in; the schemas stay closed to all others until the swap ([Seal]). Returns [*TakenError] when a name is taken.
func Build(ctx context.Context, sides control.Sides, run *control.Run) error {
	if err := refuseForeign(ctx, sides.Production, run); err != nil {
		return err
	}
	if sides.Remote() {
		if err := refuseForeign(ctx, sides.Shadow, run); err != nil {
			return inShadow(err)
		}
	}
	if err := Drop(ctx, sides, run); err != nil {
		return err
	}
	if err := makeStructure(ctx, sides.Shadow, run, register); err != nil {
		return fmt.Errorf("build the shadow: %w", err)
	}
	if !sides.Remote() {
		return makeTransforms(ctx, sides.Production, run)
	}
	if err := makeSkeleton(ctx, sides, run); err != nil {
		return err
	}
	if err := makeTransforms(ctx, sides.Production, run); err != nil {
		return err
	}
	return control.Mirror(ctx, sides, run)
}

// makeSkeleton makes the empty structure in production that stands there for a shadow in
// another database, instead of what an earlier time left of it.
func makeSkeleton(ctx context.Context, sides control.Sides, run *control.Run) error {
	if !sides.Remote() {
		return nil
	}
	if err := refuseForeign(ctx, sides.Production, run); err != nil {
		return err
	}
	if err := dropFrom(ctx, sides.Production, run); err != nil {
		return err
	}
	nothing := func(context.Context, pgx.Tx, *control.Run) error { return nil }
	if err := makeStructure(ctx, sides.Production, run, nothing); err != nil {
		return fmt.Errorf("build the skeleton in production: %w", err)
	}
	return nil
}

// inShadow tells people on which side it was.
func inShadow(err error) error {
	return fmt.Errorf("in the shadow's database: %w", err)
}

// makeStructure makes what the plan has for StageBuild, and at last, in the
// transaction that completes it, what complete does.
func makeStructure(ctx context.Context, pool *pgxpool.Pool, run *control.Run,
	complete func(context.Context, pgx.Tx, *control.Run) error,
) error {
	return onSession(ctx, pool, func(conn *pgx.Conn) error {
		rest, acl := split(entriesOf(run.Plan, func(e *plans.Entry) bool {
			return e.Stage == plans.StageBuild && !grantsOnSchema(run.Plan, e)
		}))
		if err := makeObjects(ctx, conn, run, rest); err != nil {
			return err
		}
		return pg.ReadCommitted(ctx, conn, func(tx pgx.Tx) error {
			if err := resetPrivileges(ctx, tx, run, nil); err != nil {
				return err
			}
			if err := runAll(ctx, tx, run, acl, runEntry); err != nil {
				return err
			}
			if err := secureRows(ctx, tx, run); err != nil {
				return err
			}
			return complete(ctx, tx, run)
		})
	})
}

// refuseForeign: a schema of the shadow's name is ours only if this run has a
// record of having built something: the first piece records what it makes in the
// transaction that makes it.
func refuseForeign(ctx context.Context, db pg.Querier, run *control.Run) error {
	there, err := existing(ctx, db, run)
	if err != nil || len(there) == 0 {
		return err
	}
	mine, err := owned(ctx, db, run)
	if err != nil || mine {
		return err
	}
	return &TakenError{Schema: there[0]}
}

func existing(ctx context.Context, db pg.Querier, run *control.Run) ([]string, error) {
	rows, err := db.Query(ctx, `SELECT nspname FROM pg_catalog.pg_namespace
		WHERE nspname = ANY ($1) ORDER BY nspname`, run.Plan.ShadowSchemas())
	if err != nil {
		return nil, fmt.Errorf("look for the shadow's schemas: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

func owned(ctx context.Context, db pg.Querier, run *control.Run) (bool, error) {
	built, err := control.Built(ctx, db, run)
	return len(built) > 0, err
}

// split parts the entries that grant privileges from the others: they come
// after every object had its default privileges taken back. DEFAULT ACL would
// act on tables that are still to be made.
func split(entries []*plans.Entry) (rest, acl []*plans.Entry) {
	for _, e := range entries {
		if e.Tag == "ACL" || e.Tag == "DEFAULT ACL" {
			acl = append(acl, e)
		} else {
			rest = append(rest, e)
		}
	}
	return rest, acl
}

func makeObjects(ctx context.Context, conn *pgx.Conn, run *control.Run, entries []*plans.Entry) error {
	for len(entries) > 0 {
		n := min(piece, len(entries))
		err := pg.ReadCommitted(ctx, conn, func(tx pgx.Tx) error {
			return runAll(ctx, tx, run, entries[:n], runEntry)
		})
		if namesNothing(err) {
			err = pg.ReadCommitted(ctx, conn, func(tx pgx.Tx) error {
				return runAll(ctx, tx, run, entries[:n], entryUnderPath(run))
			})
		}
		if err != nil {
			return err
		}
		entries = entries[n:]
	}
	return nil
}

func runAll(ctx context.Context, tx pgx.Tx, run *control.Run, entries []*plans.Entry, plainly func(context.Context, pgx.Tx, *plans.Entry) error) error {
	if err := control.CheckEpoch(ctx, tx, run); err != nil {
		return err
	}
	// Names in pg_dump's text are qualified, and its function bodies are not to
	// be checked: what they call may come later.
	err := setAll(ctx, tx, setting{"search_path", ""}, setting{"check_function_bodies", "off"}, setting{"lock_timeout", ddlBudget})
	if err != nil {
		return err
	}
	entries, err = withoutPresent(ctx, tx, entries)
	if err != nil {
		return err
	}
	for _, e := range entries {
		act := plainly
		if e.Tag == extensionTag {
			act = installExtension
		}
		if err := act(ctx, tx, e); err != nil {
			return err
		}
	}
	if err := seal(ctx, tx, run); err != nil {
		return err
	}
	return control.NoteBuilt(ctx, tx, run, entries...)
}

// register makes the rows of fed tables. Skipped tables and golang-migrate's
// version table have none: nothing is ever due for them, and a status line that
// never moves would only worry its reader.
func register(ctx context.Context, tx pgx.Tx, run *control.Run) error {
	if err := control.ForgetTables(ctx, tx, run); err != nil {
		return err
	}
	for i := range run.Plan.Tables {
		t := &run.Plan.Tables[i]
		var err error
		switch t.Feed {
		case plans.Copied, plans.Derived:
			err = insertTable(ctx, tx, run, t, control.Waiting, 0)
		case plans.Carried:
			err = carry(ctx, tx, run, t)
		case plans.Skipped, plans.Version:
		}
		if err != nil {
			return fmt.Errorf("table %s: %w", t.Shadow, err)
		}
	}
	return nil
}

func insertTable(ctx context.Context, tx pgx.Tx, run *control.Run, t *plans.Table, state control.State, copied int64) error {
	total := copied
	if t.Feed == plans.Copied {
		total = run.Plan.Sources[t.Source].Rows
	}
	return control.AddTable(ctx, tx, run, control.Row{N: t.N, Production: productionName(t), Shadow: t.Shadow.String(),
		State: state, RowsCopied: copied, RowsTotal: max(total, 0)})
}

// productionName is the table's name for people: of a table that only the
// shadow has, the name it will have.
func productionName(t *plans.Table) string {
	if t.Production.IsZero() {
		return t.Final.String()
	}
	return t.Production.String()
}

// carry fills a new table with the rows that the migrations inserted in it.
// Nothing in production changes them, so the table is in step at once.
func carry(ctx context.Context, tx pgx.Tx, run *control.Run, t *plans.Table) error {
	rows, err := load(ctx, tx, run, t)
	if err != nil {
		return err
	}
	return insertTable(ctx, tx, run, t, control.FollowingState, rows)
}

func load(ctx context.Context, tx pgx.Tx, run *control.Run, t *plans.Table) (int64, error) {
	if err := markIf(ctx, tx, run, t, t.Unlogged); err != nil {
		return 0, err
	}
	if t.CarriedRows == "" {
		return 0, nil
	}
	tag, err := tx.Conn().PgConn().CopyFrom(ctx, strings.NewReader(t.CarriedRows), carrySQL(t))
	if err != nil {
		return 0, fmt.Errorf("load the rows that the migrations brought: %w", err)
	}
	return tag.RowsAffected(), nil
}

func carrySQL(t *plans.Table) string {
	var columns []string
	for _, c := range t.Columns {
		if !c.Generated {
			columns = append(columns, c.Shadow)
		}
	}
	return "COPY " + t.Shadow.Quoted() + " (" + pg.Idents(columns) + ") FROM STDIN"
}
