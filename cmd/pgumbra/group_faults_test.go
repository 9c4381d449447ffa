package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/testcontainers"
)

// differs wants that nothing swaps where the shadow of the second one differs from
// production, until that is mended: no member goes ahead of a failed proof.
func (b *bank) differs(ctx context.Context) {
	b.t.Helper()
	b.in(b.dsns[1], `ALTER TABLE pgumbra_up_shop.entry DISABLE TRIGGER "!pgumbra_gate"; UPDATE pgumbra_up_shop.entry SET delta = 5 WHERE key = 'old 2';
		ALTER TABLE pgumbra_up_shop.entry ENABLE ALWAYS TRIGGER "!pgumbra_gate"`)
	if text := b.do(ctx, exitFindings, "verify").out.String(); !strings.Contains(text, "old 2") {
		b.t.Errorf("what differs: %s", text)
	}
	p := b.do(ctx, exitNotNow, "cutover", "--set", "cutover.attempts=2")
	if text := p.err.String(); !strings.Contains(text, "difference") || b.phases() != "following following" {
		b.t.Errorf("%s: %s", b.phases(), text)
	}
	b.in(b.dsns[1], `UPDATE shop.entry SET delta = delta WHERE key = 'old 2'`)
	b.do(ctx, exitDone, "run", "--until", "following")
	b.do(ctx, exitDone, "verify")
}

// The old server of the first database is gone after the cutover, and its host swallows
// what is sent to it: finish ends the watch of all, and tidies up there once it is back.
func TestGroupFinishesWithoutAnOldServer(t *testing.T) {
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
