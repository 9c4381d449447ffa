package plans

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// databaseEntries carries what hangs on the database itself: settings, privileges
// and its comment. pg_dump leaves them to pg_dumpall. What we may not do there
// becomes a finding when it is tried.
func (m *maker) databaseEntries(ctx context.Context) error {
	for _, write := range []func(context.Context) error{m.databaseSettings, m.databasePrivileges, m.databaseComment} {
		if err := write(ctx); err != nil {
			return fmt.Errorf("read what production's database has of its own: %w", err)
		}
	}
	return nil
}

func (m *maker) databaseSettings(ctx context.Context) error {
	rows, err := m.db.Query(ctx, `SELECT coalesce(quote_ident(r.rolname), ''), split_part(c.item, '=', 1), substr(c.item, strpos(c.item, '=') + 1)
		FROM pg_db_role_setting s CROSS JOIN LATERAL unnest(s.setconfig) WITH ORDINALITY AS c (item, n)
		LEFT JOIN pg_roles r ON r.oid = s.setrole
		WHERE s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database()) AND (s.setrole = 0 OR r.rolname IS NOT NULL)
		ORDER BY 1, c.n`)
	if err != nil {
		return err
	}
	var role, name, value string
	_, err = pgx.ForEachRow(rows, []any{&role, &name, &value}, func() error {
		database := pg.Ident(m.side.database)
		begin := "ALTER DATABASE " + database
		if role != "" {
			begin = "ALTER ROLE " + role + " IN DATABASE " + database
			m.side.settingRoles = append(m.side.settingRoles, role)
		}
		m.atSwap(tagDatabase, pg.Name{Name: strings.TrimSpace(role + " " + name)}, begin+" "+setText(name, value)+";")
		return nil
	})
	return err
}

// listSettings hold lists whose elements are quoted each by itself, as
// PostgreSQL's GUC_LIST_QUOTE marks them.
var listSettings = []string{"search_path", "local_preload_libraries", "session_preload_libraries", "temp_tablespaces"}

func setText(name, value string) string {
	switch {
	case slices.Contains(listSettings, name) && value != "" && value != `""`:
		return "SET " + name + " TO " + value // the catalog holds it quoted
	case slices.Contains(listSettings, name):
		return "SET " + name + " TO ''"
	}
	parts := strings.Split(name, ".") // of an extension or the user's own
	for i := range parts {
		parts[i] = pg.Ident(parts[i])
	}
	return "SET " + strings.Join(parts, ".") + " TO " + pg.Literal(value)
}

// databasePrivileges makes the list of who may connect that of production. We
// ourselves must go on: the watch begins then.
func (m *maker) databasePrivileges(ctx context.Context) error {
	var acl, owner string
	err := m.db.QueryRow(ctx, `SELECT coalesce(datacl::text, ''), quote_ident(pg_get_userbyid(datdba)) FROM pg_database WHERE datname = current_database()`).Scan(&acl, &owner)
	if err != nil || acl == "" {
		return err
	}
	grants, err := explode(ctx, m.db, acl)
	if err != nil {
		return err
	}
	on := " ON DATABASE " + pg.Ident(m.side.database)
	sql := "REVOKE ALL" + on + " FROM PUBLIC;"
	for _, g := range grants {
		if g.Grantee != owner {
			sql += "\nGRANT " + g.Privilege + on + " TO " + g.Grantee + g.option() + ";"
		}
	}
	if !m.side.superuser {
		sql += "\nGRANT CONNECT, TEMPORARY" + on + " TO " + pg.Ident(m.side.user) + ";"
	}
	m.atSwap(tagDatabase, pg.Name{Name: "privileges"}, sql)
	return nil
}

func (m *maker) databaseComment(ctx context.Context) error {
	var comment string
	err := m.db.QueryRow(ctx, `SELECT coalesce(shobj_description(oid, 'pg_database'), '') FROM pg_database WHERE datname = current_database()`).Scan(&comment)
	if err == nil && comment != "" {
		m.atSwap(tagDatabase, pg.Name{Name: "comment"}, "COMMENT ON DATABASE "+pg.Ident(m.side.database)+" IS "+pg.Literal(comment)+";")
	}
	return err
}
