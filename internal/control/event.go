package control

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// EventKind is what an event is found by. Its message is for people.
type EventKind string

// The kinds of event.
const (
	PhaseEntered       EventKind = "phase"
	CutoverRefused     EventKind = "refused"              // detail: reason, attempt, held_ms, accept_loss
	StructureChanged   EventKind = "structure-changed"    // detail: changes
	StructureAsPlanned EventKind = "structure-as-planned" // once more
	RecopyBegun        EventKind = "recopy"               // detail: table, reason
	BecameReady        EventKind = "ready"                // for a cutover, the first time
	TakenOver          EventKind = "taken-over"           // by a standby; detail: because, captured
	HookBegun          EventKind = "hook"                 // that may hold the cutover; detail: hook
)

var eventMessages = map[EventKind]string{
	PhaseEntered:       "phase",
	CutoverRefused:     "cutover not possible now",
	StructureChanged:   "structure changed",
	StructureAsPlanned: "structure as planned",
	RecopyBegun:        "recopy",
	BecameReady:        "ready",
	TakenOver:          "taken over by a standby",
	HookBegun:          "hook begun",
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

// kindSince is the control schema's version that knows an event's kind.
const kindSince = 17

// kindColumn is what those find an event by who only read, and change no older control
// schema: one from before kinds has the message alone, which was the same word for what
// is asked for by it.
func kindColumn(schema int64) string {
	if schema < kindSince {
		return "message"
	}
	return "kind"
}

// refusedKind is what [CutoverRefused] is found by in [kindColumn].
func refusedKind(schema int64) string {
	if schema < kindSince {
		return CutoverRefused.String()
	}
	return string(CutoverRefused)
}

// NewestEvent is the number of the run's newest event; 0: it has none.
func NewestEvent(ctx context.Context, db pg.Querier, run *Run) (id int64, err error) {
	err = db.QueryRow(ctx, `SELECT coalesce(max(id), 0) FROM pgumbra.event WHERE run_id = $1`, run.ID).Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("read the newest event: %w", err)
	}
	return id, nil
}

// LastHook is the hook that was begun last, if nothing was said since of why a cutover
// was refused, and how long ago that was; "": there is none.
func LastHook(ctx context.Context, db pg.Querier, run *Run) (hook string, ago time.Duration, err error) {
	var seconds float64
	err = db.QueryRow(ctx, `SELECT CASE WHEN kind = $2 THEN coalesce(detail ->> 'hook', '') ELSE '' END, extract(epoch FROM clock_timestamp() - at)::float8
		FROM pgumbra.event WHERE run_id = $1 AND kind IN ($2, $3) ORDER BY id DESC LIMIT 1`, run.ID, HookBegun, CutoverRefused).Scan(&hook, &seconds)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", 0, nil
	}
	if err != nil {
		return "", 0, fmt.Errorf("read the last hook: %w", err)
	}
	return hook, time.Duration(seconds * float64(time.Second)), nil
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

// LastRefused reads why the last attempt at a swap came to nothing, as [LastEvent] does,
// of those since the last swap: what one lacked that was refused before a good one is
// nobody's concern any more.
func LastRefused(ctx context.Context, db pg.Querier, run *Run, detail any) (bool, error) {
	err := db.QueryRow(ctx, `WITH swap AS (SELECT coalesce(max(id), 0) AS id FROM pgumbra.event WHERE run_id = $1 AND kind = $3 AND phase = ANY ($4)),
			back AS (SELECT min(e.id) AS id FROM pgumbra.event AS e, swap WHERE e.run_id = $1 AND e.kind = $3 AND e.phase = $5 AND e.id > swap.id AND swap.id > 0)
		SELECT e.detail FROM pgumbra.event AS e, swap, back WHERE e.run_id = $1 AND e.kind = $2 AND e.id > coalesce(back.id, swap.id) ORDER BY e.id DESC LIMIT 1`,
		run.ID, CutoverRefused, PhaseEntered, []Phase{Watching, RolledBack}, Following).Scan(detail)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read why the last attempt came to nothing: %w", err)
	}
	return true, nil
}
