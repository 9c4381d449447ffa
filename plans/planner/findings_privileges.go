package planner

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
)

// checkPrivileges names each right that is missing, with the statement that
// gives it. A superuser has them all.
func (m *survey) checkPrivileges(ctx context.Context) error {
	if m.session.Superuser {
		return nil
	}
	var create, createDB, stats, bypass bool
	err := m.db.QueryRow(ctx, `SELECT has_database_privilege(current_database(), 'CREATE'), r.rolcreatedb,
		pg_has_role('pg_read_all_stats', 'USAGE'), r.rolbypassrls FROM pg_roles r WHERE r.rolname = current_user`).
		Scan(&create, &createDB, &stats, &bypass)
	if err != nil {
		return fmt.Errorf("read the role's rights: %w", err)
	}
	us := pg.Ident(m.session.User)
	if !create {
		m.missing("the control schema and the shadow's schemas cannot be made", "GRANT CREATE ON DATABASE "+pg.Ident(m.session.Database)+" TO "+us+";")
	}
	if !createDB && m.file.Scratch.DSN == "" {
		m.missing("the scratch database cannot be made", "ALTER ROLE "+us+" CREATEDB; or name a throw-away server by scratch.dsn")
	}
	if !stats {
		m.missing("the state of other sessions cannot be seen, so that a cutover could not tell who is in its way", "GRANT pg_read_all_stats TO "+us+";")
	}
	if names := m.rowSecured(); len(names) > 0 && !bypass {
		m.missing("row security is forced on "+strings.Join(names, ", ")+": rows would be hidden from copy and verification", "ALTER ROLE "+us+" BYPASSRLS; and after pgumbra finish ALTER ROLE "+us+" NOBYPASSRLS;")
	}
	if err := m.checkQuiet(ctx, us); err != nil {
		return err
	}
	return m.checkOwners(ctx)
}

// checkQuiet: what comes back to old tables that have triggers or foreign keys is written as a
// replica, see [shadow.Quiet], which would be found after the cutover only. On another
// server it is the same role's to have.
func (m *survey) checkQuiet(ctx context.Context, us string) error {
	if !m.file.Watch.Enabled {
		return nil
	}
	var loud, allowed bool
	err := m.db.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
		JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace f ON f.oid = p.pronamespace
		WHERE n.nspname = ANY ($1) AND f.nspname <> $2 AND t.tgenabled <> 'D')`, m.file.Production.Schemas, control.Schema).Scan(&loud)
	if err != nil {
		return fmt.Errorf("look for triggers: %w", err)
	}
	if !loud {
		return nil
	}
	grant := "GRANT SET ON PARAMETER session_replication_role TO " + us + ";"
	if m.session.Server < 150000 {
		grant = "run pgumbra as a superuser: before PostgreSQL 15 nobody else may set session_replication_role"
	} else if err := m.db.QueryRow(ctx, `SELECT has_parameter_privilege('session_replication_role', 'SET')`).Scan(&allowed); err != nil {
		return fmt.Errorf("read the role's rights: %w", err)
	}
	if !allowed {
		m.warning("way-back-privilege", m.session.User, "the old side cannot be kept current after the cutover, and there is no rollback: its triggers and foreign keys would act on rows that come back, and the role may not keep them still", grant)
	}
	return nil
}

func (m *survey) missing(message, grant string) {
	m.blocker("privileges", m.session.User, message, grant)
}

func (m *survey) rowSecured() []string {
	var names []string
	for _, t := range m.production.Tables {
		if m.moving(t.Name.Schema) && t.RowSecurity && t.ForceRLS {
			names = append(names, t.Name.String())
		}
	}
	return names
}

// checkOwners: triggers, locks, and moving objects to another schema are the
// owner's to do, and the shadow's objects get the same owners.
func (m *survey) checkOwners(ctx context.Context) error {
	var owners []string
	add := func(schema, owner string) {
		if m.moving(schema) && !slices.Contains(owners, owner) {
			owners = append(owners, owner)
		}
	}
	for _, s := range m.production.Schemas {
		add(s.Name, s.Owner)
	}
	for _, t := range m.production.Tables {
		if !t.Extension {
			add(t.Name.Schema, t.Owner)
		}
	}
	for _, s := range m.production.Sequences {
		add(s.Name.Schema, s.Owner)
	}
	for _, t := range m.production.Types {
		if !t.Extension {
			add(t.Name.Schema, t.Owner)
		}
	}
	for _, f := range m.production.Functions {
		add(f.Name.Schema, f.Owner)
	}
	for _, owner := range owners {
		var member bool
		if err := m.db.QueryRow(ctx, `SELECT pg_has_role($1::name, 'USAGE')`, owner).Scan(&member); err != nil {
			return fmt.Errorf("read the role's memberships: %w", err)
		}
		if !member && owner != "pg_database_owner" {
			m.missing("objects of "+owner+" cannot be captured, locked or moved", mayActAs(ctx, m.db, owner, m.session.User))
		}
	}
	return nil
}
