package main

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/testcontainers"
)

const (
	led       = `SELECT 'x' FROM pgumbra.leader WHERE heartbeat IS NOT NULL`
	following = `SELECT 'x' FROM pgumbra.shadow_table HAVING count(*) > 0 AND count(*) = count(verified_at)`
)

// TestSecondRunIsRefusedWhileOneLeads: exit code 4 while a leader lives; an
// interrupted one keeps its state.
func TestSecondRunIsRefusedWhileOneLeads(t *testing.T) {
	testcontainers.InTurn(t, 3)
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	o := operatorOf(t, small)
	before := o.dumpAll()
	first := o.start(ctx, "run")
	o.wait(ctx, led)
	second := o.do(ctx, exitLed, "run", "--until", "following")
	if text := second.err.String(); !strings.Contains(text, "another live process leads this run: pid") || !strings.Contains(text, "Next: ") {
		t.Errorf("the refusal says:\n%s", text)
	}
	if text := o.do(ctx, exitError, "finish").err.String(); !strings.Contains(text, "finish is for after the cutover") {
		t.Errorf("finish before the cutover of a run that is led says:\n%s", text)
	}
	o.wait(ctx, following)
	must(t, first.Process.Signal(os.Interrupt))
	if got := first.code(); got != exitInterrupted {
		t.Errorf("interrupted run: exit code %d, want %d\n%s", got, exitInterrupted, &first.err)
	}
	if text := first.err.String(); !strings.Contains(text, "is in phase following") || !strings.Contains(text, "Next: pgumbra run goes on") {
		t.Errorf("the interrupted run says:\n%s", text)
	}
	if text := o.do(ctx, exitDone, "status").out.String(); !strings.Contains(text, "unled    nobody leads the run; ") || !strings.Contains(text, " triggers on 2 tables record each write") {
		t.Errorf("status of a run that nobody leads:\n%s", text)
	}
	third := o.start(ctx, "run")
	o.wait(ctx, led)
	o.do(ctx, exitDone, "abort")
	if code, text := third.code(), third.err.String(); code == exitDone || !strings.Contains(text, "aborted") {
		t.Errorf("a leader whose run is aborted: exit code %d\n%s", code, text)
	}
	o.do(ctx, exitDone, "abort", "--purge")
	if o.dumpAll() != before {
		t.Error("abort --purge left production changed")
	}
}

// TestDeadLeaderIsReplacedWithinFifteenSeconds: a killed one at once, one whose
// sessions live on (its machine hangs) once its heartbeat is old. The one that
// wakes up again ends, and changes nothing.
func TestDeadLeaderIsReplacedWithinFifteenSeconds(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	o := operatorOf(t, small)
	killed := o.start(ctx, "run")
	o.wait(ctx, led)
	must(t, killed.Process.Kill())
	began := time.Now()
	hanging := o.start(ctx, "run")
	o.wait(ctx, `SELECT 'x' FROM pgumbra.run WHERE epoch = 2`)
	if d := time.Since(began); d > 15*time.Second {
		t.Errorf("a killed leader was replaced after %s", d)
	}
	o.wait(ctx, following)
	must(t, hanging.Process.Signal(syscall.SIGSTOP))
	began = time.Now()
	next := o.start(ctx, "run")
	o.wait(ctx, `SELECT 'x' FROM pgumbra.run WHERE epoch = 3`)
	if d := time.Since(began); d > 15*time.Second {
		t.Errorf("a hanging leader was replaced after %s", d)
	}
	must(t, hanging.Process.Signal(syscall.SIGCONT))
	if got := hanging.code(); got != exitLed {
		t.Errorf("the leader that woke up: exit code %d, want %d\n%s", got, exitLed, &hanging.err)
	}
	if epoch := o.query(ctx, `SELECT epoch::text FROM pgumbra.run`); epoch != "3" {
		t.Errorf("epoch %s after the old leader woke up", epoch)
	}
	o.do(ctx, exitDone, "cutover")
	o.do(ctx, exitDone, "finish") // until then it keeps the old side current
	if got := next.code(); got != exitDone {
		t.Errorf("the leader that was asked for the cutover: exit code %d\n%s", got, &next.err)
	}
}

// TestAbortEndsALeaderThatLives: in planning, copying and following. Its
// process fails and begins no new run.
func TestAbortEndsALeaderThatLives(t *testing.T) {
	testcontainers.InTurn(t, 3)
	t.Parallel()
	ctx := limited(t, 3*time.Minute)
	o := operatorOf(t, small.with("", nil, "copy: {chunk_rows: 100, workers: 1}\n"))
	before := o.dumpAll()
	for _, when := range []string{
		`SELECT 'x' FROM pg_locks WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
		`SELECT 'x' FROM pgumbra.chunk WHERE done_at IS NOT NULL`,
		following,
	} {
		leader := o.start(ctx, "run", "--cutover")
		if when == following {
			must(t, leader.Process.Kill())
			leader = o.start(ctx, "run")
		}
		o.wait(ctx, when)
		o.do(ctx, exitDone, "abort", "--purge")
		if got := leader.code(); got != exitError && got != exitLed {
			t.Errorf("the leader's exit code is %d\n%s", got, &leader.err)
		}
		if o.dumpAll() != before {
			t.Errorf("abort --purge of a live leader (%s) left production changed; the leader said\n%s", when, &leader.err)
		}
		o.noScratch(ctx)
	}
}
