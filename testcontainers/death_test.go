package testcontainers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const hold = "PGUMBRA_TEST_HOLD"

// TestHold is no test of its own but what TestServerEndsWithItsProcess runs in
// another process: it starts a server (or PgBouncer in front of one), tells where
// it is, and waits to be ended.
func TestHold(t *testing.T) {
	how := os.Getenv(hold)
	if how == "" {
		t.Skip("run by TestServerEndsWithItsProcess")
	}
	dsn := Database(t)
	if how == "pgbouncer" {
		b := startPgBouncer(t, PgBouncerOptions{Databases: map[string]string{"shop": dsn}})
		fmt.Println("SERVER", b.AdminDSN(), b.ConfigPath())
	}
	fmt.Println("SERVER", dsn, query[string](t, connect(t, dsn), "SHOW data_directory"))
	switch how {
	case "panic":
		panic("the test's own")
	case "fatal":
		t.Fatal("the test's own")
	}
	<-t.Context().Done()
}

func TestServerEndsWithItsProcess(t *testing.T) {
	t.Parallel()
	installedOnly(t)
	if runtime.GOOS != "linux" {
		t.Skip("without a parent-death signal, a killed process's server ends at the next start")
	}
	for how, sig := range map[string]syscall.Signal{
		"kill": syscall.SIGKILL, "interrupt": syscall.SIGINT, "panic": 0, "fatal": 0, "pgbouncer": syscall.SIGKILL,
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			helper, dsn, data := startHolder(t, how)
			if sig != 0 {
				if err := helper.Process.Signal(sig); err != nil {
					t.Fatal(err)
				}
			}
			_ = helper.Wait() // its exit code is its own business
			waitRefused(t, dsn)
			sweepNow(t)
			if _, err := os.Stat(filepath.Dir(data)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s is still there (%v)", filepath.Dir(data), err)
			}
		})
	}
}

// sweepNow is the beginning of each start.
func sweepNow(t *testing.T) {
	t.Helper()
	f, err := newFolder()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.remove(); err != nil {
		t.Fatal(err)
	}
}

func startHolder(t *testing.T, how string) (helper *exec.Cmd, dsn, data string) {
	t.Helper()
	helper = exec.Command(os.Args[0], "-test.run=^TestHold$", "-test.v")
	helper.Env = append(os.Environ(), hold+"="+how)
	out, err := helper.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := helper.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = helper.Process.Kill() })
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if n, _ := fmt.Sscanf(lines.Text(), "SERVER %s %s", &dsn, &data); n == 2 {
			return helper, dsn, data
		}
	}
	t.Fatal("the other process told of no server")
	return nil, "", ""
}

func waitRefused(t *testing.T, dsn string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for poll := time.NewTicker(10 * time.Millisecond); ; {
		conn, err := pgx.Connect(ctx, dsn)
		if errors.Is(err, syscall.ECONNREFUSED) {
			return
		}
		if err == nil {
			_ = conn.Close(ctx)
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the server still answers (%v)", err)
		case <-poll.C:
		}
	}
}

func TestStatFieldsFollowTheCommandInBrackets(t *testing.T) {
	t.Parallel()
	const stat = "17 (post) gres (x) S 4711 17 17 0 -1"
	if statField(stat, 0) != "S" || parentOf(stat) != 4711 {
		t.Errorf("state %q, parent %d", statField(stat, 0), parentOf(stat))
	}
	if parentOf("") != 0 {
		t.Error("a parent out of nothing")
	}
}
