package cutover

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// entrances are the statements by which the true names lead to the shadow in a
// database of its own. Nobody else is there, so tables that are moved one by one
// make nobody wait.
func (c *Cutover) entrances(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	var all []string
	for _, s := range c.Upgrade.Plan.Schemas {
		some, err := c.entrance(ctx, conn, s)
		if err != nil {
			return nil, fmt.Errorf("schema %s: %w", s.Production, err)
		}
		all = append(all, some...)
	}
	return all, nil
}

// entrance renames the shadow's schema, which has production's owner,
// privileges and comment. An empty schema of the true name, as public in a new
// database, goes first. One that holds anything, extensions above all, takes the
// objects in and becomes like the shadow's.
func (c *Cutover) entrance(ctx context.Context, conn *pgx.Conn, s plans.Schema) ([]string, error) {
	rename := fmt.Sprintf("ALTER SCHEMA %s RENAME TO %s", pg.Ident(s.Shadow), pg.Ident(s.Production))
	var there bool
	err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)`, s.Production).Scan(&there)
	if err != nil {
		return nil, fmt.Errorf("look for it on the shadow: %w", err)
	}
	if !there {
		return []string{rename}, nil
	}
	drop := "DROP SCHEMA " + pg.Ident(s.Production)
	switch can, err := would(ctx, conn, drop); {
	case err != nil:
		return nil, err
	case can:
		return []string{drop, rename}, nil
	}
	return c.moveIn(ctx, conn, s)
}

// would tries a statement in a transaction that is rolled back. False: the
// server refuses, since something depends on it or for want of rights.
func would(ctx context.Context, conn *pgx.Conn, statement string) (bool, error) {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return false, err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if _, err := tx.Exec(ctx, "SET LOCAL lock_timeout = '1s'"); err != nil {
		return false, err
	}
	_, err = tx.Exec(ctx, statement)
	var refused interface{ SQLState() string }
	if err != nil && (!errors.As(err, &refused) || pg.Unreachable(err) || ctx.Err() != nil) {
		return false, err
	}
	return err == nil, nil
}

// moveIn moves what the shadow's schema holds into the true one.
func (c *Cutover) moveIn(ctx context.Context, conn *pgx.Conn, s plans.Schema) ([]string, error) {
	objects, err := plans.Movables(ctx, conn, s.Shadow)
	if err != nil {
		return nil, err
	}
	all, err := c.alike(ctx, conn, s)
	if err != nil {
		return nil, err
	}
	for _, o := range objects {
		all = append(all, o.SetSchema(s.Production))
	}
	return append(all, "DROP SCHEMA "+pg.Ident(s.Shadow)), nil
}

// alike gives the true schema the owner, privileges and comment of the shadow's,
// as far as the role may: it does not own every public.
func (c *Cutover) alike(ctx context.Context, conn *pgx.Conn, s plans.Schema) ([]string, error) {
	rows, err := conn.Query(ctx, carrySQL, s.Shadow, s.Production, true)
	if err != nil {
		return nil, fmt.Errorf("read owner and privileges: %w", err)
	}
	wanted, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("read owner and privileges: %w", err)
	}
	var allowed []string
	for _, statement := range wanted {
		can, err := would(ctx, conn, statement)
		if err != nil {
			return nil, err
		}
		if can {
			allowed = append(allowed, statement)
			continue
		}
		c.Log.Warn("the role may not make a schema of the shadow's database like production's", "statement", statement)
	}
	return allowed, nil
}
