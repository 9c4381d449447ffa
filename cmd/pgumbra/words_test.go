package main

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/upgrade"
)

func standingIn(phase control.Phase) *upgrade.Status {
	return &upgrade.Status{Run: "up", Phase: &phase}
}

func TestStatusSaysOneThingALineAndWhatToType(t *testing.T) {
	t.Parallel()
	following := standingIn(control.Following)
	following.Leader, following.Blockers = &upgrade.Leader{Host: "db", PID: 7}, []string{"first\nreason", "second"}
	ready := standingIn(control.Following)
	ready.Ready = true
	for _, c := range []struct {
		status *upgrade.Status
		says   []string
		not    string
	}{
		{following, []string{"ready    no: first reason\n         second\n", "Next: wait: pgumbra status --watch"}, "; second"},
		{ready, []string{"ready    yes\n", "Next: pgumbra cutover\n"}, "abort"},
		{standingIn(control.Copying), []string{"leader   none", "Next: pgumbra run goes on; pgumbra abort undoes it"}, "ready"},
		{standingIn(control.Watching), []string{"Next: pgumbra finish"}, "abort"},
		{standingIn(control.Finished), []string{"the run is over"}, "abort"},
	} {
		var b bytes.Buffer
		must(t, (&app{}).printStatus(&b, c.status))
		for _, want := range c.says {
			if !strings.Contains(b.String(), want) {
				t.Errorf("no %q in:\n%s", want, &b)
			}
		}
		if strings.Contains(b.String(), c.not) {
			t.Errorf("%q in:\n%s", c.not, &b)
		}
	}
}

func TestNextFitsThePhase(t *testing.T) {
	t.Parallel()
	a := &app{planPath: "pgumbra.yaml"}
	for phase, want := range map[control.Phase]string{control.Building: "abort", control.Copying: "the triggers stay", control.Watching: "pgumbra finish", control.Finished: "pgumbra status"} {
		got := a.next(errInterrupted, exitInterrupted, standingIn(phase))
		if !strings.Contains(got, want) || phase.Swapped() && strings.Contains(got, "abort") {
			t.Errorf("%s: %s", phase, got)
		}
	}
	if got := a.next(errInterrupted, exitInterrupted, &upgrade.Status{Run: "up"}); !strings.Contains(got, "nothing to undo") {
		t.Errorf("before anything exists: %s", got)
	}
	if got := a.next(&upgrade.Different{}, exitFindings, nil); !strings.Contains(got, "keep this output, then pgumbra abort") {
		t.Errorf("after differences: %s", got)
	}
}

func TestPlanDoesNotSayItsBlockersTwice(t *testing.T) {
	t.Parallel()
	err := &upgrade.Blocked{Plan: &plans.Plan{Findings: []plans.Finding{{Level: plans.Blocker, Code: "keyless", Object: "shop.a", Message: "long"}, {Level: plans.Info}}}}
	if got := (&app{command: "plan"}).what(err); got != "the plan cannot run yet: 1 blocker: keyless (shop.a)" {
		t.Error(got)
	}
	if got := (&app{command: "run"}).what(err); !strings.Contains(got, "keyless (shop.a): long") {
		t.Error(got)
	}
}

func TestPlainLogIsALineForPeople(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	log := slog.New(&plainLog{out: &b, level: slog.LevelInfo}).With("run", "up")
	log.Debug("not shown")
	record := slog.NewRecord(time.Date(2026, 11, 26, 6, 47, 48, 0, time.Local), slog.LevelWarn, "lost\nit", 0)
	record.Add("error", errors.New("away"))
	must(t, log.Handler().Handle(t.Context(), record))
	if want := "06:47:48 warn: lost it  run: up  error: away\n"; b.String() != want {
		t.Errorf("%q, want %q", &b, want)
	}
}
