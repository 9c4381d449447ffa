package upgrade

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/plans/conditions"
)

// lookForStrangersEvery is how often, at the most, is asked whether rows would go
// through code of others.
const lookForStrangersEvery = time.Second

// strangers is code of others that appeared in mid-run: whoever may create a function
// where a transform's names lead has it called by the next batch, with a superuser's
// rights where the run is one's. Nothing is evaluated while it is there: neither copied,
// replayed nor proved.
type strangers struct {
	mu     sync.Mutex
	looked time.Time
	found  string
	resume func() // the prover; nil: it is not held
}

// foreignCode is what would run with our rights now; empty: nothing.
func (w *worker) foreignCode(ctx context.Context) (string, error) {
	s := &w.strangers
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.looked) < lookForStrangersEvery {
		return s.found, nil
	}
	reason, err := askForStrangers(ctx, w.sides, w.run)
	if err != nil {
		return "", err
	}
	if reason != s.found {
		if err := w.tellStrangers(ctx, reason); err != nil {
			return "", err
		}
	}
	s.looked, s.found = time.Now(), reason
	return reason, nil
}

// askForStrangers asks both databases: checks, generated columns and indexes of the
// shadow call functions where it stands.
func askForStrangers(ctx context.Context, sides control.Sides, run *control.Run) (string, error) {
	found, err := askConditions(ctx, sides.Production, run, conditions.Evaluating)
	if err == nil && len(found) == 0 && sides.Remote() {
		found, err = askSide(ctx, sides.Shadow, conditions.Shadow, conditions.Evaluating, run.Plan.RestsOnShadow())
	}
	if err != nil || len(found) == 0 {
		return "", err
	}
	f := found[0]
	return fmt.Sprintf("%s %s: %s (%s)", f.Condition.Code, f.Object, f.Message, f.Fix), nil
}

// refuseStrangers is for who evaluates without a leader's rounds.
func refuseStrangers(ctx context.Context, sides control.Sides, run *control.Run) error {
	found, err := askForStrangers(ctx, sides, run)
	if err == nil && found != "" {
		err = fmt.Errorf("nothing is compared: %s", found)
	}
	return err
}

func (w *worker) tellStrangers(ctx context.Context, reason string) error {
	if reason == "" {
		w.log.Info("code of others is gone; rows are copied and compared again")
	} else {
		w.log.Warn("nothing is copied, replayed or compared: code of others would run with this run's rights", "found", reason)
	}
	return control.NoteThrottled(ctx, w.sides.Record(), w.run, reason)
}

// awaitNoStrangers returns once nothing of others would be called; then production may
// still need rest.
func (w *worker) awaitNoStrangers(ctx context.Context) error {
	for {
		found, err := w.foreignCode(ctx)
		if err != nil || found == "" {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lookForStrangersEvery):
		}
	}
}

// heldBack reports whether this round is to be left out, and answers who waits for a
// cutover. Chores go on: journals grow meanwhile.
func (w *worker) heldBack(ctx context.Context) (bool, error) {
	found, err := w.foreignCode(ctx)
	if err != nil {
		return false, err
	}
	if found == "" {
		if w.strangers.resume != nil {
			w.strangers.resume()
			w.strangers.resume = nil
		}
		return false, nil
	}
	if w.strangers.resume == nil {
		w.strangers.resume = w.pauseProver()
	}
	wanted, err := w.cutoverWanted(ctx)
	if err != nil || !wanted {
		return true, err
	}
	if w.swapping.cutover == nil {
		w.swapping = w.newSwapping()
	}
	if time.Now().Before(w.swapping.next) {
		return true, nil
	}
	w.endSeries()
	return true, w.notNow(ctx, []cutover.Blocker{{Message: found}}, w.swapping.look)
}
