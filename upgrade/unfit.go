package upgrade

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/cutover"
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

// againstUnnoted looks for rows that the old side cannot hold as they are in the tables of
// which none are noted: it reads each, where clients are, and sees what was committed by
// then. Where the server cannot say, that stands against going back as well.
func (w *worker) againstUnnoted(ctx context.Context) (against []cutover.Blocker, err error) {
	if w.as.AcceptLoss || w.forward == nil {
		return nil, nil
	}
	for _, t := range w.forward.Plan.Unnoted() {
		said := "the old side cannot hold rows as they are: " + t.Final.String()
		var key, why string
		err := w.sides.Production.QueryRow(ctx, t.UnfitSQL(t.Final.Quoted())+" LIMIT 1").Scan(&key, &why)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			continue
		case err != nil && (pg.State(err) == "" || pg.Unreachable(err) || ctx.Err() != nil):
			return nil, fmt.Errorf("look for rows of %s that the old side cannot hold: %w", t.Final, err)
		case err != nil:
			said = "whether the old side can hold rows of " + t.Final.String() + " as they are cannot be asked: " + pg.Redact(err.Error())
		case key != "":
			said += ", " + key + ": " + why
		default:
			said += ": " + why
		}
		against = append(against, cutover.Blocker{Code: "row-unfit", Lasting: true, AcceptLoss: true, Message: said,
			Fix: "change or delete such rows where they are now; pgumbra rollback --accept-loss leaves behind what does not fit"})
	}
	return against, nil
}

func (r RefusedRow) String() string {
	text := fmt.Sprintf("%s, %s: %s", r.Table, r.Key, r.Why)
	if r.OfTable > 1 {
		text += fmt.Sprintf(" (one of %d)", r.OfTable)
	}
	return text
}
