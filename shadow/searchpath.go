package shadow

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// productionPath puts production's own search_path in force: the user's transforms
// resolve names by it.
func productionPath(run *control.Run) []setting {
	if run.Plan.SearchPath == "" {
		return nil
	}
	return []setting{{"search_path", run.Plan.SearchPath}}
}

// pathOnShadow does it where the shadow is, also for functions that index
// expressions, CHECKs and generated columns call. In a database of its own the
// true names are still to come: what they will lead to stands under the shadow's.
func pathOnShadow(run *control.Run) []setting {
	if !run.Plan.Remote || run.Plan.SearchPath == "" {
		return productionPath(run)
	}
	return []setting{{"search_path", shadowPath(run.Plan)}}
}

// underPath runs a statement that no transaction may hold, and that calls what index
// expressions and views do.
func underPath(ctx context.Context, pool *pgxpool.Pool, run *control.Run, sql string) error {
	return onSession(ctx, pool, func(conn *pgx.Conn) error {
		for _, s := range pathOnShadow(run) {
			if _, err := conn.Exec(ctx, `SELECT pg_catalog.set_config($1, $2, false)`, s.name, s.value); err != nil {
				return fmt.Errorf("set the %s: %w", s.name, err)
			}
		}
		_, err := conn.Exec(ctx, sql)
		return err
	})
}

// entryUnderPath makes an object whose expressions call functions that name others as
// production's search_path has them: PostgreSQL puts such a function's text in the place of
// its call when it reads the expression. pg_dump's own restore fails there. The path is in
// force for such an entry alone: under it a name of pg_catalog may lead elsewhere.
func entryUnderPath(run *control.Run) func(context.Context, pgx.Tx, *plans.Entry) error {
	return func(ctx context.Context, tx pgx.Tx, e *plans.Entry) error {
		err := pgx.BeginFunc(ctx, tx, func(inner pgx.Tx) error { return runEntry(ctx, inner, e) })
		if !namesNothing(err) {
			return err
		}
		if err := setAll(ctx, tx, pathOnShadow(run)...); err != nil {
			return err
		}
		if err := runEntry(ctx, tx, e); err != nil {
			return err
		}
		return setAll(ctx, tx, setting{"search_path", ""})
	}
}

// namesNothing: a name in a statement leads to nothing.
func namesNothing(err error) bool {
	return slices.Contains([]string{pgerrcode.UndefinedFunction, pgerrcode.UndefinedTable, pgerrcode.UndefinedObject, pgerrcode.InvalidSchemaName}, pg.State(err))
}

// shadowPath puts before each schema that moves the one that will replace it. The
// true one stays: it may be there already, with extensions in it.
func shadowPath(plan *plans.Plan) string {
	var path []string
	for _, element := range pg.Elements(plan.SearchPath) {
		name := pg.Named(element)
		i := slices.IndexFunc(plan.Schemas, func(s plans.Schema) bool { return s.Production == name })
		if i >= 0 {
			path = append(path, pg.Ident(plan.Schemas[i].Shadow))
		}
		path = append(path, element)
	}
	return strings.Join(path, ", ")
}
