package shadow

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// setSearchPath puts production's own search_path in force for the rest of the
// transaction: the user's transforms, and functions that index expressions,
// CHECKs and generated columns call, resolve names by it.
func setSearchPath(ctx context.Context, tx pgx.Tx, run *control.Run) error {
	if run.Plan.SearchPath == "" {
		return nil
	}
	return set(ctx, tx, "search_path", run.Plan.SearchPath)
}

// setShadowPath does it where the shadow is. In a database of its own the true
// names are still to come: what they will lead to stands under the shadow's.
func setShadowPath(ctx context.Context, tx pgx.Tx, run *control.Run) error {
	if !run.Plan.Elsewhere || run.Plan.SearchPath == "" {
		return setSearchPath(ctx, tx, run)
	}
	return set(ctx, tx, "search_path", shadowPath(run.Plan))
}

// pathElement is a schema in a search_path, which quotes as SQL does.
var pathElement = regexp.MustCompile(`"(?:[^"]|"")*"|[^\s,"]+`)

// shadowPath puts before each schema that moves the one that will replace it. The
// true one stays: it may be there already, with extensions in it.
func shadowPath(plan *plans.Plan) string {
	var path []string
	for _, element := range pathElement.FindAllString(plan.SearchPath, -1) {
		name := unquote(element)
		if name == element { // not quoted: case does not count
			name = strings.ToLower(name)
		}
		i := slices.IndexFunc(plan.Schemas, func(s plans.Schema) bool { return s.Production == name })
		if i >= 0 {
			path = append(path, pg.Ident(plan.Schemas[i].Shadow))
		}
		path = append(path, element)
	}
	return strings.Join(path, ", ")
}
