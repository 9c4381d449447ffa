package cutover

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/conditions"
)

// OldSide says what becomes of the old schemas at the end of the watch.
type OldSide int

// What becomes of the old side.
const (
	KeepOld OldSide = iota // it stays, and still refuses writes
	DropOld                // it goes, with all its data
)

// ErrDependents says that something outside the old schemas depends on what is
// in them, so they are not dropped. The caller shows the message, which names it.
var ErrDependents = errors.New("objects outside depend on the old side")

// How many tables are dropped in one transaction: each takes locks on itself,
// its indexes, its TOAST table and what refers to it.
const dropGroup = 25

// Finish ends the watch: capture is removed, guards go, the old schemas are
// dropped if told, and the phase becomes finished. May be repeated. Dropping
// takes ACCESS EXCLUSIVE on old tables only, which nobody writes to; it refuses
// with [ErrDependents] rather than drop anything outside. Old schemas in a
// database of their own that stay refuse writes for as long as the control
// schema is there.
func (c *Cutover) Finish(ctx context.Context, old OldSide) error {
	if err := c.Parts.RemoveCapture(ctx); err != nil {
		return fmt.Errorf("remove capture: %w", err)
	}
	if c.Sides.Remote() {
		return c.finishRemote(ctx, old)
	}
	return c.finish(ctx, old)
}

// finish ends the watch once capture is removed: guards go, the old schemas are
// dropped if told, and the phase becomes finished.
func (c *Cutover) finish(ctx context.Context, old OldSide) error {
	pool, run := c.Sides.Production, c.Upgrade
	if err := dropGuards(ctx, pool, run); err != nil {
		return err
	}
	if err := c.dropWriteBlock(ctx); err != nil {
		return err
	}
	if old == DropOld {
		if err := dropOld(ctx, pool, run); err != nil {
			return err
		}
	}
	if err := c.lockOut(ctx, pool, fenceFunction(run, passNobody)); err != nil {
		return err
	}
	return finished(ctx, pool, run)
}

// passNobody is for a fence that stays behind when the run is over.
const passNobody = "false"

// lockOut ends what let sessions of ours pass in production: the fence, if it
// stays, has this text from now on.
func (c *Cutover) lockOut(ctx context.Context, pool *pgxpool.Pool, fence string) error {
	return pg.ReadCommitted(ctx, pool, func(tx pgx.Tx) error {
		var stands bool
		err := tx.QueryRow(ctx, `SELECT pg_catalog.to_regprocedure($1) IS NOT NULL`, fenceName(c.Upgrade).Quoted()+"()").Scan(&stands)
		if err == nil && stands {
			_, err = tx.Exec(ctx, fence)
		}
		if err != nil {
			return fmt.Errorf("leave the fence behind: %w", err)
		}
		return control.Disown(ctx, tx, c.Upgrade)
	})
}

// finished moves the phase.
func finished(ctx context.Context, pool *pgxpool.Pool, run *control.Run) error {
	if run.Phase == control.Finished {
		return nil
	}
	err := pg.ReadCommitted(ctx, pool, func(tx pgx.Tx) error {
		return control.Advance(ctx, tx, run, control.Finished)
	})
	if err != nil {
		return err
	}
	run.Entered(control.Finished)
	return nil
}

func dropOld(ctx context.Context, pool *pgxpool.Pool, run *control.Run) error {
	var schemas []string
	for _, s := range run.Plan.Schemas {
		schemas = append(schemas, s.Old)
	}
	if err := dropAllTables(ctx, pool, schemas); err != nil {
		return err
	}
	if err := dropSchemas(ctx, pool, schemas); err != nil {
		return err
	}
	return patiently(ctx, pool, dropFunction(fenceName(run)))
}

// dropAllTables drops them a group at a time.
func dropAllTables(ctx context.Context, pool *pgxpool.Pool, schemas []string) error {
	for {
		var tables []relation
		err := pinned(ctx, pool, func(tx pgx.Tx) (err error) {
			tables, err = relations(ctx, tx, schemas)
			return err
		})
		if err != nil {
			return err
		}
		if len(tables) == 0 {
			return nil
		}
		if err := dropTables(ctx, pool, schemas, tables[:min(len(tables), dropGroup)]); err != nil {
			return err
		}
	}
}

// dropTables locks a group of tables, looks for dependents outside and drops
// the group. CASCADE reaches the old schemas alone: making a new dependent of a
// table needs a lock that ours shuts out.
func dropTables(ctx context.Context, pool *pgxpool.Pool, schemas []string, group []relation) error {
	lock, drop := dropStatements(group)
	return cleared(ctx, pool, schemas, lock, drop)
}

func dropStatements(tables []relation) (lock, drop string) {
	names := make([]string, len(tables))
	for i, t := range tables {
		names[i] = t.name.Quoted()
	}
	list := strings.Join(names, ", ")
	return "LOCK TABLE " + list + " IN ACCESS EXCLUSIVE MODE", "DROP TABLE " + list + " CASCADE"
}

func dropSchemas(ctx context.Context, pool *pgxpool.Pool, schemas []string) error {
	return cleared(ctx, pool, schemas, "SELECT", dropSchemasStatement(schemas))
}

func dropSchemasStatement(schemas []string) string {
	return "DROP SCHEMA IF EXISTS " + pg.Idents(schemas) + " CASCADE"
}

// cleared runs lock, then drop if nothing outside depends on the schemas.
func cleared(ctx context.Context, pool *pgxpool.Pool, schemas []string, lock, drop string) error {
	return untilLocked(ctx, func() error {
		return pinned(ctx, pool, func(tx pgx.Tx) error {
			if err := waitBriefly(ctx, tx); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, lock); err != nil {
				return fmt.Errorf("lock the old tables: %w", err)
			}
			outside, err := dependents(ctx, tx, schemas)
			if err != nil {
				return err
			}
			if len(outside) > 0 {
				return fmt.Errorf("%w: %s", ErrDependents, strings.Join(outside, ", "))
			}
			if _, err := tx.Exec(ctx, drop); err != nil {
				return fmt.Errorf("drop the old side: %w", err)
			}
			return nil
		})
	})
}

// dependents describes what outside the schemas depends on what is in them.
func dependents(ctx context.Context, db pgx.Tx, schemas []string) ([]string, error) {
	found, err := conditions.Ask(ctx, db, conditions.Local, conditions.Planning, conditions.Scope{Schemas: schemas})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, f := range found {
		names = append(names, f.Object)
	}
	return names, nil
}
