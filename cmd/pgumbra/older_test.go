package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What is more than a command that ends.
const (
	leads    = "(run leads)"
	goesBack = "(rollback, if there is a way back)"
)

// leadAndWay is what status says of who leads and of the way back.
type leadAndWay struct {
	Leader  *struct{ PID int }
	WayBack *struct{ Open bool } `json:"way_back"`
}

func (o *operator) leadAndWay(ctx context.Context) (s leadAndWay) {
	o.t.Helper()
	must(o.t, json.Unmarshal([]byte(o.do(ctx, exitDone, "status", "--json").out.String()), &s))
	return s
}

// leadsOn starts run, which leads a watch until it ends, or ends itself where an older
// pgumbra has prepared no way back.
func (o *operator) leadsOn(ctx context.Context) *process {
	o.t.Helper()
	p := o.start(ctx, "run")
	for o.leadAndWay(ctx).Leader == nil {
		select {
		case <-p.over:
			return p
		case <-ctx.Done():
			o.t.Fatal("run does not lead")
		case <-time.After(100 * time.Millisecond):
		}
	}
	return p
}

// goesBack is refused, and changes nothing, where an older pgumbra has prepared no way
// back.
func (o *operator) goesBack(ctx context.Context) {
	o.t.Helper()
	want := exitDone
	if s := o.leadAndWay(ctx); s.WayBack == nil || !s.WayBack.Open {
		want = exitFindings
	}
	o.do(ctx, want, "rollback")
}

// TestRunOfAnOlderPgumbraIsTakenOver: PGUMBRA_TEST_OLDER is an older program, as
// make test-older REV=... builds it from the history. What it began and left
// following, watching, or in the middle of its copy is finished or undone by this one.
func TestRunOfAnOlderPgumbraIsTakenOver(t *testing.T) {
	older := os.Getenv("PGUMBRA_TEST_OLDER")
	if older == "" {
		t.Skip("PGUMBRA_TEST_OLDER names the program of an older pgumbra: make test-older REV=...")
	}
	for name, c := range map[string]struct{ began, ends []string }{
		"copying, cut over":   {[]string{"run", "--until", "capturing"}, []string{"run --cutover", "finish --drop-old --purge"}},
		"following, cut over": {[]string{"run", "--until", "following"}, []string{"status", "verify", "run --cutover", "finish --drop-old --purge"}},
		"following, aborted":  {[]string{"run", "--until", "following"}, []string{"status", "abort --purge"}},
		"watching, finished":  {[]string{"run", "--cutover"}, []string{"status", leads, "finish --drop-old --purge"}},
		"watching, gone back": {[]string{"run", "--cutover"}, []string{leads, goesBack, "finish --drop-old --purge"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := limited(t, 3*time.Minute)
			o := operatorOf(t, small)
			before := o.dumpAll()
			plan, err := os.ReadFile(filepath.Join(o.dir, "pgumbra.yaml"))
			must(t, err)
			o.write("pgumbra.yaml", strings.ReplaceAll(string(plan), "scratch: {rows: 0}\n", "")) // a key that it may not know
			o.program = older
			o.do(ctx, exitDone, c.began...)
			o.program = ""
			o.write("pgumbra.yaml", string(plan))
			o.sql("UPDATE shop.a SET n = n + 1 WHERE id % 7 = 0; INSERT INTO shop.a (id, b, n) VALUES (9001, 'x', 1); DELETE FROM shop.c WHERE id = 3")
			leader := &process{}
			for _, command := range c.ends {
				switch command {
				case leads:
					leader = o.leadsOn(ctx)
				case goesBack:
					o.goesBack(ctx)
				default:
					o.do(ctx, exitDone, strings.Fields(command)...)
				}
			}
			if leader.over != nil && leader.code() != exitDone {
				t.Errorf("the leader's exit code is %d\n%s%s", leader.code(), &leader.out, &leader.err)
			}
			undone := strings.HasPrefix(c.ends[len(c.ends)-1], "abort")
			if undone {
				o.sql("UPDATE shop.a SET n = n - 1 WHERE id % 7 = 0; DELETE FROM shop.a WHERE id = 9001; INSERT INTO shop.c VALUES (3, 3, '3')")
			}
			const changed = `SELECT concat_ws(' ', count(*), sum(n), (SELECT count(*) FROM shop.c)) FROM shop.a`
			want := map[bool]string{true: "5000 12502500 5000", false: "5001 12503215 4999"}[undone]
			if got := o.query(ctx, changed); got != want {
				t.Errorf("rows: %s, not %s", got, want)
			}
			if undone && len(o.dumpAll()) != len(before) { // rows have moved
				t.Error("production is not as it was")
			}
			if left := o.query(ctx, `SELECT string_agg(nspname, ' ') FROM pg_namespace WHERE nspname ~ '^pgumbra'`); left != "" {
				t.Errorf("left: %s", left)
			}
		})
	}
}
