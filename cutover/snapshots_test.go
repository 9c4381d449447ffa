package cutover

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/syntax"
	"github.com/pgumbra/pgumbra/testcontainers"
)

const (
	served = ""                             // sees all that was committed before
	stale  = pgerrcode.SerializationFailure // is told so
)

// asking waits for the fence at READ COMMITTED and asks for a row that was
// committed in production before, and that only the drain brings to the shadow.
type asking struct{ before, sql, want string }

var asks = map[string]asking{
	"select":            {"", "SELECT 1/count(*) FROM (SELECT FROM {schema}.account WHERE id = 777 FOR UPDATE) s", served},
	"update":            {"", "WITH u AS (UPDATE {schema}.account SET balance = 1 WHERE id = 777 RETURNING 1) SELECT 1/count(*) FROM u", served},
	"copy":              {"", "/* export */ COPY (SELECT id FROM {schema}.account WHERE id = 777 FOR UPDATE) TO STDOUT", stale},
	"copy of an update": {"", "COPY (UPDATE {schema}.account SET balance = 5 WHERE id = 777 RETURNING id) TO STDOUT", stale},
	"cursor":            {"BEGIN", "DECLARE c CURSOR FOR SELECT 1/count(*) FROM (SELECT FROM {schema}.account WHERE id = 777 FOR UPDATE) s", served},
	"explain":           {"", "EXPLAIN (ANALYZE) SELECT 1/count(*) FROM (SELECT FROM {schema}.account WHERE id = 777 FOR UPDATE) s", served},
	"explained update":  {"", "-- why\nEXPLAIN ANALYZE WITH u AS (UPDATE {schema}.account SET balance = 1 WHERE id = 777 RETURNING 1) SELECT 1/count(*) FROM u", served},
	"made table":        {"", "CREATE TEMP TABLE x AS SELECT 1/count(*) FROM (SELECT FROM {schema}.account WHERE id = 777 FOR UPDATE) s", served},
	"select into":       {"", "SELECT 1/count(*) INTO TEMP x FROM (SELECT FROM {schema}.account WHERE id = 777 FOR UPDATE) s", served},
	"execute":           {"PREPARE p AS SELECT id FROM {schema}.account WHERE id = 777 FOR UPDATE", "EXECUTE p", stale},
	"executed update":   {"PREPARE p AS UPDATE {schema}.account SET balance = 5 WHERE id = 777", "EXECUTE p", stale},
	"block":             {"", "DO $$ BEGIN PERFORM FROM {schema}.account WHERE id = 777 FOR UPDATE; IF NOT FOUND THEN RAISE 'not seen'; END IF; END $$", served},
	"function":          {"", "SELECT kept.touch(1), 1/kept.found(777)", stale},
	"SQL function":      {"", "SELECT kept.touch(1), 1/kept.found_sql(777)", stale},
	"volatile function": {"", "SELECT kept.touch(1), 1/kept.found_volatile(777)", served},
	"procedure":         {"", "CALL kept.touch_and_find(777)", served},
}

const functions = `
	CREATE SCHEMA kept;
	CREATE FUNCTION kept.touch(bigint) RETURNS bigint LANGUAGE plpgsql AS 'BEGIN UPDATE {schema}.account SET balance = balance WHERE id = $1; RETURN 0; END';
	CREATE FUNCTION kept.found(bigint) RETURNS bigint LANGUAGE plpgsql STABLE AS 'BEGIN RETURN (SELECT count(*) FROM {schema}.account WHERE id = $1); END';
	CREATE FUNCTION kept.found_sql(bigint) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM {schema}.account WHERE id = $1';
	CREATE FUNCTION kept.found_volatile(bigint) RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM {schema}.account WHERE id = $1); END';
	CREATE PROCEDURE kept.touch_and_find(bigint) LANGUAGE plpgsql AS 'BEGIN UPDATE {schema}.account SET balance = 1 / kept.found_volatile($1); END'; `

// ask sends a statement, prepared beforehand in mode CacheStatement.
func ask(conn *pgx.Conn, mode pgx.QueryExecMode, sql string) error {
	if strings.Contains(sql, "COPY") {
		_, err := conn.PgConn().CopyTo(context.Background(), io.Discard, sql)
		return err
	}
	_, err := conn.Exec(context.Background(), sql, mode)
	return err
}

// whileFenced sends statements once the fence stands, and lets the drain begin
// when all of them wait.
func (f *fixture) whileFenced(group *errgroup.Group, clients map[*pgx.Conn]func() error) {
	drain := f.Parts.Drain
	f.drainsBy(func(ctx context.Context) (int64, error) {
		var pids []int32
		for conn, do := range clients {
			group.Go(do)
			pids = append(pids, int32(conn.PgConn().PID()))
		}
		waitFor(f.t, f.pool, "SELECT count(*) = cardinality($1::int[]) FROM pg_stat_activity WHERE pid = ANY ($1) AND wait_event_type = 'Lock'", pids)
		return drain(ctx)
	})
}

func TestWhoWaitedSeesAllOrIsRefused(t *testing.T) {
	testcontainers.InTurn(t, 6)
	t.Parallel()
	for name, mode := range map[string]pgx.QueryExecMode{"simple": pgx.QueryExecModeSimpleProtocol, "prepared": pgx.QueryExecModeCacheStatement} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := shop(t, plans.Rename, "")
			f.settle(20*time.Second, 5*time.Second)
			role := "pgumbra_asker_" + name
			f.exec(functions + "INSERT INTO {schema}.account (id) VALUES (777); CREATE ROLE " + role + ";")
			f.exec(strings.ReplaceAll("GRANT ALL ON SCHEMA {schema}, {shadow}, kept TO r; GRANT ALL ON ALL TABLES IN SCHEMA {schema}, {shadow} TO r; GRANT ALL ON ALL SEQUENCES IN SCHEMA {schema}, {shadow} TO r;", " r;", " "+role+";"))
			group, got, clients := new(errgroup.Group), map[string]error{}, map[*pgx.Conn]func() error{}
			results := make(chan func(), len(asks))
			for name, a := range asks {
				conn := f.client()
				run(t, conn, "SET ROLE "+role)
				if a.before != "" {
					run(t, conn, f.fill(a.before))
				}
				sql := f.fill(a.sql)
				if mode == pgx.QueryExecModeCacheStatement && !strings.Contains(sql, "COPY") && a.before != "BEGIN" {
					if _, err := conn.Prepare(context.Background(), sql, sql); err != nil {
						t.Fatal(err)
					}
				}
				clients[conn] = func() error {
					err := ask(conn, mode, sql)
					results <- func() { got[name] = err }
					return nil
				}
			}
			f.whileFenced(group, clients)
			f.swaps()
			_ = group.Wait()
			for range asks {
				(<-results)()
			}
			for name, a := range asks {
				if err := got[name]; pg.State(err) != a.want || a.want == served && err != nil {
					t.Errorf("%s: %v, want %q", name, err, a.want)
				}
			}
			for conn := range clients {
				_ = conn.Close(context.Background())
			}
			if err := f.Cutover.After(context.Background()); err != nil {
				t.Error(err)
			}
			f.exec("DROP OWNED BY " + role + "; DROP ROLE " + role)
		})
	}
}

func TestChainsOfWaitersDoNotHoldUpTheSwap(t *testing.T) {
	t.Parallel()
	f := shop(t, plans.Rename, "CREATE TABLE public.outside (id int PRIMARY KEY, n int); INSERT INTO public.outside VALUES (1, 0);")
	f.settle(5*time.Second, 300*time.Millisecond)
	first, second, third := f.client(), f.client(), f.client()
	run(t, first, "BEGIN; SELECT pg_advisory_xact_lock(7)")
	run(t, second, "BEGIN; UPDATE public.outside SET n = 1")
	group := new(errgroup.Group)
	exec := func(conn *pgx.Conn, sql string) func() error {
		return func() error {
			_, err := conn.Exec(context.Background(), f.fill(sql))
			return err
		}
	}
	f.whileFenced(group, map[*pgx.Conn]func() error{
		first:  exec(first, "UPDATE {schema}.account SET balance = 5 WHERE id = 1; COMMIT"),
		second: exec(second, "SELECT pg_advisory_xact_lock(7); COMMIT"), // behind the first one
		third:  exec(third, "UPDATE public.outside SET n = n + 1"),      // behind the second
	})
	began := time.Now()
	out := f.swaps()
	if out.Stall > 4*time.Second {
		t.Errorf("a stall of %s, %s in all", out.Stall, time.Since(began))
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	if n := get[int](f, "SELECT n FROM public.outside"); n != 2 {
		t.Errorf("outside: %d", n)
	}
}

func TestExportedSnapshotOfAReplicationSlotIsWaitedFor(t *testing.T) {
	t.Parallel()
	f := shop(t, plans.Rename, "")
	if get[string](f, "SHOW wal_level") != "logical" {
		f.t.Log("wal_level is not logical")
	}
	f.settle(300*time.Millisecond, 200*time.Millisecond)
	config, err := pgx.ParseConfig(f.dsn)
	if err != nil {
		t.Fatal(err)
	}
	config.RuntimeParams["replication"] = "database"
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	walsender, err := pgx.ConnectConfig(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = walsender.Close(context.Background()) }()
	rows, err := walsender.PgConn().Exec(context.Background(), "CREATE_REPLICATION_SLOT pgumbra_exported TEMPORARY LOGICAL pgoutput EXPORT_SNAPSHOT").ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	snapshot := string(rows[0].Rows[0][2])
	f.refuses("open-transaction", "holds a snapshot")
	importer := f.client()
	run(t, importer, "BEGIN ISOLATION LEVEL REPEATABLE READ; SET TRANSACTION SNAPSHOT '"+snapshot+"'")
	if n := value[int](t, importer, f.fill("SELECT count(*) FROM {schema}.account")); n != 50 {
		t.Errorf("the importer sees %d rows", n)
	}
	run(t, importer, "COMMIT")
	if err := walsender.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	f.settle(5*time.Second, 200*time.Millisecond)
	f.swaps()
}

// TestSnapshotImportedAfterTheSwapIsRefused: its exporter waited for the fence,
// and so was not waited for.
func TestSnapshotImportedAfterTheSwapIsRefused(t *testing.T) {
	t.Parallel()
	f := shop(t, plans.Rename, "")
	f.settle(10*time.Second, 2*time.Second)
	exporter, importer := f.client(), f.client()
	run(t, exporter, "BEGIN ISOLATION LEVEL REPEATABLE READ")
	snapshot := value[string](t, exporter, "SELECT pg_export_snapshot()")
	run(t, exporter, "SAVEPOINT s")
	group := new(errgroup.Group)
	f.whileFenced(group, map[*pgx.Conn]func() error{exporter: func() error {
		_, err := exporter.Exec(context.Background(), f.fill("UPDATE {schema}.account SET balance = 5"))
		if pg.State(err) != stale {
			return errors.Join(errors.New("the exporter was served"), err)
		}
		_, err = exporter.Exec(context.Background(), "ROLLBACK TO s")
		return err
	}})
	f.swaps()
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	after := make(chan error, 1)
	go func() { after <- f.Cutover.After(context.Background()) }()
	run(t, importer, "BEGIN ISOLATION LEVEL REPEATABLE READ; SET TRANSACTION SNAPSHOT '"+snapshot+"'")
	run(t, exporter, "COMMIT")
	_, err := importer.Exec(context.Background(), f.fill("SELECT count(*) FROM {schema}.account"))
	sqlState(t, err, stale)
	run(t, importer, "ROLLBACK")
	if err := <-after; err != nil {
		t.Error(err)
	}
}

// TestGuardsGoWithoutFailingAPlanner: a planner that has read the list of a
// table's statistics fails when one of them is gone.
func TestGuardsGoWithoutFailingAPlanner(t *testing.T) {
	t.Parallel()
	f := shop(t, plans.Rename, "")
	ctx, stop := context.WithCancel(context.Background())
	group := new(errgroup.Group)
	for range 6 {
		conn := f.client()
		group.Go(func() error {
			for ctx.Err() == nil {
				if _, err := conn.Exec(context.Background(), f.fill("SELECT count(*) FROM {schema}.account a JOIN {schema}.account b USING (id) JOIN {schema}.account c USING (id)"),
					pgx.QueryExecModeSimpleProtocol); err != nil {
					return err
				}
			}
			return nil
		})
	}
	f.swaps()
	if err := f.Cutover.After(ctx); err != nil {
		t.Error(err)
	}
	for range 30 {
		if err := pg.ReadCommitted(ctx, f.pool, func(tx pgx.Tx) error {
			if err := prepareGuards(ctx, tx, f.Upgrade); err != nil {
				return err
			}
			for _, sql := range guards(f.Upgrade, []relation{{name: pg.Name{Schema: "shop", Name: "account"}}}, "3")[2:] {
				if _, err := tx.Exec(ctx, sql); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Error(err)
			break
		}
		if err := dropGuards(ctx, f.pool, f.Upgrade); err != nil {
			t.Error(err)
			break
		}
	}
	stop()
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}

// TestViewThatMigrationsMakeIsNotShownEmpty: its rows are of the swapping transaction,
// and a snapshot from before sees none of them. Whoever waited for the fence meanwhile,
// here through another client, is not waited for.
func TestViewThatMigrationsMakeIsNotShownEmpty(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	f := shop(t, plans.Rename, "")
	f.settle(10*time.Second, time.Second)
	built, to := int64(7), int64(8)
	f.Upgrade.Plan.ToVersion = &to
	f.Upgrade.Plan.Behind = &plans.Behind{From: 8, Built: &built, Session: map[string]string{"search_path": "shop"}, Files: []plans.BehindFile{{
		Version: to, Name: "8_view.up.sql", Statements: []syntax.ScriptStatement{{Line: 1, Manner: syntax.Run,
			SQL: f.fill("CREATE MATERIALIZED VIEW {schema}.told AS SELECT count(*) AS n FROM {schema}.account")}}}}}
	writer, reader := f.client(), f.client()
	run(t, writer, "SELECT pg_advisory_lock(1)")
	run(t, reader, f.fill("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM {schema}.entry LIMIT 1"))
	var group errgroup.Group
	f.whileFenced(&group, map[*pgx.Conn]func() error{
		writer: func() error {
			_, err := writer.Exec(ctx, f.fill("UPDATE {schema}.account SET balance = 1; SELECT pg_advisory_unlock(1)"), pgx.QueryExecModeSimpleProtocol)
			return err
		},
		reader: func() error {
			if _, err := reader.Exec(ctx, "SELECT pg_advisory_xact_lock(1)"); err != nil {
				return err
			}
			var rows int
			err := reader.QueryRow(ctx, f.fill("SELECT count(*) FROM {schema}.told")).Scan(&rows)
			if pg.State(err) != stale {
				t.Errorf("an old snapshot was shown %d rows: %v", rows, err)
			}
			_, err = reader.Exec(ctx, "ROLLBACK")
			return err
		},
	})
	f.swaps()
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := f.After(ctx); err != nil {
		t.Fatal(err)
	}
	f.exec("REFRESH MATERIALIZED VIEW {schema}.told")
	if get[bool](f, "SELECT EXISTS (SELECT FROM pg_statistic_ext WHERE stxname LIKE 'read_guard%')") {
		t.Error("a guard is left")
	}
}
