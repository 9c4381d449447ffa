package shadow

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// lend lets an entry's owner create in its schema until takeBack, which follows
// the entry's own text, where we are no superuser: else PostgreSQL refuses ALTER … OWNER TO. In
// production that role came to its table otherwise. Nothing lent: takeBack is "".
func lend(ctx context.Context, tx pgx.Tx, e *plans.Entry) (takeBack string, err error) {
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
