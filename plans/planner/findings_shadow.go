package planner

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/catalog"
)

// lookAtShadow checks the database that the shadow is built in: its server, what
// is in it already, and what we may do there.
func (m *site) lookAtShadow(ctx context.Context) error {
	if !m.plan.Remote {
		return nil
	}
	if err := m.checkShadowServer(ctx); err != nil {
		return err
	}
	err := pg.RepeatableRead(ctx, m.side.db, func(tx pgx.Tx) (err error) {
		m.side.catalog, err = catalog.Read(ctx, tx)
		return err
	})
	if err != nil {
		return fmt.Errorf("read the shadow's structure: %w", err)
	}
	for _, check := range []func(context.Context) error{m.checkShadowEmpty, m.checkShadowRights, m.checkShadowConditions, m.checkLocale, m.checkSettings} {
		if err := check(ctx); err != nil {
			return fmt.Errorf("look at the shadow's database: %w", err)
		}
	}
	return nil
}

// checkShadowServer: another database than production's, on a server that is
// not older.
func (m *site) checkShadowServer(ctx context.Context) error {
	ours, theirs := m.session.Server/10000, m.side.server/10000
	switch {
	case theirs < OldestServer || theirs > NewestServer:
		m.blocker("shadow-version", m.side.database, fmt.Sprintf("the shadow's server is PostgreSQL %d; %d to %d are supported", theirs, OldestServer, NewestServer),
			"name another server by shadow.dsn")
		return errBlocked
	case theirs < ours:
		m.blocker("shadow-older", m.side.database, fmt.Sprintf("the shadow's server is PostgreSQL %d, older than production's %d: there is no way down", theirs, ours),
			"name a server of at least production's version by shadow.dsn")
		return errBlocked
	}
	same, err := m.sameDatabase(ctx)
	if err == nil && same {
		m.blocker("shadow-is-production", m.side.database, "production.dsn and shadow.dsn lead to the same database",
			"leave shadow.dsn empty for a shadow beside production, or name another database")
		return errBlocked
	}
	return err
}

// sameDatabase compares the clusters' own numbers: host names may be two for one.
// A copy of a cluster has its number too; the time at which the server started
// and where it listens tell them apart.
func (m *site) sameDatabase(ctx context.Context) (bool, error) {
	const who = `SELECT (SELECT system_identifier::text FROM pg_control_system()) || ' ' || oid || ' ' || pg_postmaster_start_time()
		FROM pg_database WHERE datname = current_database()`
	var ours, theirs string
	if err := m.db.QueryRow(ctx, who).Scan(&ours); err != nil {
		return false, fmt.Errorf("ask production who it is: %w", err)
	}
	if err := m.side.db.QueryRow(ctx, who).Scan(&theirs); err != nil {
		return false, fmt.Errorf("ask the shadow who it is: %w", err)
	}
	return ours == theirs, nil
}

// checkShadowEmpty: what is in the way of names that the shadow will bear. What a
// live run of ours made is not; nor are extensions and empty schemas.
func (m *site) checkShadowEmpty(ctx context.Context) error {
	if err := m.checkControl(ctx, m.side.db); err != nil {
		return err
	}
	var err error
	if m.side.live, err = m.live(ctx); err != nil || m.side.live {
		return err
	}
	for _, s := range m.plan.Schemas {
		if m.side.has(s.Shadow) {
			m.blocker("name-taken", s.Shadow, fmt.Sprintf("the shadow's database has a schema %s already", s.Shadow),
				"drop it there if it is what an earlier run left behind: DROP SCHEMA "+pg.Ident(s.Shadow)+" CASCADE; or choose another name: for the run")
		}
		if err := m.checkSchemaEmpty(ctx, s.Production); err != nil {
			return err
		}
	}
	return nil
}

func (m *site) checkSchemaEmpty(ctx context.Context, schema string) error {
	there, err := catalog.Movables(ctx, m.side.db, schema)
	if err != nil || len(there) == 0 {
		return err
	}
	m.blocker("shadow-not-empty", schema, fmt.Sprintf("the shadow's database has objects in schema %s: %s", schema, someOf(there)),
		"name an empty database by shadow.dsn, or drop them there")
	return nil
}

// someOf names the first few objects of a list.
func someOf(all []catalog.Movable) string {
	const shown = 5
	text := ""
	for i, o := range all {
		if i == shown {
			return fmt.Sprintf("%s and %d more", text, len(all)-shown)
		}
		if i > 0 {
			text += ", "
		}
		text += o.Identity
	}
	return text
}
