package testcontainers

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func start(t *testing.T, o Options) *Server {
	t.Helper()
	s, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return s
}

// installedOnly skips where servers run in Docker: its processes and files are
// not ours to look at.
func installedOnly(t *testing.T) {
	t.Helper()
	if _, err := BinDir(); err != nil {
		t.Skip(err)
	}
}

func TestServerTakesSettings(t *testing.T) {
	t.Parallel()
	s := start(t, Options{Settings: map[string]string{"work_mem": "7MB", "max_connections": "23", "cluster_name": "it's"}})
	conn := connect(t, s.DSN("postgres"))
	for name, want := range map[string]string{
		"work_mem": "7MB", "max_connections": "23", "cluster_name": "it's", // given
		"fsync": "off", "max_locks_per_transaction": "256", // default
	} {
		if got := query[string](t, conn, "SELECT current_setting($1)", name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
}

func TestCommittedRowsSurviveCrashAndRestart(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	conn := connect(t, s.DSN("postgres"))
	execute(t, conn, "CREATE TABLE public.kept AS SELECT g FROM generate_series(1, 1000) g")
	execute(t, conn, "BEGIN")
	execute(t, conn, "INSERT INTO public.kept VALUES (0)")

	if err := s.Crash(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := conn.Ping(t.Context()); err == nil {
		t.Fatal("a session outlived the crash")
	}
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	after := connect(t, s.DSN("postgres"))
	if n := query[int](t, after, "SELECT count(*) FROM public.kept"); n != 1000 {
		t.Errorf("%d rows after recovery, want the 1000 that were committed", n)
	}
}

func TestRestartOfRunningServerKeepsPortAndData(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	before := connect(t, s.DSN("postgres"))
	execute(t, before, "CREATE TABLE public.kept ()")
	started := query[time.Time](t, before, "SELECT pg_postmaster_start_time()")
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	after := connect(t, s.DSN("postgres"))
	if !query[bool](t, after, "SELECT to_regclass('public.kept') IS NOT NULL") {
		t.Error("the data is gone")
	}
	if !query[time.Time](t, after, "SELECT pg_postmaster_start_time()").After(started) {
		t.Error("the server was not restarted")
	}
}

func TestStopRemovesTheDataAndMayBeRepeated(t *testing.T) {
	t.Parallel()
	installedOnly(t)
	s := start(t, Options{})
	data := query[string](t, connect(t, s.DSN("postgres")), "SHOW data_directory")
	for range 2 {
		if err := s.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Dir(data)); !os.IsNotExist(err) {
		t.Errorf("%s is still there (%v)", filepath.Dir(data), err)
	}
}

func TestServersTellThemselvesApart(t *testing.T) {
	t.Parallel()
	const identity = "SELECT system_identifier FROM pg_control_system()"
	one := query[int64](t, connect(t, start(t, Options{}).DSN("postgres")), identity)
	two := query[int64](t, connect(t, Shared(t).DSN("postgres")), identity)
	if one == two {
		t.Errorf("both are %d", one)
	}
}

func TestServerNeverRunsAsRoot(t *testing.T) {
	t.Parallel()
	installedOnly(t)
	conn := connect(t, Shared(t).DSN("postgres"))
	data := query[string](t, conn, "SHOW data_directory")
	info, err := os.Stat(filepath.Join(data, "postmaster.pid")) // made by the server itself
	if err != nil {
		t.Fatal(err)
	}
	uid := int(info.Sys().(*syscall.Stat_t).Uid)
	if uid == 0 {
		t.Error("the server runs as root")
	}
	if os.Getuid() != 0 && uid != os.Getuid() {
		t.Errorf("the server runs as uid %d, want oneself, %d", uid, os.Getuid())
	}
}

func TestServerThatCannotStartShowsItsLog(t *testing.T) {
	t.Parallel()
	installedOnly(t)
	_, err := Start(t.Context(), Options{Settings: map[string]string{"no_such_setting": "1"}})
	if err == nil || !strings.Contains(err.Error(), `unrecognized configuration parameter "no_such_setting"`) {
		t.Errorf("error is %v", err)
	}
}

func TestTakenPortIsToldFromOtherFailures(t *testing.T) {
	t.Parallel()
	installedOnly(t)
	taken := start(t, Options{}).Port()
	_, err := startOnce(t.Context(), Options{Settings: map[string]string{"port": strconv.Itoa(taken)}})
	if !errors.Is(err, errPortTaken) {
		t.Errorf("error is %v", err)
	}
}
