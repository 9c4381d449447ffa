package planner

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// grant is one item of an access control list.
type grant struct {
	Role      string // empty: PUBLIC
	Privilege string
	Grantable bool
	Super     bool // the role is a superuser, who needs no grant
}

// explode reads an aclitem[] given as text.
func explode(ctx context.Context, db pg.Querier, acl string) ([]grant, error) {
	rows, err := db.Query(ctx, `SELECT coalesce(r.rolname::text, ''), a.privilege_type, a.is_grantable, coalesce(r.rolsuper, false)
		FROM aclexplode($1::aclitem[]) a LEFT JOIN pg_roles r ON r.oid = a.grantee WHERE a.grantee = 0 OR r.oid IS NOT NULL`, acl)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[grant])
}

func (g grant) grantee() string {
	if g.Role == "" {
		return "PUBLIC"
	}
	return pg.Ident(g.Role)
}

// give grants it on something: DATABASE "shop".
func (g grant) give(on string) string {
	sql := "GRANT " + g.Privilege + " ON " + on + " TO " + g.grantee()
	if g.Grantable {
		sql += " WITH GRANT OPTION"
	}
	return sql + ";"
}

func (g grant) take(on string) string {
	return "REVOKE " + g.Privilege + " ON " + on + " FROM " + g.grantee() + ";"
}

func (g grant) takeOption(on string) string {
	return "REVOKE GRANT OPTION FOR " + g.Privilege + " ON " + on + " FROM " + g.grantee() + ";"
}

// same finds what a role has of that privilege, and nil for nothing.
func (g grant) same(among []grant) *grant {
	i := slices.IndexFunc(among, func(o grant) bool { return o.Role == g.Role && o.Privilege == g.Privilege })
	if i < 0 {
		return nil
	}
	return &among[i]
}

func isNamed(role string, grants []grant) bool {
	return slices.ContainsFunc(grants, func(g grant) bool { return g.Role == role })
}

// missing are the grants that production has and the shadow's lacks. An owner
// who is not production's has what an owner has.
func missing(want, have object) []grant {
	return slices.DeleteFunc(slices.Clone(want.Grants), func(w grant) bool {
		h := w.same(have.Grants)
		return w.Super || w.Role == have.Owner && w.Role != want.Owner || h != nil && (h.Grantable || !w.Grantable)
	})
}

// surplus are the grants that the shadow's has and production has not. They are
// judged where production says who may what: of PUBLIC, which has defaults, and
// of roles that production grants something there. What its DBA gave to other
// roles stays, but in a schema that production's objects come into: that is to be
// production's. Our own role keeps what it has.
func (m *site) surplus(want, have object) []grant {
	return slices.DeleteFunc(slices.Clone(have.Grants), func(h grant) bool {
		w := h.same(want.Grants)
		ours := h.Super || h.Role == m.side.user || h.Role == have.Owner && h.Role != want.Owner
		strange := h.Role != "" && !isNamed(h.Role, want.Grants) && !m.moving(want.Name)
		return ours || strange || w != nil && (w.Grantable || !h.Grantable)
	})
}

// access are the statements that leave on an object the privileges that
// production's has.
func (m *site) access(on string, want, have object) []string {
	var all []string
	for _, g := range missing(want, have) {
		all = append(all, g.give(on))
	}
	for _, g := range m.surplus(want, have) {
		if g.same(want.Grants) != nil {
			all = append(all, g.takeOption(on))
		} else {
			all = append(all, g.take(on))
		}
	}
	return all
}
