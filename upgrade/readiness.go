package upgrade

import (
	"context"
	"errors"
	"fmt"

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
	stale, err := w.nextToVerify(ctx, wanted)
	if err != nil {
		return false, err
	}
	if stale != nil {
		return false, w.prove(ctx, stale)
	}
	if w.until == control.Following {
		return false, errStop
	}
	if !wanted {
		return false, nil
	}
	return w.cutOver(ctx)
}

func (w *worker) cutoverWanted(ctx context.Context) (bool, error) {
	if w.cutover {
		return true, nil
	}
	var requested bool
	err := w.pool.QueryRow(ctx, `SELECT cutover_requested IS NOT NULL FROM pgumbra.leader WHERE run_id = $1`,
		w.run.ID).Scan(&requested)
	return requested, err
}

// nextToVerify is a table that was never proved equal or, when a cutover is
// wanted, not within cutover.verify_within; nil if there is none. Tables that
// are not in step are left to bringInStep.
func (w *worker) nextToVerify(ctx context.Context, wanted bool) (*plans.Table, error) {
	within := w.run.Plan.Settings.Cutover.VerifyWithin
	rows, err := control.Tables(ctx, w.sides.Shadow, w.run)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		if r.State != control.InStep || !w.run.Plan.Tables[r.N].Verifiable() {
			continue
		}
		if r.VerifiedAt == nil || wanted && within > 0 && r.VerifiedAgo > within*3/4 {
			return &w.run.Plan.Tables[r.N], nil
		}
	}
	return nil, nil
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
		return w.unlessRecaptured(ctx, &Different{Table: t, Verdict: verdict})
	}
	return nil
}
