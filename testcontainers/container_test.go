package testcontainers

import (
	"os"
	"slices"
	"testing"
	"time"
)

// containerImage skips unless an image is named: the engine and the image are
// what `make test-docker` brings.
func containerImage(t *testing.T) string {
	t.Helper()
	name := os.Getenv(ImageVariable)
	if name == "" {
		t.Skip(ImageVariable + " is not set; make test-docker sets it")
	}
	return name
}

func TestContainerTakesSettingsAndSurvivesCrashAndRestart(t *testing.T) {
	t.Parallel()
	s := start(t, Options{Image: containerImage(t), Settings: map[string]string{"work_mem": "7MB"}})
	conn := connect(t, s.DSN("postgres"))
	if got := query[string](t, conn, "SHOW work_mem"); got != "7MB" {
		t.Errorf("work_mem is %s", got)
	}
	execute(t, conn, "CREATE TABLE public.kept AS SELECT g FROM generate_series(1, 1000) g")
	if err := s.Crash(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := conn.Ping(t.Context()); err == nil {
		t.Fatal("a session outlived the crash")
	}
	for range 2 { // after the crash, and while it runs
		if err := s.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := query[int](t, connect(t, s.DSN("postgres")), "SELECT count(*) FROM public.kept"); n != 1000 {
			t.Errorf("%d rows after the restart, want 1000", n)
		}
	}
}

func TestContainerStopDoesNotWaitForSessions(t *testing.T) {
	t.Parallel()
	s := start(t, Options{Image: containerImage(t)})
	execute(t, connect(t, s.DSN("postgres")), "BEGIN; CREATE TABLE public.open ()")
	began := time.Now()
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 14*time.Second {
		t.Errorf("the stop took %s: as long as Docker waits before it kills", took)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Errorf("second stop: %v", err)
	}
}

func TestArgumentsAreSettingsInOrder(t *testing.T) {
	t.Parallel()
	got := arguments(map[string]string{"work_mem": "7MB", "fsync": "off"})
	if want := []string{"-c", "fsync=off", "-c", "work_mem=7MB"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
