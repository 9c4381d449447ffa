package upgrade_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

// TestProductionThatLosesCommitsTakesThemFromTheShadow: production crashes while
// clients commit asynchronously. The shadow in another database never keeps what
// the crash took, and the run goes on. Promoted to another timeline, production
// is another server: the run stops and says so.
func TestProductionThatLosesCommitsTakesThemFromTheShadow(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, 3*time.Minute)
	server, err := testcontainers.Start(ctx, testcontainers.Options{Settings: map[string]string{
		"synchronous_commit": "off", "wal_writer_delay": "10s", "fsync": "on", "restore_command": "false", "hot_standby": "off"}})
	must(t, err)
	t.Cleanup(func() { _ = server.Stop(context.WithoutCancel(ctx)) })
	w := build(t, history{
		structure: `CREATE SCHEMA shop;
			CREATE TABLE shop.a (id int PRIMARY KEY, v int NOT NULL); INSERT INTO shop.a SELECT n, 0 FROM generate_series(1, 2000) n;
			CREATE UNLOGGED TABLE shop.u (id int PRIMARY KEY, v int NOT NULL); INSERT INTO shop.u SELECT n, 0 FROM generate_series(1, 2000) n;`,
		migrations: []string{"ALTER TABLE shop.a ALTER COLUMN id TYPE bigint, ADD COLUMN w int;\nUPDATE shop.a SET w = v * 2;\nALTER TABLE shop.u ADD COLUMN w int;"},
		server:     server,
		remote:     testcontainers.Database(t),
	})
	w.run(ctx, upgrade.Options{Until: control.Following})
	running, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- upgrade.Run(running, w.file(), upgrade.Options{Log: w.log}) }()
	// A server that is away before the run leads is taken for a mistake.
	await(ctx, t, w.production, `SELECT heartbeat IS NOT NULL FROM pgumbra.leader`)
	lost := 0
	for range 3 {
		lost += crashUnder(ctx, t, server)
	}
	if lost == 0 {
		t.Error("no crash took a commit: nothing was tested")
	}
	hammer(ctx, t, w.production)
	w.replayed(ctx)
	verdicts, err := upgrade.Verify(ctx, w.file(), w.log)
	must(t, err)
	if !upgrade.AllEqual(verdicts) {
		t.Errorf("after the crashes: %+v", verdicts)
	}

	promote(ctx, t, server)
	hammer(ctx, t, w.production)
	select {
	case err := <-ended:
		if !errors.Is(err, control.ErrOrigin) || !strings.Contains(err.Error(), "timeline 00000002") {
			t.Errorf("the run ended with: %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the run goes on with another timeline")
	}
	s, err := upgrade.ReadStatus(ctx, w.file())
	must(t, err)
	if !strings.Contains(s.Failure, "timeline") || s.Ready {
		t.Errorf("status: %+v", s)
	}
	if err := upgrade.Run(ctx, w.file(), upgrade.Options{Cutover: true, Log: w.log}); !errors.Is(err, control.ErrOrigin) {
		t.Errorf("another run: %v", err)
	}
	_, err = upgrade.Abort(ctx, w.file(), upgrade.KeepRecord, w.log)
	must(t, err)
	w.run(ctx, upgrade.Options{Cutover: true})
}

// replayed waits until a journal of production's is empty, which a leader empties.
func (w *world) replayed(ctx context.Context) {
	w.t.Helper()
	for {
		s, err := upgrade.ReadStatus(ctx, w.file())
		must(w.t, err)
		if s.Leader != nil && s.Journal.Pending == 0 {
			return
		}
		select {
		case <-ctx.Done():
			w.t.Fatalf("never replayed: %+v", s)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// promote crashes a server and lets it come up on a timeline of its own, as a
// standby does that takes its place.
func promote(ctx context.Context, t *testing.T, server *testcontainers.Server) {
	t.Helper()
	conn, err := pgx.Connect(ctx, server.DSN("postgres"))
	must(t, err)
	defer func() { _ = conn.Close(ctx) }()
	var dir string
	must(t, conn.QueryRow(ctx, `SHOW data_directory`).Scan(&dir))
	write(t, filepath.Join(dir, "recovery.signal"), "")
	must(t, os.Chmod(filepath.Join(dir, "recovery.signal"), 0o644))
	must(t, server.Crash(ctx))
	must(t, server.Restart(ctx))
}
