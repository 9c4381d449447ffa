package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/testcontainers"
)

// remoteMistakes are made where the shadow is in another database. In extra and
// args THERE is its DSN, FULL that of one that holds something, NOBODY that of a
// role without rights, CONSOLE PgBouncer's, CONFIG its file's path.
var remoteMistakes = []badInput{
	{name: "the same database twice", extra: "shadow: {dsn: \"DSN\"}\n", code: exitFindings, says: []string{"shadow-is-production"}},
	{name: "the same database by another address", extra: "shadow: {dsn: \"LOCALHOST\"}\n", code: exitFindings, says: []string{"shadow-is-production"}},
	{name: "shadow not empty", extra: "shadow: {dsn: \"FULL\"}\n", code: exitFindings, says: []string{"shadow-not-empty", "shop.a"}},
	{name: "run to a shadow that is not empty", extra: "shadow: {dsn: \"FULL\"}\n", args: []string{"run", "--cutover"}, code: exitFindings, says: []string{"shadow-not-empty"}},
	{name: "no rights on the shadow", extra: "shadow: {dsn: \"NOBODY\"}\n", code: exitFindings, says: []string{"shadow-privileges", "GRANT CREATE ON DATABASE"}},
	{name: "no such database there", extra: "shadow: {dsn: \"ABSENT\"}\n", code: exitError, says: []string{"the shadow: ", "3D000"}},
	{name: "no such role there", args: []string{"run", "--set", "shadow.dsn=postgres://nobody_here:geheim@SERVER/postgres"}, code: exitError, says: []string{"the shadow: ", "nobody_here", "28000"}},
	{name: "no such host there", args: []string{"run", "--set", "shadow.dsn=postgres://u:geheim@nowhere.invalid/x"}, code: exitError, says: []string{"the shadow: ", "nowhere.invalid"}},
	{name: "nobody leads clients", extra: "shadow: {dsn: \"THERE\"}\n", code: exitDone, says: []string{"no-traffic"}},
	{name: "PgBouncer of sessions", extra: bounced("SESSIONS", "shop", "SESSIONS_CONFIG"), code: exitFindings, says: []string{"pgbouncer-pool-mode", "session"}},
	{name: "PgBouncer away", extra: bounced("postgres://pgbouncer:geheim@127.0.0.1:1/pgbouncer", "shop", "CONFIG"), code: exitFindings, says: []string{"pgbouncer-unreachable"}},
	{name: "no such admin", extra: bounced("ORDINARY", "shop", "CONFIG"), code: exitFindings, says: []string{"pgbouncer-", "admin"}},
	{name: "no such pool", extra: bounced("CONSOLE", "shap", "CONFIG"), code: exitFindings, says: []string{"pgbouncer-entry", "shap"}},
	{name: "no such configuration", extra: bounced("CONSOLE", "shop", "/nowhere/pgbouncer.ini"), code: exitFindings, says: []string{"pgbouncer-config", "/nowhere/pgbouncer.ini"}},
	{name: "configuration that is none", extra: bounced("CONSOLE", "shop", "/proc/self/status"), code: exitFindings, says: []string{"pgbouncer-config", "/proc/self/status"}},
	{name: "run with a PgBouncer of sessions", extra: bounced("SESSIONS", "shop", "SESSIONS_CONFIG"), args: []string{"run"}, code: exitFindings, says: []string{"pgbouncer-"}},
	{name: "command that is not there", extra: "shadow: {dsn: \"THERE\"}\ntraffic: {command: [/nowhere/switch]}\n", code: exitFindings, says: []string{"traffic-command", "/nowhere/switch"}},
}

func bounced(console, database, config string) string {
	return fmt.Sprintf("shadow: {dsn: \"THERE\"}\ntraffic:\n  pgbouncer: {admin_dsn: %q, database: %s, config: %q}\n", console, database, config)
}

// TestBadInputOfAnotherDatabaseChangesNothing: on neither side.
func TestBadInputOfAnotherDatabaseChangesNothing(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, 3*time.Minute)
	shared := operatorOf(t, tiny)
	f := remoteFrom(t, shared, testcontainers.Database(t))
	words := f.words(ctx)
	before := [2]string{f.dumpOf(production), f.dumpOf(theShadow)}
	config, err := os.ReadFile(f.bouncer.ConfigPath())
	must(t, err)
	t.Run("of each kind", func(t *testing.T) {
		for i, c := range testcontainers.Some(t, remoteMistakes, 5) {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				o := &operator{t: t, dir: t.TempDir(), dsn: shared.dsn, run: fmt.Sprintf("up%d", i)}
				c.extra = words.Replace(c.extra)
				o.settle(c.setting())
				c.check(t, o)
			})
		}
	})
	if before != [2]string{f.dumpOf(production), f.dumpOf(theShadow)} {
		t.Error("a database was changed")
	}
	if now, err := os.ReadFile(f.bouncer.ConfigPath()); err != nil || string(now) != string(config) {
		t.Errorf("PgBouncer's configuration was changed: %v", err)
	}
	shared.noScratch(ctx)
}

// words are what stands for what only a running test knows.
func (f *remoteOperator) words(ctx context.Context) *strings.Replacer {
	t := f.t
	t.Helper()
	full := &operator{t: t, dsn: testcontainers.Database(t)}
	full.sql(tiny.sql)
	role := "nobody_" + f.database()
	f.sql("CREATE ROLE " + role + " LOGIN")
	t.Cleanup(func() { f.sql("DROP ROLE " + role) })
	sessions, err := testcontainers.StartPgBouncer(ctx, testcontainers.PgBouncerOptions{
		Databases: map[string]string{"shop": f.dsn}, Settings: map[string]string{"pool_mode": "session"}})
	must(t, err)
	t.Cleanup(func() { _ = sessions.Stop(context.WithoutCancel(ctx)) })
	return strings.NewReplacer(
		"ABSENT", testcontainers.Shared(t).DSN("nowhere"), "THERE", f.there, "FULL", full.dsn, "NOBODY", strings.Replace(f.there, "postgres@", role+"@", 1),
		"LOCALHOST", strings.Replace(f.dsn, "127.0.0.1", "localhost", 1), "DSN", f.dsn,
		"SESSIONS_CONFIG", sessions.ConfigPath(), "SESSIONS", sessions.AdminDSN(),
		"CONSOLE", f.bouncer.AdminDSN(), "ORDINARY", f.bouncer.DSN("pgbouncer"), "CONFIG", f.bouncer.ConfigPath())
}
