package main

import (
	"os"
	"strings"
	"testing"
	"time"
)

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
		"watching, finished":  {[]string{"run", "--cutover"}, []string{"status", "run", "finish --drop-old --purge"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := limited(t, 3*time.Minute)
			o := operatorOf(t, small)
			before := o.dumpAll()
			o.program = older
			o.do(ctx, exitDone, c.began...)
			o.program = ""
			o.sql("UPDATE shop.a SET n = n + 1 WHERE id % 7 = 0; INSERT INTO shop.a (id, b, n) VALUES (9001, 'x', 1); DELETE FROM shop.c WHERE id = 3")
			for _, command := range c.ends {
				o.do(ctx, exitDone, strings.Fields(command)...)
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
