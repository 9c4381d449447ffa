package behind_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/behind"
	"github.com/pgumbra/pgumbra/plans/syntax"
	"github.com/pgumbra/pgumbra/testcontainers"
)

func TestMain(m *testing.M) { testcontainers.Run(m) }

// TestFilesRunAsInTransactionsOfTheirOwn: what ends with a transaction that a file has in
// place ends there in the transaction that it does not have.
func TestFilesRunAsInTransactionsOfTheirOwn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		session behind.Session
		files   []string
		want    string // a query that is true then
		state   string // or the SQLSTATE of what fails
	}{
		"SET LOCAL ends with its file": {
			files: []string{"SET LOCAL search_path = other; CREATE TABLE a ()", "CREATE TABLE b ()"},
			want:  "SELECT to_regclass('other.a') IS NOT NULL AND to_regclass('public.b') IS NOT NULL"},
		"with its statement, where each is sent alone": {
			session: behind.Session{Each: true},
			files:   []string{"SET LOCAL search_path = other; CREATE TABLE a ()"},
			want:    "SELECT to_regclass('public.a') IS NOT NULL"},
		"not within BEGIN and COMMIT": {
			session: behind.Session{Each: true},
			files:   []string{"BEGIN; SET LOCAL search_path = other; CREATE TABLE a (); COMMIT; CREATE TABLE b ()"},
			want:    "SELECT to_regclass('other.a') IS NOT NULL AND to_regclass('public.b') IS NOT NULL"},
		"what is set for the session stays, also under SET LOCAL": {
			files: []string{"SET LOCAL search_path = public; SET search_path = other", "CREATE TABLE a ()"},
			want:  "SELECT to_regclass('other.a') IS NOT NULL"},
		"rows of ON COMMIT DELETE ROWS go": {
			files: []string{"CREATE TEMPORARY TABLE kept (n int) ON COMMIT DELETE ROWS; INSERT INTO kept VALUES (1)"},
			want:  "SELECT NOT EXISTS (SELECT FROM kept)"},
		"deferred constraints are checked": {
			files: []string{"INSERT INTO child VALUES (7)", "SELECT 1"}, state: pgerrcode.ForeignKeyViolation},
		"but for rows that are not there": {
			session: behind.Session{Rowless: true},
			files:   []string{"INSERT INTO child VALUES (7)", "SELECT 1"},
			want:    "SELECT EXISTS (SELECT FROM child)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			conn, err := pgx.Connect(ctx, testcontainers.Database(t))
			must(t, err)
			defer conn.Close(ctx)
			must(t, pg.ExecScript(ctx, conn, `CREATE SCHEMA other; CREATE TABLE parent (id int PRIMARY KEY);
				CREATE TABLE child (id int REFERENCES parent DEFERRABLE INITIALLY DEFERRED); BEGIN`))
			session := c.session
			session.Conn = conn
			for _, sql := range c.files {
				statements, _, err := syntax.Script("1_a.up.sql", sql)
				must(t, err)
				err = session.Run(ctx, plans.BehindFile{Name: "1_a.up.sql", Statements: statements})
				if c.state != "" {
					if pg.State(err) != c.state || !errors.As(err, new(*behind.Failed)) {
						t.Error(err)
					}
					return
				}
				must(t, err)
			}
			var is bool
			must(t, conn.QueryRow(ctx, c.want).Scan(&is))
			if !is {
				t.Error("not so:", c.want)
			}
		})
	}
}

// TestDescribeTellsWhatEndsWithAFile: what becomes of temporary tables is told where it
// is sent, at the end of the file or of what is a transaction in it.
func TestDescribeTellsWhatEndsWithAFile(t *testing.T) {
	t.Parallel()
	const sql = "CREATE TEMP TABLE a (n int) ON COMMIT DROP;\nBEGIN;\nSELECT 1;\nCOMMIT;\nALTER TYPE k ADD VALUE 'x';\nSELECT 2"
	const made, dropped, check = "-- 1_a.up.sql:1\nCREATE TEMP TABLE a (n int) ON COMMIT DROP", `DROP TABLE IF EXISTS pg_temp."a" CASCADE`, "SET CONSTRAINTS ALL IMMEDIATE"
	const one, two = "-- 1_a.up.sql:3\nSELECT 1", "-- 1_a.up.sql:6\nSELECT 2"
	for _, c := range []struct {
		each bool
		want []string
	}{
		{false, []string{made, one, check, dropped, two, check}},
		{true, []string{made, check, dropped, one, check, check, two, check, check}},
	} {
		statements, _, err := syntax.Script("1_a.up.sql", sql)
		must(t, err)
		if got := behind.Describe(plans.BehindFile{Name: "1_a.up.sql", Statements: statements}, c.each); !slices.Equal(got, c.want) {
			t.Errorf("each %v: %q", c.each, got)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
