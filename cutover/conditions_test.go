package cutover

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/cutover/traffic"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/conditions"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// meanwhile is DDL that others commit while the fence stands, and what undoes it. A
// fence of ours may keep it out; then nothing is left behind either.
var meanwhile = []struct{ do, undo string }{
	{"CREATE TABLE {schema}.late (id int); INSERT INTO {schema}.late VALUES (1)", "DROP TABLE {schema}.late"},
	{"CREATE FUNCTION {schema}.late() RETURNS int LANGUAGE sql AS 'SELECT 1'", "DROP FUNCTION {schema}.late()"},
	{"CREATE OR REPLACE FUNCTION {schema}.price() RETURNS int LANGUAGE sql AS 'SELECT 2'", "CREATE OR REPLACE FUNCTION {schema}.price() RETURNS int LANGUAGE sql AS 'SELECT 1'"},
	{"CREATE TYPE {schema}.late AS ENUM ('a')", "DROP TYPE {schema}.late"},
	{"ALTER TYPE {schema}.mood ADD VALUE IF NOT EXISTS 'angry'", "SELECT"},
	{"CREATE SEQUENCE {schema}.late", "DROP SEQUENCE {schema}.late"},
	{"CREATE OR REPLACE VIEW {schema}.sight AS SELECT 2 AS n", "CREATE OR REPLACE VIEW {schema}.sight AS SELECT 1 AS n"},
	{"GRANT SELECT ON {schema}.account TO PUBLIC", "REVOKE SELECT ON {schema}.account FROM PUBLIC"},
	{"REVOKE EXECUTE ON FUNCTION {schema}.price() FROM PUBLIC", "GRANT EXECUTE ON FUNCTION {schema}.price() TO PUBLIC"},
	{"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO PUBLIC", "ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} REVOKE SELECT ON TABLES FROM PUBLIC"},
	{"CREATE COLLATION {schema}.late FROM \"C\"", "DROP COLLATION {schema}.late"},
	{"CREATE VIEW other.late AS SELECT id FROM {schema}.account", "DROP VIEW other.late"},
	{"CREATE FUNCTION other.late(a {schema}.account) RETURNS int LANGUAGE sql AS 'SELECT 1'", "DROP FUNCTION other.late"},
	{"CREATE TABLE other.late (a {schema}.account)", "DROP TABLE other.late"},
	{"CREATE PUBLICATION late FOR TABLES IN SCHEMA {schema}", "DROP PUBLICATION late"},
	{"CREATE PUBLICATION late FOR ALL TABLES", "DROP PUBLICATION late"},
	{"CREATE EVENT TRIGGER late ON sql_drop EXECUTE FUNCTION other.fired()", "DROP EVENT TRIGGER late"},
}

// watched lets the fixture notice changes of the schemas as a leader does.
func (f *fixture) signed() {
	f.t.Helper()
	sign := func(ctx context.Context) (string, error) {
		return conditions.Signature(ctx, f.pool, []string{f.schema.Production}, nil)
	}
	known, err := sign(context.Background())
	if err != nil {
		f.t.Fatal(err)
	}
	f.Parts = changes{f.Parts, func(ctx context.Context) ([]string, error) {
		now, err := sign(ctx)
		if err != nil || now == known {
			return nil, err
		}
		return []string{"something was made or changed"}, nil
	}}
}

// TestNothingThatCommitsBehindTheFenceIsLeftBehind commits DDL of many sorts at
// each step of an attempt: either the attempt is given up, or the DDL did not
// commit.
func TestNothingThatCommitsBehindTheFenceIsLeftBehind(t *testing.T) {
	testcontainers.InTurn(t, 3)
	t.Parallel()
	for _, swap := range []plans.Swap{plans.Rename, plans.Move} {
		for _, moment := range []string{"before drain", "after drain", "before swap", "after swap"} {
			t.Run(string(swap)+" "+moment, func(t *testing.T) {
				t.Parallel()
				f := shop(t, swap, "")
				f.settle(10*time.Second, 5*time.Second)
				f.exec(`CREATE SCHEMA other; CREATE FUNCTION other.fired() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
					CREATE VIEW {schema}.sight AS SELECT 1 AS n; CREATE FUNCTION {schema}.price() RETURNS int LANGUAGE sql AS 'SELECT 1';
					CREATE VIEW {shadow}.sight AS SELECT 1 AS n; CREATE FUNCTION {shadow}.price() RETURNS int LANGUAGE sql AS 'SELECT 1';`)
				client := f.client()
				run(t, client, "SET lock_timeout = 50")
				for i, ddl := range meanwhile {
					if moment != "after swap" && i%5 != 0 { // the last is the hardest
						continue
					}
					f.signed()
					f.meanwhile(client, moment, ddl.do, ddl.undo)
				}
				f.hook = nil
				f.signed()
				f.swaps()
			})
		}
	}
}

// TestDifferenceFoundBehindTheFenceStandsAgainstTheSwap: until the last look, by
// whomever.
func TestDifferenceFoundBehindTheFenceStandsAgainstTheSwap(t *testing.T) {
	t.Parallel()
	f := shop(t, plans.Rename, "")
	var found []Blocker
	f.Parts = unproves{f.Parts, func() []Blocker { return found }}
	for _, moment := range []string{"after drain", "after swap"} {
		f.hook = func(at string) error {
			if at == moment {
				found = []Blocker{{Code: "not-verified", Message: "shop.account is not verified"}}
			}
			return nil
		}
		out, err := f.Attempt(context.Background())
		if err != nil || out.Swapped || len(out.Reasons) != 1 || out.Reasons[0] != "shop.account is not verified" {
			t.Fatalf("%s: %+v, %v", moment, out, err)
		}
		found, f.hook = nil, nil
	}
	f.swaps()
}

func (f *fixture) meanwhile(client *pgx.Conn, moment, do, undo string) {
	f.t.Helper()
	ctx, met := context.Background(), false
	var ddl error
	f.hook = func(at string) error {
		if at == moment {
			met = true
			ddl = client.PgConn().Exec(ctx, f.fill(do)).Close()
			if ddl != nil {
				return refuse(Blocker{Code: "kept-out"})
			}
		}
		return nil
	}
	out, err := f.Attempt(ctx)
	if err != nil || out.Swapped || !met {
		f.t.Fatalf("%s at %s: %+v, %v", do, moment, out, err)
	}
	if pg.State(ddl) == pgerrcode.LockNotAvailable {
		return
	}
	if err := errors.Join(ddl, client.PgConn().Exec(ctx, f.fill(undo)).Close()); err != nil {
		f.t.Fatalf("%s: %v", do, err)
	}
}

// TestWhatTheDatabaseGetsBehindTheFenceIsNotLeftBehindUnsaid: no lock keeps out what is not
// of the schemas. Up to the last look it stands against the swap; what comes after that
// is told.
func TestWhatTheDatabaseGetsBehindTheFenceIsNotLeftBehindUnsaid(t *testing.T) {
	testcontainers.InTurn(t, 6)
	t.Parallel()
	f := remoteShop(t)
	f.settle(10*time.Second, 5*time.Second)
	var err error
	if f.Upgrade.Plan.Belongings, err = conditions.Belongings(context.Background(), f.pool, []string{f.schema.Production}); err != nil {
		t.Fatal(err)
	}
	client := f.client()
	for _, moment := range []string{"before drain", "before look again", "before look at the last"} {
		f.meanwhile(client, moment, "CREATE SCHEMA late", "DROP SCHEMA late")
		f.meanwhile(client, moment, "COMMENT ON SCHEMA public IS 'late'", "COMMENT ON SCHEMA public IS 'standard public schema'")
	}
	var said bytes.Buffer
	f.Log = slog.New(slog.NewTextHandler(&said, nil))
	f.fails("before commit", func() error { return client.PgConn().Exec(context.Background(), "CREATE SCHEMA late").Close() })
	f.swaps()
	if !strings.Contains(said.String(), "schema late: it is new") {
		t.Errorf("said: %s", &said)
	}
	f.livesIn(traffic.Shadow)
}

// TestOpenTransactionWithDDLIsNotLeftBehind: it commits after the swap what it did
// before, and waits for the fence or for nothing at all.
func TestOpenTransactionWithDDLIsNotLeftBehind(t *testing.T) {
	testcontainers.InTurn(t, 6)
	t.Parallel()
	for _, ddl := range []string{
		"CREATE TABLE {schema}.late (id int)",
		"CREATE OR REPLACE FUNCTION {schema}.price() RETURNS int LANGUAGE sql AS 'SELECT 2'",
		"GRANT SELECT ON {schema}.account TO PUBLIC",
		"CREATE VIEW other.late AS SELECT id FROM {schema}.account",
	} {
		t.Run(ddl, func(t *testing.T) {
			t.Parallel()
			f := shop(t, plans.Rename, "")
			f.settle(5*time.Second, time.Second)
			f.exec("CREATE SCHEMA other; CREATE FUNCTION {schema}.price() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE FUNCTION {shadow}.price() RETURNS int LANGUAGE sql AS 'SELECT 1'")
			client := f.client()
			run(t, client, "BEGIN")
			run(t, client, f.fill(ddl))
			f.refuses("structure-under-way", "open transaction")
			run(t, client, "ROLLBACK")
			f.swaps()
		})
	}
}
