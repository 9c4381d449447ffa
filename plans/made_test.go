package plans

import (
	"slices"
	"testing"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/catalog"
)

// TestMadeBehindTheFence: what migrations make before the fence is in the shadow, and what
// they drop again is nowhere.
func TestMadeBehindTheFence(t *testing.T) {
	t.Parallel()
	change := func(act catalog.Act, kind, object, was string) catalog.Change {
		return catalog.Change{Act: act, Kind: kind, Object: object, Was: was}
	}
	p := &Plan{
		Schemas: []Schema{{Production: "app", Shadow: "pgumbra_r_app"}},
		Entries: []Entry{{Tag: "TABLE", Name: pg.Name{Schema: "pgumbra_r_app", Name: "built"}}},
		Changes: []FileChanges{
			{File: "1.sql", Changes: []catalog.Change{change(catalog.Added, "table", "app.built", ""), change(catalog.Altered, "table", "app.built", "")}},
			{File: "2.sql", Changes: []catalog.Change{change(catalog.Added, "table", "app.draft", ""), change(catalog.Added, "table", "app.brief", ""),
				change(catalog.Added, "partition", "app.part", ""), change(catalog.Added, "view", "app.view", "")}},
			{File: "3.sql", Changes: []catalog.Change{change(catalog.Renamed, "table", `app."Last"`, "app.draft"), change(catalog.Dropped, "table", "app.brief", "")}},
		},
	}
	want := []pg.Name{{Schema: "app", Name: "part"}, {Schema: "app", Name: "Last"}}
	if got := p.Made("table", "partition"); !slices.Equal(got, want) {
		t.Errorf("made: %v", got)
	}
}
