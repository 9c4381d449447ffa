package testcontainers

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

func startPgBouncer(t *testing.T, o PgBouncerOptions) *PgBouncer {
	t.Helper()
	b, err := StartPgBouncer(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Stop(context.Background()); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return b
}

// pooled connects without named prepared statements: transaction pooling before
// 1.21 has none, and the admin console has only the simple protocol.
func pooled(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// name is the database of a DSN, which PgBouncer's clients do not see in it.
func name(t *testing.T, dsn string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(u.Path, "/")
}

func TestPgBouncerLeadsEachPoolToItsDatabase(t *testing.T) {
	t.Parallel()
	one, two := Database(t), Database(t)
	b := startPgBouncer(t, PgBouncerOptions{Databases: map[string]string{"one": one, "other": two}})
	for pool, dsn := range map[string]string{"one": one, "other": two} {
		if got := query[string](t, pooled(t, b.DSN(pool)), "SELECT current_database()"); got != name(t, dsn) {
			t.Errorf("pool %s leads to %s, want %s", pool, got, name(t, dsn))
		}
	}
}

// backends are the server processes that two transactions get while another
// client's transaction keeps the first one busy.
func backends(t *testing.T, b *PgBouncer) (before, after int) {
	t.Helper()
	client, other := pooled(t, b.DSN("shop")), pooled(t, b.DSN("shop"))
	before = query[int](t, client, "SELECT pg_backend_pid()")
	execute(t, other, "BEGIN")
	execute(t, other, "SELECT 1")
	after = query[int](t, client, "SELECT pg_backend_pid()")
	execute(t, other, "ROLLBACK")
	return before, after
}

func TestPgBouncerPoolsTransactionsUnlessToldSessions(t *testing.T) {
	t.Parallel()
	databases := map[string]string{"shop": Database(t)}
	if before, after := backends(t, startPgBouncer(t, PgBouncerOptions{Databases: databases})); before == after {
		t.Error("by default, a session kept its server process")
	}
	sessions := PgBouncerOptions{Databases: databases, Settings: map[string]string{"pool_mode": "session"}}
	if before, after := backends(t, startPgBouncer(t, sessions)); before != after {
		t.Error("with pool_mode session, a session lost its server process")
	}
}

func TestPgBouncerAdminMayPauseAndShowDatabases(t *testing.T) {
	t.Parallel()
	dsn := Database(t)
	admin := pooled(t, startPgBouncer(t, PgBouncerOptions{Databases: map[string]string{"shop": dsn}}).AdminDSN())
	for _, command := range []string{"PAUSE shop", "RELOAD", "RESUME shop"} {
		execute(t, admin, command)
	}
	rows, err := admin.Query(t.Context(), "SHOW DATABASES")
	if err != nil {
		t.Fatal(err)
	}
	databases, err := pgx.CollectRows(rows, pgx.RowToMap)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range databases {
		if row["name"] == "shop" && row["database"] == name(t, dsn) {
			return
		}
	}
	t.Errorf("SHOW DATABASES has %v", databases)
}

func TestPgBouncerAsksForPasswordsWhereToldTo(t *testing.T) {
	t.Parallel()
	dsn := Database(t)
	b := startPgBouncer(t, PgBouncerOptions{
		Databases: map[string]string{"shop": dsn},
		Users:     map[string]string{"postgres": `it's "secret"`},
		Settings:  map[string]string{"auth_type": "scram-sha-256"},
	})
	if got := query[string](t, pooled(t, b.DSN("shop")), "SELECT current_user"); got != "postgres" {
		t.Errorf("logged in as %s", got)
	}
	pooled(t, b.AdminDSN())
	wrong := strings.Replace(b.DSN("shop"), "secret", "guess", 1)
	if _, err := pgx.Connect(t.Context(), wrong); err == nil {
		t.Error("a wrong password was taken")
	}
}

func TestPgBouncerRestartReadsTheChangedFile(t *testing.T) {
	t.Parallel()
	one, two := Database(t), Database(t)
	b := startPgBouncer(t, PgBouncerOptions{Databases: map[string]string{"shop": one}})
	before := pooled(t, b.DSN("shop"))
	rewrite(t, b.ConfigPath(), name(t, one), name(t, two))
	if got := query[string](t, before, "SELECT current_database()"); got != name(t, one) {
		t.Errorf("before the restart shop leads to %s", got)
	}
	if err := b.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := before.Ping(t.Context()); err == nil {
		t.Error("a client outlived the restart")
	}
	if got := query[string](t, pooled(t, b.DSN("shop")), "SELECT current_database()"); got != name(t, two) {
		t.Errorf("after the restart shop leads to %s, want %s", got, name(t, two))
	}
}

// rewrite replaces words in a file and keeps its owner and mode.
func rewrite(t *testing.T, path, from, to string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(text), from, to)), 0); err != nil {
		t.Fatal(err)
	}
}

func TestPgBouncerRunsAsItsFilesOwnerAndLeavesNothing(t *testing.T) {
	t.Parallel()
	b := startPgBouncer(t, PgBouncerOptions{Databases: map[string]string{"shop": Database(t)}})
	info, err := os.Stat(b.ConfigPath())
	if err != nil {
		t.Fatal(err)
	}
	process, err := os.Stat(filepath.Join(b.dir.path, bouncerPidFile)) // made by itself
	if err != nil {
		t.Fatal(err)
	}
	uid := process.Sys().(*syscall.Stat_t).Uid
	if uid == 0 || uid != info.Sys().(*syscall.Stat_t).Uid {
		t.Errorf("it runs as uid %d, its configuration is uid %d's", uid, info.Sys().(*syscall.Stat_t).Uid)
	}
	for range 2 {
		if err := b.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(b.dir.path); !os.IsNotExist(err) {
		t.Errorf("%s is still there (%v)", b.dir.path, err)
	}
}

func TestPgBouncerThatCannotStartShowsItsLog(t *testing.T) {
	t.Parallel()
	_, err := StartPgBouncer(t.Context(), PgBouncerOptions{Settings: map[string]string{"pool_mode": "none"}})
	if err == nil || !strings.Contains(err.Error(), `invalid value "none" for parameter pool_mode`) {
		t.Errorf("error is %v", err)
	}
}

func TestPgBouncerOnTakenPortIsToldFromOtherFailures(t *testing.T) {
	t.Parallel()
	taken := startPgBouncer(t, PgBouncerOptions{Databases: map[string]string{"shop": Database(t)}})
	_, port, _ := strings.Cut(taken.Addr(), ":")
	second := PgBouncerOptions{Databases: map[string]string{"shop": Database(t)}, Settings: map[string]string{"listen_port": port}}
	if _, err := startBouncer(t.Context(), second, taken.logger); !errors.Is(err, errPortTaken) {
		t.Errorf("error is %v", err)
	}
}

func TestPgBouncerTakesOddDatabaseButNoOddPoolName(t *testing.T) {
	t.Parallel()
	lines, err := databaseSection(map[string]string{"shop": `host=/run/pg port=6000 dbname='it\'s odd'`, "*": "postgres://db1/a"})
	const want = "* = host=db1 port=5432 dbname=a\nshop = host='/run/pg' port=6000 dbname='it''s odd'\n"
	if lines != want || err != nil {
		t.Errorf("got %q, %v; want %q", lines, err, want)
	}
	for _, name := range []string{"", "the shop", `"shop"`} {
		if _, err := databaseSection(map[string]string{name: "postgres://db1/a"}); err == nil {
			t.Errorf("pool name %q is taken", name)
		}
	}
}
