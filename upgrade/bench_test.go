package upgrade_test

import (
	"context"
	"encoding/json"
	"fmt"
	osexec "os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

// The benchmarks print ratios of two ways of doing the same work, interleaved
// on one server, as medians over rounds: `make bench`. Times of one machine say
// nothing about another, ratios do.

func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	return s[len(s)/2]
}

// pgbenchWorld is a database filled by pgbench -i, at version 1, with one
// migration to come.
func pgbenchWorld(t *testing.T, scale int, migrations ...string) *world {
	t.Helper()
	w := build(t, history{structure: "SELECT 1", migrations: migrations, schemas: []string{"public"}})
	pgbench(t, w.production, "-i", "-q", "-s", fmt.Sprint(scale))
	return w
}

func pgbench(t *testing.T, dsn string, args ...string) string {
	t.Helper()
	path, err := testcontainers.Bin("pgbench")
	must(t, err)
	out, err := command(path, append(args, dsn)...)
	must(t, err)
	return out
}

// BenchmarkShadow: pgbench_accounts with 5 M rows into a shadow, first chunk to
// last index, against two bare workers that do INSERT … SELECT by halves of the
// key, and the key built afterwards.
func BenchmarkShadow(b *testing.B) {
	benchmark(b, func(t *testing.T) {
		ctx := limited(t, 10*time.Minute)
		var ours, bare []float64
		w := pgbenchWorld(t, 50, "ALTER TABLE pgbench_accounts ADD COLUMN note text;")
		for range 3 {
			bare = append(bare, bareCopy(ctx, t, w.production))
			ours = append(ours, shadowCopy(ctx, w))
		}
		b.ReportMetric(median(ours)/median(bare), "ours/bare")
		b.Logf("shadow of 5 M rows: ours %.1f s, bare %.1f s, ratio %.2f (at most 1.25 wanted)", median(ours), median(bare), median(ours)/median(bare))
	})
}

func bareCopy(ctx context.Context, t *testing.T, dsn string) float64 {
	t.Helper()
	exec(t, dsn, "DROP TABLE IF EXISTS bare; CREATE TABLE bare (LIKE pgbench_accounts); CHECKPOINT")
	began := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for half := range 2 {
		group.Go(func() error {
			conn, err := pgx.Connect(ctx, dsn)
			if err != nil {
				return err
			}
			defer conn.Close(ctx)
			_, err = conn.Exec(ctx, fmt.Sprintf("INSERT INTO bare SELECT * FROM pgbench_accounts WHERE aid > %d AND aid <= %d", half*2_500_000, (half+1)*2_500_000))
			return err
		})
	}
	must(t, group.Wait())
	exec(t, dsn, "ALTER TABLE bare ADD PRIMARY KEY (aid)")
	took := time.Since(began).Seconds()
	exec(t, dsn, "DROP TABLE bare")
	return took
}

// shadowCopy is the time from the first chunk's begin to the last index, by the
// records that the run keeps of both. A chunk is recorded at its end, so the
// first one's length is taken to be the average.
func shadowCopy(ctx context.Context, w *world) float64 {
	w.t.Helper()
	exec(w.t, w.production, "CHECKPOINT")
	w.run(ctx, upgrade.Options{Until: control.Following})
	conn, err := pgx.Connect(ctx, w.production)
	must(w.t, err)
	defer func() { _ = conn.Close(ctx) }()
	var took float64
	must(w.t, conn.QueryRow(ctx, `
		SELECT extract(epoch FROM (SELECT max(done_at) FROM pgumbra.structure) - min(done_at)
		       + 2 * (max(done_at) - min(done_at)) / count(*))::float8
		FROM pgumbra.chunk`).Scan(&took))
	_, err = upgrade.Abort(ctx, w.file(), upgrade.Purge, w.log)
	must(w.t, err)
	return took
}

// BenchmarkCapture: one UPDATE of 200,000 rows with and without capture.
func BenchmarkCapture(b *testing.B) {
	benchmark(b, func(t *testing.T) {
		ctx := limited(t, 10*time.Minute)
		w := pgbenchWorld(t, 5, "ALTER TABLE pgbench_accounts ADD COLUMN note text;")
		var with, without []float64
		for range 11 {
			without = append(without, update(t, w.production))
			w.run(ctx, upgrade.Options{Until: control.Capturing})
			with = append(with, update(t, w.production))
			_, err := upgrade.Abort(ctx, w.file(), upgrade.Purge, w.log)
			must(t, err)
		}
		b.ReportMetric(median(with)/median(without), "with/without")
		b.Logf("UPDATE of 200,000 rows: %.2f s with capture, %.2f s without, ratio %.2f (at most 1.4 wanted)", median(with), median(without), median(with)/median(without))
	})
}

func update(t *testing.T, dsn string) float64 {
	t.Helper()
	exec(t, dsn, "VACUUM FULL pgbench_accounts; ")
	exec(t, dsn, "CHECKPOINT")
	began := time.Now()
	exec(t, dsn, "UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid <= 200000")
	return time.Since(began).Seconds()
}

// BenchmarkCutover: the stall of 20 cutovers under pgbench with 8 clients, each
// of which must end without a failed transaction and with balances equal.
func BenchmarkCutover(b *testing.B) {
	benchmark(b, func(t *testing.T) {
		ctx := limited(t, 15*time.Minute)
		var stalls []float64
		for range 20 {
			stalls = append(stalls, stallUnderPgbench(ctx, t))
		}
		b.ReportMetric(median(stalls), "stall-ms")
		b.Logf("stall under pgbench, 8 clients, 20 cutovers: median %.0f ms, from %.0f to %.0f (below 60 wanted)", median(stalls), slices.Min(stalls), slices.Max(stalls))
	})
}

func stallUnderPgbench(ctx context.Context, t *testing.T) float64 {
	t.Helper()
	w := pgbenchWorld(t, 2, "ALTER TABLE pgbench_accounts ADD COLUMN note text;")
	path, err := testcontainers.Bin("pgbench")
	must(t, err)
	bench := osexec.CommandContext(ctx, path, "-n", "-c", "8", "-j", "2", "-R", "400", "-T", "12", w.production)
	var out strings.Builder
	bench.Stdout, bench.Stderr = &out, &out
	must(t, bench.Start())
	w.run(ctx, upgrade.Options{Cutover: true})
	s, err := upgrade.ReadStatus(ctx, w.file())
	must(t, err)
	if err := bench.Wait(); err != nil || !strings.Contains(out.String(), "number of failed transactions: 0 ") {
		t.Errorf("pgbench: %v\n%s", err, &out)
	}
	var equal bool
	conn, err := pgx.Connect(ctx, w.production)
	must(t, err)
	defer conn.Close(ctx)
	must(t, conn.QueryRow(ctx, `SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(bbalance) FROM pgbench_branches)
		AND (SELECT sum(tbalance) FROM pgbench_tellers) = (SELECT sum(delta) FROM pgbench_history)
		AND (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(delta) FROM pgbench_history)`).Scan(&equal))
	if !equal {
		t.Error("pgbench's balances differ after the cutover")
	}
	must(t, upgrade.Finish(ctx, w.file(), cutover.DropOld, upgrade.Purge, w.log))
	var c struct {
		StallMS float64 `json:"stall_ms"`
	}
	must(t, json.Unmarshal(s.Cutover, &c))
	return c.StallMS
}

// BenchmarkThousandTables: how long the dry run takes for a schema of 1,000
// tables, and how long its cutover stalls.
func BenchmarkThousandTables(b *testing.B) {
	benchmark(b, func(t *testing.T) {
		ctx := limited(t, 15*time.Minute)
		w := build(t, history{structure: `CREATE SCHEMA shop; DO $$ BEGIN FOR i IN 1..1000 LOOP
			EXECUTE format('CREATE TABLE shop.t%s (id int PRIMARY KEY, v text); INSERT INTO shop.t%s SELECT n, n FROM generate_series(1, 10) n', i, i);
			END LOOP; END $$;`,
			migrations: []string{"ALTER TABLE shop.t1 ADD COLUMN note text;"}})
		began := time.Now()
		w.run(ctx, upgrade.Options{Until: control.Building})
		planned := time.Since(began).Seconds()
		w.run(ctx, upgrade.Options{Cutover: true})
		s, err := upgrade.ReadStatus(ctx, w.file())
		must(t, err)
		b.Logf("1,000 tables: plan and build %.1f s (plan below 30 wanted), cutover %s (stall below 1,000 ms wanted)", planned, s.Cutover)
	})
}

// benchmark runs f once, whatever b.N: rounds and medians are its own.
func benchmark(b *testing.B, f func(t *testing.T)) {
	b.Helper()
	ok := testing.RunTests(func(string, string) (bool, error) { return true, nil },
		[]testing.InternalTest{{Name: b.Name(), F: f}})
	if !ok {
		b.Fail()
	}
}
