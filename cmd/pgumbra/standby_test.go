package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

// beatsToLead is after how many heartbeats of its own a standby leads at the latest once
// the leader says nothing any more: three are waited for. Where no standby watches, ten are.
const beatsToLead = 5

// TestStandbyLeadsOnceTheLeaderIsGone: to another server, under writes. The leader's
// network is cut, the next one is stopped, the next one killed, the next one ended by
// SIGTERM; each time one standby leads on, and who wakes up writes nothing. Every
// acknowledged write is there at the end, once.
func TestStandbyLeadsOnceTheLeaderIsGone(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, 3*time.Minute)
	g := &replacements{stopping: stoppingRemote(t)}
	cutOff := g.start(ctx, "run")
	// It works, and has looked at the control schema's version before that.
	g.wait(ctx, fmt.Sprintf(`SELECT 'x' FROM pgumbra.leader WHERE pid = %d AND cardinality(backends) > 0`, cutOff.Process.Pid))
	g.refusesToBeOlder(ctx)
	g.enlist(ctx)
	g.enlist(ctx, "--set", "cutover.attempts=7")
	g.wait(ctx, `SELECT 'x' FROM pgumbra.standby HAVING count(*) = 2 AND count(*) FILTER (WHERE problems::text LIKE '%cutover.attempts%') = 1`)
	if text := g.do(ctx, exitDone, "status").out.String(); strings.Count(text, "\nstandby  pid ") != 2 || !strings.Contains(text, ", ready\n") || !strings.Contains(text, "than the leader's of cutover.attempts") {
		t.Errorf("status says of two standbys, one of them with another plan file:\n%s", text)
	}

	first := g.succeeds(ctx, "the leader's network was cut", func() {
		for _, p := range g.proxies {
			p.Stall()
		}
	})
	for _, p := range g.proxies {
		p.Heal()
	}
	if code := cutOff.code(); code != exitLed {
		t.Errorf("the leader that was cut off: exit code %d\n%s", code, &cutOff.err)
	}
	second := g.succeeds(ctx, "the leader was stopped", func() { must(t, first.Process.Signal(syscall.SIGSTOP)) })
	must(t, first.Process.Signal(syscall.SIGCONT))
	g.wait(ctx, fmt.Sprintf(`SELECT 'x' FROM pgumbra.standby WHERE pid = %d AND seen > clock_timestamp() - interval '2 seconds'`, first.Process.Pid))
	third := g.succeeds(ctx, "the leader was killed", func() { must(t, second.Process.Kill()) })
	if third != first {
		t.Errorf("the one that woke up stood by again, and another one leads")
	}
	fourth := g.enlist(ctx)
	g.wait(ctx, fmt.Sprintf(`SELECT 'x' FROM pgumbra.standby WHERE pid = %d AND problems::text = '[]'`, fourth.Process.Pid))
	g.succeeds(ctx, "the leader was ended", func() { must(t, third.Process.Signal(syscall.SIGTERM)) })
	if code := third.code(); code != exitInterrupted {
		t.Errorf("the leader that was ended: exit code %d\n%s", code, &third.err)
	}
	last := g.enlist(ctx)
	g.do(ctx, exitDone, "cutover")
	g.settled(ctx)
	if code := fourth.code(); code != exitDone {
		t.Errorf("the leader that was asked for the cutover: exit code %d\n%s", code, &fourth.err)
	}
	if code := last.code(); code != exitDone {
		t.Errorf("the standby of a run that is over: exit code %d\n%s", code, &last.err)
	}
}

// replacements are processes on several hosts that lead one run in turn.
type replacements struct {
	*stopping
	members []*process
}

// enlist starts a standby that reaches all servers by a way of its own.
func (g *replacements) enlist(ctx context.Context, more ...string) *process {
	g.t.Helper()
	args := append([]string{"run", "--standby", "--set", "production.dsn=" + g.dsn, "--set", "shadow.dsn=" + g.there}, more...)
	p := g.start(ctx, args...)
	g.members = append(g.members, p)
	g.t.Cleanup(func() {
		if g.t.Failed() {
			_ = p.Process.Kill() // it may be over
			<-p.over
			g.t.Logf("standby %d:\n%s", p.Process.Pid, &p.err)
		}
	})
	g.wait(ctx, fmt.Sprintf(`SELECT 'x' FROM pgumbra.standby WHERE pid = %d`, p.Process.Pid))
	return p
}

// succeeds does something to the leader and waits for one of the standbys to lead,
// which is returned.
func (g *replacements) succeeds(ctx context.Context, what string, hit func()) *process {
	g.t.Helper()
	epoch := g.query(ctx, `SELECT epoch::text FROM pgumbra.run`)
	hit()
	began := time.Now()
	beats := g.beatsUntilOneLeads(ctx, epoch)
	g.t.Logf("%s: a standby leads after %s", what, time.Since(began).Round(10*time.Millisecond))
	var s upgrade.Status
	must(g.t, json.Unmarshal([]byte(g.do(ctx, exitDone, "status", "--json", "--set", "production.dsn="+g.dsn).out.String()), &s))
	for _, p := range g.members {
		if s.Leader != nil && p.Process.Pid == s.Leader.PID {
			if n := beats[s.Leader.PID]; n > beatsToLead {
				g.t.Errorf("%s: a standby leads after %d heartbeats of its own, want at most %d", what, n, beatsToLead)
			}
			return p
		}
	}
	g.t.Fatalf("%s: no standby leads: %+v", what, s.Leader)
	return nil
}

// beatsUntilOneLeads waits until a standby leads with a higher epoch, and counts each
// one's heartbeats meanwhile: a machine that is slow makes fewer of them.
func (g *replacements) beatsUntilOneLeads(ctx context.Context, epoch string) map[int]int {
	g.t.Helper()
	conn := g.connectTo(ctx, production)
	defer conn.Close(ctx)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	beats, last := map[int]int{}, map[int]time.Time{}
	for led := false; !led; <-tick.C {
		rows, err := conn.Query(ctx, `SELECT coalesce(s.pid, 0), coalesce(s.seen, now()), EXISTS (SELECT FROM pgumbra.run r JOIN pgumbra.event e ON e.run_id = r.id
			AND e.epoch = r.epoch WHERE r.epoch > $1::bigint AND e.kind = 'taken-over') FROM (VALUES (1)) v LEFT JOIN pgumbra.standby s ON true`, epoch)
		must(g.t, err)
		var pid int
		var seen time.Time
		_, err = pgx.ForEachRow(rows, []any{&pid, &seen, &led}, func() error {
			if before, known := last[pid]; known && !before.Equal(seen) {
				beats[pid]++
			}
			last[pid] = seen
			return nil
		})
		must(g.t, err)
	}
	return beats
}

// TestStandbyLeadsInOneDatabaseAndInTheWatch: the leader is stopped before the cutover,
// the next one ended in the watch, the next one killed there; each time a standby leads on, keeps the old
// side current, and goes back when asked.
func TestStandbyLeadsInOneDatabaseAndInTheWatch(t *testing.T) {
	testcontainers.InTurn(t, 4)
	t.Parallel()
	ctx := limited(t, 3*time.Minute)
	g := &replacements{stopping: stoppingInPlace(t)}
	stopped := g.enlist(ctx)
	g.wait(ctx, fmt.Sprintf(`SELECT 'x' FROM pgumbra.leader WHERE pid = %d`, stopped.Process.Pid)) // there is none before it
	g.enlist(ctx)
	second := g.succeeds(ctx, "the leader was stopped", func() { must(t, stopped.Process.Signal(syscall.SIGSTOP)) })
	must(t, stopped.Process.Kill())
	g.do(ctx, exitDone, "cutover")
	keepsCurrent := func(n int) {
		g.wait(ctx, `SELECT 'x' FROM pgumbra.run WHERE phase = 'watching'`)
		g.sql(fmt.Sprintf("UPDATE shop.a SET n = %d WHERE id = 3", n))
		g.wait(ctx, fmt.Sprintf(`SELECT 'x' FROM pgumbra_up_old_shop.a WHERE id = 3 AND n = %d`, n))
	}
	keepsCurrent(-1)
	g.enlist(ctx)
	third := g.succeeds(ctx, "the leader was ended in the watch", func() { must(t, second.Process.Signal(syscall.SIGTERM)) })
	keepsCurrent(-2)
	g.enlist(ctx)
	g.succeeds(ctx, "the leader was killed in the watch", func() { must(t, third.Process.Kill()) })
	keepsCurrent(-3)
	if looked := g.query(ctx, `SELECT string_agg(DISTINCT detail->>'captured', ' ') FROM pgumbra.event WHERE kind = 'taken-over'`); looked != "2" {
		t.Errorf("who took over has looked at so many tables of two: %s", looked)
	}
	g.do(ctx, exitDone, "rollback", "--follow")
	g.do(ctx, exitDone, "cutover")
	g.settled(ctx)
}

// refusesToBeOlder: a control schema of a newer pgumbra cannot be read.
func (g *replacements) refusesToBeOlder(ctx context.Context) {
	g.t.Helper()
	version := g.query(ctx, `SELECT version::text FROM pgumbra.version`)
	known, err := strconv.Atoi(version)
	must(g.t, err)
	g.sql(fmt.Sprintf(`UPDATE pgumbra.version SET version = %d`, known+1000))
	old := g.do(ctx, exitError, "run", "--standby", "--set", "production.dsn="+g.dsn)
	g.sql(fmt.Sprintf(`UPDATE pgumbra.version SET version = %d`, known))
	if text := old.err.String(); !strings.Contains(text, "made by a newer pgumbra") || !strings.Contains(text, "Next: the same command with the newer program") {
		g.t.Errorf("a standby that is older than the leader says:\n%s", text)
	}
}

// Finish ends a watch that a process leads and another one stands by for; with --purge
// their record goes while both look at it, and both end well.
func TestStandbyAndLeaderEndWithFinishPurge(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, 3*time.Minute)
	o := operatorOf(t, small.with("", nil, "cutover: {max_stall: 5s}\n"))
	o.do(ctx, exitDone, "run", "--cutover")
	both := map[string]*process{"the leader": o.start(ctx, "run")}
	o.wait(ctx, `SELECT 'x' FROM pgumbra.leader WHERE heartbeat IS NOT NULL`)
	both["the standby"] = o.start(ctx, "run", "--standby")
	o.wait(ctx, `SELECT 'x' FROM pgumbra.standby`)
	o.do(ctx, exitDone, "finish", "--drop-old", "--purge")
	for who, p := range both {
		if code := p.code(); code != exitDone {
			t.Errorf("%s: exit code %d\n%s", who, code, &p.err)
		}
	}
	if left := o.query(ctx, `SELECT string_agg(nspname, ' ') FROM pg_namespace WHERE nspname ~ '^pgumbra'`); left != "" {
		t.Errorf("left: %s", left)
	}
}
