package upgrade

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/capture"
	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/replay"
)

// ErrNotNow says that a series of attempts at the cutover, or the rollback, came to nothing, and
// nothing changed. The caller may try again. See [NotNow].
var ErrNotNow = errors.New("not possible now; nothing changed")

// NotNow is [ErrNotNow] with its reason.
type NotNow struct {
	Swapping string // "cutover" or "rollback"
	Reason   string
	// AcceptLoss: of a rollback, what does not pass by itself is loss that may be
	// accepted, and nothing else.
	AcceptLoss bool
}

func (n *NotNow) Error() string {
	return fmt.Sprintf("the %s was %v: %s", n.Swapping, ErrNotNow, n.Reason)
}

func (n *NotNow) Unwrap() error { return ErrNotNow }

// Different says that verification found rows that differ. The run stays where
// it is; a cutover is refused.
type Different struct {
	Table   *plans.Table
	Verdict replay.Verdict
}

func (d *Different) Error() string {
	text := fmt.Sprintf("verification: %s differs from what production makes of it", d.Table.Final)
	if n := len(d.Verdict.Differences); n == 1 {
		text += ": " + d.Verdict.Differences[0].Key
	} else if n > 1 {
		text += fmt.Sprintf(": %s, and %d more keys that pgumbra verify shows", d.Verdict.Differences[0].Key, n-1)
	}
	return text
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
	if w.until == control.Following && w.trials.last != nil && w.reached() {
		return false, w.enough()
	}
	if !wanted {
		return false, nil
	}
	return w.cutOver(ctx)
}

func (w *worker) cutoverWanted(ctx context.Context) (bool, error) {
	if known, err := w.lookAtGroup(ctx); err != nil || !known || w.closing {
		return w.closing && known, err
	}
	if w.once {
		return !time.Now().Before(w.notBefore), w.windowOver()
	}
	requested, as, err := control.Requested(ctx, w.sides.Record(), w.run)
	if err == nil && (requested != w.asked || requested && as != w.as) { // whoever waits for it does not wait out the pauses of others
		w.asked = requested
		if requested {
			w.as = as
			w.swapping = w.newSwapping()
		}
	}
	return w.cutover || requested, err
}

// windowOver ends a run that was to cut over by itself within a window.
func (w *worker) windowOver() error {
	if w.notAfter.IsZero() || !time.Now().After(w.notAfter) {
		return nil
	}
	return &NotNow{Swapping: "cutover", Reason: "the window is over"}
}

// tellFound ends the run where rows were found to differ.
func (w *worker) tellFound(ctx context.Context) error {
	told := map[int]bool{} // a table whose copy begins anew because of one is not what the others tell of
	for _, found := range w.replayer.Found() {
		if told[found.Table.N] {
			continue
		}
		told[found.Table.N] = true
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
		if w.run.Plan.Tables[p.N].Verifiable() && !w.unproved[p.N] && (p.State != control.FollowingState || !p.Complete) {
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
	w.prover, w.strangers.resume = replay.NewProver(w.replayer, w.run.Plan.Settings.Cutover.VerifyWithin), nil
	if _, err := w.heldBack(ctx); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if w.run.Plan.Backwards() {
			return w.proveBack(ctx)
		}
		return w.prover.Run(ctx, w.run.Plan.Settings.Copy.Workers)
	})
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

// drain replays the rest and proves what is left to prove, so that every row is
// proved as the swap takes it over. No swap passes that finds rows to differ: the
// next round tells of it.
func (w *worker) drain(ctx context.Context) (int64, error) {
	changes, err := w.replayer.Drain(ctx)
	if err != nil {
		return changes, err
	}
	left, err := w.replayer.ProveDrained(ctx, w.run.Plan.Settings.Cutover.MaxStall/10)
	if err != nil {
		return changes, err
	}
	against, err := w.unprovedTables(ctx)
	for _, table := range left {
		against = append(against, notVerified("rows of "+table+" that changed are not verified again"))
	}
	if err == nil && len(against) > 0 {
		err = cutover.NotNow(against...)
	}
	return changes, err
}

// unprovedTables names those that no swap may take over: found to differ, by this
// process or by any other one until now, or not proved for another reason.
func (w *worker) unprovedTables(ctx context.Context) (against []cutover.Blocker, err error) {
	for _, table := range w.replayer.Differing() {
		against = append(against, cutover.Blocker{Code: "differs", Message: table + " differs from what production makes of it", Fix: "see what the run says of it"})
	}
	proofs, err := control.Proofs(ctx, w.sides.Shadow, w.run)
	for _, p := range proofs {
		if t := &w.run.Plan.Tables[p.N]; t.Verifiable() && !p.Complete && !w.run.Accepted[p.N] {
			against = append(against, notVerified(t.Final.String()+" is not verified"))
		}
	}
	return against, err
}

func notVerified(message string) cutover.Blocker {
	return cutover.Blocker{Code: "not-verified", Message: message, Fix: "let the run go on, or pgumbra verify"}
}

// giveRoom: journals keep rows until the keys that they name are proved again. Half
// full, these are proved now, while replay waits; where that did not help proofs are
// taken back before the journals are full.
func (w *worker) giveRoom(ctx context.Context) error {
	limit := w.run.Plan.Settings.Capture.MaxJournal
	if limit <= 0 {
		return nil
	}
	size, err := capture.Size(ctx, w.sides.Production, w.run)
	switch {
	case err != nil || size < limit/2:
		return err
	case size < limit/4*3:
		return w.replayer.ProveRest(ctx)
	}
	return w.replayer.GiveRoom(ctx)
}

// proveRest replays and proves what was touched, until so little is left that it
// can be proved behind the fence, in a quarter of max_stall, and says what stands
// against that. What comes in while it works is less each time.
func (w *worker) proveRest(ctx context.Context) (against []cutover.Blocker, err error) {
	const rounds = 5
	most := w.run.Plan.Settings.Cutover.MaxStall / 4
	var left replay.Rest
	for range rounds {
		if err := w.keepUp(ctx); err != nil {
			return nil, err
		}
		if left, err = w.replayer.Rest(ctx); err != nil || left.Takes <= most && len(left.Whole) == 0 {
			return nil, err
		}
		if len(left.Whole) > 0 {
			break
		}
		if err := w.replayer.ProveRest(ctx); err != nil {
			return nil, err
		}
	}
	for _, table := range left.Whole {
		against = append(against, notVerified("all rows of "+table+" are being verified once more"))
	}
	if left.Takes > most {
		against = append(against, notVerified(fmt.Sprintf("%d changes are not verified again; behind the fence that would take about %s, and may take a quarter of cutover.max_stall, %s",
			left.Changes, left.Takes.Round(time.Millisecond), most)))
	}
	return against, nil
}
