package workload

import (
	"context"
	"fmt"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
)

// connect opens a session that pgumbra does not take for one of its own: through
// the pool, whose transactions share sessions, or directly.
func (c *client) connect(ctx context.Context) (err error) {
	c.at = c.of.at.Load()
	dsn := c.of.Pool
	if dsn == "" {
		dsn = c.of.Databases[c.at]
	}
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return err
	}
	if c.of.Pool != "" {
		config.DefaultQueryExecMode = pgx.QueryExecModeExec
	}
	config.RuntimeParams["application_name"] = "rehearsal"
	c.conn, err = pgx.ConnectConfig(ctx, config)
	return err
}

// current is the database that clients reach now.
func (c *Clients) current(ctx context.Context) (string, error) {
	if c.Pool == "" {
		return c.Databases[c.at.Load()], nil
	}
	one := &client{of: c}
	if err := one.connect(ctx); err != nil {
		return "", err
	}
	defer func() { _ = one.conn.Close(context.WithoutCancel(ctx)) }()
	var name string
	if err := one.conn.QueryRow(ctx, "SELECT current_database()").Scan(&name); err != nil {
		return "", err
	}
	for _, dsn := range c.Databases {
		if config, err := pgx.ParseConfig(dsn); err == nil && config.Database == name {
			return dsn, nil
		}
	}
	return "", fmt.Errorf("the pool leads to database %s, which is none of this rehearsal's", name)
}

// goesOver leads clients that nobody redirects to the other database: when theirs
// refuses writes, and back from one whose tables are not there yet.
func (c *client) goesOver(ctx context.Context, known knowledge, state string) bool {
	if c.of.Pool != "" || len(c.of.Databases) < 2 {
		return false
	}
	switch state {
	case pgerrcode.ReadOnlySQLTransaction:
	case pgerrcode.UndefinedTable, pgerrcode.InvalidSchemaName:
		if c.opened(ctx, known) {
			return false
		}
	default:
		return false
	}
	c.of.at.CompareAndSwap(c.at, 1-c.at)
	_ = c.conn.Close(ctx)
	return true
}

// opened reports whether some table that is known is there.
func (c *client) opened(ctx context.Context, known knowledge) bool {
	var names []string
	for _, u := range known.usages {
		names = append(names, u.table.Name.Quoted())
	}
	var there bool
	err := c.conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM unnest($1::text[]) t WHERE to_regclass(t) IS NOT NULL)", names).Scan(&there)
	return err != nil || there
}
