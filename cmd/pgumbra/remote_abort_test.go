package main

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/testcontainers"
)

// TestAbortLeavesBothDatabasesAsTheyWere: after each phase, and after a kill
// within the cutover, when clients wait: they go on in production. While only
// the shadow knows whether there is a way back, and is away, nothing is guessed.
func TestAbortLeavesBothDatabasesAsTheyWere(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, 3*time.Minute)
	f := remoteSmall(t, "")
	here, there := f.dumpOf(production), f.dumpOf(theShadow)
	unchanged := func(when string) {
		t.Helper()
		f.do(ctx, exitDone, "abort", "--purge")
		if f.dumpOf(production) != here || f.dumpOf(theShadow) != there {
			t.Errorf("abort --purge after %s left something", when)
		}
		f.served(ctx) // nobody holds clients
		f.noScratch(ctx)
	}
	for _, phase := range testcontainers.Some(t, []string{"building", "capturing", "copying", "following"}, 2) {
		f.do(ctx, exitDone, "run", "--until", phase)
		unchanged(phase)
	}
	for _, step := range testcontainers.Some(t, []string{"fencing", "switching"}, 1) {
		f.do(ctx, exitDone, "run", "--until", "following")
		p, free := f.stopAt(ctx, step)
		must(t, p.Process.Signal(syscall.SIGKILL))
		p.code()
		free()
		unchanged("a kill at " + step)
	}
	f.do(ctx, exitDone, "run", "--until", "following")
	p, free := f.stopAt(ctx, "deciding")
	must(t, p.Process.Signal(syscall.SIGKILL))
	p.code()
	f.toShadow.Cut()
	p = f.do(ctx, exitUnknown, "abort", "--purge") // only the shadow knows
	if text := p.err.String(); !strings.Contains(text, "the shadow, which knows, cannot be reached") {
		t.Errorf("abort in the middle of the decision says:\n%s", text)
	}
	free()
	unchanged("a kill at the decision, which never arrived")
}

// TestAbortWithTheShadowAwayFreesProduction: what is left there is named, and a
// run begins anew once it was dropped.
func TestAbortWithTheShadowAwayFreesProduction(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, 3*time.Minute)
	server, err := testcontainers.Start(ctx, testcontainers.Options{})
	must(t, err)
	t.Cleanup(func() { _ = server.Stop(context.WithoutCancel(ctx)) })
	o := &operator{t: t, dir: t.TempDir(), dsn: testcontainers.Database(t), run: "up"}
	o.sql(small.sql)
	f := remoteFrom(t, o, server.DSN("postgres"))
	f.settleThrough(small)
	here, there := f.dumpOf(production), f.dumpOf(theShadow)
	f.do(ctx, exitDone, "run", "--until", "following")
	must(t, server.Crash(ctx))
	p := f.do(ctx, exitDone, "abort", "--purge")
	const statement = "DROP SCHEMA IF EXISTS pgumbra_up_shop, pgumbra CASCADE"
	if text := strings.ReplaceAll(p.err.String(), `\"`, ""); !strings.Contains(text, statement) {
		t.Errorf("abort does not say what to type:\n%s", text)
	}
	if f.dumpOf(production) != here {
		t.Error("abort --purge left something in production")
	}
	must(t, server.Restart(ctx))
	f.do(ctx, exitDone, "abort", "--purge") // there is no run any more, and nothing to be known of one
	again := f.do(ctx, exitFindings, "run", "--until", "following")
	if text := again.err.String(); !strings.Contains(text, "pgumbra_up_shop") {
		t.Errorf("a run onto what an earlier one left says:\n%s", text)
	}
	conn := f.connectTo(ctx, theShadow)
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	must(t, err)
	if f.dumpOf(theShadow) != there {
		t.Error("the statement that abort named left something")
	}
	f.do(ctx, exitDone, "run", "--cutover")
	f.movedOver(ctx)
}
