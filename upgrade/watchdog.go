package upgrade

import (
	"context"
	"log/slog"
	"sync"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/planfile"
)

// watchdogSessions: one that says that this process lives, one that listens.
const watchdogSessions = 2

var watchdog = pg.Options{Component: "watchdog"}

// besideWatchdogs runs f while each server looks after this process's sessions: a batch,
// a chunk or a proof of a process that is stopped holds nobody up (see [pg.Watch]).
// The watchdogs' sessions are noted as all are: nobody waits for their snapshots, and
// a successor ends them.
func (w *worker) besideWatchdogs(ctx context.Context, f func(context.Context) error) error {
	var dogs dogs
	defer dogs.stop()
	production, err := w.lead.Pool(ctx, w.file.Production.DSN, watchdogSessions, watchdog)
	if err != nil {
		return err
	}
	dogs.add(ctx, production, w.run, w.log)
	if w.sides.Remote() && w.sides.Shadow != nil {
		shadow, err := w.shadowPool(ctx, w.file.Shadow.DSN, watchdogSessions, watchdog)
		if err != nil {
			return err
		}
		dogs.add(ctx, shadow, w.run, w.log)
	}
	return f(ctx)
}

// watchGuest is besideWatchdogs for who verifies beside a leader, until the function
// that it returns is called.
func watchGuest(ctx context.Context, file *planfile.File, run *control.Run, log *slog.Logger) (stop func(), err error) {
	var dogs dogs
	dsns := []string{file.Production.DSN}
	if run.Plan.Remote {
		dsns = append(dsns, file.Shadow.DSN)
	}
	for _, dsn := range dsns {
		pool, err := pg.NewPool(ctx, dsn, watchdogSessions, watchdog)
		if err != nil {
			dogs.stop()
			return nil, err
		}
		dogs.add(ctx, pool, run, log)
	}
	return dogs.stop, nil
}

// dogs are the watchdogs of a process, one a server.
type dogs struct {
	all  sync.WaitGroup
	ends []func()
}

func (d *dogs) add(ctx context.Context, pool *pgxpool.Pool, run *control.Run, log *slog.Logger) {
	ctx, stop := context.WithCancel(ctx)
	d.ends = append(d.ends, stop)
	d.all.Go(func() {
		defer pool.Close()
		pg.Watch(ctx, pool, run.Plan.Settings.Cutover.MaxStall, log)
	})
}

func (d *dogs) stop() {
	for _, end := range d.ends {
		end()
	}
	d.all.Wait()
}
