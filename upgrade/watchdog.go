package upgrade

import (
	"context"
	"log/slog"
	"sync"
	"time"

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
	dogs := dogs{limit: w.run.Plan.Settings.Cutover.MaxStall, log: w.log}
	defer dogs.stop()
	dogs.add(ctx, func(ctx context.Context) (*pgxpool.Pool, error) {
		return w.lead.Pool(ctx, w.file.Production.DSN, watchdogSessions, watchdog)
	})
	if w.sides.Remote() && w.sides.Shadow != nil {
		dogs.add(ctx, func(ctx context.Context) (*pgxpool.Pool, error) {
			return w.shadowPool(ctx, w.file.Shadow.DSN, watchdogSessions, watchdog)
		})
	}
	return f(ctx)
}

// watchGuest is besideWatchdogs for who verifies beside a leader, until the function
// that it returns is called.
func watchGuest(ctx context.Context, file *planfile.File, run *control.Run, log *slog.Logger) (stop func()) {
	dogs := dogs{limit: run.Plan.Settings.Cutover.MaxStall, log: log}
	dsns := []string{file.Production.DSN}
	if run.Plan.Remote {
		dsns = append(dsns, file.Shadow.DSN)
	}
	for _, dsn := range dsns {
		dogs.add(ctx, func(ctx context.Context) (*pgxpool.Pool, error) {
			return pg.NewPool(ctx, dsn, watchdogSessions, watchdog)
		})
	}
	return dogs.stop
}

// dogs are the watchdogs of a process, one a server.
type dogs struct {
	limit time.Duration
	log   *slog.Logger
	all   sync.WaitGroup
	ends  []func()
}

// add a watchdog. A server that has no room for its sessions now is asked again: the
// run goes on meanwhile.
func (d *dogs) add(ctx context.Context, open func(context.Context) (*pgxpool.Pool, error)) {
	ctx, stop := context.WithCancel(ctx)
	d.ends = append(d.ends, stop)
	d.all.Go(func() {
		var pool *pgxpool.Pool
		err := pg.Retry(ctx, pg.Every(time.Second), func(error) bool { return true }, func() (err error) {
			pool, err = open(ctx)
			return err
		})
		if err == nil {
			defer pool.Close()
			pg.Watch(ctx, pool, d.limit, d.log)
		}
	})
}

func (d *dogs) stop() {
	for _, end := range d.ends {
		end()
	}
	d.all.Wait()
}
