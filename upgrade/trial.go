package upgrade

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/replay"
)

// MigrationFailed says that a migration which is to run behind the fence fails
// on the rows that production has. The run stays where it is; a cutover is
// refused. In place it would fail too.
type MigrationFailed struct{ Trial cutover.Trial }

func (f *MigrationFailed) Error() string {
	return "a migration that would run behind the fence fails on production's rows: " + f.Trial.Failed
}

// trials is what following remembers of the trials of the migrations behind the
// fence.
type trials struct {
	last *cutover.Trial // nil: none in this process
	at   time.Time
	next time.Time // after one that something stood against
}

// tryAgain is the pause after a trial that something stood against.
const tryAgain = 5 * time.Second

// try runs the swap's statements, and the migrations that are kept for behind the
// fence, on the shadow and rolls them back: once when all follows, and again before
// a cutover when the last trial is older than cutover.verify_within. Replay pauses
// meanwhile. [*MigrationFailed] when they fail on real rows.
func (w *worker) try(ctx context.Context, wanted bool) error {
	within := w.run.Plan.Settings.Cutover.VerifyWithin
	t := &w.trials
	if time.Now().Before(t.next) || t.last != nil && (!wanted || within <= 0 || time.Since(t.at) < within || w.prover.Comparing() != "") {
		return nil
	}
	trial, err := w.toldTrial(ctx)
	if errors.Is(err, replay.ErrRecopy) || errors.Is(err, replay.ErrConflict) { // the next round sees to it
		return nil
	}
	switch pg.State(err) { // the cutover's checks name these
	case pgerrcode.OutOfMemory:
		trial, err = cutover.Trial{Skipped: "the lock table has no room for it"}, nil
	case pgerrcode.DuplicateSchema:
		trial, err = cutover.Trial{Skipped: "somebody has made a schema of the name that the old one is to have"}, nil
	}
	why := cutover.Hindered(err)
	if errors.Is(err, errUneven) {
		why = err.Error()
	}
	if why != "" {
		w.log.Warn("no trial is possible now", "why", why)
		t.next = time.Now().Add(tryAgain)
		return nil
	}
	if err != nil {
		return fmt.Errorf("try the swap: %w", err)
	}
	t.last, t.at = &trial, time.Now()
	if err := control.NoteTrial(ctx, w.sides.Production, w.run, trial); err != nil {
		return err
	}
	w.tellTrial(trial)
	if trial.Failed != "" {
		return &MigrationFailed{Trial: trial}
	}
	return w.tellReady(ctx)
}

// toldTrial says that a trial is under way, and makes it: migrations behind the fence may
// take minutes, in which nothing else is to be seen of the run.
func (w *worker) toldTrial(ctx context.Context) (cutover.Trial, error) {
	if w.run.Plan.Behind == nil {
		defer w.pauseProver()()
		return w.alignedTrial(ctx)
	}
	w.log.Info("trying the migrations behind the fence on the shadow, to be rolled back; replay waits meanwhile")
	if err := control.NoteTrying(ctx, w.sides.Production, w.run); err != nil {
		return cutover.Trial{}, err
	}
	resume := w.pauseProver()
	trial, err := w.alignedTrial(ctx)
	resume()
	return trial, errors.Join(err, control.NoteTried(context.WithoutCancel(ctx), w.sides.Production, w.run))
}

func (w *worker) tellTrial(trial cutover.Trial) {
	took := trial.SwapMS
	if len(trial.Files) > 0 {
		took = trial.TotalMS
	}
	log := w.log
	if trial.Skipped != "" {
		log = log.With("skipped", trial.Skipped)
	}
	log.Info("tried the swap, all rolled back", "took", human.Took(took))
}

// errUneven: a trial failed on tables that could not be brought to one snapshot, so
// that the failure says nothing.
var errUneven = errors.New("tables of production are truncated or rewritten all the time, so that the shadow's do not stand at one snapshot")

// alignedTrial brings all tables to one snapshot before migrations are tried on
// them. Each stands at its own otherwise, and a row that the migrations write may
// refer to one that is still to be replayed: their trial failed by foreign keys
// that production satisfies, and ended the run. Where that is not possible now,
// a trial that succeeds is one all the same.
func (w *worker) alignedTrial(ctx context.Context) (cutover.Trial, error) {
	if w.run.Plan.Behind == nil {
		return w.bestTrial(ctx)
	}
	var all []*plans.Table
	for i := range w.run.Plan.Tables {
		all = append(all, &w.run.Plan.Tables[i])
	}
	uneven := w.replayer.Aligned(ctx, all, func(pgx.Tx) error { return nil })
	if uneven != nil && !replay.Passing(uneven) {
		return cutover.Trial{}, uneven
	}
	trial, err := w.bestTrial(ctx)
	if uneven != nil && err == nil && trial.Failed != "" {
		return trial, errUneven
	}
	return trial, err
}

// bestTrial is the shortest of three where the first does not fit: a busy moment
// must not end the series.
func (w *worker) bestTrial(ctx context.Context) (cutover.Trial, error) {
	best, err := w.newCutover().Trial(ctx)
	for range 2 {
		if err != nil || best.Failed != "" || w.run.Plan.Behind != nil || best.Stall() < w.run.Plan.Settings.Cutover.MaxStall {
			break
		}
		var again cutover.Trial
		if again, err = w.newCutover().Trial(ctx); err == nil && again.Stall() < best.Stall() {
			best = again
		}
	}
	return best, err
}

// failedMigration is a migration that has failed behind the fence, though its
// trial went well; nil: none has. Trying again would hold production for nothing.
func failedMigration(blockers []cutover.Blocker) *MigrationFailed {
	for _, b := range blockers {
		if b.Code == cutover.CodeMigrationFailed {
			return &MigrationFailed{Trial: cutover.Trial{Failed: b.Message}}
		}
	}
	return nil
}

// againstTrial is what the last trial says against a cutover.
func (w *worker) againstTrial() []cutover.Blocker {
	text := trialBlocker(w.run, w.trials.last)
	if text == "" {
		return nil
	}
	b := cutover.Blocker{Code: "behind-fence-too-long", Message: text, Lasting: w.trials.last != nil,
		Fix: "raise cutover.max_stall if writers can wait that long, or describe the rows in the plan file under tables"}
	if w.run.Plan.Behind == nil {
		b.Code, b.Fix = "swap-too-long", "raise cutover.max_stall if writers can wait that long, or upgrade fewer schemas at a time"
	}
	return []cutover.Blocker{b}
}

// trialBlocker is why a trial does not allow a cutover; empty: it does.
func trialBlocker(run *control.Run, t *cutover.Trial) string {
	stall, behind := run.Plan.Settings.Cutover.MaxStall, run.Plan.Behind != nil
	switch {
	case t == nil && behind:
		return "the migrations that run behind the fence were not tried yet"
	case t == nil:
		return "the swap was not tried yet"
	case t.Failed != "":
		return "a migration behind the fence fails: " + t.Failed
	case t.Stall() < stall:
		return ""
	case behind:
		return fmt.Sprintf("the migrations behind the fence took %s in their trial, and cutover.max_stall is %s", human.Took(t.TotalMS), human.Duration(stall))
	}
	return fmt.Sprintf("the swap took %s in its trial, and cutover.max_stall is %s", human.Took(t.SwapMS), human.Duration(stall))
}

// readTrial is the run's last trial as status shows it.
func readTrial(ctx context.Context, db pg.Querier, run *control.Run) (*cutover.Trial, error) {
	text, err := control.LastTrial(ctx, db, run)
	if err != nil || text == nil {
		return nil, err
	}
	t := new(cutover.Trial)
	err = json.Unmarshal(text, t)
	t.Files, t.Swap = append([]cutover.FileTime{}, t.Files...), append([]cutover.PartTime{}, t.Swap...)
	return t, err
}
