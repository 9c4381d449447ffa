package main

import (
	"context"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/examples/shop"
)

// Each moment is a condition on the control schema at which a run is killed.
var moments = []struct{ name, when string }{
	{"building", `SELECT 'x' FROM pgumbra.run WHERE phase = 'building'`},
	{"capturing", `SELECT 'x' FROM pgumbra.run WHERE phase = 'capturing'`},
	{"first journal", `SELECT 'x' FROM pgumbra.captured`},
	{"copying", `SELECT 'x' FROM pgumbra.run WHERE phase = 'copying'`},
	{"some chunks", `SELECT 'x' FROM pgumbra.chunk WHERE done_at IS NOT NULL`},
	{"most chunks", `SELECT 'x' FROM pgumbra.chunk HAVING count(done_at) > 0.7 * count(*)`},
	{"keying", `SELECT 'x' FROM pgumbra.shadow_table WHERE state = 'keying' AND NOT EXISTS (SELECT FROM pgumbra.shadow_table WHERE state = 'copying')`},
	{"catching up", `SELECT 'x' FROM pgumbra.shadow_table WHERE state = 'catching_up'`},
	{"indexing", `SELECT 'x' FROM pgumbra.shadow_table WHERE state = 'indexing'`},
	{"an index", `SELECT 'x' FROM pg_stat_progress_create_index`},
	{"following", `SELECT 'x' FROM pgumbra.shadow_table HAVING count(*) = count(*) FILTER (WHERE state = 'following')`},
	{"verified", `SELECT 'x' FROM pgumbra.shadow_table WHERE verified_at IS NOT NULL`},
	{"cutover", `SELECT 'x' FROM pgumbra.run WHERE phase = 'cutover'`},
	{"watching", `SELECT 'x' FROM pgumbra.run WHERE phase = 'watching'`},
}

// TestKilledAtEveryMomentItLosesNothing kills -9 a run at each moment of its
// life, under traffic, and starts it again. At the end every acknowledged
// commit is in the new tables, once.
func TestKilledAtEveryMomentItLosesNothing(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	o := shopOwner(t)
	traffic, stop := context.WithCancel(ctx)
	defer stop()
	clients := &shop.Traffic{DSN: o.dsn, Clients: 3, Seed: 7, Think: 5 * time.Millisecond}
	ended := make(chan error, 1)
	go func() { ended <- clients.Run(traffic) }()

	for _, m := range moments {
		if o.killWhen(ctx, m.when) {
			t.Log("killed at", m.name)
		} else {
			t.Log("not met:", m.name)
		}
	}
	o.do(ctx, exitDone, "run", "--cutover", "--set", "copy.chunk_rows=2000")
	stop()
	must(t, <-ended)
	conn, err := pgx.Connect(ctx, o.dsn)
	must(t, err)
	defer conn.Close(ctx)
	wrong, err := clients.Ledger.Check(ctx, conn)
	must(t, err)
	if len(wrong) > 0 || len(clients.Ledger.Failures) > 0 {
		t.Errorf("ledger: %v; clients saw %v", wrong, clients.Ledger.Failures)
	}
	o.do(ctx, exitDone, "finish", "--drop-old", "--purge")
}

// killWhen runs until a condition holds, and kills the run there. False: the
// run ended before.
func (o *operator) killWhen(ctx context.Context, when string) bool {
	o.t.Helper()
	conn, err := pgx.Connect(ctx, o.dsn)
	must(o.t, err)
	defer conn.Close(ctx)
	p := o.start(ctx, "run", "--cutover", "--set", "copy.chunk_rows=2000")
	over := make(chan int, 1)
	go func() { over <- p.code() }()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case code := <-over:
			if code != exitDone {
				o.t.Fatalf("run ended with %d\n%s", code, &p.err)
			}
			return false
		case <-tick.C:
		}
		var met string
		if conn.QueryRow(ctx, when).Scan(&met) == nil {
			must(o.t, p.Process.Signal(syscall.SIGKILL))
			<-over
			return true
		}
	}
}

// TestSecondRunIsRefusedWhileOneLeads: exit code 4 while a leader lives, and
// takeover once it was killed.
func TestSecondRunIsRefusedWhileOneLeads(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	o := shopOwner(t)
	before := o.dump()
	first := o.start(ctx, "run")
	for o.query(ctx, `SELECT 'x' FROM pgumbra.leader WHERE heartbeat IS NOT NULL`) == "" {
		if ctx.Err() != nil {
			t.Fatal("the first run never led")
		}
	}
	o.do(ctx, exitLed, "run", "--until", "following")
	must(t, first.Process.Signal(os.Interrupt))
	if got := first.code(); got != exitInterrupted {
		t.Errorf("interrupted run: exit code %d, want %d\n%s", got, exitInterrupted, &first.err)
	}
	o.do(ctx, exitDone, "run", "--until", "following")
	o.do(ctx, exitDone, "abort", "--purge")
	if after := o.dump(); after != before {
		t.Error("abort --purge left production changed")
	}
}
