package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/examples/shop"
	"github.com/pgumbra/pgumbra/testcontainers"
)

type moment struct {
	name, when string
	of         side
}

// side is whose database knows of a moment, where the shadow is in another one.
type side int

const (
	production side = iota
	theShadow
)

// Each moment is a condition on the control schema at which a run is killed.
var moments = []moment{
	{"building", `SELECT 'x' FROM pgumbra.run WHERE phase = 'building'`, production},
	{"capturing", `SELECT 'x' FROM pgumbra.run WHERE phase = 'capturing'`, production},
	{"first journal", `SELECT 'x' FROM pgumbra.captured`, production},
	{"copying", `SELECT 'x' FROM pgumbra.run WHERE phase = 'copying'`, production},
	{"some chunks", `SELECT 'x' FROM pgumbra.chunk WHERE done_at IS NOT NULL`, theShadow},
	{"most chunks", `SELECT 'x' FROM pgumbra.chunk HAVING count(done_at) > 0.7 * count(*)`, theShadow},
	{"keying", `SELECT 'x' FROM pgumbra.shadow_table WHERE state = 'keying' AND NOT EXISTS (SELECT FROM pgumbra.shadow_table WHERE state = 'copying')`, theShadow},
	{"catching up", `SELECT 'x' FROM pgumbra.shadow_table WHERE state = 'catching_up'`, theShadow},
	{"indexing", `SELECT 'x' FROM pgumbra.shadow_table WHERE state = 'indexing'`, theShadow},
	{"an index", `SELECT 'x' FROM pg_stat_progress_create_index`, theShadow},
	{"following", `SELECT 'x' FROM pgumbra.shadow_table HAVING count(*) = count(*) FILTER (WHERE state = 'following')`, theShadow},
	{"verified", `SELECT 'x' FROM pgumbra.shadow_table WHERE verified_at IS NOT NULL`, theShadow},
	{"cutover", `SELECT 'x' FROM pgumbra.run WHERE phase = 'cutover'`, production},
	{"fence", `SELECT 'x' FROM pg_locks l JOIN pg_stat_activity a USING (pid)
		WHERE l.locktype = 'relation' AND l.mode = 'ExclusiveLock' AND l.granted AND a.application_name = 'pgumbra/cutover' AND a.datname = current_database()`, production},
	{"watching", `SELECT 'x' FROM pgumbra.run WHERE phase = 'watching'`, production},
}

// TestKilledAtEveryMomentItLosesNothing kills -9 a run at moments of its whole
// life, under traffic, and starts it again. At the end every acknowledged
// commit is in the new tables, once, and no chunk was copied twice.
func TestKilledAtEveryMomentItLosesNothing(t *testing.T) {
	testcontainers.InTurn(t, 8)
	ctx := limited(t, 4*time.Minute)
	o := shopOwner(t)
	settle := o.traffic(ctx)
	done, missed := map[string]string{}, 0
	some := withMostChunks(testcontainers.Some(t, moments, 4))
	for _, m := range some {
		if !o.killWhen(ctx, m, "--cutover", "--set", "copy.chunk_rows=500") {
			t.Log("not met:", m.name)
			missed++
			continue
		}
		o.keptChunks(ctx, m.name, done)
	}
	o.do(ctx, exitDone, "run", "--cutover")
	o.keptChunks(ctx, "the end", done)
	settle()
	if missed > len(some)/3 || len(done) < 20 {
		t.Errorf("%d moments were not met, %d chunks seen", missed, len(done))
	}
	o.do(ctx, exitDone, "finish", "--drop-old", "--purge")
}

// withMostChunks adds, in its place, the moment at which most chunks are done, for
// others show none where a run is killed before its copy and after its swap alone.
func withMostChunks(some []moment) []moment {
	return slices.DeleteFunc(slices.Clone(moments), func(m moment) bool {
		return m.name != "most chunks" && !slices.ContainsFunc(some, func(s moment) bool { return s.name == m.name })
	})
}

// traffic lets clients use the shop until settle is called, which wants the
// ledger exact.
func (o *operator) traffic(ctx context.Context) (settle func()) {
	traffic, stop := context.WithCancel(ctx)
	o.t.Cleanup(stop)
	clients := &shop.Traffic{DSN: cmp.Or(o.clients, o.dsn), Clients: 3, Seed: 7, Think: 20 * time.Millisecond}
	ended := make(chan error, 1)
	go func() { ended <- clients.Run(traffic) }()
	return func() {
		o.t.Helper()
		stop()
		must(o.t, <-ended)
		conn := o.connectTo(ctx, theShadow)
		defer conn.Close(ctx)
		wrong, err := clients.Ledger.Check(ctx, conn)
		must(o.t, err)
		if len(wrong) > 0 || len(clients.Ledger.Failures) > 0 {
			o.t.Errorf("ledger: %v; clients saw %v", wrong, clients.Ledger.Failures)
		}
	}
}

// keptChunks notes the chunks that are done, and wants those noted before
// untouched since.
func (o *operator) keptChunks(ctx context.Context, moment string, done map[string]string) {
	o.t.Helper()
	conn := o.connectTo(ctx, theShadow)
	defer conn.Close(ctx)
	now := map[string]string{}
	var chunk, at string
	var begun bool
	// The control schema is made step by step: what it is asked for may be of a later one.
	must(o.t, conn.QueryRow(ctx, `SELECT to_regclass('pgumbra.chunk') IS NOT NULL AND EXISTS (SELECT FROM pg_attribute
		WHERE attrelid = to_regclass('pgumbra.run') AND attname = 'flow')`).Scan(&begun))
	if !begun {
		return
	}
	var turned bool // the swap makes the record that of the way back, which has no chunks
	must(o.t, conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pgumbra.run WHERE flow = 'reverse')`).Scan(&turned))
	if turned {
		return
	}
	rows, err := conn.Query(ctx, `SELECT format('%s/%s', n, chunk), done_at::text FROM pgumbra.chunk WHERE done_at IS NOT NULL`)
	must(o.t, err)
	_, err = pgx.ForEachRow(rows, []any{&chunk, &at}, func() error { now[chunk] = at; return nil })
	must(o.t, err)
	for chunk, before := range done {
		if now[chunk] != before {
			o.t.Errorf("killed at %s: chunk %s was done at %s, now at %q", moment, chunk, before, now[chunk])
		}
	}
	for chunk, at := range now {
		done[chunk] = at
	}
}

// killWhen runs until a condition holds, and kills the run there. False: the
// run ended before.
func (o *operator) killWhen(ctx context.Context, m moment, args ...string) bool {
	o.t.Helper()
	p := o.start(ctx, append([]string{"run"}, args...)...)
	return o.hitWhen(ctx, p, m, func() {
		must(o.t, p.Process.Signal(syscall.SIGKILL))
		p.code()
	})
}

// hitWhen does something the moment a condition holds. False: the process was
// over before, with success.
func (o *operator) hitWhen(ctx context.Context, p *process, m moment, hit func()) bool {
	o.t.Helper()
	conn := o.connectTo(ctx, m.of)
	defer conn.Close(ctx)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-p.over:
			if code := p.code(); code != exitDone {
				o.t.Fatalf("run ended with %d\n%s", code, &p.err)
			}
			return false
		case <-tick.C:
		}
		var met string
		if conn.QueryRow(ctx, m.when).Scan(&met) == nil {
			hit()
			return true
		}
	}
}

// TestAbortAfterAKillLeavesProductionAsItWas kills a run at moments before
// the swap; the whole dump is the same after abort --purge.
func TestAbortAfterAKillLeavesProductionAsItWas(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, 3*time.Minute)
	o := operatorOf(t, small.with("", nil, "copy: {chunk_rows: 300}\n"))
	before := o.dumpAll()
	all := append([]moment{
		{"scratch", fmt.Sprintf(`SELECT 'x' FROM pg_stat_activity WHERE application_name LIKE 'pgumbra/%%' AND datname LIKE '%%%s%%scratch'`, o.database()), production},
		{"control schema", `SELECT 'x' FROM pg_namespace WHERE nspname = 'pgumbra'`, production},
	}, moments...)
	missed := 0
	all = slices.DeleteFunc(all, func(m moment) bool { return slices.Contains([]string{"cutover", "fence", "watching"}, m.name) })
	some := testcontainers.Some(t, all, 4)
	for _, m := range some {
		if !o.killWhen(ctx, m, "--until", "following") {
			t.Log("not met:", m.name)
			missed++
		}
		o.do(ctx, exitDone, "abort", "--purge")
		if after := o.dumpAll(); after != before {
			t.Errorf("abort --purge after a kill at %s left production changed", m.name)
		}
		o.noScratch(ctx)
	}
	if missed > len(some)/3 {
		t.Errorf("%d moments were not met", missed)
	}
	o.do(ctx, exitDone, "run", "--cutover") // and it still can be done
}

// TestAbortAfterAKillAtTheFence: either the swap is done, or nothing of it.
func TestAbortAfterAKillAtTheFence(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	o := operatorOf(t, small)
	before := o.dumpAll()
	if !o.killWhen(ctx, moments[len(moments)-2], "--cutover") {
		t.Log("the fence was not seen: the swap was done before") // what follows checks that
	}
	if o.query(ctx, `SELECT phase FROM pgumbra.run WHERE phase = 'watching'`) != "" {
		o.do(ctx, exitError, "abort")
		o.do(ctx, exitDone, "finish", "--drop-old", "--purge")
		return
	}
	o.do(ctx, exitDone, "abort", "--purge")
	if o.dumpAll() != before {
		t.Error("abort --purge left production changed")
	}
}

// TestCutConnectionsAreSurvived ends all sessions of a run at each moment of
// its life, under traffic: the process itself goes on to the end.
func TestCutConnectionsAreSurvived(t *testing.T) {
	testcontainers.InTurn(t, 8)
	ctx := limited(t, 3*time.Minute)
	o := shopOwner(t)
	settle := o.traffic(ctx)
	conn := o.connect(ctx)
	defer conn.Close(ctx)
	p := o.start(ctx, "run", "--cutover", "--set", "copy.chunk_rows=500")
	missed := 0
	some := testcontainers.Some(t, moments, 4)
	for _, m := range some {
		if !o.hitWhen(ctx, p, m, func() { o.cut(ctx, conn) }) {
			t.Log("not met:", m.name)
			missed++
		}
	}
	if got := p.code(); got != exitDone {
		t.Fatalf("exit code %d\n%s", got, &p.err)
	}
	settle()
	if missed > len(some)/3 {
		t.Errorf("%d moments were not met", missed)
	}
	o.do(ctx, exitDone, "finish", "--drop-old", "--purge")
}

func (o *operator) cut(ctx context.Context, conn *pgx.Conn) {
	o.t.Helper()
	_, err := conn.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE application_name LIKE 'pgumbra/%' AND datname = current_database()`)
	must(o.t, err)
}
