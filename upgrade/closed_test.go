package upgrade_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/rehearsal"
	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

// shared is a shop of several tenants: the owner has the schema and its tables,
// and obeys the policies itself; a tenant sees rows of its own, a clerk all of a
// table without policies; the reader may read whatever is there, the writer write.
const shared = `CREATE SCHEMA shop AUTHORIZATION {owner}; GRANT CREATE ON SCHEMA shop TO {clerk}; GRANT USAGE ON SCHEMA shop TO {tenant}, {clerk};
	ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO {clerk}, PUBLIC; ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO {clerk};
	CREATE TABLE shop.doc (id int PRIMARY KEY, tenant text NOT NULL, v int NOT NULL);
	INSERT INTO shop.doc SELECT n, CASE n % 4 WHEN 0 THEN 'a' ELSE 'b' END, 0 FROM generate_series(1, 200) n;
	ALTER TABLE shop.doc ENABLE ROW LEVEL SECURITY; ALTER TABLE shop.doc FORCE ROW LEVEL SECURITY;
	CREATE POLICY own ON shop.doc USING (tenant = 'a');
	CREATE TABLE shop.bill (id int PRIMARY KEY, cents int NOT NULL); INSERT INTO shop.bill SELECT n, 100 FROM generate_series(1, 1000) n;
	REVOKE ALL ON shop.bill FROM PUBLIC;
	CREATE TABLE shop.part (id int NOT NULL, k int NOT NULL, PRIMARY KEY (id, k)) PARTITION BY LIST (k); CREATE TABLE shop.part1 PARTITION OF shop.part FOR VALUES IN (1);
	INSERT INTO shop.part VALUES (1, 1); CREATE TABLE shop.unused (id int PRIMARY KEY); CREATE SEQUENCE shop.numbers;
	CREATE FUNCTION shop.times() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2';
	CREATE FUNCTION shop.twice(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 * shop.times(); END'; CREATE INDEX ON shop.bill (shop.twice(cents));
	ALTER TABLE shop.doc OWNER TO {owner}; ALTER TABLE shop.bill OWNER TO {owner}; ALTER TABLE shop.part OWNER TO {owner}; ALTER TABLE shop.part1 OWNER TO {owner};`

const drop = "DROP OWNED BY {owner}, {tenant}, {clerk}, {reader}, {writer} CASCADE"

// tenants is a run of it that follows, and what fills in the roles' names.
func tenants(ctx context.Context, t *testing.T, remote string) (w *world, fill func(string) string) {
	t.Helper()
	var pairs []string
	for _, role := range []string{"owner", "tenant", "clerk", "reader", "writer"} {
		pairs = append(pairs, "{"+role+"}", fmt.Sprintf("%s_%d", role, time.Now().UnixNano()))
	}
	fill = strings.NewReplacer(pairs...).Replace
	server := testcontainers.Database(t)
	exec(t, server, fill(`CREATE ROLE {owner}; CREATE ROLE {tenant}; CREATE ROLE {clerk}; CREATE ROLE {reader} IN ROLE pg_read_all_data; CREATE ROLE {writer} IN ROLE pg_write_all_data`))
	structure := fill(shared)
	if remote != "" { // where a function that names another one is a blocker
		structure = strings.ReplaceAll(structure, "shop.times();", "2;")
	}
	w = build(t, history{structure: structure, remote: remote,
		migrations: []string{"ALTER TABLE shop.doc ADD COLUMN w int; ALTER TABLE shop.bill ADD COLUMN w int;"},
		planFile:   "tables: {shop.unused: {skip: true}}\n"})
	t.Cleanup(func() {
		for _, dsn := range []string{w.production, w.oracleDSN, w.served} {
			exec(t, dsn, fill(drop))
		}
		exec(t, server, fill("DROP ROLE {owner}, {tenant}, {clerk}, {reader}, {writer}"))
	})
	w.run(ctx, upgrade.Options{Until: control.Following})
	return w, fill
}

// eachPlace runs a test with the shadow in production's database, and in another.
func eachPlace(t *testing.T, test func(t *testing.T, remote string)) {
	t.Helper()
	t.Run("together", func(t *testing.T) { t.Parallel(); test(t, "") })
	t.Run("apart", func(t *testing.T) { t.Parallel(); test(t, testcontainers.Database(t)) })
}

// rowsUpgraded checks that production holds what the migrations make in place.
func (w *world) rowsUpgraded(ctx context.Context) {
	w.t.Helper()
	must(w.t, rehearsal.MigrateInPlace(ctx, w.oracleDSN, w.folder, ""))
	w.sameRows(ctx)
}

// refuses runs statements, each in a transaction of a session that begins so,
// and wants them to fail with an SQLSTATE.
func refuses(t *testing.T, dsn, begin, want string, statements ...string) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, dsn)
	must(t, err)
	defer func() { _ = conn.Close(ctx) }()
	for _, sql := range statements {
		must(t, conn.PgConn().Exec(ctx, "BEGIN; "+begin).Close())
		if strings.HasPrefix(sql, "COPY") {
			_, err = conn.PgConn().CopyFrom(ctx, strings.NewReader("7001\t1\t\\N\n"), sql)
		} else {
			err = conn.PgConn().Exec(ctx, sql).Close()
		}
		var e *pgconn.PgError
		if !errors.As(err, &e) || e.Code != want {
			t.Errorf("%s; %s: %v, want %s", begin, sql, err, want)
		}
		must(t, conn.PgConn().Exec(ctx, "ROLLBACK").Close())
	}
}

func TestShadowIsClosedToAllRolesUntilTheSwap(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	eachPlace(t, func(t *testing.T, remote string) {
		ctx := limited(t, 2*time.Minute)
		w, fill := tenants(ctx, t, remote)
		for _, dsn := range []string{w.served, w.production} { // apart, production has the skeleton
			for _, role := range []string{"{tenant}", "{clerk}", "{owner}"} {
				refuses(t, dsn, fill("SET ROLE "+role), "42501", "SELECT FROM pgumbra_up_shop.doc", "UPDATE pgumbra_up_shop.doc SET v = 1",
					"UPDATE pgumbra_up_shop.bill SET cents = 0", "DELETE FROM pgumbra_up_shop.part1", "TRUNCATE pgumbra_up_shop.bill", "CREATE TABLE pgumbra_up_shop.t ()",
					"ALTER TABLE pgumbra_up_shop.bill DISABLE TRIGGER ALL", "DROP TABLE pgumbra_up_shop.bill", "ALTER SCHEMA pgumbra_up_shop RENAME TO mine", "SELECT FROM pgumbra.run")
			}
		}
		refuses(t, w.served, fill("SET ROLE {writer}"), "25006", "INSERT INTO pgumbra_up_shop.doc VALUES (999, 'a', 1)", "INSERT INTO pgumbra_up_shop.bill VALUES (9999, 1)")
		refuses(t, w.served, fill("SET ROLE {reader}"), "22012", "SELECT 1 / count(*) FROM pgumbra_up_shop.doc WHERE tenant <> 'a'")
		w.run(ctx, upgrade.Options{Cutover: true})
		refuses(t, w.served, fill("SET ROLE {tenant}"), "22012", "SELECT 1 / (count(*) - 50) FROM shop.doc")
		refuses(t, w.served, fill("SET ROLE {owner}"), "22012", "SELECT 1 / (count(*) - 50) FROM shop.doc")
		refuses(t, w.served, fill("SET ROLE {clerk}"), "22012", "UPDATE shop.bill SET cents = 5; SELECT 1 / (count(*) - 1000) FROM shop.bill WHERE cents = 5")
		must(t, upgrade.Finish(ctx, w.file(), cutover.DropOld, upgrade.Purge, w.log))
		w.upgraded(ctx)
	})
}

// TestShadowRefusesWritesOfSuperusers: they reach it, and what they write would
// become production's.
func TestShadowRefusesWritesOfSuperusers(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	eachPlace(t, func(t *testing.T, remote string) {
		ctx := limited(t, 2*time.Minute)
		w, _ := tenants(ctx, t, remote)
		writes := []string{"INSERT INTO pgumbra_up_shop.bill VALUES (5000, 1)", "UPDATE pgumbra_up_shop.doc SET v = 1", "DELETE FROM pgumbra_up_shop.part", "DELETE FROM pgumbra_up_shop.part1",
			"TRUNCATE pgumbra_up_shop.unused", "TRUNCATE pgumbra_up_shop.part", "COPY pgumbra_up_shop.bill FROM STDIN", "INSERT INTO pgumbra_up_shop.unused VALUES (1)",
			"MERGE INTO pgumbra_up_shop.bill b USING (VALUES (1)) s (id) ON b.id = s.id WHEN MATCHED THEN DELETE"}
		refuses(t, w.served, "SET session_replication_role = replica; SET application_name = 'pgumbra/work'; SET pgumbra.replay = '1'", "25006", writes...)
		w.run(ctx, upgrade.Options{Cutover: true})
		w.rowsUpgraded(ctx)
	})
}

// TestShadowThatWasOpenedIsCopiedAgain: who takes the write block off and puts it on
// again leaves a trace, and nothing of what was written.
func TestShadowThatWasOpenedIsCopiedAgain(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	eachPlace(t, func(t *testing.T, remote string) {
		ctx := limited(t, 2*time.Minute)
		w, _ := tenants(ctx, t, remote)
		for _, table := range []string{"doc", "bill", "unused", "part1"} {
			exec(t, w.served, strings.ReplaceAll(`ALTER TABLE pgumbra_up_shop.{} DISABLE TRIGGER "!pgumbra_gate"; TRUNCATE pgumbra_up_shop.{}; ALTER TABLE pgumbra_up_shop.{} ENABLE ALWAYS TRIGGER "!pgumbra_gate"`, "{}", table))
		}
		exec(t, w.served, `DROP TRIGGER "!pgumbra_gate" ON pgumbra_up_shop.part; INSERT INTO pgumbra_up_shop.part VALUES (2, 1)`)
		w.run(ctx, upgrade.Options{Cutover: true})
		w.rowsUpgraded(ctx)
		var left int
		must(t, one(w.served, `SELECT count(*) FROM pg_trigger WHERE tgname = '!pgumbra_gate'`, &left))
		if left > 0 {
			t.Errorf("the gate is left on %d tables", left)
		}
	})
}

// TestAbortLeavesNothingOfAClosedShadow either.
func TestAbortLeavesNothingOfAClosedShadow(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	eachPlace(t, func(t *testing.T, remote string) {
		ctx := limited(t, 2*time.Minute)
		w, _ := tenants(ctx, t, remote)
		_, err := upgrade.Abort(ctx, w.file(), upgrade.KeepRecord, w.log)
		must(t, err)
		if left := lines(t, w.production, `SELECT p.oid::regprocedure::text FROM pg_proc p WHERE pronamespace = 'pgumbra'::regnamespace`); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	})
}
