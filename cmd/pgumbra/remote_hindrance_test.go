package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/testcontainers"
)

// hindrance is what stands in a cutover's way at PgBouncer: before lets it
// happen and returns how it is taken away again.
type hindrance struct {
	name   string
	before func() (after func())
	during func() // once the cutover holds clients
	says   string // a regular expression
}

// TestCutoverThatPgBouncerHindersIsNoneAndTriedAgain: exit code 6, clients go on
// at production, the run follows, and the next cutover is done.
func TestCutoverThatPgBouncerHindersIsNoneAndTriedAgain(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	f := remoteSmall(t, "")
	second := &remoteOperator{operator: f.operator, bouncer: f.operator.bouncer(testcontainers.PgBouncerOptions{})}
	toSecond := testcontainers.StartProxy(t, second.bouncer.Addr())
	f.alsoLead(second.bouncer, toSecond)
	f.env = []string{"PGUMBRA_CUTOVER_ATTEMPTS=1", "PGUMBRA_CUTOVER_MAX_STALL=5s", "PGUMBRA_CUTOVER_LOCK_TIMEOUT=4s"}
	leader := f.start(ctx, "run")
	f.wait(ctx, following)
	files, place := f.config()+second.config(), f.served(ctx)
	for _, h := range f.hindrances(ctx, second, toSecond) {
		began, after := time.Now(), func() {}
		if h.before != nil {
			after = h.before()
		}
		request := f.start(ctx, "cutover")
		if h.during != nil {
			f.wait(ctx, reached("fencing", began).when)
			h.during()
		}
		if code, text := request.code(), request.err.String(); code != exitNotNow || !regexp.MustCompile(h.says).MatchString(text) ||
			!strings.Contains(text, "is in phase following") || !strings.Contains(text, "Next: pgumbra cutover") {
			t.Errorf("%s: exit code %d; %q is to be said:\n%s", h.name, code, h.says, text)
		}
		after()
		if now := f.config() + second.config(); now != files {
			t.Errorf("%s: PgBouncer's files:\n%s", h.name, now)
		}
		for _, b := range []*testcontainers.PgBouncer{f.bouncer, second.bouncer} {
			f.clients = b.DSN("shop") + "&default_query_exec_mode=exec"
			if at := f.served(ctx); at != place {
				t.Errorf("%s: clients are at %s", h.name, at)
			}
		}
	}
	f.do(ctx, exitDone, "cutover")
	f.movedOver(ctx) // behind the second
	f.clients = f.bouncer.DSN("shop") + "&default_query_exec_mode=exec"
	f.movedOver(ctx)
	f.endsWatch(ctx, leader)
}

// alsoLead adds a PgBouncer to the plan file.
func (f *remoteOperator) alsoLead(b *testcontainers.PgBouncer, console *testcontainers.Proxy) {
	f.t.Helper()
	path := filepath.Join(f.dir, "pgumbra.yaml")
	text, err := os.ReadFile(path)
	must(f.t, err)
	target, err := pgx.ParseConfig(f.there)
	must(f.t, err)
	lines := strings.Split(string(text), "\n")
	for i, line := range lines {
		if first, found := strings.CutPrefix(line, "  pgbouncer: "); found {
			lines[i] = fmt.Sprintf("  pgbouncer:\n  - %s\n  - {admin_dsn: %q, database: shop, config: %q, target: %q}", first,
				console.Through(b.AdminDSN()), b.ConfigPath(), fmt.Sprintf("host=%s port=%d dbname=%s", target.Host, target.Port, target.Database))
		}
	}
	f.write("pgumbra.yaml", strings.Join(lines, "\n"))
}

func (f *remoteOperator) hindrances(ctx context.Context, second *remoteOperator, toSecond *testcontainers.Proxy) []hindrance {
	var release func()
	locked := func() func() {
		release = f.obstruct(ctx, "fence") // so that it stays where clients are held
		return func() {}
	}
	return []hindrance{
		// Seen before PAUSE where it is open for a while already, else by PAUSE.
		{name: "PAUSE does not return", says: "idle in transaction|open transactions: 1", before: func() func() { return f.obstruct(ctx, "pausing") }},
		{name: "one of two is away", says: regexp.QuoteMeta(second.bouncer.Addr()[:9]), before: func() func() {
			must(f.t, second.bouncer.Kill(ctx))
			return func() { must(f.t, second.bouncer.Restart(ctx)) }
		}},
		{name: "one of two does not answer", says: "pgbouncer", before: func() func() {
			toSecond.Stall()
			return toSecond.Heal
		}},
		{name: "the file cannot be written", says: regexp.QuoteMeta("rewrite " + second.bouncer.ConfigPath()), before: func() func() {
			inTheWay := filepath.Join(filepath.Dir(second.bouncer.ConfigPath()), ".pgbouncer.ini.pgumbra-tmp")
			must(f.t, os.MkdirAll(filepath.Join(inTheWay, "x"), 0o755))
			return func() { must(f.t, os.RemoveAll(inTheWay)) }
		}},
		{name: "one of two is started again while clients are held", says: "not held", before: locked, during: func() {
			must(f.t, second.bouncer.Restart(ctx))
			release()
		}},
		{name: "one of two dies while clients are held", says: "RESUME", before: func() func() {
			locked()
			return func() { must(f.t, second.bouncer.Restart(ctx)) }
		}, during: func() {
			must(f.t, second.bouncer.Kill(ctx))
			release()
		}},
	}
}
