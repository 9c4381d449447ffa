package upgrade

import (
	"context"
	"errors"
	"fmt"
	"time"

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
	stale, err := w.toVerify(ctx, wanted)
	if err != nil {
		return false, err
	}
	if len(stale) > 0 {
		return false, w.proveSome(ctx, stale)
	}
	if err := w.try(ctx, wanted); err != nil {
		return false, err
	}
	if w.until == control.Following && w.trials.last != nil {
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

// toVerify are the tables that were never proved equal or, when a cutover is
// wanted, not within cutover.verify_within. Those that are not in step are left
// to bringInStep.
func (w *worker) toVerify(ctx context.Context, wanted bool) (stale []*plans.Table, err error) {
	within := w.run.Plan.Settings.Cutover.VerifyWithin
	rows, err := control.Tables(ctx, w.sides.Shadow, w.run)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		if r.State != control.InStep || !w.run.Plan.Tables[r.N].Verifiable() || w.unproved[r.N] {
			continue
		}
		if r.VerifiedAt == nil || wanted && within > 0 && r.VerifiedAgo > within*3/4 {
			stale = append(stale, &w.run.Plan.Tables[r.N])
		}
	}
	return stale, nil
}

// proveFor is how long tables are verified one after the other before the next
// round of batches: a round looks at every table, and with a thousand of them
// one round for each would take longer than cutover.verify_within.
const proveFor = 2 * time.Second

func (w *worker) proveSome(ctx context.Context, stale []*plans.Table) error {
	started := time.Now()
	for _, t := range stale {
		if err := w.prove(ctx, t); err != nil || time.Since(started) > proveFor {
			return err
		}
	}
	return nil
}

func (w *worker) prove(ctx context.Context, t *plans.Table) error {
	w.log.Info("verifying", "table", t.Final.String())
	verdict, err := w.replayer.Verify(ctx, t)
	if errors.Is(err, replay.ErrRecopy) {
		return w.bringInStep(ctx)
	}
	if err != nil {
		return err
	}
	if !verdict.Equal {
		if err := differs(ctx, w.sides, w.run, t, verdict); err != nil {
			return err
		}
		return w.unlessRecaptured(ctx, &Different{Table: t, Verdict: verdict})
	}
	return nil
}
