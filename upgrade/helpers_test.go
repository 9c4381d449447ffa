package upgrade_test

import (
	"context"
	"fmt"
	"os"
	osexec "os/exec"
	"regexp"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/testcontainers"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(text), 0o644))
}

// exec runs a script in a database.
func exec(t testing.TB, dsn, script string) {
	t.Helper()
	ctx := limited(t, time.Minute)
	conn, err := pgx.Connect(ctx, dsn)
	must(t, err)
	defer conn.Close(ctx)
	must(t, conn.PgConn().Exec(ctx, script).Close())
}

func limited(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	return testcontainers.Limited(t, d)
}

var restrict = regexp.MustCompile(`(?m)^\\(un)?restrict .*$`)

func command(name string, args ...string) (string, error) {
	out, err := osexec.Command(name, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return restrict.ReplaceAllString(string(out), ""), nil
}

// await polls until a query answers true.
func await(ctx context.Context, t *testing.T, dsn, query string) {
	t.Helper()
	polled(ctx, t, func() (done bool) {
		must(t, one(dsn, query, &done))
		return done
	})
}

// polled asks until the answer is true.
func polled(ctx context.Context, t *testing.T, done func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			t.Fatal(ctx.Err())
		case <-tick.C:
		}
	}
}

// one reads one row of a database.
func one(dsn, query string, to ...any) error {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	return conn.QueryRow(ctx, query).Scan(to...)
}

// testWriter sends log lines to the test's own log.
type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(string(p))
	return len(p), nil
}
