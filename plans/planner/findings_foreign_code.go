package planner

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

//go:embed findings_foreign_code.sql
var foreignCodeSQL string

// foreignCode is a function that a superuser's run would call.
type foreignCode struct {
	Function string
	Owner    string
	By       string // what calls it
}

// checkForeignCode: copying a row evaluates the table's CHECKs, generated columns,
// domains and indexes, casts of its types, and operators and functions as the
// search_path finds them; planning a statement evaluates constant parts of them. All
// that happens with the rights of the run. Where these are a superuser's, whoever may
// create a function in a schema, or owns a table there, would have them for the
// asking: a dry run made roles that way. Trusted are those who have such rights
// already, the owners of the schemas and of the database, and whom the plan file names.
func (m *survey) checkForeignCode(ctx context.Context) error {
	if !m.session.Superuser {
		return nil
	}
	version, near := cmp.Or(m.file.Migrations.Table, versionTableName), m.session.Schemas
	if q, err := pg.ParseName(version); err == nil {
		version, near = q.Name, append(slices.Clone(near), q.Schema)
	}
	rows, err := m.db.Query(ctx, foreignCodeSQL, m.file.Production.Schemas, near, m.file.Production.Trust, version)
	if err != nil {
		return fmt.Errorf("look for code of others: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[foreignCode])
	if err != nil {
		return fmt.Errorf("look for code of others: %w", err)
	}
	for _, f := range found {
		m.blocker("foreign-code", f.Function, fmt.Sprintf("this function of %s would run with a superuser's rights when rows are copied and compared: in %s", f.Owner, f.By),
			fmt.Sprintf("read it, then give it to the schema's owner (ALTER FUNCTION … OWNER TO …); or connect as a role of its own, without SUPERUSER (docs/privileges.md); or, where %s may have a superuser's rights, name it in production.trust", f.Owner))
	}
	if len(found) > 0 {
		return errBlocked // scratch would evaluate it
	}
	return nil
}
