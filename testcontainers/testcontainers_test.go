package testcontainers

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestMain(m *testing.M) { Run(m) }

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func query[T any](t *testing.T, conn *pgx.Conn, sql string, args ...any) T {
	t.Helper()
	var value T
	if err := conn.QueryRow(t.Context(), sql, args...).Scan(&value); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return value
}

func execute(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func TestDatabaseIsFreshForEachCall(t *testing.T) {
	t.Parallel()
	one, two := connect(t, Database(t)), connect(t, Database(t))
	execute(t, one, "CREATE TABLE public.mine ()")
	if query[bool](t, two, "SELECT to_regclass('public.mine') IS NOT NULL") {
		t.Error("a table made in one database shows in the other")
	}
	if !query[bool](t, one, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") {
		t.Error("the DSN's role is not superuser")
	}
}

func TestDatabaseIsDroppedWithItsSessionsAfterTheTest(t *testing.T) {
	t.Parallel()
	var name string
	t.Run("test", func(t *testing.T) {
		dsn := Database(t)
		// Not closed before the database's cleanup: registered later, but it
		// never closes at all.
		conn, err := pgx.Connect(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		name = query[string](t, conn, "SELECT current_database()")
	})
	admin := connect(t, Shared(t).DSN("postgres"))
	if query[bool](t, admin, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name) {
		t.Errorf("database %s is still there", name)
	}
}

func TestDatabaseNameIsPlainAndShort(t *testing.T) {
	t.Parallel()
	for test, want := range map[string]string{
		"TestCopy/with rows#01": "t7_testcopy_with_rows_01",
		"TestÄ":                 "t7_test_",
		"TestAVeryLongNameThatGoesOnAndOnUntilNoIdentifierCouldEverHoldIt": "t7_testaverylongnamethatgoesonandonuntilnoidentifiercouldeverho",
	} {
		if got := databaseName(test, 7); got != want {
			t.Errorf("databaseName(%q) = %q, want %q", test, got, want)
		}
	}
}
