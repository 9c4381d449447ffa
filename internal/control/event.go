package control

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// EventKind is what an event is found by. Its message is for people.
type EventKind string

// The kinds of event.
const (
	PhaseEntered       EventKind = "phase"
	CutoverRefused     EventKind = "refused"              // detail: reason, attempt
	StructureChanged   EventKind = "structure-changed"    // detail: changes
	StructureAsPlanned EventKind = "structure-as-planned" // once more
	RecopyBegun        EventKind = "recopy"               // detail: table, reason
	BecameReady        EventKind = "ready"                // for a cutover, the first time
	TakenOver          EventKind = "taken-over"           // by a standby; detail: because, captured
)

var eventMessages = map[EventKind]string{
	PhaseEntered:       "phase",
	CutoverRefused:     "cutover not possible now",
	StructureChanged:   "structure changed",
	StructureAsPlanned: "structure as planned",
	RecopyBegun:        "recopy",
	BecameReady:        "ready",
	TakenOver:          "taken over by a standby",
}

// String is the event's message.
func (k EventKind) String() string { return eventMessages[k] }

// Event records what happened, for status and for people who read later.
func Event(ctx context.Context, db pg.Querier, run *Run, kind EventKind, detail map[string]any) error {
	if detail == nil {
		detail = map[string]any{}
	}
	text, err := pg.JSON(detail)
	if err != nil {
		return err
	}
	_, err = db.Exec(ctx, `INSERT INTO pgumbra.event (run_id, epoch, phase, kind, message, detail)
		VALUES ($1, $2, $3, $4, $5, $6)`, run.ID, run.Epoch, run.Phase, kind, kind.String(), text)
	if err != nil {
		return fmt.Errorf("record an event: %w", err)
	}
	return nil
}

// LastEvent reads the detail of the run's last event of one of some kinds. It says
// false, and leaves detail as it is, where there was none.
func LastEvent(ctx context.Context, db pg.Querier, run *Run, detail any, kinds ...EventKind) (bool, error) {
	err := db.QueryRow(ctx, `SELECT detail FROM pgumbra.event WHERE run_id = $1 AND kind = ANY ($2) ORDER BY id DESC LIMIT 1`,
		run.ID, kinds).Scan(detail)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the last event: %w", err)
	}
	return true, nil
}
