package planner

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// mayActAs is the advice that lets a role act as an owner of objects: membership,
// unless that would give it more than these: powers over the whole server, of the
// owner's own or of roles that it is a member of itself. Then the objects are better
// given to somebody else.
func mayActAs(ctx context.Context, db pg.Querier, owner, us string) string {
	var powers []string
	err := db.QueryRow(ctx, powersSQL, owner, us).Scan(&powers)
	switch {
	case errors.Is(err, pgx.ErrNoRows), err == nil && len(powers) == 0: // of a role that is not there the statement says so
		return fmt.Sprintf("GRANT %s TO %s;", pg.Ident(owner), pg.Ident(us))
	case err != nil:
		return fmt.Sprintf("make %s a member of %s, if that gives it no more than what %s owns", us, owner, owner)
	}
	return fmt.Sprintf("give what %s owns in the schemas that move to a role without %s (ALTER ... OWNER TO ...), and make %s a member of that; or connect as a superuser. "+
		"Membership in %s itself would give away more than the upgrade needs", owner, strings.Join(powers, ", "), us, owner)
}

// powersSQL lists what membership in the role $1 would give the role $2 besides
// the role's objects.
const powersSQL = `SELECT array_remove(ARRAY[CASE WHEN o.rolsuper THEN 'SUPERUSER' END, CASE WHEN o.rolcreaterole THEN 'CREATEROLE' END,
		CASE WHEN o.rolreplication THEN 'REPLICATION' END, CASE WHEN o.rolbypassrls THEN 'BYPASSRLS' END], NULL)
	|| ARRAY (SELECT 'membership in ' || r.rolname FROM pg_catalog.pg_roles r
		WHERE NOT o.rolsuper AND r.oid <> o.oid AND (r.rolsuper OR r.rolcreaterole OR r.rolreplication OR r.rolbypassrls OR r.rolname ~ '^pg_' AND r.rolname <> 'pg_database_owner')
		  AND pg_catalog.pg_has_role(o.oid, r.oid, 'MEMBER')
		  AND NOT coalesce((SELECT pg_catalog.pg_has_role(u.oid, r.oid, 'MEMBER') FROM pg_catalog.pg_roles u WHERE u.rolname = $2), false) ORDER BY 1)
	FROM pg_catalog.pg_roles o WHERE o.rolname = $1`

// mayRead is the advice that lets pg_dump read the structure: the rows of the
// tables of this database may be read then, of no other one.
func (m *survey) mayRead() string {
	var schemas []string
	for _, s := range m.production.Schemas {
		schemas = append(schemas, s.Name)
	}
	us, in := pg.Ident(m.session.User), pg.Idents(schemas)
	return fmt.Sprintf("GRANT USAGE ON SCHEMA %[1]s TO %[2]s; GRANT SELECT ON ALL TABLES IN SCHEMA %[1]s TO %[2]s; GRANT SELECT ON ALL SEQUENCES IN SCHEMA %[1]s TO %[2]s;", in, us)
}
