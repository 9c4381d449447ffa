package upgrade

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/capture"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/replay"
)

// ErrNotNow says that a series of attempts at the cutover came to nothing, and
// nothing changed. The caller may try again.
var ErrNotNow = errors.New("the cutover was not possible now; nothing changed")

// Different says that verification found rows that differ. The run stays where
// it is; a cutover is refused.
type Different struct {
	Table   *plans.Table
	Verdict replay.Verdict
}

func (d *Different) Error() string {
	return fmt.Sprintf("verification: %s differs from what production makes of it, %d keys shown", d.Table.Final, len(d.Verdict.Differences))
}

// act does what following has time for between two rounds: proving tables
// equal, and the cutover if it is wanted. True once the swap is done.
func (w *worker) act(ctx context.Context) (bool, error) {
	wanted, err := w.cutoverWanted(ctx)
	if err != nil {
		return false, err
	}
	if err := w.tellFound(ctx); err != nil {
		return false, err
	}
	verified, err := w.verified(ctx)
	if err != nil || !verified {
		return false, err
	}
	if err := w.try(ctx, wanted); err != nil {
		return false, err
	}
	if w.until == control.Following && (w.run.Plan.Behind == nil || w.trials.last != nil) {
		return false, w.enough()
	}
	if !wanted {
		return false, nil
	}
	return w.cutOver(ctx)
}

func (w *worker) cutoverWanted(ctx context.Context) (bool, error) {
	if w.once {
		return true, nil
	}
	var requested bool
	err := w.sides.Production.QueryRow(ctx, `SELECT cutover_requested IS NOT NULL FROM pgumbra.leader WHERE run_id = $1`,
		w.run.ID).Scan(&requested)
	if err == nil && requested != w.asked { // whoever waits for it does not wait out the pauses of others
		w.asked = requested
		if requested {
			w.swapping = w.newSwapping()
		}
	}
	return w.cutover || requested, err
}

// tellFound ends the run where rows were found to differ.
func (w *worker) tellFound(ctx context.Context) error {
	for _, found := range w.replayer.Found() {
		if err := differs(ctx, w.sides, w.run, found.Table, found.Verdict); err != nil {
			return err
		}
		if err := w.unlessRecaptured(ctx, &Different{Table: found.Table, Verdict: found.Verdict}); err != nil {
			return err
		}
	}
	return nil
}

// verified reports whether each table is in step and its proof complete, but for
// those that cannot be proved for now.
func (w *worker) verified(ctx context.Context) (bool, error) {
	proofs, err := control.Proofs(ctx, w.sides.Shadow, w.run)
	if err != nil {
		return false, err
	}
	for _, p := range proofs {
		if w.run.Plan.Tables[p.N].Verifiable() && !w.unproved[p.N] && (p.State != control.InStep || !p.Complete) {
			return false, nil
		}
	}
	return true, nil
}

// besideProver follows with tables proved beside it. A prover that fails ends the
// following, for the same reasons for which a batch would.
func (w *worker) besideProver(ctx context.Context, follow func(context.Context) error) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	w.prover = replay.NewProver(w.replayer, w.run.Plan.Settings.Cutover.VerifyWithin)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return w.prover.Run(ctx, w.run.Plan.Settings.Copy.Workers) })
	group.Go(func() error {
		defer end()
		return follow(ctx)
	})
	return group.Wait()
}

// pauseProver keeps the prover, if there is one, from reading tables until the
// returned function is called.
func (w *worker) pauseProver() (resume func()) {
	if w.prover == nil {
		return func() {}
	}
	return w.prover.Pause()
}

// drain replays the rest, and lets no swap pass that finds it to differ.
func (w *worker) drain(ctx context.Context) (int64, error) {
	changes, err := w.replayer.Drain(ctx)
	if err != nil {
		return changes, err
	}
	if found := w.replayer.Found(); len(found) > 0 {
		return changes, &Different{Table: found[0].Table, Verdict: found[0].Verdict}
	}
	return changes, nil
}

// giveRoom: journals keep rows until the keys that they name are proved again, but
// not for longer than half of what they may take.
func (w *worker) giveRoom(ctx context.Context) error {
	limit := w.run.Plan.Settings.Capture.MaxJournal / 2
	if limit <= 0 {
		return nil
	}
	size, err := capture.Size(ctx, w.sides.Production, w.run)
	if err != nil || size < limit {
		return err
	}
	return w.replayer.GiveRoom(ctx)
}

// proveRest proves keys again that were touched, as many as a moment before the
// fence has time for; batches and the drain prove the last ones.
func (w *worker) proveRest(ctx context.Context) error {
	return w.replayer.ProveRest(ctx, w.run.Plan.Settings.Copy.Workers)
}
