package shadow

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/pgdump"
)

// lend lets an entry's owner create in its schema until takeBack, which follows
// the entry's own text, where we are no superuser: else PostgreSQL refuses ALTER … OWNER TO. In
// production that role came to its table otherwise. Nothing lent: takeBack is "".
//
// So it is with USAGE for roles that passed a privilege on which they were given WITH
// GRANT OPTION: pg_dump's text grants in their name, and until the swap they do not
// get at the shadow.
func lend(ctx context.Context, tx pgx.Tx, e *plans.Entry) (takeBack string, err error) {
	if e.Tag == tagACL && e.Name.Schema != "" {
		return lendToGrantors(ctx, tx, e)
	}
	if e.Owner == "" || e.Name.Schema == "" || !strings.Contains(e.SQL, " OWNER TO ") {
		return "", nil
	}
	var lacking bool
	err = tx.QueryRow(ctx, `SELECT NOT rolsuper AND NOT pg_catalog.has_schema_privilege($1::name, $2::text, 'CREATE')
		FROM pg_catalog.pg_roles WHERE rolname = current_user`, e.Owner, e.Name.Schema).Scan(&lacking)
	if err != nil {
		return "", fmt.Errorf("look whether %s may create in %s: %w", e.Owner, e.Name.Schema, err)
	}
	if !lacking {
		return "", nil
	}
	right := " CREATE ON SCHEMA " + pg.Ident(e.Name.Schema)
	if _, err := tx.Exec(ctx, "GRANT"+right+" TO "+pg.Ident(e.Owner)); err != nil {
		return "", fmt.Errorf("let %s create in %s: %w", e.Owner, e.Name.Schema, err)
	}
	return "\n;\nREVOKE" + right + " FROM " + pg.Ident(e.Owner), nil
}

func lendToGrantors(ctx context.Context, tx pgx.Tx, e *plans.Entry) (takeBack string, err error) {
	right := " USAGE ON SCHEMA " + pg.Ident(e.Name.Schema)
	for _, role := range grantors(e.SQL) {
		var lacking bool
		err := tx.QueryRow(ctx, `SELECT NOT pg_catalog.has_schema_privilege($1::name, $2::text, 'USAGE')`, role, e.Name.Schema).Scan(&lacking)
		if err == nil && lacking {
			_, err = tx.Exec(ctx, "GRANT"+right+" TO "+pg.Ident(role))
			takeBack += "\n;\nREVOKE" + right + " FROM " + pg.Ident(role)
		}
		if err != nil {
			return "", fmt.Errorf("let %s use %s: %w", role, e.Name.Schema, err)
		}
	}
	return takeBack, nil
}

// grantors are the roles in whose name a text of pg_dump's grants, each once.
func grantors(sql string) (roles []string) {
	tokens, _ := pgdump.Lex(sql)
	for i := 0; i+3 < len(tokens); i++ {
		if t := tokens[i : i+4]; t[0].Is("SET") && t[1].Is("SESSION") && t[2].Is("AUTHORIZATION") {
			if role, is := t[3].Name(); is && !slices.Contains(roles, role) {
				roles = append(roles, role)
			}
		}
	}
	return roles
}
