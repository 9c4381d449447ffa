package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/testcontainers"
)

// differs wants that a row of the second one's shadow that differs is named, and that the
// group follows on once it is mended.
func (b *bank) differs(ctx context.Context) {
	b.t.Helper()
	b.in(b.dsns[1], `ALTER TABLE pgumbra_up_shop.entry DISABLE TRIGGER "!pgumbra_gate"; UPDATE pgumbra_up_shop.entry SET delta = 5 WHERE key = 'old 2';
		ALTER TABLE pgumbra_up_shop.entry ENABLE ALWAYS TRIGGER "!pgumbra_gate"`)
	if text := b.do(ctx, exitFindings, "verify").out.String(); !strings.Contains(text, "old 2") {
		b.t.Errorf("what differs: %s", text)
	}
	b.in(b.dsns[1], `UPDATE shop.entry SET delta = delta WHERE key = 'old 2'`)
	b.do(ctx, exitDone, "run", "--until", "following")
	b.do(ctx, exitDone, "verify")
}

// newBankOnServers is a bank whose first database is on a server of its own, reached by a
// way that can be cut, as is the second one on another server.
func newBankOnServers(ctx context.Context, t *testing.T) (b *bank, servers []*testcontainers.Server, way *testcontainers.Proxy) {
	t.Helper()
	var dsns []string
	for range 2 {
		server, err := testcontainers.Start(ctx, testcontainers.Options{})
		must(t, err)
		t.Cleanup(func() { _ = server.Discard(context.WithoutCancel(ctx)) })
		servers, dsns = append(servers, server), append(dsns, server.DSN("postgres"))
	}
	b = newBankIn(t, dsns, "orders", "billing")
	way = proxyTo(t, dsns[0])
	b.planThrough(way.Through(dsns[0]), dsns[1])
	return b, servers, way
}

// transferred writes an entry to all databases.
func (b *bank) transferred(key string) {
	b.t.Helper()
	for _, dsn := range b.dsns {
		b.in(dsn, fmt.Sprintf(`INSERT INTO shop.entry (key, delta) VALUES ('%s', 1)`, key))
	}
}

// strikesAtCommit does something while the COMMIT of a swap that a command asks for waits
// in one of the databases, and wants these phases once that COMMIT came to nothing.
func (b *bank) strikesAtCommit(ctx context.Context, member int, leader *process, strike func(), want string, command ...string) {
	b.t.Helper()
	dsn := b.dsns[member]
	b.in(dsn, slow)
	asks := b.start(ctx, command...)
	b.until(ctx, func() bool {
		select {
		case <-asks.over: // not possible for a moment
			asks = b.start(ctx, command...)
		default:
		}
		return b.asked(dsn, committing) != ""
	}, leader)
	strike()
	b.until(ctx, func() bool { return b.asked(dsn, `SELECT 'there'`) != "" && b.asked(dsn, committing) == "" }, leader)
	if got := strings.ReplaceAll(b.phases(), "cutover", "following"); got != want {
		b.t.Errorf("struck at the commit in %s: %s, want %s\n%s", b.names[member], got, want, &leader.err)
	}
	b.in(dsn, quick)
	asks.code()
}

// Databases on several servers swap all or none: the first one's connections break, or
// its server crashes, in the COMMIT that decides; or another one's server crashes once it
// is decided, and that one follows when its server is back. The same process leads on.
func TestGroupOnSeveralServersSwapsAllOrNone(t *testing.T) {
	testcontainers.InTurn(t, 3)
	t.Parallel()
	ctx := limited(t, 5*time.Minute)
	b, servers, way := newBankOnServers(ctx, t)
	b.transferred("before")
	leader := b.start(ctx, "run", "--set", "cutover.max_stall=5s", "--set", "cutover.lock_timeout=2s")
	b.until(ctx, func() bool {
		const follows = `SELECT 'x' FROM pgumbra.shadow_table HAVING count(*) > 0 AND bool_and(verified_at IS NOT NULL)`
		return b.asked(b.dsns[0], follows)+b.asked(b.dsns[1], follows) == "xx"
	}, leader)
	crash := func(member int) func() {
		return func() {
			must(t, servers[member].Crash(ctx))
			must(t, servers[member].Restart(ctx))
		}
	}

	b.strikesAtCommit(ctx, 0, leader, way.Cut, "following following", "cutover")
	b.transferred("cut")
	way.Heal()
	b.standsTogether(ctx, leader)
	b.strikesAtCommit(ctx, 1, leader, crash(1), "watching following", "cutover")
	b.until(ctx, func() bool { return b.phases() == "watching watching" }, leader)
	b.transferred("there")

	b.standsTogether(ctx, leader)
	b.strikesAtCommit(ctx, 0, leader, crash(0), "watching watching", "rollback")
	b.transferred("crashed")
	b.standsTogether(ctx, leader)
	b.until(ctx, func() bool { return b.start(ctx, "rollback").code() == exitDone }, leader)
	if got := b.phases(); got != "rolled_back rolled_back" {
		t.Errorf("after the rollback: %s\n%s", got, &leader.err)
	}
	if code := leader.code(); code != exitDone {
		t.Errorf("the leader: exit code %d\n%s", code, &leader.err)
	}
	for _, dsn := range b.dsns {
		if n := b.asked(dsn, `SELECT count(*)::text FROM shop.entry WHERE key NOT LIKE 'old%'`); n != "4" {
			t.Errorf("%s transfers of 4 are there", n)
		}
	}
	b.do(ctx, exitDone, "finish", "--drop-old", "--purge")
	b.nothingLeft()
}

// standsTogether waits until the process leads all members, none of which is suspended.
func (b *bank) standsTogether(ctx context.Context, leader *process) {
	b.t.Helper()
	const leads = `SELECT string_agg(l.pid::text || l.suspended, ' ') FROM pgumbra.leader l WHERE l.heartbeat > clock_timestamp() - interval '2 seconds'`
	pid := fmt.Sprint(leader.Process.Pid)
	b.until(ctx, func() bool { return b.asked(b.dsns[0], leads) == pid && b.asked(b.dsns[1], leads) == pid }, leader)
}

// The old server of the first database is gone after the cutover, and its host swallows
// what is sent to it: finish ends the watch of all, and tidies up there once it is back.
func TestGroupFinishesWithoutAnOldServer(t *testing.T) {
	testcontainers.InTurn(t, 3)
	t.Parallel()
	ctx := limited(t, 5*time.Minute)
	b := newBank(t)
	b.moves[0] = testcontainers.Database(t)
	b.entries[0] = fmt.Sprintf(", shadow: {dsn: %q}", b.moves[0])
	way := proxyTo(t, b.dsns[0])
	b.planThrough(way.Through(b.dsns[0]), b.dsns[1])
	b.do(ctx, exitDone, "run", "--cutover")
	way.Stall()
	if text := b.do(ctx, exitDone, "status").out.String(); !strings.Contains(text, "pgumbra finish") {
		t.Errorf("status without the old server: %s", text)
	}
	b.do(ctx, exitDone, "finish", "--drop-old")
	for _, dsn := range []string{b.moves[0], b.dsns[1]} {
		if left := b.asked(dsn, `SELECT string_agg(tgname, ' ') FROM pg_trigger WHERE tgname ~ 'pgumbra'`); left != "" {
			t.Errorf("these triggers stay: %s", left)
		}
		b.in(dsn, `UPDATE shop.a SET n = n + 1`)
	}
	way.Heal()
	b.do(ctx, exitDone, "finish", "--drop-old", "--purge")
	b.nothingLeft()
}
