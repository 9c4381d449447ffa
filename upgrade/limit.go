package upgrade

import (
	"context"
	"fmt"

	"github.com/pgumbra/pgumbra/capture"
	"github.com/pgumbra/pgumbra/internal/disk"
	"github.com/pgumbra/pgumbra/internal/human"
)

// guardSize ends the capture for good once the journals have reached their
// limit, whether the triggers found that or this look does. Production comes
// first.
func (w *worker) guardSize(ctx context.Context) error {
	if err := capture.Guard(ctx, w.sides.Production, w.run, capture.ToShadow); err != nil {
		return err
	}
	reason, err := w.overLimit(ctx)
	if err != nil || reason == "" {
		return err
	}
	if err := capture.Break(ctx, w.sides.Production, w.run, reason); err != nil {
		return err
	}
	return fmt.Errorf("%w: %s", ErrStopped, reason)
}

func (w *worker) overLimit(ctx context.Context) (reason string, err error) {
	since, err := capture.Closed(ctx, w.sides.Production, w.run, capture.ToShadow)
	if err != nil {
		return "", err
	}
	if since != nil {
		return since.String(), nil
	}
	if reason, err := w.diskNearlyFull(ctx); err != nil || reason != "" {
		return reason, err
	}
	limit := w.run.Plan.Settings.Capture.MaxJournal
	size, err := capture.Size(ctx, w.sides.Production, w.run)
	if err != nil || limit <= 0 || size <= limit {
		return "", err
	}
	return fmt.Sprintf("the journals hold %d bytes, more than capture.max_journal (%d)", size, limit), nil
}

// diskNearlyFull is asked after copying has paused: what is left is production's.
func (w *worker) diskNearlyFull(ctx context.Context) (reason string, err error) {
	least := w.run.Plan.Settings.Copy.MinFreeDisk / 4
	if least <= 0 {
		return "", nil
	}
	free, err := disk.Look(ctx, w.sides.Production)
	if err != nil || !free.Known || free.Bytes >= least {
		return "", err
	}
	return fmt.Sprintf("the disk at %s has %s left, less than a quarter of copy.min_free_disk (%s)",
		free.Where, human.Bytes(free.Bytes), human.Bytes(w.run.Plan.Settings.Copy.MinFreeDisk)), nil
}

// guardDiskBack is what [worker.guardSize] is before the swap, of the new side's server in
// the watch: there the reverse journals grow, which hold their own size. A disk that is
// nearly full closes the way back, and clients go on.
func (w *worker) guardDiskBack(ctx context.Context) error {
	reason, err := w.diskNearlyFull(ctx)
	if err != nil || reason == "" {
		return err
	}
	if err := capture.BreakReverse(ctx, w.sides.Production, w.run); err != nil {
		return err
	}
	return fmt.Errorf("%w: %s", ErrClosed, reason)
}

// guarded looks after the journals' size beside long work.
func (w *worker) guarded(ctx context.Context, f func(context.Context) error) error {
	return beside(ctx, inspectEvery, w.guardSize, f)
}
