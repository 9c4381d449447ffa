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
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	must(t, err)
	defer conn.Close(ctx)
	must(t, conn.PgConn().Exec(ctx, script).Close())
}

func limited(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

var restrict = regexp.MustCompile(`(?m)^\\(un)?restrict .*$`)

func command(name string, args ...string) (string, error) {
	out, err := osexec.Command(name, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return restrict.ReplaceAllString(string(out), ""), nil
}

// testWriter sends log lines to the test's own log.
type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(string(p))
	return len(p), nil
}
