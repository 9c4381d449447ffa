package control_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/plans"
)

// A leader that died before the server's clock was set back is dead at once, and not
// once the clock has come to its last heartbeat.
func TestHeartbeatAheadOfTheClockIsADeadLeaders(t *testing.T) {
	t.Parallel()
	_, conn := recorded(t)
	run, err := control.Find(t.Context(), conn, "up")
	must(t, err)
	must(t, control.Succeed(t.Context(), conn, run, "db1", 7))
	for beat, alive := range map[string]bool{"clock_timestamp()": true, "clock_timestamp() + interval '1 hour'": false, "clock_timestamp() - interval '1 hour'": false} {
		_, err = conn.Exec(t.Context(), "UPDATE pgumbra.leader SET heartbeat = "+beat)
		must(t, err)
		last, err := control.LastLeader(t.Context(), conn, "up", time.Minute)
		must(t, err)
		leads, err := control.ReadLeadership(t.Context(), conn, run, time.Minute)
		must(t, err)
		standing, err := control.ReadStanding(t.Context(), conn, run, time.Minute)
		must(t, err)
		led, err := control.Led(t.Context(), conn, run, time.Minute)
		must(t, err)
		if last.Alive != alive || last.Stale == alive || leads.Alive != alive || standing.Alive != alive || led != alive {
			t.Errorf("a heartbeat at %s: %+v, %+v, %t, %t", beat, last, leads, standing.Alive, led)
		}
	}
}

// A leader that was stopped after its COMMIT, and wakes up once another one has tidied
// up, takes nothing back of that: what is left to do after a rollback is done once.
func TestOutcomeOfALeaderThatWakesUpTakesNothingBack(t *testing.T) {
	t.Parallel()
	_, conn := recorded(t)
	run, err := control.Find(t.Context(), conn, "up")
	must(t, err)
	back := *run
	back.Plan = &plans.Plan{Run: "up", Direction: plans.Back}
	outcome := func(leader *control.Run, report string) (tidied bool) {
		t.Helper()
		must(t, control.CorrectOutcome(t.Context(), conn, leader, []byte(report)))
		_, tidied, err := control.Rollback(t.Context(), conn, run)
		must(t, err)
		return tidied
	}
	if outcome(&back, `{"stall_ms": 1}`) {
		t.Error("tidied up before anybody did")
	}
	must(t, control.NoteTidied(t.Context(), conn, run))
	if !outcome(&back, `{"stall_ms": 2}`) {
		t.Error("a correction took back that it is tidied up")
	}
	must(t, control.Succeed(t.Context(), conn, run, "db2", 8))
	if !outcome(&back, `{"stall_ms": 3}`) {
		t.Error("a leader that woke up took back that it is tidied up")
	}
	text, _, err := control.Rollback(t.Context(), conn, run)
	must(t, err)
	if !strings.Contains(string(text), `"stall_ms": 2`) {
		t.Errorf("a leader that woke up wrote the outcome: %s", text)
	}
}
