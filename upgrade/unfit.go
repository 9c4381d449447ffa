package upgrade

import (
	"context"
	"fmt"
	"strings"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
)

// shownUnfit is how many rows of a table status shows that do not fit the old side.
const shownUnfit = 20

// flowWaits is the [RefusedRow.Flow] of a row that its table waits for.
const flowWaits = "waits"

// refusedRows are rows of the new tables that the old ones refuse, and then those that
// they cannot hold as they are, so many of a table at the most.
func refusedRows(ctx context.Context, db pg.Querier, back *control.Run, most int) (all []RefusedRow, err error) {
	refusals, err := control.Refusals(ctx, db, back)
	for _, r := range refusals {
		if r.N < len(back.Plan.Tables) {
			all = append(all, RefusedRow{Table: back.Plan.Tables[r.N].Final.String(), Key: r.Key, Why: r.Why, Flow: flowWaits, OfTable: 1,
				old: back.Plan.Tables[r.N].Shadow})
		}
	}
	if err != nil {
		return nil, err
	}
	unfit, err := unfitRows(ctx, db, back, most)
	return append(all, unfit...), err
}

// unfitRows are rows of the new tables that the old ones cannot hold as they are.
func unfitRows(ctx context.Context, db pg.Querier, back *control.Run, most int) (all []RefusedRow, err error) {
	unfit, err := control.Unfits(ctx, db, back, most)
	for _, u := range unfit {
		if u.N >= len(back.Plan.Tables) {
			continue
		}
		t := &back.Plan.Tables[u.N]
		row := RefusedRow{Table: t.Final.String(), Why: u.Why, Flow: "altered", OfTable: u.All}
		if u.LeftOut {
			row.Flow = "goes on"
		}
		var key []string
		if len(t.Key) == 0 { // the row itself
			key, u.Key = u.Key, nil
		}
		for i, value := range u.Key {
			key = append(key, t.Key[min(i, len(t.Key)-1)].Production+"="+value)
		}
		row.Key = strings.Join(key, ", ")
		all = append(all, row)
	}
	return all, err
}

func (r RefusedRow) String() string {
	text := fmt.Sprintf("%s, %s: %s", r.Table, r.Key, r.Why)
	if r.OfTable > 1 {
		text += fmt.Sprintf(" (one of %d)", r.OfTable)
	}
	return text
}
