package planner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/pgdump"
)

// Event triggers of production's stand in scratch while the migrations run, as
// they will where the migrations run in place. They come last: what scratch is
// made of, and our own trace, is no DDL of the user's. Whether they let a run pass
// in production is tried, since no catalog tells what a guard refuses.

// isGuard: the entry makes an event trigger, or says something of one.
func isGuard(e pgdump.Entry) bool {
	return e.Tag == "EVENT TRIGGER" || (e.Tag == "COMMENT" || e.Tag == "SECURITY LABEL") && strings.HasPrefix(e.Name, "EVENT TRIGGER ")
}

// setGuards makes the event triggers. Who is no superuser may not, and has none.
func (m *trial) setGuards(ctx context.Context) error {
	var guards []pgdump.Entry
	for _, e := range m.dump {
		if isGuard(e) {
			guards = append(guards, e)
		}
	}
	if err := runEntries(ctx, m.scratch.db, guards); err != nil {
		return m.restoreFailed(ctx, err)
	}
	return nil
}

// tryGuards tries each event trigger by itself, as the migrations' role: its
// function gets none of our rights.
func (m *trial) tryGuards(ctx context.Context) error {
	rows, err := m.scratch.db.Query(ctx, `SELECT evtname::text FROM pg_event_trigger WHERE evtenabled IN ('O', 'A') ORDER BY 1`)
	if err != nil {
		return fmt.Errorf("read the event triggers: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(names) == 0 || m.scratch.guest == nil {
		return err
	}
	config, err := m.scratch.clientConfig(m.session)
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("try the event triggers: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for _, name := range names {
		if err := m.tryGuard(ctx, conn, name); err != nil {
			return err
		}
	}
	return nil
}

// tryGuard does what a run does in production with one event trigger enabled, and
// takes it back.
func (m *trial) tryGuard(ctx context.Context, conn *pgx.Conn, name string) error {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return fmt.Errorf("try event trigger %s: %w", name, err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if _, err := tx.Exec(ctx, `SELECT pg_catalog.set_config('lock_timeout', '10s', true)`); err != nil {
		return fmt.Errorf("try event trigger %s: %w", name, err)
	}
	alone := `DO $$ DECLARE e name; BEGIN FOR e IN SELECT evtname FROM pg_event_trigger WHERE evtname <> ` + pg.Literal(name) +
		` LOOP EXECUTE format('ALTER EVENT TRIGGER %I DISABLE', e); END LOOP; END $$`
	if _, err := tx.Exec(ctx, alone); err != nil {
		return fmt.Errorf("try event trigger %s: %w", name, err)
	}
	for _, sql := range m.likeARun() {
		_, err := tx.Exec(ctx, sql)
		var refused *pgconn.PgError
		switch {
		case err == nil:
			continue
		case !errors.As(err, &refused):
			return fmt.Errorf("try event trigger %s: %w", name, err)
		case refused.Code == pgerrcode.InsufficientPrivilege:
			return nil // the guest lacks a right that we have in production
		}
		m.blocker("event-trigger", name, fmt.Sprintf("this event trigger refuses what a run does in production, such as %s: %s", m.scratch.unmask(sql), serverMessage(err)),
			fmt.Sprintf("let its function pass what is in the schemas pgumbra and pgumbra_*, or disable it for the length of the run: ALTER EVENT TRIGGER %s DISABLE;", pg.Ident(name)))
		return nil
	}
	return nil
}

// likeARun are statements of the kinds that a run sends to production, on names
// like its own.
func (m *trial) likeARun() []string {
	all := []string{
		"CREATE SCHEMA pgumbra", "CREATE TABLE pgumbra.tried (id int PRIMARY KEY, v text)", "CREATE VIEW pgumbra.seen AS SELECT id FROM pgumbra.tried",
		"CREATE FUNCTION pgumbra.noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
	}
	if t := m.anyTable(); t != nil {
		table := t.Name.Quoted()
		all = append(all, "CREATE TRIGGER pgumbra_tried AFTER INSERT ON "+table+" FOR EACH STATEMENT EXECUTE FUNCTION pgumbra.noted()",
			"ALTER TABLE "+table+" ENABLE ALWAYS TRIGGER pgumbra_tried", "DROP TRIGGER pgumbra_tried ON "+table)
	}
	for _, s := range m.plan.Schemas {
		shadow := pg.Ident(s.Shadow)
		all = append(all, "CREATE SCHEMA "+shadow, "CREATE TABLE "+shadow+".pgumbra_tried (id int)", "CREATE INDEX pgumbra_tried_id ON "+shadow+".pgumbra_tried (id)",
			"ALTER TABLE "+shadow+".pgumbra_tried ADD CHECK (id > 0)", "GRANT SELECT ON "+shadow+".pgumbra_tried TO CURRENT_USER",
			"ALTER SCHEMA "+pg.Ident(s.Production)+" RENAME TO "+pg.Ident(s.Old), "ALTER SCHEMA "+shadow+" RENAME TO "+pg.Ident(s.Production),
			"DROP TABLE "+pg.Ident(s.Production)+".pgumbra_tried")
	}
	return append(all, "DROP SCHEMA pgumbra CASCADE")
}

// anyTable is one that a run captures.
func (m *trial) anyTable() *catalog.Table {
	i := slices.IndexFunc(m.before.Tables, func(t *catalog.Table) bool {
		return m.moving(t.Name.Schema) && t.Kind == "r" && !t.Extension && t.PartitionOf == 0
	})
	if i < 0 {
		return nil
	}
	return m.before.Tables[i]
}
