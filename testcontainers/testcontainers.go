// Package testcontainers gives tests, the demo and benchmarks disposable
// PostgreSQL servers: from binaries that are installed, or else in Docker. Also
// PgBouncer in front of them, and a proxy that breaks connections.
//
// A test binary calls [Run] from TestMain and then [Database] in each test;
// whoever must configure, crash or restart a server, or wants one of a certain
// major version, calls [Start]. [StartPgBouncer] and [StartProxy] take what these
// return as their target.
//
// Everything listens on loopback only, trusts everybody there, forgets
// durability (fsync=off) and leaves nothing behind: a server ends with the
// process that started it, however that ends, and what a killed process left on
// disk is removed by the next Start.
//
// It never touches a server it did not start.
package testcontainers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// The server that the tests of one test binary share. It exists from the
// first Database on.
var shared struct {
	sync.Mutex
	active bool // Run is running
	server *Server
	err    error
}

var databases atomic.Int64

// Run runs a test binary's tests and exits with their code. To be called from
// TestMain; it stops the server that Database started, also on an interrupt.
func Run(m *testing.M) {
	shared.Lock()
	shared.active = true
	shared.Unlock()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() { finish(130) })
	finish(m.Run())
}

// finish exits once: the lock is never given back.
func finish(code int) {
	shared.Lock()
	if err := stopShared(); err != nil {
		fmt.Fprintln(os.Stderr, "testcontainers:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func stopShared() error {
	if shared.server == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return shared.server.Stop(ctx)
}

// Shared is the server that Database makes its databases on, started if it is
// not running yet. Tests that only read its settings or need a second
// database name use it; nobody stops or crashes it.
func Shared(t testing.TB) *Server {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if !shared.active {
		t.Fatal("testcontainers: no TestMain of this package calls testcontainers.Run(m)")
	}
	if shared.server == nil && shared.err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
		defer cancel()
		shared.server, shared.err = Start(ctx, Options{})
	}
	if shared.err != nil {
		t.Fatalf("testcontainers: %v", shared.err)
	}
	return shared.server
}

// Database makes an empty database on the test binary's server and returns
// its DSN, as superuser. It is dropped when the test ends, sessions in it
// notwithstanding.
func Database(t testing.TB) string {
	t.Helper()
	s := Shared(t)
	name := databaseName(t.Name(), databases.Add(1))
	// template0, since an autovacuum worker or a stray session in template1
	// makes CREATE DATABASE wait or fail.
	if err := administer(s, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()+" TEMPLATE template0"); err != nil {
		t.Fatalf("testcontainers: make database %s: %v", name, err)
	}
	t.Cleanup(func() { drop(t, s, name) })
	return s.DSN(name)
}

// stuck: DROP DATABASE waits for every session of the server, and one of them does
// not answer, as one that waits for the rest of a COPY does not.
var stuck atomic.Bool

// drop a database. Once that took too long no other is dropped: each would take as
// long, and they go with their server anyway.
func drop(t testing.TB, s *Server, name string) {
	if stuck.Load() {
		return
	}
	err := administer(s, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)")
	if err == nil {
		return
	}
	if errors.Is(err, context.DeadlineExceeded) && !stuck.CompareAndSwap(false, true) {
		return
	}
	t.Errorf("testcontainers: drop database %s: %v", name, err)
}

func administer(s *Server, sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, sql)
	return err
}

// databaseName tells in pg_stat_activity and server logs which test it was:
// t<number>_<test name>, in letters that need no quoting, within 63 bytes.
func databaseName(test string, n int64) string {
	readable := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '_'
	}, test)
	name := fmt.Sprintf("t%d_%s", n, readable)
	return name[:min(len(name), 63)]
}
