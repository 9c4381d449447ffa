package control_test

import (
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/internal/control"
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
