package upgrade_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
	"github.com/pgumbra/pgumbra/upgrade/lease"
)

// A server that keeps no statistics does not tell how much was journalled.
func TestRatesAreMeasuredWithoutStatisticsOfTheServer(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	w := build(t, history{
		structure:  `CREATE SCHEMA shop; CREATE TABLE shop.a (id int PRIMARY KEY, v int); INSERT INTO shop.a SELECT n, n FROM generate_series(1, 100) n;`,
		migrations: []string{"ALTER TABLE shop.a ADD COLUMN w int;"},
	})
	var database string
	must(t, one(w.production, "SELECT quote_ident(current_database())", &database))
	exec(t, w.production, "ALTER DATABASE "+database+" SET track_counts = off")
	var group errgroup.Group
	group.Go(func() error { return upgrade.Run(ctx, w.file(), upgrade.Options{Log: w.log}) })
	await(ctx, t, w.production, "SELECT to_regclass('pgumbra.run') IS NOT NULL")
	await(ctx, t, w.production, "SELECT EXISTS (SELECT FROM pgumbra.run WHERE phase = 'following')")
	i := 0
	polled(ctx, t, func() bool {
		i++
		exec(t, w.production, fmt.Sprintf("UPDATE shop.a SET v = %d", i))
		s, err := upgrade.ReadStatus(ctx, w.file())
		must(t, err)
		return s.Rate.In > 1 && s.Rate.Out > 1
	})
	_, err := upgrade.Abort(ctx, w.file(), upgrade.Purge, w.log)
	must(t, err)
	if err := group.Wait(); err == nil {
		t.Error("the run does not know that it was aborted")
	}
}

// A run that is only planned has no record yet, but its leader holds the lock.
func TestStatusTellsThatARunIsPlanned(t *testing.T) {
	t.Parallel()
	ctx := limited(t, time.Minute)
	dsn := testcontainers.Database(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "pgumbra.yaml")
	must(t, os.WriteFile(filepath.Join(dir, "1_one.up.sql"), []byte("SELECT 1;"), 0o600))
	must(t, os.WriteFile(path, fmt.Appendf(nil, "name: up\nproduction: {dsn: %q, schemas: [public]}\nmigrations: {path: .}\n", dsn), 0o600))
	file, err := planfile.Load(path, nil)
	must(t, err)
	planned := func() bool {
		s, err := upgrade.ReadStatus(ctx, file)
		must(t, err)
		return s.Phase == nil && s.PlanningSince != nil
	}
	l, err := lease.Take(ctx, dsn, "up")
	must(t, err)
	if !planned() {
		t.Error("a process leads the run, and status does not say so")
	}
	l.Release(ctx)
	polled(ctx, t, func() bool { return !planned() }) // its session goes a moment later
}

// A status that is read while finish --purge drops the record finds none: a leader that
// had ended well, and told how its run stood, ended with the server's error.
func TestStatusMeetsARecordThatIsBeingDropped(t *testing.T) {
	t.Parallel()
	ctx := limited(t, time.Minute)
	dsn := testcontainers.Database(t)
	must(t, control.Migrate(ctx, dsn))
	conn, err := pgx.Connect(ctx, dsn)
	must(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	_, err = conn.Exec(ctx, "BEGIN; DROP SCHEMA pgumbra CASCADE")
	must(t, err)
	var asked errgroup.Group
	asked.Go(func() error {
		s, err := upgrade.ReadStatus(ctx, &planfile.File{Name: "up", Production: planfile.ProductionFile{DSN: dsn}})
		if err == nil && s.Phase != nil {
			t.Errorf("in phase %s", *s.Phase)
		}
		return err
	})
	await(ctx, t, dsn, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')")
	_, err = conn.Exec(ctx, "COMMIT")
	must(t, err)
	must(t, asked.Wait())
}
