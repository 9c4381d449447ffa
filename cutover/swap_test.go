package cutover

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/testcontainers"
)

var extensions = "CREATE EXTENSION citext; CREATE EXTENSION pg_trgm; CREATE TABLE public.word (w citext PRIMARY KEY); " +
	"CREATE INDEX word_trgm ON public.word USING gin ((w::text) gin_trgm_ops);"

func TestSwapLeadsNamesToTheShadow(t *testing.T) {
	t.Parallel()
	for _, swap := range []plans.Swap{plans.Rename, plans.Move} {
		t.Run(string(swap), func(t *testing.T) {
			t.Parallel()
			before := ""
			if swap == plans.Move {
				before = extensions
			}
			f := shop(t, swap, before)
			f.swaps()
			if get[string](f, "SELECT string_agg(DISTINCT currency, ',') FROM {schema}.account") != "EUR" {
				t.Error("the name does not lead to the shadow")
			}
			if n := get[int](f, "SELECT count(*) FROM {old}.account"); n != 50 {
				t.Errorf("old side holds %d rows", n)
			}
			if v := get[int](f, "SELECT version FROM {schema}.schema_migrations WHERE NOT dirty"); v != 7 {
				t.Errorf("version %d", v)
			}
			if p := get[string](f, "SELECT phase FROM pgumbra.run"); p != string(control.Watching) || f.Upgrade.Phase != control.Watching {
				t.Errorf("phase %s", p)
			}
			if !get[bool](f, "SELECT (cutover->>'stall_ms')::float8 > 0 AND cutover->>'drained' = '1' AND cutover->>'attempts' = '1' FROM pgumbra.run") {
				t.Error(get[string](f, "SELECT cutover::text FROM pgumbra.run"))
			}
			if get[string](f, "SELECT pg_get_serial_sequence('{schema}.account', 'ticket')") != f.fill("{schema}.ticket") {
				t.Error("the shared sequence has no owner")
			}
		})
	}
}

func TestOldSideRefusesWritesButNotOurs(t *testing.T) {
	t.Parallel()
	f := shop(t, plans.Rename, "")
	f.swaps()
	conn := f.client()
	for _, sql := range []string{"INSERT INTO {old}.account (id) VALUES (99)", "DELETE FROM {old}.entry", "TRUNCATE {old}.entry"} {
		_, err := conn.Exec(context.Background(), f.fill(sql))
		sqlState(t, err, pgerrcode.ReadOnlySQLTransaction)
		if !strings.Contains(err.Error(), "the data live in shop.") {
			t.Error(err)
		}
	}
	run(t, f.ours(), f.fill("DELETE FROM {old}.entry"))
	if err := f.Finish(context.Background(), KeepOld); err != nil {
		t.Fatal(err)
	}
	for _, session := range []*pgx.Conn{conn, f.ours()} { // nobody's is the run's any more
		_, err := session.Exec(context.Background(), f.fill("DELETE FROM {old}.entry"))
		sqlState(t, err, pgerrcode.ReadOnlySQLTransaction)
	}
}

func TestMoveKeepsExtensionsSchemaOwnerAndPrivileges(t *testing.T) {
	testcontainers.InTurn(t, 6)
	t.Parallel()
	for name, fixed := range map[string]string{
		"relocatable": "", "fixed": "UPDATE pg_extension SET extrelocatable = false WHERE extname = 'citext';",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := shop(t, plans.Move, extensions+fixed+`ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO pg_monitor;
				GRANT CREATE ON SCHEMA public TO pg_monitor WITH GRANT OPTION;`)
			// shadow and production have the same structure here, so that dumps can be compared
			f.exec(`
				DROP TABLE {shadow}.account, {shadow}.entry;
				CREATE TABLE {shadow}.account (LIKE public.account INCLUDING ALL); CREATE TABLE {shadow}.entry (LIKE public.entry INCLUDING ALL);
				CREATE TABLE {shadow}.word (w citext CONSTRAINT word_pkey PRIMARY KEY);
				CREATE INDEX word_trgm ON {shadow}.word USING gin ((w::text) gin_trgm_ops);
				GRANT SELECT ON {shadow}.account, {shadow}.entry TO pg_monitor;`)
			f.Upgrade.Plan.VersionTable = nil
			f.Upgrade.Plan.Sequences = nil
			f.Parts = idleParts{}
			f.exec("INSERT INTO {shadow}.account SELECT * FROM {schema}.account")
			before := f.dump()
			f.swaps()
			if err := f.Cutover.After(context.Background()); err != nil {
				t.Fatal(err)
			}
			if err := f.Cutover.Finish(context.Background(), DropOld); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before, f.dump()); diff != "" {
				t.Error(diff)
			}
			if get[bool](f, "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname LIKE 'pgumbra\\_%')") {
				t.Error("a schema of ours is left")
			}
			run(t, f.client(), "INSERT INTO public.word VALUES ('Abc'), ('bcd')")
			if get[int](f, "SELECT count(*) FROM public.word WHERE w OPERATOR(public.=) 'ABC'") != 1 {
				t.Error("citext lost")
			}
		})
	}
}

func TestPreparedStatementsAndCurrvalGoOnWithWhatIsShared(t *testing.T) {
	testcontainers.InTurn(t, 6)
	t.Parallel()
	for _, swap := range []plans.Swap{plans.Rename, plans.Move} {
		t.Run(string(swap), func(t *testing.T) {
			t.Parallel()
			f := shop(t, swap, "")
			ctx := context.Background()
			conn := f.client()
			run(t, conn, f.fill("PREPARE feel ({schema}.mood, bigint) AS UPDATE {schema}.account SET mood = $1 WHERE id = $2 RETURNING mood"))
			if _, err := conn.Prepare(ctx, "ask", f.fill("SELECT mood::text, ticket FROM {schema}.account WHERE mood = $1::{schema}.mood AND id = 1")); err != nil {
				t.Fatal(err)
			}
			run(t, conn, "EXECUTE feel ('happy', 1)")
			drawn := value[int64](t, conn, f.fill("SELECT nextval('{schema}.ticket')"))
			f.swaps()
			run(t, conn, "EXECUTE feel ('happy', 2)")
			var mood string
			var ticket int64
			if err := conn.QueryRow(ctx, "ask", "happy").Scan(&mood, &ticket); err != nil || mood != "happy" {
				t.Fatal(mood, err)
			}
			if now := value[int64](t, conn, f.fill("SELECT currval('{schema}.ticket')")); now != drawn {
				t.Errorf("currval %d, drew %d", now, drawn)
			}
			if next := value[int64](t, conn, f.fill("SELECT nextval('{schema}.ticket')")); next != drawn+5 {
				t.Errorf("nextval %d after %d: the cache is lost", next, drawn)
			}
			if n := get[int](f, "SELECT count(*) FROM {schema}.account WHERE mood = 'happy'"); n != 2 {
				t.Errorf("%d rows written", n)
			}
		})
	}
}

func TestTriggerFunctionsAndVersionTableTakeNoDefaultPrivileges(t *testing.T) {
	t.Parallel()
	f := shop(t, plans.Rename, `ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO pg_monitor;
		ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO pg_monitor;`)
	f.Upgrade.Plan.VersionTable = &plans.VersionTable{Name: pg.Name{Schema: "public", Name: "schema_migrations"}}
	f.swaps()
	others := get[int](f, `SELECT count(*) FROM (SELECT relacl AS acl, relowner AS owner FROM pg_class WHERE oid = 'public.schema_migrations'::regclass
		UNION ALL SELECT proacl, proowner FROM pg_proc WHERE proname ~ '^(guard|fence)_' AND pronamespace = 'pgumbra'::regnamespace) o
		CROSS JOIN LATERAL aclexplode(acl) a WHERE a.grantee <> o.owner`)
	if others != 0 {
		t.Errorf("%d grants to others", others)
	}
	if v := get[int](f, "SELECT version FROM public.schema_migrations WHERE NOT dirty"); v != 7 {
		t.Errorf("version %d", v)
	}
}

func TestSequencesContinue(t *testing.T) {
	t.Parallel()
	f := shop(t, plans.Rename, "")
	f.exec(`CREATE SEQUENCE shop.down INCREMENT -3 CACHE 4; SELECT nextval('shop.down'), nextval('shop.down');
		CREATE SEQUENCE shop.small AS smallint; SELECT setval('shop.small', 32700);
		CREATE SEQUENCE shop.fresh START 42; CREATE SEQUENCE shop.end AS smallint; SELECT setval('shop.end', 32767);
		CREATE SEQUENCE {shadow}.down INCREMENT -3 CACHE 4; CREATE SEQUENCE {shadow}.small AS smallint; CREATE SEQUENCE {shadow}.fresh START 42;
		CREATE SEQUENCE {shadow}.end AS smallint;
		CREATE TABLE {shadow}.made (id serial PRIMARY KEY, neg int); INSERT INTO {shadow}.made VALUES (500, -70);
		CREATE SEQUENCE {shadow}.neg INCREMENT -1; CREATE SEQUENCE {shadow}.left; CREATE SEQUENCE {shadow}.untouched START 9;`)
	both := func(n string) plans.Sequence {
		return plans.Sequence{Shadow: pg.Name{Schema: f.schema.Shadow, Name: n}, Production: pg.Name{Schema: "shop", Name: n}}
	}
	own := func(n, column string, last int64, called bool) plans.Sequence {
		return plans.Sequence{Shadow: pg.Name{Schema: f.schema.Shadow, Name: n}, Table: pg.Name{Schema: f.schema.Shadow, Name: "made"},
			Column: column, LastValue: last, IsCalled: called}
	}
	free := own("left", "", 77, true)
	free.Table = pg.Name{}
	unused := own("untouched", "", 9, false)
	unused.Table = pg.Name{}
	f.Upgrade.Plan.Sequences = append(f.Upgrade.Plan.Sequences, both("down"), both("small"), both("fresh"), both("end"),
		own("made_id_seq", "id", 1, true), own("neg", "neg", -1, false), free, unused)
	f.swaps()
	for name, want := range map[string]int64{
		"down": -13, "small": 32701, // the four of one cacheful are drawn
		"fresh": 42, "made_id_seq": 501, "neg": -71, "left": 78, "untouched": 9,
	} {
		if got := get[int64](f, "SELECT nextval(format('shop.%I', $1::text)::regclass)", name); got != want {
			t.Errorf("%s: nextval %d, want %d", name, got, want)
		}
	}
	if !get[bool](f, `SELECT is_called AND last_value = 32767 FROM shop."end"`) {
		t.Error("a used-up sequence was set back")
	}
}
