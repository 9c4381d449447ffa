package planner

import (
	"context"
	"fmt"
	"slices"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// RolesSince names, a line each with what to type, what roles that clients come in as can
// in production and not on the server that it is to be, but for what a plan has told.
// Roles are the servers', and no swap carries them: what was altered of them in mid-run
// would be missed after it. Reads catalogs that everybody may read; passwords are looked
// at elsewhere.
func RolesSince(ctx context.Context, production, shadow pg.Querier, told []plans.Finding) ([]string, error) {
	ours, err := readRoles(ctx, production, false)
	if err != nil {
		return nil, fmt.Errorf("read production's roles: %w", err)
	}
	theirs, err := readRoles(ctx, shadow, false)
	if err != nil {
		return nil, fmt.Errorf("read the shadow's roles: %w", err)
	}
	const differs = "role-differs" // as the plan calls it
	var all []string
	for _, r := range groupsFirst(ours) {
		code, fix := "", ""
		at := slices.IndexFunc(theirs, func(t role) bool { return t.Name == r.Name })
		switch {
		case at >= 0:
			code, fix = differs, r.lackedBy(theirs[at])
		case r.Login:
			code, fix = "role-absent", r.create()
		}
		known := slices.ContainsFunc(told, func(f plans.Finding) bool {
			return f.Object == r.Name && f.Code == code && (f.Fix == fix || code != differs)
		})
		if fix != "" && !known {
			all = append(all, r.Name+": "+fix)
		}
	}
	return all, nil
}
