package cutover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/conditions"
)

// activations are the statements by which the true names lead to the shadow in a
// database of its own. Nobody else is there, so tables that are moved one by one
// make nobody wait.
//
// They are found in a transaction that is rolled back, behind the entries that
// change what stands there: the database, schemas of the true names. So what the
// server refuses of those by now, a role that is gone, is told before the first
// client is held.
//
// For going back t learns which objects are moved into schemas that stood there, and
// what the database has of its own once these entries have run.
func (c *Cutover) activations(ctx context.Context, conn *pgx.Conn, t *taken) (all []string, err error) {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if _, err := tx.Exec(ctx, "SET LOCAL lock_timeout = '1s'"); err != nil {
		return nil, err
	}
	if err := c.tryStanding(ctx, tx); err != nil {
		return nil, err
	}
	production, shadow := c.Upgrade.Plan.SchemaNames()
	if t.Belongings, err = conditions.Belongings(ctx, tx, append(production, shadow...)); err != nil {
		return nil, err
	}
	t.Moved = map[string][]object{}
	for _, s := range c.Upgrade.Plan.Schemas {
		some, objects, err := activation(ctx, tx, s)
		if err != nil {
			return nil, fmt.Errorf("schema %s: %w", s.Production, err)
		}
		all = append(all, some...)
		if objects != nil {
			t.Moved[s.Production] = objects
		}
	}
	return all, nil
}

// tryStanding runs what the swap does to the shadow's database as it stands.
func (c *Cutover) tryStanding(ctx context.Context, tx pgx.Tx) error {
	for _, e := range c.Parts.SwapEntries() {
		if !e.Standing() {
			continue
		}
		err := pg.ExecScript(ctx, tx.Conn(), e.SQL)
		if refused(err) {
			return refuse(Blocker{Code: "shadow-database", Message: fmt.Sprintf("the shadow's server refuses %q: %v", strings.TrimSuffix(e.SQL, ";"), err),
				Fix: "undo what was changed there since the plan was made, or abort and plan again", Lasting: pg.State(err) != pgerrcode.LockNotAvailable})
		}
		if err != nil {
			return fmt.Errorf("try %s: %w", e.Name.Name, err)
		}
	}
	return nil
}

// refused: the server answered, and will again.
func refused(err error) bool {
	var answer *pgconn.PgError
	return errors.As(err, &answer) && answer.Code != pgerrcode.QueryCanceled && !pg.Unreachable(err)
}

// activation renames the shadow's schema, which has production's owner,
// privileges and comment. An empty schema of the true name, as public in a new
// database, goes first. One that holds anything, extensions above all, takes the
// objects in: the plan's entries have made it like production's.
// That case alone names objects, though there may be none.
func activation(ctx context.Context, tx pgx.Tx, s plans.Schema) (statements []string, moved []object, err error) {
	rename := fmt.Sprintf("ALTER SCHEMA %s RENAME TO %s", pg.Ident(s.Shadow), pg.Ident(s.Production))
	var there bool
	err = tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)`, s.Production).Scan(&there)
	if err != nil {
		return nil, nil, fmt.Errorf("look for it on the shadow: %w", err)
	}
	if !there {
		return []string{rename}, nil, nil
	}
	drop := "DROP SCHEMA " + pg.Ident(s.Production)
	err = pgx.BeginFunc(ctx, tx, func(inner pgx.Tx) error {
		_, err := inner.Exec(ctx, drop)
		return err
	})
	switch {
	case err == nil:
		return []string{drop, rename}, nil, nil
	case !refused(err):
		return nil, nil, err
	case s.Swap != plans.Move:
		return nil, nil, refuse(Blocker{Code: "name-taken", Message: fmt.Sprintf("the shadow's database has a schema %s since the plan was made: %v", s.Production, err),
			Fix: "drop it there, with what it holds, or abort and plan again", Lasting: true})
	}
	return moveIn(ctx, tx, s)
}

// moveIn moves what the shadow's schema holds into the true one.
func moveIn(ctx context.Context, db pg.Querier, s plans.Schema) (all []string, moved []object, err error) {
	objects, err := catalog.Movables(ctx, db, s.Shadow)
	if err != nil {
		return nil, nil, err
	}
	moved = []object{}
	for _, o := range objects {
		all = append(all, o.SetSchema(s.Production))
		moved = append(moved, object{o.Class, o.OID})
	}
	return append(all, "DROP SCHEMA "+pg.Ident(s.Shadow)), moved, nil
}

// Deactivate makes the true names lead to nothing of the shadow's any more in a database
// of its own, after a rollback from which it is followed again: the next swap activates
// them anew. What stood in a schema before the run stays in it. golang-migrate's table is
// made again, too. One transaction; does nothing where it is done.
func (c *Cutover) Deactivate(ctx context.Context) error {
	if !c.Sides.Remote() {
		return nil
	}
	return untilLocked(ctx, func() error {
		return pinned(ctx, c.Sides.Shadow, func(tx pgx.Tx) error {
			if err := waitBriefly(ctx, tx); err != nil {
				return err
			}
			if err := control.CheckEpoch(ctx, tx, c.Upgrade); err != nil {
				return err
			}
			before, err := c.readTaken(ctx, tx)
			if err != nil {
				return err
			}
			for _, s := range c.Upgrade.Plan.Schemas {
				if err := deactivate(ctx, tx, s, before.Moved); err != nil {
					return fmt.Errorf("take the name %s from the shadow: %w", s.Production, err)
				}
			}
			if v := c.Upgrade.Plan.VersionTable; v != nil && !v.Moves {
				_, err = tx.Exec(ctx, "DROP TABLE IF EXISTS "+v.Name.Quoted())
			}
			return err
		})
	})
}

// deactivate undoes [activation]. An empty schema made way for the shadow's where the
// plan knew one.
func deactivate(ctx context.Context, tx pgx.Tx, s plans.Schema, moved map[string][]object) error {
	var done bool
	if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)`, s.Shadow).Scan(&done); err != nil || done {
		return err
	}
	mine, movedIn := moved[s.Production]
	if !movedIn {
		statements := []string{fmt.Sprintf("ALTER SCHEMA %s RENAME TO %s", pg.Ident(s.Production), pg.Ident(s.Shadow))}
		if s.Swap == plans.Move {
			statements = append(statements, "CREATE SCHEMA "+pg.Ident(s.Production))
		}
		return execAll(ctx, tx, statements)
	}
	objects, err := catalog.Movables(ctx, tx, s.Production)
	if err != nil {
		return err
	}
	statements := []string{"CREATE SCHEMA " + pg.Ident(s.Shadow)}
	for _, o := range objects {
		if slices.Contains(mine, object{o.Class, o.OID}) {
			statements = append(statements, o.SetSchema(s.Shadow))
		}
	}
	return execAll(ctx, tx, statements)
}
