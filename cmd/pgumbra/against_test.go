package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/testcontainers"
)

// BenchmarkAgainst compares this pgumbra with an older one, PGUMBRA_BENCH_OLDER
// (make bench-against REV=...): the same work by either in turn, medians of the
// rounds, as ratios of now to then. Of the time it takes a machine nothing is said.
func BenchmarkAgainst(b *testing.B) {
	older := os.Getenv("PGUMBRA_BENCH_OLDER")
	if older == "" {
		b.Skip("PGUMBRA_BENCH_OLDER names the program to compare with: make bench-against REV=...")
	}
	for _, m := range []measured{{"capture", 5, 5, captureCost}, {"copy", 5, 10, copyTime}, {"catch-up", 3, 10, catchUpTime}, {"stall", 9, 2, stallTime}} {
		b.Run(m.name, func(b *testing.B) {
			if !testing.RunTests(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{Name: b.Name(), F: func(t *testing.T) {
				now, then := m.inTurn(t, older)
				ratio := middle(now) / middle(then)
				b.ReportMetric(ratio, "now/then")
				b.Logf("now %.3f, then %.3f, ratio %.2f (now %.3f, then %.3f)", middle(now), middle(then), ratio, now, then)
			}}}) {
				b.Fail()
			}
		})
	}
}

// measured is one of the things that are compared; its tables have so many times
// 100,000 rows.
type measured struct {
	name   string
	rounds int
	scale  int
	take   func(context.Context, *operator) float64
}

// inTurn measures this program and an older one; who comes first takes turns.
func (m measured) inTurn(t *testing.T, older string) (now, then []float64) {
	t.Helper()
	for n := range m.rounds {
		for i := range 2 {
			program := []string{older, ""}[(i+n)%2]
			took := m.take(limited(t, 5*time.Minute), benchOperator(t, program, m.scale))
			if program == "" {
				now = append(now, took)
			} else {
				then = append(then, took)
			}
		}
	}
	return now, then
}

func middle(values []float64) float64 { return slices.Sorted(slices.Values(values))[len(values)/2] }

// olderKnows keeps scratch.rows out of the plan file, a key that the older program
// may not know.
const olderKnows = `scratch: {dsn: ""}`

// benchOperator has pgbench's tables, and one column to come.
func benchOperator(t *testing.T, program string, scale int) *operator {
	t.Helper()
	o := &operator{t: t, dir: t.TempDir(), dsn: testcontainers.Database(t), run: "up", program: program}
	o.sql("CREATE TABLE public.schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL); INSERT INTO public.schema_migrations VALUES (1, false)")
	o.settle(setting{schema: "public", extra: olderKnows, migrations: map[string]string{"1_base.up.sql": "SELECT 1;", "2_note.up.sql": "ALTER TABLE pgbench_accounts ADD COLUMN note text;"}})
	o.pgbench("-i", "-q", "-s", fmt.Sprint(scale))
	return o
}

func (o *operator) pgbench(args ...string) string {
	o.t.Helper()
	path, err := testcontainers.Bin("pgbench")
	must(o.t, err)
	out, err := exec.Command(path, append(args, o.dsn)...).CombinedOutput()
	if err != nil {
		o.t.Fatalf("pgbench: %v\n%s", err, out)
	}
	return string(out)
}

func (o *operator) number(ctx context.Context, sql string) (n float64) {
	o.t.Helper()
	conn := o.connect(ctx)
	defer conn.Close(ctx)
	must(o.t, conn.QueryRow(ctx, sql).Scan(&n))
	return n
}

// captureCost is what an UPDATE of 200,000 rows takes with capture, in times of
// one without.
func captureCost(ctx context.Context, o *operator) float64 {
	o.t.Helper()
	update := func() float64 {
		o.sql("VACUUM FULL pgbench_accounts")
		o.sql("CHECKPOINT")
		began := time.Now()
		o.sql("UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid <= 200000")
		return time.Since(began).Seconds()
	}
	without := update()
	o.do(ctx, exitDone, "run", "--until", "capturing")
	return update() / without
}

// copyTime is from the first chunk to the last index, in seconds, by the run's own record.
func copyTime(ctx context.Context, o *operator) float64 {
	o.t.Helper()
	o.sql("CHECKPOINT")
	o.do(ctx, exitDone, "run", "--until", "following")
	return o.number(ctx, `SELECT extract(epoch FROM (SELECT max(done_at) FROM pgumbra.structure) - min(done_at)
		+ 2 * (max(done_at) - min(done_at)) / count(*))::float8 FROM pgumbra.chunk`)
}

// catchUpTime is how long a run that goes on takes for 200,000 random updates, in
// seconds.
func catchUpTime(ctx context.Context, o *operator) float64 {
	o.t.Helper()
	const replayed = `SELECT coalesce(sum(rows_replayed), 0)::float8 FROM pgumbra.shadow_table`
	o.do(ctx, exitDone, "run", "--until", "following")
	before := o.number(ctx, replayed)
	o.sql(`DO $$ BEGIN FOR i IN 1..200 LOOP
		UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid IN (SELECT DISTINCT (random() * 999999)::int + 1 FROM generate_series(1, 1000)); COMMIT; END LOOP; END $$`)
	journalled := o.number(ctx, `SELECT count(*)::float8 FROM pgumbra.journal`)
	began := time.Now()
	p := o.start(ctx, "run")
	o.wait(ctx, fmt.Sprintf(`SELECT 'x' WHERE (%s) >= %f`, replayed, before+min(journalled, 150_000)))
	took := time.Since(began).Seconds()
	must(o.t, p.Process.Signal(syscall.SIGINT))
	p.code()
	return took
}

// stallTime is a cutover's under eight clients, in milliseconds.
func stallTime(ctx context.Context, o *operator) float64 {
	o.t.Helper()
	ended := make(chan string, 1)
	go func() { ended <- o.pgbench("-n", "-c", "8", "-j", "2", "-R", "400", "-T", "15") }()
	o.do(ctx, exitDone, "run", "--cutover")
	if out := <-ended; !strings.Contains(out, "number of failed transactions: 0 ") {
		o.t.Errorf("pgbench:\n%s", out)
	}
	return o.number(ctx, `SELECT (cutover->>'stall_ms')::float8 FROM pgumbra.run`)
}
