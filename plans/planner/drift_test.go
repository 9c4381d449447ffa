package planner

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/pgdump"
)

// TestWhatIsComparedWithThePlan: what another database would lack, and to which column
// shared sequences belong; of a plan that was stored before that, what it was compared by.
func TestWhatIsComparedWithThePlan(t *testing.T) {
	t.Parallel()
	entries := []pgdump.Entry{
		{Tag: "TABLE", Schema: "shop", Name: "a"}, {Tag: "TABLE", Schema: "other", Name: "b"},
		{Tag: "SEQUENCE", Schema: "shop", Name: "s"}, {Tag: "SEQUENCE OWNED BY", Schema: "shop", Name: "s"},
		{Tag: "EXTENSION", Name: "citext", SQL: "CREATE EXTENSION citext WITH SCHEMA public;"}, {Tag: "CAST", Name: "CAST (text AS point)"},
		{Tag: "DEFAULT ACL", Name: "DEFAULT PRIVILEGES FOR TABLES"}, {Tag: "SCHEMA", Name: "other"},
	}
	for _, c := range []struct {
		remote, whole bool
		want          []string
	}{
		{false, false, []string{"table shop.a"}},
		{false, true, []string{"sequence owned by shop.s", "table shop.a"}},
		{true, false, []string{"table shop.a"}},
		{true, true, []string{"cast CAST (text AS point)", "default privileges for DEFAULT PRIVILEGES FOR TABLES", "extension citext", "sequence owned by shop.s", "table shop.a"}},
	} {
		p := &plans.Plan{Remote: c.remote, Structure: &plans.Structure{Whole: c.whole}, Schemas: []plans.Schema{{Production: "shop"}},
			Shared: []plans.Shared{{Kind: "SEQUENCE", Name: pg.Name{Schema: "shop", Name: "s"}}}}
		if diff := cmp.Diff(c.want, slices.Sorted(maps.Keys(objects(p, entries)))); diff != "" {
			t.Errorf("remote %t, whole %t: %s", c.remote, c.whole, diff)
		}
	}
}
