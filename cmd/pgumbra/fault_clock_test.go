package main

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/testcontainers"
)

// faketime is the library by which a server's clock can be set, as Debian installs it;
// empty: it is not there, and no clock jumps.
var faketime = sync.OnceValue(func() string {
	found, _ := filepath.Glob("/usr/lib/*/faketime/libfaketime.so.1")
	if len(found) == 0 {
		return ""
	}
	return found[0]
})

// clock is a server's, which goes with the machine's but for some seconds. The process
// of a run counts time by a clock that never jumps.
type clock struct{ file string }

func newClock(t *testing.T) *clock {
	t.Helper()
	folder, err := os.MkdirTemp("", "pgumbra-clock") // readable by the server's account
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	must(t, os.Chmod(folder, 0o755))
	c := &clock{filepath.Join(folder, "offset")}
	c.set(t, "+0")
	return c
}

func (c *clock) set(t *testing.T, offset string) {
	t.Helper()
	must(t, os.WriteFile(c.file+".new", []byte(offset+"\n"), 0o644))
	must(t, os.Rename(c.file+".new", c.file))
}

// environment of a server that goes by the clock. It looks at the file once a second, not
// at each question: it is asked in signal handlers too, where it must not open files.
func (c *clock) environment() []string {
	return []string{"LD_PRELOAD=" + faketime(), "FAKETIME_TIMESTAMP_FILE=" + c.file, "FAKETIME_DONT_FAKE_MONOTONIC=1", "FAKETIME_DISABLE_SHM=1", "FAKETIME_CACHE_DURATION=1"}
}

// jumps sets the clock of production's server by so many seconds.
func jumps(seconds string) func(context.Context, *faulty, *process) {
	return func(ctx context.Context, w *faulty, p *process) {
		before := serverTime(ctx, w.t, w.server)
		w.clock.set(w.t, seconds)
		for moved := 0.0; moved > -3000 && moved < 3000; moved = serverTime(ctx, w.t, w.server) - before {
			if ctx.Err() != nil {
				w.t.Fatal("the server's clock did not jump")
			}
		}
		must(w.t, p.Process.Signal(syscall.SIGCONT))
	}
}

func serverTime(ctx context.Context, t *testing.T, server *testcontainers.Server) (seconds float64) {
	t.Helper()
	askServer(ctx, t, server, "SELECT extract(epoch FROM clock_timestamp())::float8", &seconds)
	return seconds
}

// askServer reads the one value of a query's row.
func askServer(ctx context.Context, t *testing.T, server *testcontainers.Server, sql string, value any) {
	t.Helper()
	conn, err := pgx.Connect(ctx, server.DSN("postgres"))
	must(t, err)
	defer conn.Close(ctx)
	must(t, conn.QueryRow(ctx, sql).Scan(value))
}

func faultsOfClocks() []fault {
	ready := func() bool { return faketime() != "" }
	return []fault{
		{name: "the server's clock jumps an hour ahead", needs: ready, clock: true, do: jumps("+3600")},
		{name: "the server's clock jumps an hour back", needs: ready, clock: true, do: jumps("-3600")},
	}
}
