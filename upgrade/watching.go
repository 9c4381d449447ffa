package upgrade

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pgumbra/pgumbra/capture"
	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/replay"
	"github.com/pgumbra/pgumbra/shadow"
)

// ErrClosed says that the old side cannot be kept current any more: something was
// written that no journal holds, or the tables are others than those that the way
// back was made for. Production is not concerned; finish ends the watch.
var ErrClosed = errors.New("the way back is closed")

// refusedFor is how long a table's reverse flow stands still before the batch that
// the old side refused is tried again.
const refusedFor = 5 * time.Second

// watching is what a leader remembers while it keeps the old side current.
type watching struct {
	// belongings are what the new side's own database had at the swap; nil: one database.
	belongings map[string]string

	refused map[int]time.Time // tables whose flow stands still, and until when
	differ  map[int][]string  // tables found to differ, which are not proved any more, with keys of such rows

	keysRight *replay.Since // when no row broke a foreign key that only the old side has; nil: not asked yet

	mu      sync.Mutex
	leftOut map[int]time.Time // tables that are not proved, and until when; zero: for good
}

// leaveOut keeps the prover from a table until some time.
func (w *worker) leaveOut(n int, until time.Time) {
	w.watching.mu.Lock()
	defer w.watching.mu.Unlock()
	w.watching.leftOut[n] = until
	w.tellProver()
}

// proveAgain lets the prover have tables again whose time is over.
func (w *worker) proveAgain() {
	w.watching.mu.Lock()
	defer w.watching.mu.Unlock()
	maps.DeleteFunc(w.watching.leftOut, func(_ int, until time.Time) bool { return !until.IsZero() && time.Now().After(until) })
	w.tellProver()
}

// proveNow lets the prover have a table again that only waited for a row.
func (w *worker) proveNow(n int) {
	w.watching.mu.Lock()
	defer w.watching.mu.Unlock()
	if until, out := w.watching.leftOut[n]; out && !until.IsZero() {
		delete(w.watching.leftOut, n)
		w.tellProver()
	}
}

func (w *worker) tellProver() {
	now := map[int]bool{}
	for n := range w.watching.leftOut {
		now[n] = true
	}
	w.prover.LeaveOut(now)
}

// proveBack proves the old side beside its batches. A row that the old side refuses
// cannot be compared either: its table waits.
func (w *worker) proveBack(ctx context.Context) error {
	for {
		err := w.prover.Run(ctx, w.run.Plan.Settings.Copy.Workers)
		var conflict *replay.Conflict
		if ctx.Err() != nil || !errors.As(err, &conflict) {
			return err
		}
		w.log.Debug("a table cannot be compared now", "error", err)
		if t := w.run.Plan.TableOf(conflict.Table); t != nil {
			w.leaveOut(t.N, time.Now().Add(refusedFor))
		}
	}
}

// watch finishes what a swap left to do, and keeps the old side current until it is
// stopped, the run is finished, or somebody goes back. Commands that were to go
// through the cutover end here: the reverse journals guard their own size without
// any process, and pgumbra run goes on with them.
func (w *worker) watch(ctx context.Context) error {
	if err := w.afterSwap(ctx); err != nil {
		return err
	}
	mayGoOn := w.run.Phase == control.Watching && w.run.GoesBack()
	wasToEnd := w.until != "" || w.cutover && !w.back // with the cutover
	if !mayGoOn || wasToEnd && !w.groupWentBack(ctx) {
		if err := w.noteTakeover(ctx, w.untold, 0); err != nil {
			return err
		}
		return errStop
	}
	back, err := w.turned(ctx)
	if errors.Is(err, shadow.ErrTriggersFire) && !w.back {
		w.log.Warn("the old side is not kept current", "error", err)
		if err := w.noteTakeover(ctx, w.untold, 0); err != nil {
			return err
		}
		return errStop
	}
	if err != nil {
		return err
	}
	if err := back.agreeBack(ctx, w.untold); err != nil {
		return err
	}
	w.log.Info("keeping the old side current; pgumbra rollback goes back to it, pgumbra finish ends this")
	if err := capture.UnfreezeNewSide(ctx, back.sides.Production, back.run); err != nil { // of a rollback whose process died
		return err
	}
	err = back.mirrored(ctx, func(ctx context.Context) error { return back.besideProver(ctx, back.keepOldCurrent) })
	if err != nil {
		return err
	}
	w.run.Entered(back.run.Phase)
	if back.run.Phase == control.Following {
		return errAnew
	}
	return w.tidyUp(ctx)
}

// tidyUp completes a rollback that is committed. May be repeated, by any process.
func (w *worker) tidyUp(ctx context.Context) error {
	if err := w.reversed().newCutover().After(ctx); err != nil {
		return err
	}
	return w.traffic.Finish()
}

// reversed is a worker of the reversed run, for what asks no table.
func (w *worker) reversed() *worker {
	return &worker{lead: w.lead, file: w.file, sides: w.sides.Reversed(), traffic: w.traffic, run: w.run.Reversed(), log: w.log, with: w.with,
		intent: intent{once: w.back, back: w.back, as: w.as}}
}

// turned is the worker of the reversed run: what was the new side is what it calls
// production, what was the old side is its shadow.
func (w *worker) turned(ctx context.Context) (*worker, error) {
	back := w.reversed()
	back.forward = w.run
	run := back.run
	if err := capture.Locate(ctx, back.sides.Production, back.sides.Shadow, run.Plan); err != nil {
		return nil, closedUnless(err)
	}
	if err := back.sameSides(ctx); err != nil {
		return nil, closedUnless(err)
	}
	var err error
	if back.watching.belongings, err = cutover.BelongingsAtSwap(ctx, back.sides.Production, run); err != nil {
		return nil, err
	}
	run.Plan.Belongings = back.watching.belongings
	if back.watching.refused, err = refusedBefore(ctx, back.sides.Record(), run); err != nil {
		return nil, err
	}
	back.watching.differ, back.watching.leftOut = map[int][]string{}, map[int]time.Time{}
	back.replayer = &replay.Replayer{Sides: back.sides, Run: run, Log: w.log, ApplyWorkers: run.Plan.Settings.Copy.Workers,
		RangeRows: run.Plan.Settings.Copy.ChunkRows}
	back.replayer.Replica, err = shadow.Quiet(ctx, back.sides, run)
	return back, err
}

// sameSides makes sure that the positions mean something to both servers: the new one
// counts its transactions as it did at the swap, and the old one has all that journals
// were emptied of.
func (w *worker) sameSides(ctx context.Context) error {
	if !w.sides.Remote() {
		return nil
	}
	if err := control.CheckOrigin(ctx, w.sides.Production, w.sides.Shadow, w.run); err != nil {
		return err
	}
	return control.CheckMirror(ctx, w.sides.Production, w.sides.Shadow, w.run)
}

// closedUnless tells a change of structure, or of a server, as what it means here.
func closedUnless(err error) error {
	for _, closes := range []error{capture.ErrChanged, capture.ErrNotInstalled, control.ErrOrigin, control.ErrShadowLost} {
		if errors.Is(err, closes) {
			return fmt.Errorf("%w: %w", ErrClosed, err)
		}
	}
	return err
}

// keepOldCurrent replays round after round, until the rollback is done.
func (w *worker) keepOldCurrent(ctx context.Context) error {
	return w.rounds(ctx, w.actBack, &chore{every: inspectEvery, do: w.inspectBack},
		&chore{every: rerouteEvery, do: func(ctx context.Context) error { return w.newCutover().Reroute(ctx) }})
}

// recordsAll makes sure that the reverse journals hold everything that was written.
func (w *worker) recordsAll(ctx context.Context) error {
	if err := capture.Guard(ctx, w.sides.Production, w.run, capture.ToOld); err != nil {
		return err
	}
	closed, err := capture.Closed(ctx, w.sides.Production, w.run, capture.ToOld)
	if err != nil {
		return err
	}
	if closed != nil {
		return fmt.Errorf("%w: %s", ErrClosed, closed)
	}
	changed, err := w.changed(ctx, w.sides.Production)
	if err != nil {
		return closedUnless(err)
	}
	if len(changed) > 0 {
		return fmt.Errorf("%w: a table that it starts from was changed since the cutover: %s", ErrClosed, changed[0])
	}
	return nil
}

// inspectBack makes sure that the reverse journals hold everything, and keeps them
// small.
func (w *worker) inspectBack(ctx context.Context) error {
	if err := w.recordsAll(ctx); err != nil {
		return err
	}
	if err := w.guardDiskBack(ctx); err != nil {
		return err
	}
	lost, err := shadow.Lost(ctx, w.sides, w.run)
	if err != nil {
		return err
	}
	if len(lost) > 0 {
		return fmt.Errorf("%w: a crash of the server emptied the unlogged table %s", ErrClosed, lost[0].Final)
	}
	if err := w.lookAroundBack(ctx); err != nil {
		return err
	}
	w.proveAgain()
	if err := w.giveRoom(ctx); err != nil {
		return err
	}
	if err := capture.Rotate(ctx, w.sides.Production, w.run); err != nil {
		return err
	}
	return w.count(ctx)
}

// roundBack replays one batch of each table. What the old side refuses stops its
// table and nothing else: production has it already, and nobody drops it.
func (w *worker) roundBack(ctx context.Context) (int64, error) {
	changes := make([]int64, len(w.run.Plan.Tables))
	refused := make([]error, len(w.run.Plan.Tables))
	err := w.eachTable(ctx, control.FollowingState, func(ctx context.Context, t *plans.Table) error {
		if time.Now().Before(w.watching.refused[t.N]) {
			return nil
		}
		result, err := w.replayer.Batch(ctx, t)
		changes[t.N] = result.Changes
		if errors.Is(err, replay.ErrConflict) {
			refused[t.N], err = err, nil
		}
		return err
	})
	if errors.Is(err, replay.ErrRecopy) {
		return 0, fmt.Errorf("%w: %w", ErrClosed, err)
	}
	if err != nil {
		return 0, closedUnless(err) // whether a table was tried at all is not known
	}
	var sum int64
	for n := range changes {
		sum += changes[n]
		err = errors.Join(err, w.noteRefused(ctx, &w.run.Plan.Tables[n], refused[n]))
	}
	return sum, err
}

// refusedBefore are the tables whose flow stood still when the last leader ended. Each is
// tried at once: the row may have been mended since.
func refusedBefore(ctx context.Context, db pg.Querier, back *control.Run) (map[int]time.Time, error) {
	refusals, err := control.Refusals(ctx, db, back)
	if err != nil {
		return nil, err
	}
	all := map[int]time.Time{}
	for _, r := range refusals {
		all[r.N] = time.Time{}
	}
	return all, nil
}

// tryRefused replays before a rollback what there is now, and tries at once the tables that
// wait for a row, so that none is held against it that somebody has mended or deleted.
func (w *worker) tryRefused(ctx context.Context) error {
	waited := slices.Collect(maps.Keys(w.watching.refused))
	for _, n := range waited {
		w.watching.refused[n] = time.Time{}
	}
	if err := w.keepUp(ctx); err != nil {
		return err
	}
	for _, n := range waited {
		if _, waits := w.watching.refused[n]; !waits {
			w.proveNow(n)
		}
	}
	return nil
}

// noteRefused keeps for status what stops a table, or that nothing does any more.
func (w *worker) noteRefused(ctx context.Context, t *plans.Table, cause error) error {
	until, before := w.watching.refused[t.N]
	if cause == nil {
		if !before || time.Now().Before(until) {
			return nil
		}
		delete(w.watching.refused, t.N)
		w.log.Info("the old side takes rows again", "table", t.Final.String())
		return control.Mended(ctx, w.sides.Record(), w.run, t.N)
	}
	w.watching.refused[t.N] = time.Now().Add(refusedFor)
	r := control.Refusal{N: t.N, Why: cause.Error()}
	var conflict *replay.Conflict
	if errors.As(cause, &conflict) {
		r.Key = conflict.Key
	}
	if !before {
		w.log.Error("the old side refuses a row; the table waits for it, production goes on", "table", t.Final.String(), "error", cause)
	}
	return control.Refuse(ctx, w.sides.Record(), w.run, r)
}

// actBack does what the watch has time for between two rounds. True once the
// rollback is done.
func (w *worker) actBack(ctx context.Context) (bool, error) {
	wanted, err := w.cutoverWanted(ctx)
	if err != nil {
		return false, err
	}
	for _, found := range w.replayer.Found() {
		if err := differs(ctx, w.sides, w.run, found.Table, found.Verdict); err != nil {
			return false, err
		}
		w.tellDiffering(found)
		w.leaveOut(found.Table.N, time.Time{}) // proving it again would find the same again
	}
	if !wanted {
		return false, nil
	}
	return w.goBack(ctx)
}

// tellDiffering says that a table differs, once for each difference: who looks at it
// meanwhile, batches, the prover, pgumbra verify, finds the same again.
func (w *worker) tellDiffering(found replay.Found) {
	t := found.Table
	var as []string
	for _, d := range found.Verdict.Differences {
		as = append(as, d.Key)
	}
	if before, known := w.watching.differ[t.N]; known && slices.Equal(before, as) {
		return
	}
	w.watching.differ[t.N] = as
	w.log.Error("the old side differs from what the new one makes of it; going back would lose that", "table", t.Final.String(),
		"keys", len(found.Verdict.Differences))
}
