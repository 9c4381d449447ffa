package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/testcontainers"
)

// TestCutoverIsNotPossibleWhileTheShadowIsAway: status says so, and who asks the
// leader has an answer. Once the shadow is back the same question is answered by
// the cutover.
func TestCutoverIsNotPossibleWhileTheShadowIsAway(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	f := remoteSmall(t, "")
	leader := f.start(ctx, "run")
	f.wait(ctx, following)
	f.toShadow.Cut()
	f.wait(ctx, `SELECT 'x' FROM pgumbra.leader WHERE throttled = 'the shadow cannot be reached'`)
	if s := f.status(t); s.Ready || !slices.Contains(s.Blockers, "the shadow cannot be reached") {
		t.Errorf("status without a shadow: ready %v, blockers %q", s.Ready, s.Blockers)
	}
	p := f.do(ctx, exitNotNow, "cutover")
	if text := p.err.String(); !strings.Contains(text, "the shadow cannot be reached") {
		t.Errorf("cutover says:\n%s", text)
	}
	f.toShadow.Heal()
	f.wait(ctx, `SELECT 'x' FROM pgumbra.leader WHERE throttled = ''`)
	f.do(ctx, exitDone, "cutover")
	f.movedOver(ctx)
	f.endsWatch(ctx, leader)
}
