package upgrade

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/pgumbra/pgumbra/capture"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/planfile"
)

// freeFirst gives back the journals' room before anything else is done: on a
// full disk the rest of an abort, which writes a few rows, would find none. A
// leader that lives finds its run's capture closed, as it should.
func freeFirst(ctx context.Context, file *planfile.File, log *slog.Logger) error {
	pool, err := pg.NewPool(ctx, file.Production.DSN, 2, pg.Options{Component: "abort"})
	if err != nil {
		return fmt.Errorf("production: %w", err)
	}
	defer pool.Close()
	run, err := control.Find(ctx, pool, file.Name)
	if errors.Is(err, control.ErrNoRun) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := Belongs(run, file); err != nil && !run.Phase.Over() {
		return err
	}
	if run.Phase.Swapped() || run.Phase.Over() || run.Phase == control.Building {
		return nil
	}
	// The lock on structure lets only the run's own processes drop a journal.
	if err := control.Admit(ctx, pool, run); err != nil {
		log.Warn("this process is not known as the run's own", "error", err)
	}
	return capture.Free(ctx, pool, run, log)
}
