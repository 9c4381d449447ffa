package upgrade

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgumbra/pgumbra/capture"
	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/planner"
	"github.com/pgumbra/pgumbra/replay"
	"github.com/pgumbra/pgumbra/shadow"
)

// swapping is what a leader remembers of a series of attempts, at the cutover while it
// follows or at the rollback while it watches.
type swapping struct {
	cutover  *cutover.Cutover
	pause    *backoff.ExponentialBackOff // after an attempt
	look     *backoff.ExponentialBackOff // after a look that came to nothing
	next     time.Time
	tried    int
	taken    time.Duration // from clients, by the attempt that is told of next
	ended    bool          // this attempt is the series' last, whatever it comes to
	changing int           // attempts that met a structure which changed meanwhile
	said     string        // why the last look came to nothing, as it was told
	hooked   bool          // hooks.before_cutover ended well in this series
}

// cutOver makes one attempt, if the pause after the last one is over; following
// goes on between attempts. After cutover.attempts a cutover by command gives
// up, while `run --cutover` begins another series.
func (w *worker) cutOver(ctx context.Context) (bool, error) {
	if w.swapping.cutover == nil {
		w.swapping = w.newSwapping()
	}
	if time.Now().Before(w.swapping.next) {
		return false, nil
	}
	against, err := w.standing(ctx)
	if err != nil {
		return false, err
	}
	if len(against) > 0 {
		return false, w.notNow(ctx, against, w.swapping.look)
	}
	w.nameBypassing(ctx)
	w.nameRoles(ctx)
	with, alone := w.assemble(ctx)
	if with == nil && !alone {
		return false, ctx.Err()
	}
	defer w.pauseProver()()
	if entered, err := w.enterCutover(ctx); err != nil || !entered {
		leave(with, "the cutover is not asked for any more")
		return false, err
	}
	outcome, err := w.attemptWith(ctx, with)
	if err != nil {
		return false, err
	}
	if outcome.Swapped {
		w.run.Entered(control.Watching)
		w.tellSwapped(ctx, outcome)
		return true, control.Answered(ctx, w.sides.Record(), w.run, control.Cutover)
	}
	if err := w.enter(ctx, control.Following); err != nil {
		return false, err
	}
	if failed := failedMigration(outcome.Blockers); failed != nil {
		return false, errors.Join(control.NoteTrial(ctx, w.sides.Production, w.run, failed.Trial), failed)
	}
	if err := violatedKeys(outcome.Blockers); err != nil && w.unattended() {
		return false, err
	}
	w.endIfLasting(outcome.Blockers)
	w.endIfChanging(outcome.Blockers)
	return false, w.notNow(ctx, outcome.Blockers, w.swapping.pause)
}

// enterCutover moves the phase, unless whoever asked for the cutover has taken that
// back meanwhile and been told that nothing will change.
func (w *worker) enterCutover(ctx context.Context) (entered bool, err error) {
	err = pg.ReadCommitted(ctx, w.sides.Production, func(tx pgx.Tx) error {
		if err := control.HoldRequest(ctx, tx, w.run); err != nil {
			return err
		}
		asked, _, err := control.Requested(ctx, tx, w.run)
		if entered = asked || w.cutover || w.closing; err != nil || !entered {
			return err
		}
		return control.Advance(ctx, tx, w.run, control.Cutover)
	})
	if err == nil && entered {
		w.run.Entered(control.Cutover)
	}
	return entered, err
}

// standing is what stands against an attempt, and makes the shadow ready for one.
// Where only a human can help, the series ends.
func (w *worker) standing(ctx context.Context) (against []cutover.Blocker, err error) {
	if table := w.prover.Comparing(); table != "" {
		return []cutover.Blocker{{Code: "not-verified", Message: table + " is being compared as a whole", Fix: "let the run go on"}}, nil
	}
	unproved, err := w.proveRest(ctx)
	if err != nil {
		return nil, err
	}
	if err := w.compareStructure(ctx); err != nil {
		return nil, err
	}
	if err := w.buildForeignKeys(ctx); err != nil {
		return nil, err
	}
	if against, err = w.swapping.cutover.Check(ctx); err != nil {
		return nil, err
	}
	against = append(append(against, unproved...), w.againstTrial()...)
	if len(against) > 0 {
		if len(w.structure.changes) > 0 {
			w.endSeries()
		}
		w.endIfLasting(against)
		return against, nil
	}
	if held := w.heldByHook(ctx); len(held) > 0 {
		return held, nil
	}
	return w.readyShadow(ctx)
}

// readyShadow does what is done as late as it can be without anybody waiting, and
// says what is still to be proved.
func (w *worker) readyShadow(ctx context.Context) (unproved []cutover.Blocker, err error) {
	if err := w.swapping.cutover.FreshenViews(ctx); err != nil {
		return nil, err
	}
	if unproved, err = w.proveRest(ctx); err != nil {
		return nil, err
	}
	if err := shadow.Seal(ctx, w.sides, w.run); err != nil { // what was lent for the views
		return nil, err
	}
	w.built, err = shadow.BuiltKeys(ctx, w.sides, w.run)
	return unproved, err
}

// nameBypassing tells, once a series of attempts, which clients will be left
// behind.
func (w *worker) nameBypassing(ctx context.Context) {
	if !w.sides.Remote() || w.swapping.tried > 0 {
		return
	}
	for _, f := range bypasses(ctx, w.traffic, w.sides.Production, w.log) {
		w.log.Warn("clients past the pool are not redirected", "who", f.Object, "what", f.Message)
	}
}

// nameRoles tells, once a series of attempts, what clients can in production and could not
// after the swap: tools lend roles for an hour, so that it stands against nothing.
func (w *worker) nameRoles(ctx context.Context) {
	if !w.sides.Remote() || w.swapping.tried > 0 {
		return
	}
	found, err := planner.RolesSince(ctx, w.sides.Production, w.sides.Shadow, w.run.Plan.Findings)
	if err != nil {
		w.log.Debug("what became of roles since the plan is not known", "error", err)
	}
	if len(found) > 0 {
		w.log.Warn("roles have on this server what they do not have on the one that is to be production: type there what they need", "roles", found)
	}
}

// refreshView fills or empties a materialized view of the shadow: since its
// indexes were built, production may have been followed for days.
func (w *worker) refreshView(ctx context.Context, view pg.Name, contents cutover.Contents) (lent bool, err error) {
	if contents == cutover.WithNoData {
		return false, shadow.EmptyView(ctx, w.sides, w.run, view)
	}
	return shadow.RefreshView(ctx, w.sides, w.run, view)
}

// keepUp replays rounds in quick succession, so that little is left for the
// drain: each is shorter than the one before, as less has come meanwhile.
func (w *worker) keepUp(ctx context.Context) error {
	const rounds, little = 5, 200
	for range rounds {
		changes, err := w.round(ctx)
		if err != nil || changes <= little {
			return err
		}
	}
	return nil
}

// approach replays and proves what there is now.
func (w *worker) approach(ctx context.Context) error {
	if _, err := w.replayer.DrainOnce(ctx); err != nil {
		return err
	}
	return w.replayer.ProveRest(ctx)
}

// backends are this process's sessions in production.
func (w *worker) backends() pg.Backends { return append(w.lead.Backends(), looking.Backends()...) }

// newCutover is the cutover of the run, or its rollback.
func (w *worker) newCutover() *cutover.Cutover {
	if w.run.Plan.Backwards() {
		return w.newRollback()
	}
	c := &cutover.Cutover{Sides: w.sides, DSN: w.file.Production.DSN, ShadowDSN: w.file.Shadow.DSN, Upgrade: w.run, Log: w.log, Own: w.backends,
		Parts: forwardParts{bothWays{w}}}
	w.leads(c)
	return c
}

// leads gives a cutover to another server what leads clients, if anything does.
func (w *worker) leads(c *cutover.Cutover) {
	if w.sides.Remote() && !w.traffic.ByHand() {
		w.traffic.Guard(c.MayLead)
		c.Traffic = w.traffic
	}
}

// stopCapture: after the swap nothing is transformed any more.
func (w *worker) stopCapture(ctx context.Context) error {
	if err := capture.RemoveForward(ctx, w.sides.Production, w.run); err != nil {
		return err
	}
	return shadow.DropTransforms(ctx, w.sides.Production, w.run)
}

// removeCapture removes what there is of it on both sides, as far as these are there.
func (w *worker) removeCapture(ctx context.Context) error {
	sides := []*pgxpool.Pool{w.sides.Production}
	if w.sides.Remote() {
		sides = append(sides, w.sides.Shadow)
	}
	for _, side := range sides {
		if side == nil {
			continue
		}
		if err := capture.Remove(ctx, side, w.run); err != nil {
			return err
		}
	}
	return nil
}

func (w *worker) pending(ctx context.Context) (int64, error) {
	all, err := w.replayer.PendingAll(ctx, w.sides.Production)
	var sum int64
	for _, n := range all {
		sum += n
	}
	return sum, err
}

// changed names what is no longer as capture saw it. Looking at each table in
// full takes milliseconds a table, so a clean look counts until the catalogs'
// signature is another one: behind the fence that is one query.
func (w *worker) changed(ctx context.Context, db pg.Querier) ([]string, error) {
	signature, err := capture.Signature(ctx, db, w.run)
	if err != nil || signature == w.intact {
		return nil, err
	}
	var all []string
	for i := range w.run.Plan.Sources {
		src := &w.run.Plan.Sources[i]
		if w.run.Plan.Backwards() && !w.run.Plan.Feeds(src.N) {
			continue
		}
		changes, err := capture.Check(ctx, w.sides.Production, w.run, src)
		if err != nil {
			return nil, err
		}
		for _, c := range changes {
			if c.Kind != capture.Filenode {
				all = append(all, fmt.Sprintf("%s: %s", src.Name, c.Detail))
			}
		}
	}
	if len(all) == 0 {
		w.intact = signature
	}
	return all, nil
}

// buildForeignKeys makes those of partitioned tables before the fence, where
// replay can pass them by. What rows broke a moment ago is not tried again at once:
// each try reads both tables whole.
func (w *worker) buildForeignKeys(ctx context.Context) error {
	how := shadow.Checked
	if w.replayer.Replica {
		how = shadow.Replica
	}
	if time.Since(w.keysTried) >= time.Minute {
		err := shadow.BuildPartitionKeys(ctx, w.sides, w.run, how, func(ctx context.Context, tables []*plans.Table) error {
			return w.replayer.Aligned(ctx, tables, func(pgx.Tx) error { return nil })
		})
		if err != nil && !errors.Is(err, replay.ErrRecopy) { // the next round sees to that one, and comes back here
			return err
		}
		w.keysTried = time.Now()
	}
	var err error
	w.built, err = shadow.BuiltKeys(ctx, w.sides, w.run)
	return err
}

// newForeignKeys checks the foreign keys that the migrations bring while the
// tables of each stand at one snapshot: between two batches a row may refer to
// one that is still to be replayed. On the way back, once all rows were found to be
// right, what was touched since is looked at alone, at the next attempt and behind the fence.
func (w *worker) newForeignKeys(ctx context.Context) ([]string, error) {
	if len(w.run.Plan.NewFKs) == 0 {
		return nil, nil
	}
	ends := map[pg.Name]bool{}
	for _, k := range w.run.Plan.NewFKs {
		ends[k.Table], ends[k.References] = true, true
	}
	var tables []*plans.Table
	for i := range w.run.Plan.Tables {
		if t := &w.run.Plan.Tables[i]; ends[t.Shadow] {
			tables = append(tables, t)
		}
	}
	var found []string
	now, err := w.replayer.AlignedSince(ctx, tables, w.watching.keysRight, func(tx pgx.Tx, touched map[pg.Name]replay.Touched) error {
		violations, err := shadow.CheckNewForeignKeys(ctx, tx, w.run, toldTouched(touched))
		found = nil
		for _, v := range violations {
			found = append(found, v.String())
		}
		return err
	})
	if err == nil && len(found) == 0 && w.run.Plan.Backwards() {
		w.watching.keysRight = now
	}
	return found, err
}

// toldTouched hands on what replay tells.
func toldTouched(touched map[pg.Name]replay.Touched) map[pg.Name]shadow.Touched {
	if touched == nil {
		return nil
	}
	all := map[pg.Name]shadow.Touched{}
	for name, t := range touched {
		all[name] = shadow.Touched{Changes: t.Changes, Rows: t.Rows, Keys: t.Keys, Columns: t.Columns}
	}
	return all
}

// afterSwap does what the swap left to do; without a watch it ends the run. It
// may be repeated.
func (w *worker) afterSwap(ctx context.Context) error {
	if err := w.newCutover().After(ctx); err != nil {
		return err
	}
	if w.run.Phase != control.Watching {
		return nil
	}
	return closedUnless(capture.RecordReverse(ctx, w.sides.Shadow, w.run))
}
