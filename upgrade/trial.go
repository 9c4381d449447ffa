package upgrade

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
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

// try runs the migrations that are kept for behind the fence on the shadow and
// rolls them back: once when all follows, and again before a cutover when the
// last trial is older than cutover.verify_within. Replay pauses meanwhile.
// [*MigrationFailed] when they fail on real rows.
func (w *worker) try(ctx context.Context, wanted bool) error {
	within := w.run.Plan.Settings.Cutover.VerifyWithin
	t := &w.trials
	if w.run.Plan.Behind == nil || time.Now().Before(t.next) ||
		t.last != nil && (!wanted || within <= 0 || time.Since(t.at) < within) {
		return nil
	}
	w.log.Info("trying the migrations that run behind the fence", "files", len(w.run.Plan.Behind.Files))
	trial, err := w.newCutover().Trial(ctx)
	if why := cutover.Hindered(err); why != "" {
		w.log.Warn("no trial is possible now", "why", why)
		t.next = time.Now().Add(tryAgain)
		return nil
	}
	if err != nil {
		return fmt.Errorf("try the migrations that run behind the fence: %w", err)
	}
	t.last, t.at = &trial, time.Now()
	if err := control.NoteTrial(ctx, w.sides.Production, w.run, trial); err != nil {
		return err
	}
	w.log.Info("tried the migrations that run behind the fence", "ms", trial.TotalMS, "skipped", trial.Skipped)
	if trial.Failed != "" {
		return &MigrationFailed{Trial: trial}
	}
	return nil
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
	if w.run.Plan.Behind == nil {
		return nil
	}
	text := trialBlocker(w.run, w.trials.last)
	if text == "" {
		return nil
	}
	return []cutover.Blocker{{Code: "behind-fence-too-long", Message: text, Lasting: w.trials.last != nil,
		Fix: "raise cutover.max_stall if writers can wait that long, or describe the rows in the plan file under tables"}}
}

// trialBlocker is why a trial does not allow a cutover; empty: it does.
func trialBlocker(run *control.Run, t *cutover.Trial) string {
	stall := run.Plan.Settings.Cutover.MaxStall
	switch {
	case t == nil:
		return "the migrations that run behind the fence were not tried yet"
	case t.Failed != "":
		return "a migration behind the fence fails: " + t.Failed
	case t.TotalMS >= float64(stall.Milliseconds()):
		return fmt.Sprintf("the migrations behind the fence took %.0f ms in their trial, and cutover.max_stall is %s", t.TotalMS, stall)
	}
	return ""
}

// readTrial is the run's last trial as status shows it.
func readTrial(ctx context.Context, db pg.Querier, run *control.Run) (*cutover.Trial, error) {
	text, err := control.LastTrial(ctx, db, run)
	if err != nil || text == nil {
		return nil, err
	}
	t := new(cutover.Trial)
	return t, json.Unmarshal(text, t)
}
