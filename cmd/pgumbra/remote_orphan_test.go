package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/testcontainers"
)

// TestLeaderThatStandsStillInACutoverIsNotObeyed: its process is stopped, another
// one takes over and undoes what it had done, or completes it. When it goes on
// it leads nobody, holds nobody, and ends.
func TestLeaderThatStandsStillInACutoverIsNotObeyed(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	for _, step := range testcontainers.Some(t, []string{"pausing", "fencing", "switching", "deciding"}, 2) {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			ctx := limited(t, 2*time.Minute)
			f := remoteSmall(t, "")
			f.do(ctx, exitDone, "run", "--until", "following")
			config, before := f.config(), f.served(ctx)
			stopped, free := f.stopAt(ctx, step)
			must(t, stopped.Process.Signal(syscall.SIGSTOP))
			free()
			for _, s := range []side{production, theShadow} { // idle for too long
				conn := f.connectTo(ctx, s)
				_, err := conn.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
					WHERE application_name = 'pgumbra/cutover' AND datname = current_database() AND state LIKE 'idle in%'`)
				must(t, err)
				must(t, conn.Close(ctx))
			}
			next := f.start(ctx, "run")
			f.wait(ctx, `SELECT 'x' FROM pgumbra.run WHERE epoch = 3 AND switch IS NULL AND phase IN ('following', 'watching')`)
			goneForward := f.query(ctx, `SELECT phase FROM pgumbra.run`) == "watching"
			if goneForward && step != "deciding" {
				t.Errorf("it went forward from %s", step)
			}
			must(t, stopped.Process.Signal(syscall.SIGCONT))
			if got := stopped.code(); got != exitLed && (!goneForward || got != exitDone) {
				t.Errorf("the leader that woke up: exit code %d\n%s", got, &stopped.err)
			}
			if !goneForward {
				if at := f.served(ctx); at != before {
					t.Errorf("clients are at %s", at)
				}
				if now := f.config(); now != config {
					t.Errorf("PgBouncer's file:\n%s\nwas\n%s", now, config)
				}
				f.do(ctx, exitDone, "cutover")
			}
			f.movedOver(ctx)
			f.endsWatch(ctx, next)
		})
	}
}

// config is PgBouncer's file.
func (f *remoteOperator) config() string {
	f.t.Helper()
	text, err := os.ReadFile(f.bouncer.ConfigPath())
	must(f.t, err)
	return string(text)
}

// TestFollowingLeaderLeadsClientsBack who were led to the shadow by a process
// that did not lead any more.
func TestFollowingLeaderLeadsClientsBack(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, time.Minute)
	f := remoteSmall(t, "")
	leader := f.start(ctx, "run")
	f.wait(ctx, following)
	config, before := f.config(), f.served(ctx)
	target, err := pgx.ParseConfig(f.there)
	must(t, err)
	must(t, os.WriteFile(f.bouncer.ConfigPath()+".pgumbra-up", []byte(config), 0o600)) // as it keeps it
	must(t, os.WriteFile(f.bouncer.ConfigPath(), []byte(f.entryTo(target)), 0o600))
	f.console(ctx, "RELOAD")
	for f.config() != config || f.served(ctx) != before {
		select {
		case <-ctx.Done():
			t.Fatalf("clients are at %s; the file is\n%s", f.served(ctx), f.config())
		case <-leader.over:
			t.Fatalf("the leader ended\n%s", &leader.err)
		case <-time.After(50 * time.Millisecond):
		}
	}
	f.do(ctx, exitDone, "cutover")
	f.movedOver(ctx)
	f.endsWatch(ctx, leader)
}

// entryTo is PgBouncer's file with its entry leading to another database.
func (f *remoteOperator) entryTo(c *pgx.ConnConfig) string {
	f.t.Helper()
	lines := strings.Split(f.config(), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "shop = ") {
			lines[i] = fmt.Sprintf("shop = host=%s port=%d dbname=%s", c.Host, c.Port, c.Database)
		}
	}
	return strings.Join(lines, "\n")
}

func (f *remoteOperator) console(ctx context.Context, command string) {
	f.t.Helper()
	c, err := pgx.ParseConfig(f.bouncer.AdminDSN())
	must(f.t, err)
	c.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	conn, err := pgx.ConnectConfig(ctx, c)
	must(f.t, err)
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, command)
	must(f.t, err)
}
