package upgrade_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

// An index that is made, renewed or dropped in mid-run is let pass, whole, and
// the run goes on; the shadow does not have it, so that the cutover waits.
func TestIndexesMayComeAndGoInMidRun(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	w := build(t, history{
		structure:  `CREATE SCHEMA shop; CREATE TABLE shop.a (id int PRIMARY KEY, v int); CREATE INDEX old ON shop.a (v); INSERT INTO shop.a SELECT n, n FROM generate_series(1, 100) n;`,
		migrations: []string{"ALTER TABLE shop.a ADD COLUMN w int;"},
	})
	w.run(ctx, upgrade.Options{Until: control.Following})
	exec(t, w.production, "CREATE INDEX CONCURRENTLY more ON shop.a (v, id)")
	exec(t, w.production, "REINDEX INDEX CONCURRENTLY shop.old")
	var invalid int
	must(t, one(w.production, "SELECT count(*) FROM pg_index WHERE NOT indisvalid", &invalid))
	if invalid != 0 {
		t.Errorf("%d indexes are not valid", invalid)
	}
	exec(t, w.production, "UPDATE shop.a SET v = 7")
	w.run(ctx, upgrade.Options{Until: control.Following})
	if err := upgrade.Run(ctx, w.file(), upgrade.Options{Cutover: true, Once: true, Log: w.log}); !errors.Is(err, upgrade.ErrNotNow) || !strings.Contains(err.Error(), "more") {
		t.Errorf("cutover: %v", err)
	}
	exec(t, w.production, "DROP INDEX CONCURRENTLY shop.more")
	w.run(ctx, upgrade.Options{Cutover: true})
}

// Abort names what others left by half, with the statement that mends it.
func TestAbortNamesWhatOthersLeft(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	w := build(t, history{
		structure: `CREATE SCHEMA shop; CREATE TABLE shop.a (id int PRIMARY KEY, v int); INSERT INTO shop.a SELECT n, 1 FROM generate_series(1, 100) n;
			CREATE TABLE shop.p (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE shop.p1 PARTITION OF shop.p FOR VALUES FROM (0) TO (100);`,
		migrations: []string{"ALTER TABLE shop.a ADD COLUMN w int;"},
	})
	w.run(ctx, upgrade.Options{Until: control.Following})
	if err := try(ctx, w.production, `CREATE UNIQUE INDEX CONCURRENTLY "half Done" ON shop.a (v)`); state(err) != "23505" {
		t.Fatal(err)
	}
	done, err := upgrade.Abort(ctx, w.file(), upgrade.KeepRecord, w.log)
	must(t, err)
	if !done.Existed || done.Looked != 2 || len(done.Remains) != 1 || done.Remains[0].Type != `DROP INDEX CONCURRENTLY shop."half Done"` {
		t.Errorf("%+v", done)
	}
	exec(t, w.production, done.Remains[0].Type)
}
