package upgrade

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/planfile"
)

const (
	hearEvery = 500 * time.Millisecond // the leader's record is looked at so often
	hearFirst = 2 * time.Second        // after which silence is broken
)

// hearing tells whoever waits for a swap by another process what that process logs of it:
// each attempt that came to nothing and why, or what it waits for before one.
type hearing struct {
	conn pg.Querier
	run  *control.Run
	file *planfile.File
	log  *slog.Logger
	what string // cutover or rollback

	seen        int64 // event
	next, quiet time.Time
	said        string // by the last look that came to nothing
}

// begin is called when a leader was asked, with the newest event before that.
func (h *hearing) begin(seen int64) {
	h.seen, h.next, h.quiet = seen, time.Now(), time.Now().Add(hearFirst)
	h.log.Info("the process that leads is asked; it does the work", "asked", h.what)
}

// listen tells every moment what is new, or what is waited for.
func (h *hearing) listen(ctx context.Context) {
	if h.quiet.IsZero() || time.Now().Before(h.next) {
		return
	}
	h.next = time.Now().Add(hearEvery)
	if !h.hear(ctx) && time.Now().After(h.quiet) {
		h.tellWait(ctx)
	}
}

// hear tells what is new, and reports whether there was something. What cannot be read is
// told by whoever waits.
func (h *hearing) hear(ctx context.Context) bool {
	refused, err := control.ReadRefused(ctx, h.conn, h.run.ID, h.seen)
	for _, r := range refused {
		h.seen = r.ID
		h.tell(r)
	}
	if len(refused) > 0 {
		h.quiet = time.Now().Add(waitsEvery)
	}
	return err != nil || len(refused) > 0
}

// waitsEvery: so often what is waited for is told.
const waitsEvery = 10 * time.Second

// tell tells an attempt that came to nothing; a look which took nothing from anybody once
// until the reason is another one.
func (h *hearing) tell(r control.Refused) {
	if r.HeldMS == 0 && r.Reason == h.said {
		return
	}
	h.said = r.Reason
	args := []any{"attempt", r.Attempt, "reason", r.Reason}
	if r.HeldMS > 0 {
		args = append(args, "held", human.Took(r.HeldMS))
	}
	h.log.Warn(h.what+" not possible now", args...) //nolint:sloglint // one of two, as the leader says it
}

// tellWait tells what stands before the next attempt, where the record says so.
func (h *hearing) tellWait(ctx context.Context) {
	h.quiet = time.Now().Add(waitsEvery)
	s, err := readStatus(ctx, h.file)
	if err != nil {
		return
	}
	if waits := waitsFor(s); waits != "" {
		h.log.Info("the process that leads is not there yet", "waits", waits)
	}
}

// waitsFor is what stands before a swap; empty: nothing that is recorded.
func waitsFor(s *Status) string {
	if s.WayBack == nil {
		return strings.Join(s.Blockers, "; ")
	}
	waits := s.WayBack.Against
	var compared []string
	for _, t := range s.Tables {
		if t.VerifiedAt == nil {
			compared = append(compared, t.Name())
		}
	}
	if len(compared) > 0 {
		waits = append(waits, "the old side is being compared: "+strings.Join(compared, ", "))
	}
	return strings.Join(waits, "; ")
}
