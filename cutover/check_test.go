package cutover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgerrcode"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/testcontainers"
)

func (f *fixture) codes() []string {
	f.t.Helper()
	found, err := f.Check(context.Background())
	if err != nil {
		f.t.Fatal(err)
	}
	var codes []string
	for _, b := range found {
		codes = append(codes, b.Code)
	}
	return codes
}

func TestCheckNamesWhatStandsAgainstASwap(t *testing.T) {
	testcontainers.InTurn(t, 6)
	t.Parallel()
	for want, setUp := range map[string]func(*fixture){
		"": func(*fixture) {},
		"not-verified": func(f *fixture) {
			f.exec("UPDATE pgumbra.shadow_table SET verified_at = NULL")
		},
		"not-following": func(f *fixture) { f.exec("UPDATE pgumbra.shadow_table SET state = 'indexing'") },
		"lag": func(f *fixture) {
			f.Parts = pends{f.Parts, 1_000_000}
		},
		"structure-changed": func(f *fixture) {
			f.Parts = changes{f.Parts, func(context.Context) ([]string, error) { return []string{"shop.account"}, nil }}
		},
		"invalid-index": func(f *fixture) {
			f.exec("CREATE TABLE {shadow}.p (id int) PARTITION BY RANGE (id); CREATE TABLE {shadow}.p1 PARTITION OF {shadow}.p DEFAULT; CREATE INDEX ON ONLY {shadow}.p (id)")
		},
		"open-transaction": func(f *fixture) {
			f.settle(10*time.Millisecond, time.Millisecond)
			conn := f.client()
			run(f.t, conn, "BEGIN ISOLATION LEVEL REPEATABLE READ")
			run(f.t, conn, "SELECT pg_sleep(0.05)")
		},
		"running-backup": func(f *fixture) {
			f.settle(10*time.Millisecond, time.Millisecond)
			conn := f.client()
			run(f.t, conn, "SET application_name = pg_dump")
			run(f.t, conn, "BEGIN ISOLATION LEVEL REPEATABLE READ")
			run(f.t, conn, "SELECT pg_sleep(0.05)")
		},
		"outside-dependency": func(f *fixture) {
			f.exec("CREATE SCHEMA other; CREATE VIEW other.v AS SELECT id FROM shop.account")
		},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			f := shop(t, plans.Rename, "")
			f.Upgrade.Plan.Tables = []plans.Table{{Shadow: pg.Name{Schema: f.schema.Shadow, Name: "account"}, Feed: plans.Copied}}
			f.exec("INSERT INTO pgumbra.shadow_table (run_id, n, production, shadow, state, verified_at) SELECT id, 0, 'shop.account', '{shadow}.account', 'following', now() FROM pgumbra.run")
			setUp(f)
			got := f.codes()
			if want == "" && len(got) > 0 || want != "" && !slices.Equal(got, []string{want}) {
				found, _ := f.Check(context.Background())
				t.Errorf("%v, want %q", found, want)
			}
		})
	}
}

// What changed of a table with a key is verified behind the fence, however long ago
// that was. Of one without a key the last comparison counts.
func TestAgeOfAProofCountsWhereNothingIsProvedByKey(t *testing.T) {
	t.Parallel()
	settings := plans.DefaultSettings()
	settings.Cutover.VerifyWithin = time.Minute
	plan := &plans.Plan{Settings: settings,
		Sources: []plans.Source{{Record: plans.RecordImage}, {Record: plans.RecordRow}},
		Tables:  []plans.Table{{Feed: plans.Copied, Source: 0}, {N: 1, Feed: plans.Copied, Source: 1}}}
	rows := []control.Row{{Took: 2 * time.Second}, {N: 1}}
	if got := proofAge(plan, rows[0], rows); got != time.Minute+16*time.Second {
		t.Errorf("without a key: %s", got)
	}
	if got := proofAge(plan, rows[1], rows); got != 0 {
		t.Errorf("with a key: %s", got)
	}
}

func TestCheckSeesEveryKindOfOutsideDependent(t *testing.T) {
	t.Parallel()
	f := shop(t, plans.Rename, "")
	f.exec(`CREATE SCHEMA other; CREATE SEQUENCE shop.own; CREATE DOMAIN shop.positive AS int CHECK (VALUE > 0);
		CREATE FUNCTION shop.f() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
		CREATE TABLE other.uses_shared (m shop.mood, t bigint DEFAULT nextval('shop.ticket'));`)
	if got := f.codes(); len(got) != 0 {
		t.Fatalf("users of shared objects: %v", got)
	}
	for _, sql := range []string{
		"CREATE TABLE other.x (id bigint REFERENCES shop.account)",
		"CREATE TABLE other.x (id int DEFAULT nextval('shop.own'))",
		"CREATE TABLE other.x (id shop.positive)",
		"CREATE TABLE other.x (id int DEFAULT shop.f())",
		"CREATE TABLE other.x () INHERITS (shop.account)",
		"CREATE FUNCTION other.x() RETURNS SETOF shop.account LANGUAGE sql BEGIN ATOMIC SELECT * FROM shop.account; END",
		"CREATE PUBLICATION x FOR TABLE shop.account",
		"CREATE MATERIALIZED VIEW other.x AS SELECT count(*) FROM shop.account",
	} {
		f.exec(sql)
		if got := f.codes(); !slices.Equal(got, []string{"outside-dependency"}) {
			t.Errorf("%s: %v", sql, got)
		}
		f.exec("DROP SCHEMA other CASCADE; DROP PUBLICATION IF EXISTS x; CREATE SCHEMA other")
	}
}

func TestFinishKeepsOrDropsTheOldSide(t *testing.T) {
	t.Parallel()
	f := shop(t, plans.Rename, "")
	f.swaps()
	ctx := context.Background()
	if err := f.Cutover.After(ctx); err != nil {
		t.Fatal(err)
	}
	if err := f.Cutover.After(ctx); err != nil {
		t.Fatal("again:", err)
	}
	f.exec("CREATE SCHEMA other; CREATE VIEW other.v AS SELECT id FROM {old}.account")
	if err := f.Cutover.Finish(ctx, DropOld); !errors.Is(err, ErrDependents) || !strings.Contains(err.Error(), "other.v") {
		t.Fatal(err)
	}
	if n := get[int](f, "SELECT count(*) FROM {old}.account"); n != 50 {
		t.Errorf("%d rows are left", n)
	}
	f.exec("DROP VIEW other.v")
	if err := f.Cutover.Finish(ctx, KeepOld); err != nil || f.Upgrade.Phase != control.Finished {
		t.Fatal(err, f.Upgrade.Phase)
	}
	_, err := f.client().Exec(ctx, f.fill("DELETE FROM {old}.account"))
	sqlState(t, err, pgerrcode.ReadOnlySQLTransaction)
	if err := f.Cutover.Finish(ctx, DropOld); err != nil {
		t.Fatal(err)
	}
	if get[bool](f, "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = '{old}') OR EXISTS (SELECT FROM pg_proc WHERE proname ~ '^(guard|fence|read_guard)_' AND pronamespace = 'pgumbra'::regnamespace)") {
		t.Error("something of ours is left")
	}
	if n := get[int](f, "SELECT count(*) FROM {schema}.account"); n != 50 {
		t.Errorf("%d rows in production", n)
	}
}

func TestRecycleEndsIdleSessionsOnly(t *testing.T) {
	t.Parallel()
	f := shop(t, plans.Rename, "")
	f.Upgrade.Plan.Settings.Cutover.RecycleSessions = "idle"
	f.Upgrade.Plan.Settings.Watch.Enabled = false
	ctx := context.Background()
	idle, busy := f.client(), f.client()
	run(t, idle, "SELECT 1")
	f.swaps()
	run(t, busy, "BEGIN")
	late := f.client()
	if err := f.Cutover.After(ctx); err != nil {
		t.Fatal(err)
	}
	if err := idle.Ping(ctx); err == nil {
		t.Error("the idle session lives")
	}
	if err := errors.Join(busy.Ping(ctx), late.Ping(ctx)); err != nil {
		t.Error(err)
	}
	if f.Upgrade.Phase != control.Finished {
		t.Errorf("without a watch the run is in phase %s", f.Upgrade.Phase)
	}
}

func TestThousandTablesSwapInOneAttempt(t *testing.T) {
	testcontainers.InTurn(t, 6)
	if testing.Short() {
		t.Skip("makes 2,000 tables")
	}
	f := shop(t, plans.Rename, "")
	f.settle(5*time.Second, time.Second)
	for n := 0; n < 1000; n += 50 { // in groups, for the lock table's sake
		f.exec(fmt.Sprintf(`DO $$ BEGIN FOR i IN %d..%d LOOP
			EXECUTE format('CREATE TABLE {schema}.t%%s (id int PRIMARY KEY, v text)', i);
			EXECUTE format('CREATE TABLE {shadow}.t%%s (id bigint PRIMARY KEY, v text)', i); END LOOP; END $$`, n, n+49))
	}
	var locks int
	f.beforeCommit = func(pid uint32) { locks = get[int](f, "SELECT count(*) FROM pg_locks WHERE pid = $1", pid) }
	out := f.swaps()
	t.Logf("stall %s, lock wait %s, %d locks", out.Stall, out.LockWait, locks)
	if per := float64(locks) / 2004; per > locksPerTable/2 {
		t.Errorf("%.1f locks a table: locksPerTable is too small", per)
	}
}
