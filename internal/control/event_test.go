package control_test

import (
	"testing"

	"github.com/pgumbra/pgumbra/internal/control"
)

// Why an attempt came to nothing is told until a swap has been done, there or back.
func TestReasonOfAnAttemptEndsWithTheNextSwap(t *testing.T) {
	t.Parallel()
	_, conn := recorded(t)
	run, err := control.Find(t.Context(), conn, "up")
	must(t, err)
	enter := func(p control.Phase) {
		t.Helper()
		run.Entered(p)
		must(t, control.Event(t.Context(), conn, run, control.PhaseEntered, nil))
	}
	refused := func(reason string) {
		t.Helper()
		must(t, control.Event(t.Context(), conn, run, control.CutoverRefused, map[string]any{"reason": reason}))
	}
	says := func(want string) {
		t.Helper()
		var detail struct{ Reason string }
		if _, err := control.LastRefused(t.Context(), conn, run, &detail); err != nil || detail.Reason != want {
			t.Errorf("in phase %s the last attempt failed for %q (%v), want %q", run.Phase, detail.Reason, err, want)
		}
	}
	enter(control.Following)
	enter(control.Cutover)
	refused("a dump")
	enter(control.Following) // the attempt is over
	says("a dump")
	enter(control.Cutover)
	enter(control.Watching)
	says("")
	refused("a row")
	says("a row")
	enter(control.Following) // a rollback with --follow
	says("")
	enter(control.Cutover)
	refused("a lock")
	enter(control.Following)
	says("a lock")
	enter(control.Cutover)
	enter(control.Watching)
	enter(control.RolledBack)
	says("")
}
