package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/testcontainers"
)

// disk is a small file system of its own, which may be filled.
type disk struct{ folder string }

// mountable reports whether this process may mount file systems: without that no disk
// can be filled, and cells that need one are not gone through.
var mountable = sync.OnceValue(func() bool {
	folder, err := os.MkdirTemp("", "pgumbra-mount")
	if err != nil {
		return false
	}
	defer func() { _ = os.Remove(folder) }()
	return syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=64k") == nil && syscall.Unmount(folder, syscall.MNT_DETACH) == nil
})

func newDisk(t *testing.T, megabytes int) *disk {
	t.Helper()
	folder, err := os.MkdirTemp("", "pgumbra-disk")
	must(t, err)
	t.Cleanup(func() { _ = os.Remove(folder) })
	must(t, syscall.Mount("tmpfs", folder, "tmpfs", 0, fmt.Sprintf("size=%dm,mode=755", megabytes)))
	t.Cleanup(func() { must(t, syscall.Unmount(folder, syscall.MNT_DETACH)) })
	return &disk{folder}
}

// fill takes its last byte; free gives back what was taken.
func (d *disk) fill(t *testing.T) {
	t.Helper()
	f, err := os.Create(filepath.Join(d.folder, "filler"))
	must(t, err)
	defer func() { _ = f.Close() }()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
}

func (d *disk) free(t *testing.T) {
	t.Helper()
	if err := os.Remove(filepath.Join(d.folder, "filler")); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// databaseOn makes a database of its own on the disk.
func (d *disk) databaseOn(ctx context.Context, t *testing.T, server *testcontainers.Server) (dsn string) {
	t.Helper()
	space := filepath.Join(d.folder, "space")
	must(t, os.Mkdir(space, 0o700))
	like(t, space, dataOf(ctx, t, server))
	name := filepath.Base(d.folder)
	conn, err := pgx.Connect(ctx, server.DSN("postgres"))
	must(t, err)
	defer conn.Close(ctx)
	for _, sql := range []string{"CREATE TABLESPACE %q LOCATION '" + space + "'", "CREATE DATABASE %q TABLESPACE %[1]q"} {
		_, err = conn.Exec(ctx, fmt.Sprintf(sql, name))
		must(t, err)
	}
	return server.DSN(name)
}

// holdWAL moves the server's WAL to the disk; the server crashes for that.
func (d *disk) holdWAL(ctx context.Context, t *testing.T, server *testcontainers.Server) {
	t.Helper()
	wal := filepath.Join(dataOf(ctx, t, server), "pg_wal")
	must(t, server.Crash(ctx))
	if out, err := exec.Command("cp", "-a", wal, d.folder).CombinedOutput(); err != nil {
		t.Fatalf("move the WAL: %v\n%s", err, out)
	}
	must(t, syscall.Mount(filepath.Join(d.folder, "pg_wal"), wal, "", syscall.MS_BIND, ""))
	t.Cleanup(func() { must(t, syscall.Unmount(wal, syscall.MNT_DETACH)) })
	must(t, server.Restart(ctx))
}

func dataOf(ctx context.Context, t *testing.T, server *testcontainers.Server) (folder string) {
	t.Helper()
	askServer(ctx, t, server, "SELECT current_setting('data_directory')", &folder)
	return folder
}

// like gives a folder the owner of another one.
func like(t *testing.T, folder, other string) {
	t.Helper()
	info, err := os.Stat(other)
	must(t, err)
	owner := info.Sys().(*syscall.Stat_t)
	must(t, os.Chown(folder, int(owner.Uid), int(owner.Gid)))
}

// fullFor is how long a disk stays full once the process goes on.
const fullFor = 2 * time.Second

// full fills the disk, lets the process meet that, and gives the room back.
func full(ctx context.Context, w *faulty, p *process) {
	w.disk.fill(w.t)
	must(w.t, p.Process.Signal(syscall.SIGCONT))
	select {
	case <-time.After(fullFor):
	case <-ctx.Done():
	}
	w.disk.free(w.t)
}

// fullWAL lets the server come to the end of its WAL's disk, of which it dies.
func fullWAL(ctx context.Context, w *faulty, p *process) {
	w.disk.fill(w.t)
	must(w.t, p.Process.Signal(syscall.SIGCONT))
	for ctx.Err() == nil && burnWAL(ctx, w.server.DSN("postgres")) == nil {
		continue // until it has died
	}
	w.disk.free(w.t)
	must(w.t, w.server.Restart(ctx))
}

func burnWAL(ctx context.Context, dsn string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for {
		if _, err := conn.Exec(ctx, "SELECT pg_switch_wal(), pg_logical_emit_message(false, 'pgumbra', 'test')"); err != nil {
			return err
		}
	}
}

// faultsOfDisks happen where file systems can be mounted. In one database journals and
// shadow are on one disk.
func faultsOfDisks() []fault {
	return []fault{
		{name: "the journals' disk is full", needs: mountable, disk: journalsDisk, do: full},
		{name: "the shadow's disk is full", place: remote, needs: mountable, disk: shadowsDisk, do: full},
		{name: "the WAL's disk is full", needs: mountable, disk: walDisk, do: fullWAL},
	}
}
