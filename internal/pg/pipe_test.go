package pg_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/testcontainers"
)

func session(t *testing.T) *pgx.Conn {
	t.Helper()
	conn, err := pg.Connect(t.Context(), testcontainers.Database(t), pg.Options{Component: "test", SearchPath: "public"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	return conn
}

func script(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if err := pg.ExecScript(t.Context(), conn, sql); err != nil {
		t.Fatal(err)
	}
}

func TestPipeMovesRows(t *testing.T) {
	t.Parallel()
	from, to := session(t), session(t)
	script(t, to, "CREATE TABLE a (id bigint, v text); CREATE TABLE none ()")
	for _, f := range []pg.Format{pg.Binary, pg.Text} {
		rows, err := pg.Pipe(t.Context(), from.PgConn(), pg.CopyTo("SELECT i::bigint, 'v' || i FROM generate_series(1, 100000) i -- all", f),
			to.PgConn(), pg.CopyFrom("a", []string{"id", "v"}, f))
		if err != nil || rows != 100000 {
			t.Fatalf("%s: %d rows, %v", f, rows, err)
		}
	}
	rows, err := pg.Pipe(t.Context(), from.PgConn(), pg.CopyTo("SELECT FROM generate_series(1, 3)", pg.Binary), to.PgConn(), pg.CopyFrom("none", nil, pg.Binary))
	if err != nil || rows != 3 {
		t.Errorf("%d rows, %v", rows, err)
	}
}

func TestPipeRunsWhatStandsAroundTheCopy(t *testing.T) {
	t.Parallel()
	from, to := session(t), session(t)
	script(t, to, "CREATE TABLE a (id int)")
	_, err := pg.Pipe(t.Context(), from.PgConn(), "SELECT set_config('work_mem', '5MB', false); "+pg.CopyTo("SELECT 7", pg.Text),
		to.PgConn(), "CREATE TEMP TABLE s (id int); "+pg.CopyFrom("s", []string{"id"}, pg.Text)+"; INSERT INTO a TABLE s")
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := to.QueryRow(t.Context(), "SELECT id FROM a").Scan(&n); err != nil || n != 7 {
		t.Errorf("%d, %v", n, err)
	}
}

func TestPipeNamesTheCause(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ out, in, state, side string }{
		{"SELECT 100 / (5000 - i) FROM generate_series(1, 100000) i", "a", "22012", "send: "},
		{"SELECT i / 2 FROM generate_series(2, 500000) i", "a", "23505", "receive: "},
		{"SELECT 1 FROM absent", "a", "42P01", "send: "},
		{"SELECT generate_series(1, 500000)", "absent", "42P01", "receive: "},
	} {
		from, to := session(t), session(t)
		script(t, to, "CREATE TABLE a (id int PRIMARY KEY)")
		_, err := pg.Pipe(t.Context(), from.PgConn(), pg.CopyTo(c.out, pg.Binary), to.PgConn(), pg.CopyFrom(c.in, []string{"id"}, pg.Binary))
		if pg.State(err) != c.state || !strings.HasPrefix(err.Error(), c.side) {
			t.Errorf("%s into %s: %v", c.out, c.in, err)
		}
		for name, conn := range map[string]*pgx.Conn{"from": from, "to": to} {
			if err := conn.Ping(t.Context()); err != nil {
				t.Errorf("%s into %s: %s is not usable: %v", c.out, c.in, name, err)
			}
		}
	}
}

func TestPipeTellsRowsThatAreTooLarge(t *testing.T) {
	testcontainers.InTurn(t, 4)
	t.Parallel()
	from, to := session(t), session(t)
	script(t, to, "CREATE TABLE a (v bytea)")
	_, err := pg.Pipe(t.Context(), from.PgConn(), pg.CopyTo("SELECT repeat('x', 540000000)::bytea", pg.Text), to.PgConn(), pg.CopyFrom("a", []string{"v"}, pg.Text))
	if !errors.Is(err, pg.ErrRowTooLarge) {
		t.Errorf("got %v", err)
	}
}

func TestPipeOfLostSourceWritesNothing(t *testing.T) {
	t.Parallel()
	from, to := session(t), session(t)
	script(t, to, "CREATE TABLE a (id int)")
	_, err := pg.Pipe(t.Context(), from.PgConn(),
		pg.CopyTo("SELECT CASE WHEN i = 90000 THEN pg_terminate_backend(pg_backend_pid())::int ELSE i END FROM generate_series(1, 100000) i", pg.Text),
		to.PgConn(), pg.CopyFrom("a", []string{"id"}, pg.Text))
	if !pg.Unreachable(err) {
		t.Errorf("got %v", err)
	}
	var n int
	if err := to.QueryRow(t.Context(), "SELECT count(*) FROM a").Scan(&n); err != nil || n != 0 {
		t.Errorf("%d rows, %v", n, err)
	}
}

func TestColumnTypesTellWhatIsAlikeOnAllServers(t *testing.T) {
	t.Parallel()
	conn := session(t)
	script(t, conn, `CREATE TYPE mood AS ENUM ('a'); CREATE DOMAIN small AS int; CREATE DOMAIN short AS varchar(3); CREATE DOMAIN shorter AS short;
		CREATE TYPE pair AS (a varchar(3)); CREATE DOMAIN pairs AS pair[]; CREATE DOMAIN shorts AS short[];
		CREATE TABLE a (i int, v varchar(10), c char(3), n numeric(10, 2)[], b bit(4), gone int, e mood, es mood[], d small, r regclass, x xml, ir int4range,
			s shorter, ss shorter[], p pair, pp pair[], dp pairs, sss shorts, ssss shorts[]);
		ALTER TABLE a DROP COLUMN gone`)
	types, err := pg.ColumnTypes(t.Context(), conn, pg.Name{Schema: "public", Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	var text []string
	for _, c := range types {
		if c.Sent != c.SQL {
			c.SQL += " as " + c.Sent
		}
		if c.Binary {
			c.SQL += "!"
		}
		text = append(text, c.Column+" "+c.SQL)
	}
	want := `i integer!, v character varying!, c bpchar!, n numeric[]!, b "bit"!, e mood!, es mood[], d small as integer!, r regclass, x xml, ir int4range!, ` +
		`s shorter as character varying!, ss shorter[] as character varying[]!, p pair as text, pp pair[] as text, dp pairs as text, sss shorts as text, ssss shorts[] as text`
	if got := strings.Join(text, ", "); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if pg.FormatOf(types) != pg.Text || pg.FormatOf(types[:5]) != pg.Binary {
		t.Error("wrong formats")
	}
}
