package shadow

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// ddlBudget is how long a statement that changes structure waits for a lock. On
// the shadow nobody but us and autovacuum works, and autovacuum gives way after
// deadlock_timeout: whoever blocks longer than this is a stranger.
const ddlBudget = "10s"

// onSession runs f on one session of the pool and gives the session back with
// the settings it started with: pg_dump's text contains SET commands
// (default_tablespace, default_table_access_method) that outlive a transaction.
func onSession(ctx context.Context, pool *pgxpool.Pool, f func(*pgx.Conn) error) error {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer func() {
		cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if conn.Conn().IsClosed() {
			conn.Release()
			return
		}
		if _, err := conn.Exec(cleanup, "RESET ALL"); err != nil {
			_ = conn.Hijack().Close(cleanup)
			return
		}
		conn.Release()
	}()
	return f(conn.Conn())
}

// runEntry runs one entry's statements in the caller's transaction, by the
// simple protocol: an entry may hold several.
func runEntry(ctx context.Context, tx pgx.Tx, e *plans.Entry) error {
	takeBack, err := lend(ctx, tx, e)
	if err != nil {
		return err
	}
	if err := tx.Conn().PgConn().Exec(ctx, e.SQL+takeBack).Close(); err != nil {
		return fmt.Errorf("make %s: %w", describe(e), err)
	}
	return nil
}

func describe(e *plans.Entry) string {
	name := e.Name.String()
	if e.Name.Schema == "" {
		name = e.Name.Name
	}
	return strings.ToLower(e.Tag) + " " + name
}

// entriesOf picks the entries of some stages in TOC order, as the plan holds them.
func entriesOf(plan *plans.Plan, keep func(*plans.Entry) bool) []*plans.Entry {
	var picked []*plans.Entry
	for i := range plan.Entries {
		if e := &plan.Entries[i]; keep(e) {
			picked = append(picked, e)
		}
	}
	return picked
}

func inStage(stages ...plans.Stage) func(*plans.Entry) bool {
	return func(e *plans.Entry) bool {
		for _, s := range stages {
			if e.Stage == s {
				return true
			}
		}
		return false
	}
}

// set sets a parameter for the rest of the transaction. It takes a snapshot: not
// for the beginning of a REPEATABLE READ transaction that locks first.
func set(ctx context.Context, tx pgx.Tx, name, value string) error {
	return setAll(ctx, tx, setting{name, value})
}

type setting struct{ name, value string }

// setAll sets several in one round trip.
func setAll(ctx context.Context, tx pgx.Tx, settings ...setting) error {
	if len(settings) == 0 {
		return nil
	}
	var names, values []string
	for _, s := range settings {
		names, values = append(names, s.name), append(values, s.value)
	}
	_, err := tx.Exec(ctx, `SELECT pg_catalog.set_config(s.name, s.value, true)
		FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) AS s (name, value)`, names, values)
	if err != nil {
		return fmt.Errorf("set %s: %w", strings.Join(names, ", "), err)
	}
	return nil
}

// trees maps each relation of the shadow that holds or groups rows to the root
// of its partition tree; one that is no partition to itself.
func trees(ctx context.Context, db pg.Querier, plan *plans.Plan) (map[pg.Name]relation, error) {
	rows, err := db.Query(ctx, `
		SELECT n.nspname, c.relname, rn.nspname, r.relname, r.relkind::text
		FROM pg_catalog.pg_class c
		JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_catalog.pg_class r ON r.oid = coalesce(pg_catalog.pg_partition_root(c.oid), c.oid)
		JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace
		WHERE n.nspname = ANY ($1) AND c.relkind IN ('r', 'p', 'm', 'v')`, plan.ShadowSchemas())
	if err != nil {
		return nil, fmt.Errorf("read the shadow's tables: %w", err)
	}
	roots := map[pg.Name]relation{}
	var name pg.Name
	var root relation
	_, err = pgx.ForEachRow(rows, []any{&name.Schema, &name.Name, &root.Name.Schema, &root.Name.Name, &root.kind},
		func() error {
			roots[name] = root
			return nil
		})
	return roots, err
}

type relation struct {
	pg.Name
	kind string // pg_class.relkind
}
