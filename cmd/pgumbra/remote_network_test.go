package main

import (
	"context"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/testcontainers"
)

// TestNetworkThatFailsIsSurvived: connections to either side break, hang, or
// hide the answer to a COMMIT at each moment of a run under traffic. The process
// goes on by itself, no batch is applied twice or skipped, no chunk copied again.
func TestNetworkThatFailsIsSurvived(t *testing.T) {
	testcontainers.InTurn(t, 8)
	ctx := limited(t, 4*time.Minute)
	f := remoteShop(t, testcontainers.Database(t), testcontainers.Database(t))
	settle := f.traffic(ctx)
	p := f.start(ctx, "run", "--set", "copy.chunk_rows=500")
	faults := f.networkFaults(ctx, p)
	done := map[string]string{}
	for i, m := range testcontainers.Some(t, before(), 3) {
		if !f.hitWhen(ctx, p, m, faults[i%len(faults)]) {
			t.Fatalf("it ended before %s\n%s", m.name, &p.err)
		}
		f.keptChunks(ctx, m.name, done)
	}
	for _, fault := range testcontainers.Some(t, faults, 3) {
		f.hitWhen(ctx, p, f.further(ctx), fault)
	}
	f.hitWhen(ctx, p, f.further(ctx), func() { f.do(ctx, exitDone, "verify") })
	for _, proxy := range []*testcontainers.Proxy{f.toShadow, f.toProduction, f.toConsole} {
		request := f.start(ctx, "cutover")
		f.hitWhen(ctx, request, momentOf("fence"), func() { proxy.Cut(); proxy.Heal() }) // or it has been done by now
		if got := request.code(); got != exitDone && got != exitNotNow {
			t.Errorf("cutover: exit code %d\n%s", got, &request.err)
		}
	}
	f.do(ctx, exitDone, "cutover")
	f.keptChunks(ctx, "the end", done)
	f.movedOver(ctx)
	settle()
	f.endsWatch(ctx, p, "--drop-old", "--purge")
}

// further is when replay has gone on from here.
func (f *remoteOperator) further(ctx context.Context) moment {
	f.t.Helper()
	const replayed = `SELECT sum(rows_replayed)::text FROM pgumbra.shadow_table`
	var now string
	conn := f.connectTo(ctx, theShadow)
	defer conn.Close(ctx)
	must(f.t, conn.QueryRow(ctx, replayed).Scan(&now))
	return moment{"further", replayed + " HAVING sum(rows_replayed) > " + now, theShadow}
}

// networkFaults are ways in which a network fails.
func (f *remoteOperator) networkFaults(ctx context.Context, p *process) []func() {
	hide := func(proxy *testcontainers.Proxy) {
		select {
		case <-proxy.HideAnswer([]byte("commit")):
		case <-p.over:
		case <-ctx.Done():
			f.t.Error("no COMMIT was seen")
		}
	}
	cut := func(all ...*testcontainers.Proxy) {
		for _, proxy := range all {
			proxy.Cut()
		}
		for _, proxy := range all {
			proxy.Heal()
		}
	}
	stall := func(proxy *testcontainers.Proxy, end func()) {
		proxy.Stall()
		f.work(ctx)
		end()
		proxy.Heal()
	}
	return []func(){
		func() { cut(f.toShadow) },
		func() { hide(f.toShadow) },
		func() { cut(f.toProduction) },
		func() { hide(f.toProduction) },
		func() { cut(f.toProduction, f.toShadow) },
		func() { stall(f.toShadow, func() {}) },
		func() { stall(f.toShadow, f.toShadow.Cut) },
		func() { stall(f.toProduction, func() {}) },
		func() { stall(f.toProduction, f.toProduction.Cut) },
	}
}

// work waits until clients have done something more.
func (f *remoteOperator) work(ctx context.Context) {
	f.t.Helper()
	before := f.query(ctx, `SELECT coalesce(max(id), 0)::text FROM shop.orders`)
	f.wait(ctx, `SELECT 'x' FROM shop.orders HAVING max(id) > 20 + `+before)
}
