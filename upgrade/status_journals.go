package upgrade

import (
	"context"

	"github.com/pgumbra/pgumbra/capture"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/planfile"
)

// Journal is what capture has recorded and replay has not given back.
type Journal struct {
	Pending int64 `json:"pending"`
	Bytes   int64 `json:"bytes"`
	Limit   int64 `json:"limit"` // capture.max_journal in bytes; 0: none
	// Guard is who ends the capture at the limit: "triggers", "triggers and
	// leader", "leader", or "nobody".
	Guard string `json:"guard"`
	// Closed is why and since when nothing is recorded any more.
	Closed string `json:"closed,omitempty"`
}

// readThere: from the swap on the journals are where the new tables are, with a
// copy of the positions, and what a rollback rests on is, too.
func (s *Status) readThere(ctx context.Context, file *planfile.File, run *control.Run) {
	ctx, cancel := context.WithTimeout(ctx, lookAlone)
	defer cancel()
	conn, err := pg.Connect(ctx, file.Shadow.DSN, pg.Options{Component: "status"})
	if err == nil {
		defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
		err = s.readJournals(ctx, conn, run)
	}
	if s.WayBack != nil && s.WayBack.Open && s.Journal.Closed != "" {
		s.WayBack.Open, s.WayBack.Why = false, s.Journal.Closed
	}
	if err == nil && run.GoesBack() {
		err = s.readPending(ctx, conn, run.Now())
	}
	if err == nil {
		err = s.readUnled(ctx, conn, run)
	}
	if err == nil && s.WayBack != nil && s.WayBack.Open {
		err = s.readConditionsBack(ctx, conn, run.Reversed())
	}
	if err != nil {
		s.Away = "the new server: " + pg.Redact(err.Error())
	}
}

// readJournals says how full the journals are in production's database, and who
// keeps them from filling its disk.
func (s *Status) readJournals(ctx context.Context, db pg.Querier, run *control.Run) error {
	if run.Phase.Over() {
		return nil
	}
	d := capture.ToShadow
	if run.Phase.Swapped() {
		d = capture.ToOld
	}
	size, err := capture.Size(ctx, db, run)
	if err != nil {
		return err
	}
	guarded, err := capture.Guarded(ctx, db, run, d)
	if err != nil {
		return err
	}
	closed, err := capture.Closed(ctx, db, run, d)
	if err != nil {
		return err
	}
	s.Journal.Bytes, s.Journal.Limit, s.Journal.Guard = size, max(run.Plan.Settings.Capture.MaxJournal, 0), s.guard(guarded)
	if closed != nil {
		s.Journal.Closed = closed.String()
	}
	if closed != nil && s.Failure == "" {
		s.Failure = closed.String()
	}
	return nil
}

func (s *Status) guard(byTriggers bool) string {
	leads := s.Leader != nil && !s.Phase.Swapped()
	switch {
	case byTriggers && leads:
		return "triggers and leader"
	case byTriggers:
		return "triggers"
	case leads:
		return "leader"
	}
	return "nobody"
}
