package shadow

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/internal/control"
)

// MostWorkers is how many sessions may be asked for in mid-run: the pools have room for
// as many. copy.workers may say more.
const MostWorkers = 32

// crew are the workers of a copy under way: as many as are wanted, which may change in
// the middle of it. One that is too many ends after its chunk, so that none is lost.
type crew struct {
	copier *Copier
	queue  *queue
	group  *errgroup.Group
	done   chan struct{} // closed once there is nothing left to do

	mu         sync.Mutex
	at, wanted int
	over       bool
}

// staff works the queue off. ctx is the group's.
func (c *Copier) staff(ctx context.Context, group *errgroup.Group, q *queue) error {
	wanted, err := Workers(ctx, c.Sides, c.Run)
	if err != nil {
		return err
	}
	w := &crew{copier: c, queue: q, group: group, done: make(chan struct{})}
	w.set(ctx, wanted)
	group.Go(func() error { return w.watch(ctx) })
	return group.Wait()
}

// Workers is how many sessions are to work at once now.
func Workers(ctx context.Context, sides control.Sides, run *control.Run) (int, error) {
	wanted, err := control.WorkersWanted(ctx, sides.Production, run)
	if err == nil && wanted == 0 {
		wanted = run.Plan.Settings.Copy.Workers
	}
	return max(wanted, 1), err
}

// watch looks whether another number of workers is wanted, until all is done.
func (w *crew) watch(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.done:
			return nil
		case <-time.After(lookEvery):
		}
		wanted, err := Workers(ctx, w.copier.Sides, w.copier.Run)
		if err != nil {
			return err
		}
		w.set(ctx, wanted)
	}
}

// set begins workers up to a number; those beyond it leave by themselves.
func (w *crew) set(ctx context.Context, wanted int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.wanted != 0 && w.wanted != wanted && !w.over {
		w.copier.Log.Info("copying goes on with another number of workers", "workers", wanted)
	}
	w.wanted = wanted
	for ; w.at < wanted && !w.over; w.at++ {
		w.group.Go(func() error { return w.work(ctx) })
	}
}

// tooMany reports whether a worker is to leave, and counts it out.
func (w *crew) tooMany() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.at <= w.wanted {
		return false
	}
	w.at--
	return true
}

// finished: a worker found nothing left to do.
func (w *crew) finished() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.over {
		w.over = true
		close(w.done)
	}
}

func (w *crew) work(ctx context.Context) error {
	for {
		j, more := w.queue.next(ctx)
		if !more {
			w.finished()
			return ctx.Err()
		}
		err := w.copier.wait(ctx)
		if err == nil {
			err = w.copier.do(ctx, w.queue, j)
		}
		w.queue.finished(j)
		if err != nil || w.tooMany() {
			return err
		}
	}
}
