package upgrade_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

// Whichever way a client writes on the old server after the cutover, it is told
// so, and what it writes at the new one is recorded from the first row on.
func TestOldServerRefusesEveryWayToWrite(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	w := build(t, history{
		structure: `CREATE SCHEMA shop;
			CREATE TABLE shop.a (id int PRIMARY KEY, v int); INSERT INTO shop.a VALUES (1, 1), (2, 2);
			CREATE TABLE shop.b (id int PRIMARY KEY, a int REFERENCES shop.a ON DELETE CASCADE ON UPDATE CASCADE); INSERT INTO shop.b VALUES (1, 1);
			CREATE TABLE shop.p (id int, d int, PRIMARY KEY (id, d)) PARTITION BY LIST (d); CREATE TABLE shop.p1 PARTITION OF shop.p FOR VALUES IN (1);
			CREATE TABLE shop.parent (id int PRIMARY KEY); CREATE TABLE shop.child () INHERITS (shop.parent); ALTER TABLE shop.child ADD PRIMARY KEY (id);
			CREATE UNLOGGED TABLE shop.u (id int PRIMARY KEY);
			CREATE VIEW shop.seen AS SELECT * FROM shop.a; CREATE RULE r AS ON INSERT TO shop.u DO ALSO INSERT INTO shop.b VALUES (NEW.id);
			CREATE FUNCTION shop.writes() RETURNS void LANGUAGE sql SECURITY DEFINER AS 'INSERT INTO shop.a VALUES (9, 9)';`,
		migrations: []string{"ALTER TABLE shop.a ADD COLUMN w int;"},
		planFile:   "tables: {shop.u: {skip: true}}\n",
		remote:     testcontainers.Database(t),
	})
	w.run(ctx, upgrade.Options{Cutover: true})
	if side, err := upgrade.ReadOldSide(ctx, w.file()); err != nil || !strings.Contains(w.production, side.Server[strings.LastIndexByte(side.Server, ':'):]) || !slices.Contains(side.Schemas, "shop") {
		t.Errorf("the old side is %+v, %v; it is on %s", side, err, w.production)
	}
	old, err := pgx.Connect(ctx, w.production)
	must(t, err)
	defer func() { _ = old.Close(ctx) }()
	for _, write := range []string{
		"INSERT INTO shop.a VALUES (3, 3)", "UPDATE shop.a SET v = 0 WHERE false", "DELETE FROM shop.b", "TRUNCATE shop.a CASCADE", "TRUNCATE ONLY shop.b",
		"MERGE INTO shop.a USING (VALUES (5)) s (id) ON a.id = s.id WHEN NOT MATCHED THEN INSERT VALUES (5, 5)",
		"INSERT INTO shop.a VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET v = 7", "WITH d AS (DELETE FROM shop.a RETURNING id) SELECT count(*) FROM d",
		"INSERT INTO shop.p VALUES (1, 1)", "INSERT INTO shop.p1 VALUES (1, 1)", "UPDATE shop.parent SET id = id", "INSERT INTO shop.child VALUES (1)", "INSERT INTO shop.u VALUES (1)",
		"INSERT INTO shop.seen VALUES (4, 4)", "SELECT shop.writes()", "DO 'BEGIN DELETE FROM shop.a; END'", "SET session_replication_role = replica; DELETE FROM shop.a",
		"SET SESSION AUTHORIZATION DEFAULT; SET application_name = 'pgumbra/work'; DELETE FROM shop.a", "COPY shop.a FROM STDIN",
	} {
		_, err := old.PgConn().Exec(ctx, "SET application_name = 'till'; "+write).ReadAll()
		if write == "COPY shop.a FROM STDIN" {
			_, err = old.PgConn().CopyFrom(ctx, eof{}, write)
		}
		var refused *pgconn.PgError
		if !errors.As(err, &refused) || refused.Code != "25006" {
			t.Errorf("%s: %v", write, err)
		}
	}
	exec(t, w.served, "INSERT INTO shop.a VALUES (3, 3)")
	var recorded int
	served, err := pgx.Connect(ctx, w.served)
	must(t, err)
	defer func() { _ = served.Close(ctx) }()
	must(t, served.QueryRow(ctx, `SELECT count(*) FROM pg_class c CROSS JOIN LATERAL (SELECT (xpath('/row/n/text()', query_to_xml(format('SELECT count(*) AS n FROM %s', c.oid::regclass), true, true, '')))[1]::text::int AS n) x
		WHERE relnamespace = 'pgumbra'::regnamespace AND relkind = 'r' AND relname ~ '^reverse_' AND x.n > 0`).Scan(&recorded))
	if recorded != 1 {
		t.Errorf("%d reverse journals hold the write", recorded)
	}
}

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }
