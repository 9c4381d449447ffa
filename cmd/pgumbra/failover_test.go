package main

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/testcontainers"
)

// failover is a production with an asynchronous standby, and an address that
// leads to whichever takes its place.
type failover struct {
	*remoteOperator
	primary, standby *testcontainers.Server
	address, link    *testcontainers.Proxy // link: what the standby receives by
}

func withStandby(t *testing.T) *failover {
	t.Helper()
	if _, err := testcontainers.Bin("pg_basebackup"); err != nil {
		t.Skip(err)
	}
	ctx := limited(t, time.Minute)
	primary, err := testcontainers.Start(ctx, testcontainers.Options{Settings: map[string]string{"log_connections": "on"}})
	must(t, err)
	t.Cleanup(func() { _ = primary.Stop(context.WithoutCancel(ctx)) })
	f := &failover{primary: primary, address: testcontainers.StartProxy(t, primary.Addr()), link: testcontainers.StartProxy(t, primary.Addr())}
	o := &operator{t: t, dir: t.TempDir(), dsn: f.address.Through(primary.DSN("postgres")), run: "up"}
	o.sql(small.sql)
	f.remoteOperator = remoteFrom(t, o, testcontainers.Database(t))
	f.settleThrough(small)
	f.standby, err = primary.Standby(ctx, f.link.Addr())
	must(t, err)
	t.Cleanup(func() { _ = f.standby.Stop(context.WithoutCancel(ctx)) })
	return f
}

// shipped waits until the standby has all that production committed.
func (f *failover) shipped(ctx context.Context) {
	f.t.Helper()
	written := f.query(ctx, `SELECT pg_current_wal_flush_lsn()::text`)
	conn, err := pgx.Connect(ctx, f.standby.DSN("postgres"))
	must(f.t, err)
	defer conn.Close(ctx)
	for there := false; !there; {
		must(f.t, conn.QueryRow(ctx, `SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn`, written).Scan(&there))
		must(f.t, ctx.Err())
	}
}

// take lets the standby take production's place. A run meets it while it is none
// yet.
func (f *failover) take(ctx context.Context, run *process) {
	f.t.Helper()
	must(f.t, f.primary.Crash(ctx))
	f.address.Lead(f.standby.Addr())
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for run != nil && !strings.Contains(f.standby.Log(), "application_name=pgumbra/leader") {
		select {
		case <-run.over:
			f.t.Fatalf("the run did not wait for the promotion\n%s", &run.err)
		case <-ctx.Done():
			f.t.Fatal("the run never came to the standby")
		case <-tick.C:
		}
	}
	must(f.t, f.standby.Promote(ctx))
}

const moved = `UPDATE shop.a SET n = -1 WHERE id <= 100`

// TestStandbyInProductionsPlaceStopsTheRun: a standby that was behind has lost
// commits that the shadow has, one that was abreast none. Either gives numbers
// out again, so the run stops and says so; what it leaves is undone on the new
// production, which may have forgotten leaders, and a new run ends well.
func TestStandbyInProductionsPlaceStopsTheRun(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	for name, lost := range testcontainers.SomeOf(t, map[string]bool{"commits were lost": true, "nothing was lost": false}, 1) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := limited(t, 2*time.Minute)
			f := withStandby(t)
			here, there := f.dumpOf(production), f.dumpOf(theShadow)
			f.do(ctx, exitDone, "run", "--until", "following")
			f.shipped(ctx)
			if lost {
				f.link.Cut()
			}
			f.do(ctx, exitDone, "run", "--until", "following")
			p := f.start(ctx, "run")
			f.sql(moved)
			f.waitIn(ctx, theShadow, `SELECT 'x' FROM pgumbra_up_shop.a WHERE n = -1 HAVING count(*) = 100`)
			if !lost {
				f.shipped(ctx)
			}
			f.take(ctx, p)
			f.stopped(p)
			if kept := f.query(ctx, `SELECT (count(*) = 0)::text FROM shop.a WHERE n = -1`); (kept == "true") != lost {
				t.Error("the standby had something else than the test wanted")
			}
			f.stopped(f.do(ctx, exitError, "run", "--cutover"))
			f.stopped(f.do(ctx, exitError, "cutover"))
			if s := f.status(t); s.Phase != "following" || s.Ready {
				t.Errorf("status: %+v", s)
			}
			f.do(ctx, exitDone, "abort", "--purge")
			now := f.dumpOf(production)
			if lost && now != here || strings.Contains(now, "pgumbra") || f.dumpOf(theShadow) != there {
				t.Error("abort --purge left something")
			}
			f.do(ctx, exitDone, "run", "--cutover")
			f.movedOver(ctx)
		})
	}
}

// stopped wants a run to have ended because production is another.
func (f *failover) stopped(p *process) {
	f.t.Helper()
	code, text := p.code(), p.err.String()
	for _, want := range []string{"production is not the server that the shadow was copied from", "on timeline 00000002", "Next: pgumbra abort"} {
		if code != exitError || !strings.Contains(text, want) {
			f.t.Errorf("exit code %d, and %q is not said:\n%s", code, want, text)
			return
		}
	}
}

// TestStandbyThatForgotTheCutover: the swap is committed on the shadow, and the
// standby that is promoted never heard of it. Nothing is guessed, clients stay
// with the shadow.
func TestStandbyThatForgotTheCutover(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	f := withStandby(t)
	f.do(ctx, exitDone, "run", "--until", "following")
	f.shipped(ctx)
	f.link.Cut()
	p, free := f.stopAt(ctx, "deciding")
	must(t, p.Process.Signal(syscall.SIGKILL))
	p.code()
	free() // COMMIT arrives
	f.waitIn(ctx, theShadow, `SELECT 'x' FROM pgumbra.run WHERE phase = 'watching'`)
	f.take(ctx, nil)
	for _, args := range [][]string{{"run", "--cutover"}, {"abort", "--purge"}} {
		p := f.do(ctx, exitUnknown, args...)
		if text := p.err.String(); !strings.Contains(text, "standby promoted?") || !strings.Contains(text, "docs/what-if.md") {
			t.Errorf("%v says:\n%s", args, text)
		}
	}
	f.console(ctx, `RESUME shop`) // as docs/what-if.md has it
	there := f.connectTo(ctx, theShadow)
	defer func() { _ = there.Close(ctx) }()
	if want, got := identity(ctx, t, there), f.served(ctx); got != want {
		t.Errorf("clients are at %s, not at %s", got, want)
	}
}
