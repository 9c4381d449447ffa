package plans

import (
	"context"
	"fmt"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// mayActAs is the advice that lets a role act as an owner of objects: membership,
// unless that would give it the whole server. Then the objects are better given
// to somebody else.
func mayActAs(ctx context.Context, db pg.Querier, owner, us string) string {
	var powers []string
	err := db.QueryRow(ctx, `SELECT array_remove(ARRAY[CASE WHEN rolsuper THEN 'SUPERUSER' END, CASE WHEN rolcreaterole THEN 'CREATEROLE' END,
			CASE WHEN rolreplication THEN 'REPLICATION' END, CASE WHEN rolbypassrls THEN 'BYPASSRLS' END], NULL)
		FROM pg_catalog.pg_roles WHERE rolname = $1`, owner).Scan(&powers)
	if err != nil || len(powers) == 0 { // a role that is not there cannot be told; the statement will say so
		return fmt.Sprintf("GRANT %s TO %s;", pg.Ident(owner), pg.Ident(us))
	}
	return fmt.Sprintf("give what %s owns in the schemas that move to a role without %s (ALTER ... OWNER TO ...), and make %s a member of that; or connect as a superuser. "+
		"Membership in %s itself would give away more than the upgrade needs", owner, strings.Join(powers, ", "), us, owner)
}

// mayRead is the advice that lets pg_dump read the structure: the rows of the
// tables of this database may be read then, of no other one.
func (m *maker) mayRead() string {
	var schemas []string
	for _, s := range m.production.Schemas {
		schemas = append(schemas, s.Name)
	}
	us, in := pg.Ident(m.session.user), pg.Idents(schemas)
	return fmt.Sprintf("GRANT USAGE ON SCHEMA %[1]s TO %[2]s; GRANT SELECT ON ALL TABLES IN SCHEMA %[1]s TO %[2]s; GRANT SELECT ON ALL SEQUENCES IN SCHEMA %[1]s TO %[2]s;", in, us)
}
