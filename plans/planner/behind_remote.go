package planner

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/syntax"
)

// behindThere sees to what migrations that run in another database would find
// different from production's: whom they run as, and settings that its server
// lacks.
func (m *site) behindThere(ctx context.Context) error {
	if !m.plan.Remote {
		return nil
	}
	if err := m.roleThere(ctx); err != nil {
		return fmt.Errorf("read our memberships on the shadow: %w", err)
	}
	tx, err := m.side.db.Begin(ctx)
	if err != nil {
		return fmt.Errorf("try the migrations' settings on the shadow: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	session := m.plan.Behind.Session
	for _, name := range slices.Sorted(maps.Keys(session)) {
		if name == "default_text_search_config" { // perhaps one of those that move: its name is not there yet
			continue
		}
		err := pgx.BeginFunc(ctx, tx, func(inner pgx.Tx) error {
			_, err := inner.Exec(ctx, `SELECT pg_catalog.set_config($1, $2, true)`, name, session[name])
			return err
		})
		switch {
		case err != nil && pg.State(err) == "":
			return fmt.Errorf("try the migrations' settings on the shadow: %w", err)
		case err != nil:
			m.warning("behind-fence-setting", name, fmt.Sprintf("the shadow's server does not take what a session of production has, %s: %s; the migrations behind the fence run without it",
				pg.Literal(session[name]), serverMessage(err)), "nothing, if they do not depend on it")
			delete(session, name)
		}
	}
	return nil
}

// roleThere is whom the migrations run as, where the shadow is reached as
// another role.
func (m *site) roleThere(ctx context.Context) error {
	user := m.session.User
	if user == m.side.user {
		return nil
	}
	m.plan.Behind.Role = user
	right := "MEMBER"
	if m.side.server >= 160000 {
		right = "SET"
	}
	var may bool
	err := m.side.db.QueryRow(ctx, `SELECT coalesce((SELECT pg_catalog.pg_has_role(oid, $2) FROM pg_catalog.pg_roles WHERE rolname = $1), false)`, user, right).Scan(&may)
	if err == nil && !may {
		m.blocker("behind-fence-role", user, "migrations that run behind the fence run as the role of production.dsn, and "+m.side.user+" cannot become it on the shadow's server",
			"on the shadow's server: "+mayActAs(ctx, m.side.db, user, m.side.user)+" Or connect by shadow.dsn as "+user)
	}
	return err
}

// namesProductionsDatabase refuses what would change production's database by
// its name, which the shadow's does not bear.
func (m *site) namesProductionsDatabase(file string, statements []syntax.ScriptStatement) {
	if !m.plan.Remote || m.side.database == m.session.Database {
		return
	}
	named := regexp.MustCompile(`(?i)\bdatabase\s+"?` + regexp.QuoteMeta(m.session.Database) + `($|[^\pL\pN_$])`)
	for _, s := range statements {
		if named.MatchString(s.SQL) {
			m.find(plans.Finding{Level: plans.Blocker, Code: syntax.CodeNotBehind, Object: m.session.Database, Where: fmt.Sprintf("%s:%d", file, s.Line),
				Message: "it changes the database by its name, which leads to production: the shadow's is " + m.side.database + quoteStatement(s.SQL),
				Fix:     "say current_database() in a DO block, or do it by hand after the upgrade, in a migration of its own"})
		}
	}
}
