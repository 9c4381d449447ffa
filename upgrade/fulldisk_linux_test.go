package upgrade_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

// smallDisk is a file system of its own, on which a database is made: its
// folder and the database's DSN.
func smallDisk(t *testing.T, megabytes int) (folder, dsn string) {
	t.Helper()
	server := testcontainers.Shared(t)
	admin := server.DSN("postgres")
	var data string
	must(t, one(admin, "SELECT current_setting('data_directory')", &data))
	info, err := os.Stat(data)
	if os.Geteuid() != 0 || err != nil {
		fmt.Fprintln(os.Stderr, "SKIPPED:", t.Name(), "needs root and a server on this machine, to mount a file system that can be filled:", err)
		t.Skip("only root may mount a file system that can be filled")
	}
	owner := info.Sys().(*syscall.Stat_t)
	folder, err = os.MkdirTemp("", "pgumbra-disk")
	must(t, err)
	t.Cleanup(func() { must(t, os.Remove(folder)) })
	must(t, os.Chmod(folder, 0o755))
	must(t, syscall.Mount("tmpfs", folder, "tmpfs", 0, fmt.Sprintf("size=%dm", megabytes)))
	t.Cleanup(func() { must(t, syscall.Unmount(folder, syscall.MNT_DETACH)) })
	space := filepath.Join(folder, "space")
	must(t, os.Mkdir(space, 0o700))
	must(t, os.Chown(space, int(owner.Uid), int(owner.Gid)))
	name := filepath.Base(folder)
	exec(t, admin, fmt.Sprintf("CREATE TABLESPACE %q LOCATION '%s'", name, space))
	t.Cleanup(func() { exec(t, admin, fmt.Sprintf("DROP TABLESPACE %q", name)) })
	exec(t, admin, fmt.Sprintf("CREATE DATABASE %q TABLESPACE %[1]q", name))
	t.Cleanup(func() { exec(t, admin, fmt.Sprintf("DROP DATABASE %q WITH (FORCE)", name)) })
	return folder, server.DSN(name)
}

// fill takes the last byte of a file system.
func fill(t *testing.T, folder string) {
	t.Helper()
	f, err := os.Create(filepath.Join(folder, "filler"))
	must(t, err)
	defer func() { _ = f.Close() }()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
}

// onSmallDisk is what is upgraded with one of its servers on a disk that others fill.
var onSmallDisk = history{
	structure:  `CREATE SCHEMA shop; CREATE TABLE shop.a (id int PRIMARY KEY, v text); INSERT INTO shop.a SELECT n, n FROM generate_series(1, 10000) n`,
	migrations: []string{"ALTER TABLE shop.a ADD COLUMN w int;"},
	planFile:   "copy: {min_free_disk: 40MB, workers: 1}\n",
}

// TestNearlyFullDiskPausesTheCopyAndEndsCapture: others fill the disk. Copying waits
// until there is room again; later, when there is next to none, capture ends before
// clients fail, and abort undoes the run.
func TestNearlyFullDiskPausesTheCopyAndEndsCapture(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, 3*time.Minute)
	folder, dsn := smallDisk(t, 96)
	h := onSmallDisk
	h.here = dsn
	w := build(t, h)
	w.copyWaitsForRoom(ctx, folder, "the disk at ")
	leave(t, folder, 5<<20)
	err := upgrade.Run(ctx, w.file(), upgrade.Options{Log: w.log})
	if !errors.Is(err, upgrade.ErrStopped) || !strings.Contains(err.Error(), "less than a quarter of copy.min_free_disk") {
		t.Errorf("the run on a disk that is nearly full: %v", err)
	}
	exec(t, dsn, "UPDATE shop.a SET v = 'after' WHERE id <= 100")
	if _, err := upgrade.Abort(ctx, w.file(), upgrade.Purge, w.log); err != nil {
		t.Fatal(err)
	}
}

// TestNearlyFullDiskOfTheNewServer: the copy waits for room there, too; in the watch, where
// clients are and the journals of the way back grow, that is closed before clients fail.
func TestNearlyFullDiskOfTheNewServer(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, 3*time.Minute)
	folder, dsn := smallDisk(t, 96)
	h := onSmallDisk
	h.remote = dsn
	w := build(t, h)
	w.copyWaitsForRoom(ctx, folder, "the disk of the shadow's server at ")
	w.run(ctx, upgrade.Options{Cutover: true})
	free := leave(t, folder, 5<<20)
	exec(t, dsn, "UPDATE shop.a SET v = 'at last' WHERE id <= 10")
	err := upgrade.Run(ctx, w.file(), upgrade.Options{Log: w.log})
	if !errors.Is(err, upgrade.ErrClosed) || !strings.Contains(err.Error(), "less than a quarter of copy.min_free_disk") {
		t.Errorf("the watch on a disk that is nearly full: %v", err)
	}
	if left := text(t, dsn, "SELECT count(*)::text FROM pg_trigger WHERE tgname LIKE '!pgumbra%'"); left != "0" {
		t.Errorf("%s triggers are left", left)
	}
	exec(t, dsn, "UPDATE shop.a SET v = 'after' WHERE id <= 100")
	if err := upgrade.Rollback(ctx, w.file(), upgrade.Options{Log: w.log}); !errors.Is(err, upgrade.ErrClosed) {
		t.Errorf("rollback over the gap: %v, want %v", err, upgrade.ErrClosed)
	}
	s, err := upgrade.ReadStatus(ctx, w.file())
	must(t, err)
	if s.WayBack == nil || s.WayBack.Open || !strings.Contains(s.Failure, "copy.min_free_disk") {
		t.Errorf("the way back: %+v, failed for: %s", s.WayBack, s.Failure)
	}
	free()
	must(t, upgrade.Finish(ctx, w.file(), cutover.DropOld, upgrade.Purge, w.log))
}

// copyWaitsForRoom brings a run to following; meanwhile the copy pauses, since a disk has
// less left than copy.min_free_disk, and says so.
func (w *world) copyWaitsForRoom(ctx context.Context, folder, says string) {
	w.t.Helper()
	free := leave(w.t, folder, 30<<20)
	ended := make(chan error, 1)
	go func() { ended <- upgrade.Run(ctx, w.file(), upgrade.Options{Until: control.Following, Log: w.log}) }()
	for throttled := ""; !strings.HasPrefix(throttled, says) || !strings.Contains(throttled, "copy.min_free_disk"); {
		select {
		case err := <-ended:
			w.t.Fatalf("the run ended: %v", err)
		case <-time.After(50 * time.Millisecond):
		}
		_ = one(w.production, "SELECT throttled FROM pgumbra.leader", &throttled) // there is none yet
	}
	free()
	must(w.t, <-ended)
}

// leave fills a file system but for so many bytes, until free is called.
func leave(t *testing.T, folder string, bytes int64) (free func()) {
	t.Helper()
	var s syscall.Statfs_t
	must(t, syscall.Statfs(folder, &s))
	path := filepath.Join(folder, "others")
	must(t, os.WriteFile(path, make([]byte, int64(s.Bavail)*s.Bsize-bytes), 0o600))
	return func() { must(t, os.Remove(path)) }
}

// On a disk without a free byte, whoever filled it, abort ends the run, gives
// the room back, and clients go on.
func TestAbortOnFullDisk(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	for name, write := range map[string]string{
		"filled by journals": "UPDATE shop.a SET v = repeat(left(md5(v), 16), 12) WHERE id %% 50 = %d",
		"filled by others":   "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := limited(t, 3*time.Minute)
			folder, dsn := smallDisk(t, 48)
			w := build(t, history{
				// Many tables, so that new text for each function takes more than is left free in the catalogs.
				structure: `CREATE SCHEMA shop; CREATE TABLE shop.a (id int PRIMARY KEY, v text) WITH (fillfactor = 40); INSERT INTO shop.a SELECT n, n FROM generate_series(1, 10000) n;
					DO $$ BEGIN FOR i IN 1..24 LOOP EXECUTE format('CREATE TABLE shop.t%s (id int PRIMARY KEY, v text)', i); END LOOP; END $$`,
				migrations: []string{"ALTER TABLE shop.a ADD COLUMN w int;"},
				planFile:   "copy: {min_free_disk: 0}\n", // nobody looks: it fills up
				here:       dsn,
			})
			w.run(ctx, upgrade.Options{Until: control.Following})
			for i := 0; write != ""; i++ {
				if err := try(ctx, dsn, fmt.Sprintf(write, i%50)); err != nil {
					if state(err) != "53100" {
						t.Fatal(err)
					}
					break
				}
			}
			fill(t, folder)
			if _, err := upgrade.Abort(ctx, w.file(), upgrade.KeepRecord, w.log); err != nil {
				t.Fatal(err)
			}
			s, err := upgrade.ReadStatus(ctx, w.file())
			must(t, err)
			if s.Phase == nil || *s.Phase != control.Aborted {
				t.Errorf("phase %v", s.Phase)
			}
			exec(t, dsn, "UPDATE shop.a SET v = 'after' WHERE id <= 100; CREATE TABLE shop.b AS SELECT repeat('x', 1000) FROM generate_series(1, 100)")
			var left int
			must(t, one(dsn, `SELECT (SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal)
				+ (SELECT count(*) FROM pg_class WHERE relnamespace = 'pgumbra'::regnamespace AND relname ~ '^(journal|reverse|seq|full|look)_')
				+ (SELECT count(*) FROM pg_proc WHERE pronamespace = 'pgumbra'::regnamespace) + (SELECT count(*) FROM pg_event_trigger)
				+ (SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'pgumbra_%')`, &left))
			if left != 0 {
				t.Errorf("%d objects of ours are left", left)
			}
		})
	}
}
