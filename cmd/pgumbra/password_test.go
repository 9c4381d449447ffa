package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/testcontainers"
)

// The passwords of these tests hold geheim, which no output may.
const (
	ownersPassword = "geheim-9@/"
	poolsPassword  = "geheim-pool"
)

// guarded is a run whose servers and PgBouncer ask for passwords.
func guarded(t *testing.T) *remoteOperator {
	t.Helper()
	ctx := limited(t, time.Minute)
	server, err := testcontainers.Start(ctx, testcontainers.Options{})
	must(t, err)
	t.Cleanup(func() { _ = server.Stop(context.WithoutCancel(ctx)) })
	admin := &operator{t: t, dsn: server.DSN("postgres")}
	admin.sql(`CREATE ROLE app SUPERUSER LOGIN PASSWORD '` + ownersPassword + `'`)
	for _, name := range []string{"here", "there"} {
		admin.sql("CREATE DATABASE " + name + " TEMPLATE template0")
	}
	hba := admin.query(ctx, "SHOW hba_file")
	must(t, os.WriteFile(hba, []byte("host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"), 0o600))
	must(t, server.Restart(ctx))
	as := func(database string) string {
		u, err := url.Parse(server.DSN(database))
		must(t, err)
		u.User = url.UserPassword("app", ownersPassword)
		return u.String()
	}
	o := &operator{t: t, dir: t.TempDir(), dsn: as("here"), run: "up"}
	o.sql(small.sql)
	f := remoteBehind(t, o, as("there"), testcontainers.PgBouncerOptions{
		Settings: map[string]string{"auth_type": "scram-sha-256"},
		Users:    map[string]string{"app": ownersPassword, "pgbouncer": poolsPassword}})
	f.clients = f.bouncer.DSNAs("app", "shop") + "&default_query_exec_mode=exec"
	f.settleThrough(small)
	return f
}

// mistyped replaces a password in one line of the plan file, for one command.
func (f *remoteOperator) mistyped(ctx context.Context, key string, code int, args ...string) string {
	f.t.Helper()
	path := filepath.Join(f.dir, "pgumbra.yaml")
	right, err := os.ReadFile(path)
	must(f.t, err)
	lines := strings.Split(string(right), "\n")
	for i, line := range lines {
		if strings.Contains(line, key) {
			lines[i] = strings.Replace(line, "geheim-", "geheim-aber-falsch-", 1)
		}
	}
	if strings.Join(lines, "\n") == string(right) {
		f.t.Fatalf("no password beside %s in\n%s", key, right)
	}
	f.write("pgumbra.yaml", strings.Join(lines, "\n"))
	p := f.do(ctx, code, append(args, "--log-level", "debug")...)
	f.write("pgumbra.yaml", string(right))
	return f.silent(p)
}

// silent is what a process said, in which no password is.
func (f *remoteOperator) silent(p *process) string {
	f.t.Helper()
	text := p.out.String() + p.err.String()
	for _, secret := range []string{"geheim", url.QueryEscape(ownersPassword)} {
		if strings.Contains(text, secret) {
			f.t.Errorf("%v printed a password:\n%s", p.Args[1:], text)
		}
	}
	return text
}

// TestWrongPasswordsAreNamedAndNeverPrinted: on production, on the shadow, on
// PgBouncer's console; before a run and in the middle of one, which goes on with
// the right one.
func TestWrongPasswordsAreNamedAndNeverPrinted(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	f := guarded(t)
	here, there := f.dumpOf(production), f.dumpOf(theShadow)
	says := func(text string, wanted ...string) {
		t.Helper()
		for _, want := range append(wanted, "Next: ") {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not said:\n%s", want, text)
			}
		}
	}
	for _, command := range []string{"plan", "run", "status", "cutover", "abort"} {
		says(f.mistyped(ctx, "production:", exitError, command), "28P01", `user "app"`)
	}
	for _, command := range []string{"plan", "run"} {
		says(f.mistyped(ctx, "shadow:", exitError, command), "the shadow: ", "28P01", `user "app"`)
	}
	says(f.mistyped(ctx, "admin_dsn:", exitFindings, "plan"), "pgbouncer-login", "refuses the login")
	if f.dumpOf(production) != here || f.dumpOf(theShadow) != there {
		t.Error("something was changed")
	}
	f.silent(f.do(ctx, exitDone, "run", "--until", "following", "--log-level", "debug"))
	says(f.mistyped(ctx, "shadow:", exitError, "run"), "the shadow: ", "28P01", "is in phase following")
	f.env = []string{"PGUMBRA_CUTOVER_ATTEMPTS=1"}
	says(f.mistyped(ctx, "admin_dsn:", exitNotNow, "cutover"), "refuses the login", "nothing changed", "is in phase following")
	f.env = nil

	leader := f.start(ctx, "run", "--log-level", "debug")
	f.wait(ctx, led)
	f.passwordOf("app", "a new one")
	if got := leader.code(); got != exitError {
		t.Errorf("the password was changed in mid-run: exit code %d", got)
	}
	says(f.silent(leader), "28P01")
	f.passwordOf("app", ownersPassword)
	f.silent(f.do(ctx, exitDone, "run", "--cutover", "--log-level", "debug"))
	f.movedOver(ctx)
	f.silent(f.do(ctx, exitDone, "status"))
	f.silent(f.do(ctx, exitDone, "finish", "--drop-old", "--purge", "--log-level", "debug"))
}

// passwordOf changes a role's password and ends its sessions.
func (f *remoteOperator) passwordOf(role, password string) {
	f.t.Helper()
	c, err := pgx.ParseConfig(f.dsn)
	must(f.t, err)
	admin := &operator{t: f.t, dsn: fmt.Sprintf("postgres://postgres@%s:%d/postgres?sslmode=disable", c.Host, c.Port)}
	admin.sql(fmt.Sprintf("ALTER ROLE %s PASSWORD '%s'; SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '%[1]s'", role, password))
}
