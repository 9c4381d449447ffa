package planner

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/plans"
)

func phasesOf(all []plans.Step) []string {
	var phases []string
	for _, s := range all {
		phases = append(phases, s.Phase)
	}
	return slices.Compact(phases)
}

func find(t testing.TB, all []plans.Step, title string) plans.Step {
	t.Helper()
	for _, s := range all {
		if strings.HasPrefix(s.Title, title) {
			return s
		}
	}
	t.Fatalf("no step %q", title)
	return plans.Step{}
}

func TestStepsFollowTheRunAndNameTheirLocks(t *testing.T) {
	t.Parallel()
	all := samplePlan().Steps
	if diff := cmp.Diff([]string{"building", "copying", "following", "cutover", "watching", "finished"}, phasesOf(all)); diff != "" {
		t.Error(diff)
	}
	for _, s := range all {
		if s.Lock == "" || s.Waits == "" || len(s.SQL) == 0 {
			t.Errorf("step %q: lock %q, waits %q, %d statements", s.Title, s.Lock, s.Waits, len(s.SQL))
		}
	}
	fence := find(t, all, "Fence")
	if fence.Lock != "EXCLUSIVE" || !strings.Contains(fence.Waits, "at most 200 ms for") || !strings.Contains(fence.Waits, "at most 1.1 s (") || !strings.Contains(fence.Waits, "plain readers never") {
		t.Errorf("fence: %+v", fence)
	}
	if fence.SQL[len(fence.SQL)-1] != SlotFence {
		t.Errorf("fence: %q", fence.SQL)
	}
}

func TestStepsShowTheStatementsOfThePlan(t *testing.T) {
	t.Parallel()
	all := samplePlan().Steps
	want := `INSERT INTO "pgumbra_shop_v2_shop"."orders" ("id", "total_cents") OVERRIDING SYSTEM VALUE
SELECT id
     , (total * 100)::bigint
FROM ONLY "shop"."orders" AS "orders"
WHERE ctid >= '<from>' AND ctid < '<to>'
  AND (NOT deleted
)`
	if got := find(t, all, "Copy the rows").SQL[0]; got != want {
		t.Errorf("copy:\n%s", got)
	}
	swap := find(t, all, "Swap the names").SQL
	if diff := cmp.Diff([]string{SlotVersion, SlotNames, SlotSuccession, control.Advancing(control.Cutover, control.Watching), "COMMIT"}, swap); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{`ALTER TABLE "shop"."orders" VALIDATE CONSTRAINT "orders_fkey"`}, find(t, all, "Validate").SQL); diff != "" {
		t.Error(diff)
	}
	if got := find(t, all, "Put in the rows").SQL[0]; got != `COPY "pgumbra_shop_v2_shop"."states" ("id", "name") FROM STDIN -- 2 rows` {
		t.Errorf("carried: %s", got)
	}
}

func TestStepsOfAMoveTakeTheStrongLock(t *testing.T) {
	t.Parallel()
	p := samplePlan()
	p.Schemas[0].Swap = plans.Move
	if fence := find(t, steps(p), "Fence"); fence.Lock != "ACCESS EXCLUSIVE" {
		t.Errorf("fence: %+v", fence)
	}
}

func TestStepsWithoutWorkAreLeftOut(t *testing.T) {
	t.Parallel()
	p := samplePlan()
	p.Sources, p.Tables = p.Sources[:1], p.Tables[:1]
	for _, s := range steps(p) {
		if strings.Contains(s.Title, "frozen") || strings.Contains(s.Title, "derived") {
			t.Errorf("step %q", s.Title)
		}
	}
}
