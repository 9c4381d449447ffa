package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/testcontainers"
)

// before are the moments before a cutover.
func before() []moment {
	return slices.DeleteFunc(slices.Clone(moments), func(m moment) bool {
		return slices.Contains([]string{"cutover", "fence", "watching"}, m.name)
	})
}

func momentOf(name string) moment {
	return moments[slices.IndexFunc(moments, func(m moment) bool { return m.name == name })]
}

// reached is the moment when a cutover to another database comes to a step; not
// one that a killed process left there.
func reached(step string, since time.Time) moment {
	return moment{step, fmt.Sprintf(`SELECT 'x' FROM pgumbra.run WHERE switch->>'step' = '%s' AND (switch->>'at')::timestamptz > '%s'`,
		step, since.Format(time.RFC3339Nano)), production}
}

// TestKilledAtEveryMomentApartItLosesNothing: as in one database, and at
// steps of the cutover, while clients wait.
func TestKilledAtEveryMomentApartItLosesNothing(t *testing.T) {
	testcontainers.InTurn(t, 8)
	ctx := limited(t, 5*time.Minute)
	f := remoteShop(t, testcontainers.Database(t), testcontainers.Database(t))
	settle := f.traffic(ctx)
	done, missed := map[string]string{}, 0
	for _, m := range testcontainers.Some(t, before(), 3) {
		if !f.killWhen(ctx, m, "--cutover", "--set", "copy.chunk_rows=500") {
			t.Log("not met:", m.name)
			missed++
			break // it is over
		}
		f.keptChunks(ctx, m.name, done)
	}
	for _, step := range testcontainers.Some(t, []string{"pausing", "fencing", "switching", "deciding", "swapped"}, 2) {
		p, free := f.stopAt(ctx, step)
		must(t, p.Process.Signal(syscall.SIGKILL))
		p.code()
		f.toShadow.Cut() // what was held back is lost
		f.toShadow.Heal()
		free()
		f.keptChunks(ctx, step, done)
	}
	f.do(ctx, exitDone, "run", "--cutover")
	f.movedOver(ctx)
	settle()
	if missed > 0 || len(done) < 20 {
		t.Errorf("%d moments were not met, %d chunks seen", missed, len(done))
	}
	f.do(ctx, exitDone, "finish", "--drop-old", "--purge")
}

// TestKilledRightAfterTheDecisionWasSent: nobody hears that the shadow has
// committed; the next process asks it, and goes on.
func TestKilledRightAfterTheDecisionWasSent(t *testing.T) {
	testcontainers.InTurn(t, 3)
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	f := remoteSmall(t, "")
	f.do(ctx, exitDone, "run", "--until", "following")
	p, free := f.stopAt(ctx, "deciding")
	must(t, p.Process.Signal(syscall.SIGKILL))
	p.code()
	free() // COMMIT arrives
	f.do(ctx, exitDone, "run", "--cutover")
	f.movedOver(ctx)
	if phase := f.status(t).Phase; phase != "watching" {
		t.Errorf("phase %s", phase)
	}
	f.do(ctx, exitDone, "finish", "--purge")
}

// stopAt lets a run that follows go on until the cutover is at a step, and holds it there until free is
// called.
func (f *remoteOperator) stopAt(ctx context.Context, step string) (p *process, free func()) {
	f.t.Helper()
	began, release := time.Now(), f.obstruct(ctx, step)
	p = f.start(ctx, "run", "--cutover")
	hold := func(m moment, next func()) {
		f.t.Helper()
		if !f.hitWhen(ctx, p, m, next) {
			f.t.Fatalf("the cutover did not stop at %s\n%s", m.name, &p.err)
		}
	}
	free = func() {
		release()
		f.toConsole.Heal()
		f.toShadow.Heal()
	}
	if step == "pausing" {
		hold(reached(step, began), func() {})
		return p, free
	}
	steps := []string{"fencing", "switching", "deciding", "swapped"}
	ahead := []func(){ // what lets it come from one to the next, and not further
		func() { f.toConsole.Stall(); release() },
		func() { f.toShadow.StallAt([]byte("COMMIT")); f.toConsole.Heal() },
		func() { f.toConsole.Stall(); f.toShadow.Heal() },
	}
	last := slices.Index(steps, step)
	for i, name := range steps[:last] {
		hold(reached(name, began), ahead[i])
	}
	hold(reached(step, began), func() {})
	return p, free
}

// obstruct lets a client stand in the way: of PAUSE, by transactions in the pool,
// each of which begins as the last one ends; of the fence, by a lock that was
// taken past it.
func (f *remoteOperator) obstruct(ctx context.Context, step string) (release func()) {
	f.t.Helper()
	dsn, sql := f.dsn, `BEGIN; DO $$ DECLARE t regclass; BEGIN FOR t IN SELECT format('shop.%I', tablename) FROM pg_tables WHERE schemaname = 'shop' LOOP
		EXECUTE format('LOCK TABLE %s IN ROW EXCLUSIVE MODE', t); END LOOP; END $$`
	if step == "pausing" {
		dsn, sql = f.clients, "BEGIN; SELECT 1"
	}
	conn, err := pgx.Connect(ctx, dsn)
	must(f.t, err)
	must(f.t, conn.PgConn().Exec(ctx, sql).Close())
	stop := make(chan struct{})
	var client errgroup.Group
	client.Go(func() error {
		// One that is open for long is seen before an attempt, which is not made then: on
		// a slow machine it takes a while to come there. Behind the fence's request the lock
		// is not let go.
		for step != "pausing" && cutsOver(ctx, conn) || conn.PgConn().Exec(ctx, "COMMIT; "+sql).Close() == nil {
			select {
			case <-stop:
				return nil
			case <-time.After(time.Second):
			}
		}
		return nil
	})
	return sync.OnceFunc(func() {
		close(stop)
		_ = client.Wait() // a lost connection stands in nobody's way
		_ = conn.Close(ctx)
	})
}

// cutsOver reports whether an attempt is under way, by a client's own session.
func cutsOver(ctx context.Context, conn *pgx.Conn) (is bool) {
	_ = conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pgumbra.run WHERE phase = 'cutover')`).Scan(&is)
	return is
}

// TestShadowServerThatCrashesIsWaitedFor: at several moments of a run its server
// is killed. Production works on, status says why nothing moves, and the same
// process goes on once it is back, with all that was copied.
func TestShadowServerThatCrashesIsWaitedFor(t *testing.T) {
	testcontainers.InTurn(t, 8)
	ctx := limited(t, 4*time.Minute)
	server, err := testcontainers.Start(ctx, testcontainers.Options{})
	must(t, err)
	t.Cleanup(func() { _ = server.Stop(context.WithoutCancel(ctx)) })
	f := remoteShop(t, testcontainers.Database(t), server.DSN("postgres"))
	settle := f.traffic(ctx)
	p := f.start(ctx, "run", "--cutover", "--set", "copy.chunk_rows=500")
	done := map[string]string{}
	for _, name := range testcontainers.Some(t, []string{"building", "some chunks", "catching up", "following", "fence"}, 3) {
		if !f.hitWhen(ctx, p, momentOf(name), func() { f.crash(ctx, server, name) }) {
			t.Errorf("not met: %s", name)
			break
		}
		f.keptChunks(ctx, name, done)
	}
	if got := p.code(); got != exitDone {
		t.Fatalf("exit code %d\n%s", got, &p.err)
	}
	f.keptChunks(ctx, "the end", done)
	if len(done) < 20 {
		t.Errorf("%d chunks seen", len(done))
	}
	f.movedOver(ctx)
	settle()
	f.do(ctx, exitDone, "finish", "--drop-old", "--purge")
}

// crash keeps the shadow's server away until status says so, and clients have
// written meanwhile.
func (f *remoteOperator) crash(ctx context.Context, server *testcontainers.Server, when string) {
	f.t.Helper()
	must(f.t, server.Crash(ctx))
	const journalled = `(SELECT sum(pg_stat_get_tuples_inserted(oid)) FROM pg_class WHERE relnamespace = 'pgumbra'::regnamespace AND relname ~ '^journal_')`
	before := f.query(ctx, "SELECT "+journalled+"::text")
	f.wait(ctx, `SELECT 'x' FROM pgumbra.leader WHERE throttled = 'the shadow cannot be reached'`)
	if s := f.do(ctx, exitDone, "status", "--json").out.String(); !strings.Contains(s, `"throttled":"the shadow cannot be reached"`) {
		f.t.Errorf("status at %s: %s", when, s)
	}
	if before != "" { // there are journals
		f.wait(ctx, "SELECT 'x' WHERE "+journalled+" > "+before)
	}
	must(f.t, server.Restart(ctx))
}
