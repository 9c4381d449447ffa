package upgrade

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/plans/planfile"
)

// Pausing says whether the copy is to pause or to go on.
type Pausing int

// The wishes of [Pause].
const (
	PauseCopy Pausing = iota
	ResumeCopy
)

// Pause asks the copy of a run to pause after the chunks that are under way, or to
// go on: the process that leads, now or later, sees it within a second. Capture
// goes on meanwhile, so that the journals grow. Following is never paused: it would
// only grow what has to be replayed.
func Pause(ctx context.Context, file *planfile.File, wish Pausing) error {
	return ofCopy(ctx, file, func(conn *pgx.Conn, run *control.Run) error {
		if wish == ResumeCopy {
			return control.SetPaused(ctx, conn, run, nil)
		}
		now := time.Now()
		return control.SetPaused(ctx, conn, run, &now)
	})
}

// SetWorkers asks for another number of sessions that copy, and build the indexes of the
// stages that are to come; 0: as many as the plan file says. The process that leads, now
// or later, sees it within a second: sessions that are too many end after their chunk.
func SetWorkers(ctx context.Context, file *planfile.File, workers int) error {
	return ofCopy(ctx, file, func(conn *pgx.Conn, run *control.Run) error {
		if workers == 0 {
			return control.SetWorkers(ctx, conn, run, nil)
		}
		return control.SetWorkers(ctx, conn, run, &workers)
	})
}

// ofCopy notes something of a run's copy, before its swap.
func ofCopy(ctx context.Context, file *planfile.File, note func(*pgx.Conn, *control.Run) error) error {
	conn, err := connect(ctx, file, "status")
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	run, err := control.Find(ctx, conn, file.Name)
	if err != nil {
		return err
	}
	if run.Phase.Over() || run.Phase.Swapped() {
		return notIn(run.Phase, "there is nothing to copy any more")
	}
	if err := control.Migrate(ctx, file.Production.DSN); err != nil {
		return err
	}
	return note(conn, run)
}

// Copies reports whether rows are being copied, or will be before the run follows.
func (s *Status) Copies() bool {
	if s.Phase == nil || *s.Phase == control.Building || *s.Phase == control.Capturing || *s.Phase == control.Copying {
		return true
	}
	return slices.ContainsFunc(s.Tables, func(t TableStatus) bool {
		return t.State == string(control.CopyingRow) || t.State == string(control.Waiting)
	})
}
