package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

// fromOldServer is the small setting with production on a server of its own, which
// a test can take away.
func fromOldServer(ctx context.Context, t *testing.T, extra string) (*remoteOperator, *testcontainers.Server) {
	t.Helper()
	server, err := testcontainers.Start(ctx, testcontainers.Options{})
	must(t, err)
	t.Cleanup(func() { _ = server.Stop(context.WithoutCancel(ctx)) })
	o := &operator{t: t, dir: t.TempDir(), dsn: server.DSN("postgres"), run: "up"}
	o.sql(small.sql)
	f := remoteFrom(t, o, testcontainers.Database(t))
	f.settleThrough(small.with("", nil, extra))
	return f, server
}

// TestTheOldServerIsGoneAfterTheCutover: status says so, what is production now is
// freed of all that served the way back, whose journals keep to their limit
// meanwhile. The old server comes back as it was, and is tidied up too.
func TestTheOldServerIsGoneAfterTheCutover(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, 3*time.Minute)
	f, old := fromOldServer(ctx, t, "capture: {max_journal: 2MB}\n")
	f.do(ctx, exitDone, "run", "--cutover")
	f.movedOver(ctx)
	must(t, old.Crash(ctx))

	s := f.statusNow(ctx)
	if s.Phase == nil || *s.Phase != "watching" || s.Away == "" || s.Journal.Guard != "triggers" || len(s.Tables) == 0 {
		t.Errorf("status without the old server: %+v", s)
	}
	if text := f.do(ctx, exitDone, "status").out.String(); !strings.Contains(text, "pgumbra finish") {
		t.Errorf("status does not say what to type:\n%s", text)
	}
	there := f.connectTo(ctx, theShadow)
	defer func() { _ = there.Close(ctx) }()
	for range 12 {
		_, err := there.Exec(ctx, "UPDATE shop.a SET n = n + 1, b = md5(n::text) || repeat('y', 100)")
		must(t, err)
	}
	if s = f.statusNow(ctx); s.Journal.Closed == "" || s.Journal.Bytes > 12_000_000 {
		t.Errorf("nobody ended the journals at their limit: %+v", s.Journal)
	}
	for _, command := range []string{"run", "verify", "rollback", "history", "report"} {
		text := f.do(ctx, exitError, command).err.String()
		if !strings.Contains(text, "is in phase watching. Production is on the new server") || !strings.Contains(text, "Next: pgumbra "+command+" again, once the old server answers; if it is gone for good, pgumbra finish ends the watch") {
			t.Errorf("%s without the old server says:\n%s", command, text)
		}
	}
	f.toProduction.Stall() // a host that is gone refuses nothing
	f.do(ctx, exitDone, "finish", "--drop-old")
	f.toProduction.Heal()
	if s = f.statusNow(ctx); *s.Phase != "finished" {
		t.Errorf("after finish: %+v", s)
	}
	var left string
	must(t, there.QueryRow(ctx, `SELECT coalesce(string_agg(tgname::text, ', '), '') FROM pg_trigger WHERE tgname ~ 'pgumbra'`).Scan(&left))
	if left != "" {
		t.Errorf("these triggers stay: %s", left)
	}
	f.do(ctx, exitDone, "finish", "--purge")
	if text := f.dumpOf(theShadow); strings.Contains(text, "pgumbra") {
		t.Error("finish --purge left something where production is now")
	}
	_, err := there.Exec(ctx, "UPDATE shop.a SET n = 0")
	must(t, err)

	must(t, old.Restart(ctx))
	f.do(ctx, exitDone, "finish", "--drop-old", "--purge")
	if text := f.dumpOf(production) + f.dumpOf(theShadow); strings.Contains(text, "pgumbra") || strings.Contains(f.dumpOf(production), "shop.a") {
		t.Error("the old server came back, and something is left")
	}
}

// TestProductionIsGoneBeforeTheCutover: abort removes what is on the shadow's
// server, says that production was not freed, and frees it once it is back.
func TestProductionIsGoneBeforeTheCutover(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, 3*time.Minute)
	f, old := fromOldServer(ctx, t, "")
	here, there := f.dumpOf(production), f.dumpOf(theShadow)
	f.do(ctx, exitDone, "run", "--until", "following")
	must(t, old.Crash(ctx))
	f.do(ctx, exitError, "finish") // not after a cutover
	text := f.do(ctx, exitError, "abort", "--purge").err.String()
	if !strings.Contains(text, "production cannot be reached, and was not freed") || !strings.Contains(text, "Next: pgumbra abort again") {
		t.Errorf("abort without production says:\n%s", text)
	}
	if f.dumpOf(theShadow) != there {
		t.Error("abort left something on the shadow's server")
	}
	must(t, old.Restart(ctx))
	f.do(ctx, exitDone, "abort", "--purge")
	if f.dumpOf(production) != here || f.dumpOf(theShadow) != there {
		t.Error("abort left something once production was back")
	}
}

// TestTheOldNameLeadsToTheNewServer: an alias that was moved after the cutover
// makes production.dsn lead to what was the shadow. Nothing of it is taken for the
// old side, whatever finish is told.
func TestTheOldNameLeadsToTheNewServer(t *testing.T) {
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	f := remoteSmall(t, "")
	f.do(ctx, exitDone, "run", "--cutover")
	rows := f.queryIn(ctx, theShadow, "SELECT count(*)::text FROM shop.c")
	f.env = []string{"PGUMBRA_PRODUCTION_DSN=" + f.there}
	if s := f.statusNow(ctx); s.Phase == nil || *s.Phase != "watching" {
		t.Errorf("status by the new server alone: %+v", s)
	}
	f.do(ctx, exitDone, "finish", "--drop-old", "--purge")
	if got := f.queryIn(ctx, theShadow, "SELECT count(*)::text FROM shop.c"); got != rows || got == "" {
		t.Errorf("%q rows are left of %q", got, rows)
	}
	if strings.Contains(f.dumpOf(theShadow), "pgumbra") {
		t.Error("something is left")
	}
}

func (f *remoteOperator) statusNow(ctx context.Context) (s upgrade.Status) {
	f.t.Helper()
	must(f.t, json.Unmarshal([]byte(f.do(ctx, exitDone, "status", "--json").out.String()), &s))
	return s
}

func (o *operator) queryIn(ctx context.Context, s side, sql string) (answer string) {
	o.t.Helper()
	conn := o.connectTo(ctx, s)
	defer conn.Close(ctx)
	must(o.t, conn.QueryRow(ctx, sql).Scan(&answer))
	return answer
}
