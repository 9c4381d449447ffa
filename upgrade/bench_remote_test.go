package upgrade_test

import (
	"context"
	"fmt"
	osexec "os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

// BenchmarkShadowElsewhere: pgbench_accounts with 5 M rows into another database,
// first chunk to last index, against one bare binary COPY pipe with the key built
// afterwards; and to the last VACUUM against pgcopydb (where it is installed),
// which copies as much, builds as much and vacuums too.
func BenchmarkShadowElsewhere(b *testing.B) {
	benchmark(b, func(t *testing.T) {
		ctx := limited(t, 10*time.Minute)
		shadow := testcontainers.Database(t)
		w := build(t, history{structure: "SELECT 1", schemas: []string{"public"}, remote: shadow,
			migrations: []string{"ALTER TABLE pgbench_accounts ADD COLUMN note text;"}})
		pgbench(t, w.production, "-i", "-q", "-s", "50")
		other, peer := testcontainers.Database(t), peerOf(t)
		var bare, ours, whole, theirs []float64
		for range 3 {
			bare = append(bare, barePipe(t, w.production, other))
			indexed, vacuumed := shadowRemote(ctx, w, shadow)
			ours, whole = append(ours, indexed), append(whole, vacuumed)
			theirs = append(theirs, peer(t, w.production))
		}
		b.ReportMetric(median(ours)/median(bare), "ours/bare")
		b.ReportMetric(median(whole)/median(theirs), "ours/pgcopydb")
		b.Logf("5 M rows to another database: ours %.1f s, bare pipe %.1f s, ratio %.2f (at most 1.25 wanted); with VACUUM %.1f s, pgcopydb %.1f s, ratio %.2f (at most 1 wanted)",
			median(ours), median(bare), median(ours)/median(bare), median(whole), median(theirs), median(whole)/median(theirs))
	})
}

func barePipe(t *testing.T, from, to string) float64 {
	t.Helper()
	exec(t, to, "DROP TABLE IF EXISTS bare; CREATE TABLE bare (aid int NOT NULL, bid int, abalance int, filler char(84)); CHECKPOINT")
	began := time.Now()
	pipe(t, from, to, "bare")
	exec(t, to, "ALTER TABLE bare ADD PRIMARY KEY (aid)")
	took := time.Since(began).Seconds()
	exec(t, to, "DROP TABLE bare")
	return took
}

// pipe copies the accounts into a table of another database.
func pipe(t *testing.T, from, to, table string) {
	t.Helper()
	psql, err := testcontainers.Bin("psql")
	must(t, err)
	_, err = command("sh", "-c", fmt.Sprintf(`'%[1]s' -qc 'COPY pgbench_accounts TO STDOUT (FORMAT binary)' '%[2]s' | '%[1]s' -qc 'COPY %[4]s FROM STDIN (FORMAT binary)' '%[3]s'`, psql, from, to, table))
	must(t, err)
}

// shadowRemote is like [shadowCopy], by the records on the shadow's side.
func shadowRemote(ctx context.Context, w *world, shadow string) (indexed, vacuumed float64) {
	w.t.Helper()
	exec(w.t, w.production, "CHECKPOINT")
	w.run(ctx, upgrade.Options{Until: control.Following})
	conn, err := pgx.Connect(ctx, shadow)
	must(w.t, err)
	defer func() { _ = conn.Close(ctx) }()
	must(w.t, conn.QueryRow(ctx, `
		WITH chunks AS (SELECT min(done_at) - 2 * (max(done_at) - min(done_at)) / count(*) AS began FROM pgumbra.chunk)
		SELECT extract(epoch FROM (SELECT max(done_at) FROM pgumbra.structure) - began)::float8,
		       extract(epoch FROM (SELECT greatest(max(last_vacuum), max(last_analyze)) FROM pg_stat_user_tables WHERE relname LIKE 'pgbench%') - began)::float8
		FROM chunks`).Scan(&indexed, &vacuumed))
	_, err = upgrade.Abort(ctx, w.file(), upgrade.Purge, w.log)
	must(w.t, err)
	return indexed, vacuumed
}

// peerOf times pgcopydb, two jobs of each kind as ours has two workers. Without it
// the benchmark says nothing of it.
func peerOf(t *testing.T) func(*testing.T, string) float64 {
	t.Helper()
	path, err := osexec.LookPath("pgcopydb")
	if err != nil {
		t.Log("pgcopydb is not installed: not compared with")
		return func(*testing.T, string) float64 { return 0 }
	}
	return func(t *testing.T, from string) float64 {
		t.Helper()
		to := testcontainers.Database(t)
		exec(t, from, "CHECKPOINT")
		began := time.Now()
		_, err := command(path, "clone", "--source", from, "--target", to, "--dir", filepath.Join(t.TempDir(), "pgcopydb"),
			"--table-jobs", "2", "--index-jobs", "2", "--split-tables-larger-than", "200MB")
		must(t, err)
		took := time.Since(began).Seconds()
		exec(t, to, "DROP SCHEMA public CASCADE") // the disk is needed for the next round
		return took
	}
}
