package upgrade

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/command"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
)

// hookLimit is how long a hook may run. No client waits for it.
const hookLimit = time.Minute

// The events that hooks are for, as the plan file and PGUMBRA_EVENT name them.
const (
	hookReady         = "ready"          // a cutover could be tried, the first time
	hookBeforeCutover = "before_cutover" // of a series of attempts, before the first; no lock is held
	hookAfterCutover  = "after_cutover"  // the shadow is production
	hookStopped       = "stopped"        // the run has failed
)

// hook runs the command of an event, where the plan file has one. An event that is
// told again after a crash is told twice.
func (w *worker) hook(ctx context.Context, event string, more ...string) error {
	argv := w.file.Hooks[event]
	if len(argv) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, hookLimit)
	defer cancel()
	environment := append([]string{"PGUMBRA_EVENT=" + event, "PGUMBRA_RUN=" + w.run.Name, "PGUMBRA_DATABASE=" + w.file.Member, "PGUMBRA_PHASE=" + string(w.run.Phase),
		"PGUMBRA_FROM_VERSION=" + versionText(w.run.Plan.FromVersion), "PGUMBRA_TO_VERSION=" + versionText(w.run.Plan.ToVersion)}, more...)
	lines, err := command.Run(ctx, argv, environment)
	last := ""
	for _, line := range lines {
		line = pg.Redact(line)
		w.log.Info("hook", "event", event, "line", line)
		last = ": " + line
	}
	if err != nil {
		return fmt.Errorf("hooks.%s, %s: %w%s", event, argv[0], err, last)
	}
	return nil
}

// tell runs the command of an event that nothing depends on.
func (w *worker) tell(ctx context.Context, event string, more ...string) {
	if err := w.hook(context.WithoutCancel(ctx), event, more...); err != nil {
		w.log.Warn("a hook failed", "error", err)
	}
}

func versionText(v *int64) string {
	if v == nil {
		return ""
	}
	return strconv.FormatInt(*v, 10)
}

// heldByHook: a hook that fails before the cutover holds it, until it succeeds in
// this series of attempts.
func (w *worker) heldByHook(ctx context.Context) []cutover.Blocker {
	if w.swapping.hooked {
		return nil
	}
	if argv := w.file.Hooks[hookBeforeCutover]; len(argv) > 0 { // whoever's window ends meanwhile is told
		if err := control.Event(ctx, w.sides.Record(), w.run, control.HookBegun, map[string]any{"hook": "hooks." + hookBeforeCutover + ", " + argv[0]}); err != nil {
			w.log.Warn("that a hook begins could not be recorded", "error", err)
		}
	}
	if err := w.hook(ctx, hookBeforeCutover); err != nil {
		return []cutover.Blocker{{Code: "hook", Message: err.Error(), Fix: "the cutover waits until it ends with 0"}}
	}
	w.swapping.hooked = true
	return nil
}

// tellSwapped tells how the cutover went.
func (w *worker) tellSwapped(ctx context.Context, out cutover.Outcome) {
	w.tell(ctx, hookAfterCutover, "PGUMBRA_STALL_MS="+strconv.FormatFloat(float64(out.Stall.Microseconds())/1000, 'f', 1, 64),
		"PGUMBRA_ATTEMPTS="+strconv.Itoa(out.Attempts))
}

// tellReady notes that the run is ready, and tells it once.
func (w *worker) tellReady(ctx context.Context) error {
	first, err := control.NoteReady(ctx, w.sides.Production, w.run)
	if err == nil && first {
		w.tell(ctx, hookReady)
	}
	return err
}

// tellStopped tells why the run failed.
func (w *worker) tellStopped(ctx context.Context, cause error) {
	if failure(ctx, cause) {
		w.tell(ctx, hookStopped, "PGUMBRA_REASON="+strings.Join(strings.Fields(pg.Redact(cause.Error())), " "))
	}
}
