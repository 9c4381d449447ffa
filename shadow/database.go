package shadow

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

//go:embed database.sql
var databaseSQL string

// carried is the event, in the shadow's control schema, that holds what takes
// back what [CarryDatabase] did.
const carried = "database carried"

// CarryDatabase gives the shadow's database what belongs to production's database
// and to none of its tables: ALTER DATABASE … SET, ALTER ROLE … IN DATABASE …
// SET, grants on the database, its comment, and grants on schemas that stand there
// beforehand: public, whose defaults differ between versions, and those made for
// extensions, which get their owner too. What PUBLIC has there and not in production is taken from it; what
// else the database has is left to it.
//
// What cannot be carried (a role or setting that is not there, a right that is
// missing) is logged with the statement to type, and does no harm. Idempotent.
// [Drop] takes it all back.
func CarryDatabase(ctx context.Context, sides control.Sides, run *control.Run, log *slog.Logger) error {
	if !sides.Apart() {
		return nil
	}
	steps, err := databaseSteps(ctx, sides, run)
	if err != nil || len(steps) == 0 {
		return err
	}
	return carryOut(ctx, sides, run, steps, log)
}

func carryOut(ctx context.Context, sides control.Sides, run *control.Run, steps []step, log *slog.Logger) error {
	err := pg.ReadCommitted(ctx, sides.Shadow, func(tx pgx.Tx) error {
		if err := control.CheckEpoch(ctx, tx, run); err != nil {
			return err
		}
		var undo []string
		for _, s := range steps {
			err := attempt(ctx, tx, s.do)
			var refused *pgconn.PgError
			switch {
			case err == nil:
				undo = append(undo, s.undo)
			case errors.As(err, &refused) || errors.Is(err, errLocksUsOut):
				log.Warn("not carried to the shadow's database; type it there", "statement", s.do, "reason", err)
			default:
				return err
			}
		}
		if len(undo) == 0 {
			return nil
		}
		return control.Event(ctx, tx, run, carried, map[string]any{"undo": undo})
	})
	if err != nil {
		return fmt.Errorf("carry what belongs to the database: %w", err)
	}
	return nil
}

// step is a statement and what takes it back.
type step struct{ do, undo string }

// errLocksUsOut keeps our own way into the database open.
var errLocksUsOut = errors.New("pgumbra's role could not connect any more")

// attempt runs a statement in a savepoint.
func attempt(ctx context.Context, tx pgx.Tx, sql string) error {
	return pgx.BeginFunc(ctx, tx, func(inner pgx.Tx) error {
		if _, err := inner.Exec(ctx, sql); err != nil {
			return err
		}
		var open bool
		err := inner.QueryRow(ctx, `SELECT pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CONNECT')`).Scan(&open)
		if err == nil && !open {
			err = errLocksUsOut
		}
		return err
	})
}

// takeBack undoes what [CarryDatabase] did, the last first. Roles that are gone
// since have nothing left to be taken.
func takeBack(ctx context.Context, pool *pgxpool.Pool, run *control.Run) error {
	return pg.ReadCommitted(ctx, pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT u.sql FROM pgumbra.event e
			CROSS JOIN LATERAL pg_catalog.json_array_elements_text(e.detail -> 'undo') WITH ORDINALITY AS u (sql, place)
			WHERE e.run_id = $1 AND e.message = $2 ORDER BY e.id DESC, u.place DESC`, run.ID, carried)
		if err != nil {
			return fmt.Errorf("read what was changed of the database: %w", err)
		}
		statements, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil || len(statements) == 0 {
			return err
		}
		if err := control.CheckEpoch(ctx, tx, run); err != nil {
			return err
		}
		for _, sql := range statements {
			if err := attempt(ctx, tx, sql); err != nil && pg.State(err) != undefinedObject {
				return fmt.Errorf("take back (%s): %w", sql, err)
			}
		}
		_, err = tx.Exec(ctx, `DELETE FROM pgumbra.event WHERE run_id = $1 AND message = $2`, run.ID, carried)
		return err
	})
}

const undefinedObject = "42704"

// The kinds of property.
const (
	settingKind = "setting"
	commentKind = "comment"
	grantKind   = "grant"
	ownerKind   = "owner"
)

// property is a row of database.sql.
type property struct {
	Kind, Schema, Role, Name, Value string
	Grantable, Owner, Super         bool
}

func properties(ctx context.Context, db pg.Querier, schemas []string) ([]property, error) {
	rows, err := db.Query(ctx, databaseSQL, schemas)
	if err != nil {
		return nil, fmt.Errorf("read what belongs to the database: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[property])
	if err != nil {
		return nil, fmt.Errorf("read what belongs to the database: %w", err)
	}
	return found, nil
}

// databaseSteps compares the two databases.
func databaseSteps(ctx context.Context, sides control.Sides, run *control.Run) ([]step, error) {
	var name string
	if err := sides.Shadow.QueryRow(ctx, `SELECT pg_catalog.current_database()`).Scan(&name); err != nil {
		return nil, fmt.Errorf("ask the shadow's name: %w", err)
	}
	schemas := sharedSchemas(run.Plan)
	want, err := properties(ctx, sides.Production, schemas)
	if err != nil {
		return nil, err
	}
	have, err := properties(ctx, sides.Shadow, append(slices.Clone(schemas), shadowSchemas(run.Plan)...))
	if err != nil {
		return nil, err
	}
	made, err := madeSchemas(ctx, sides.Shadow, run)
	if err != nil {
		return nil, err
	}
	want = slices.DeleteFunc(afterMigrations(run.Plan, want, have), func(p property) bool {
		return p.Kind == ownerKind && !slices.Contains(made, p.Schema)
	})
	return differences(name, want, have), nil
}

// madeSchemas are those that the build made for extensions.
func madeSchemas(ctx context.Context, shadow pg.Querier, run *control.Run) ([]string, error) {
	done, err := recorded(ctx, shadow, run)
	if err != nil {
		return nil, err
	}
	var made []string
	for i := range run.Plan.Entries {
		if e := &run.Plan.Entries[i]; e.Tag == extensionSchemaTag && done[e.TOC] {
			made = append(made, e.Name.Name)
		}
	}
	return made, nil
}

// sharedSchemas are those that the shadow's objects are moved into or that hold
// extensions: they exist there under their true names before the swap.
func sharedSchemas(plan *plans.Plan) []string {
	schemas := []string{"public"}
	for i := range plan.Entries {
		if e := &plan.Entries[i]; e.Tag == extensionSchemaTag && !slices.Contains(schemas, e.Name.Name) {
			schemas = append(schemas, e.Name.Name)
		}
	}
	for _, s := range plan.Schemas {
		if s.Swap == plans.Move && !slices.Contains(schemas, s.Production) {
			schemas = append(schemas, s.Production)
		}
	}
	return schemas
}

// afterMigrations replaces grants and owner of a schema that moves by those that
// the shadow's has: the migrations may have changed them.
func afterMigrations(plan *plans.Plan, want, have []property) []property {
	for _, s := range plan.Schemas {
		want = slices.DeleteFunc(want, func(p property) bool { return p.Schema == s.Production })
		for _, p := range have {
			if p.Schema == s.Shadow {
				p.Schema = s.Production
				want = append(want, p)
			}
		}
	}
	return want
}
