package pg_test

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// A host that is gone refuses nothing: nobody answers, until the time to connect is
// over. Finish and status asked the new server only where the old one's port was closed.
func TestServerThatKeepsSilentIsUnreachable(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	dsn := fmt.Sprintf("postgres://x@%s/x?connect_timeout=1", silent.Addr())
	if _, err := pg.Connect(ctx, dsn, pg.Options{}); !pg.Unreachable(err) {
		t.Error("not told as unreachable:", err)
	}
	stopped, stop := context.WithCancel(ctx)
	stop()
	if _, err := pg.Connect(stopped, dsn, pg.Options{}); err == nil || pg.Unreachable(err) {
		t.Error("a stop that was asked for is no fault of the server:", err)
	}
}

// A server that panics may have committed what it answers so to; one that lives and has no
// room has not.
func TestServerThatPanicsIsUnreachable(t *testing.T) {
	t.Parallel()
	for severity, unreachable := range map[string]bool{"PANIC": true, "ERROR": false} {
		err := fmt.Errorf("commit: %w", &pgconn.PgError{Severity: severity, SeverityUnlocalized: severity, Code: pgerrcode.DiskFull})
		if pg.Unreachable(err) != unreachable {
			t.Errorf("%s: unreachable: %t", severity, !unreachable)
		}
	}
}
