package control

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// Group is what each member's run records of the group of databases that it is in. No
// other record says anything of a group: where it stands is where its members stand.
type Group struct {
	ID     string `json:"id"`
	Member string `json:"member"` // which this one is
	// Members are all of them. The first one's COMMIT decides for all: see package group.
	Members []string `json:"members"`
}

// Same reports whether two members' runs are of one group; nil is in none.
func (g *Group) Same(other *Group) bool {
	if g == nil || other == nil {
		return g == other
	}
	return g.ID == other.ID && slices.Equal(g.Members, other.Members)
}

// groupSince is the control schema's version that knows of groups.
const groupSince = 20

func readGroup(text []byte) (*Group, error) {
	if len(text) == 0 {
		return nil, nil
	}
	var g Group
	if err := json.Unmarshal(text, &g); err != nil {
		return nil, fmt.Errorf("read which group the run is in: %w", err)
	}
	return &g, nil
}

// NoteSuspended says why a run stands still with its group, for status; "": it does not.
func NoteSuspended(ctx context.Context, db pg.Querier, run *Run, why string) error {
	_, err := db.Exec(ctx, `UPDATE pgumbra.leader SET suspended = $2 WHERE run_id = $1`, run.ID, pg.ASCII(why))
	if err != nil {
		return fmt.Errorf("say why the group is suspended: %w", err)
	}
	return nil
}
