package upgrade

import (
	"context"
	"time"

	"github.com/pgumbra/pgumbra/capture"
	"github.com/pgumbra/pgumbra/internal/control"
)

// Samples are taken this often at first, and less and less often: some hundreds
// tell of a minute as of a week.
const (
	sampleEvery = time.Second
	sampleShare = 100 // of the time that this process has led
	sampleRest  = time.Minute
)

// besideSamples runs f while it is recorded, from time to time, where the run
// stands. A sample that cannot be taken is no reason to end anything.
func (w *worker) besideSamples(ctx context.Context, f func(context.Context) error) error {
	sampling, stop := context.WithCancel(ctx)
	defer stop()
	run := &control.Run{ID: w.run.ID} // the run itself is another goroutine's
	began, last := time.Now(), time.Time{}
	take := func(context.Context) error {
		now := time.Now()
		if now.Sub(last) < min(now.Sub(began)/sampleShare, sampleRest) {
			return nil
		}
		last = now
		size, err := capture.Size(sampling, w.sides.Production, run)
		if err == nil {
			err = control.TakeSample(sampling, w.sides.Production, run.ID, w.lastPending.Load(), size)
		}
		if err != nil && sampling.Err() == nil {
			w.log.Debug("no sample", "error", err)
		}
		return nil
	}
	return beside(ctx, sampleEvery, take, func(ctx context.Context) error {
		defer stop()
		return f(ctx)
	})
}
