package shadow

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// typed is a table whose columns are of all kinds of types, unlike on both sides.
func typed(t *testing.T, shadow, production string) *world {
	t.Helper()
	w := worldAt(t, production, shadow, `
		CREATE TYPE mood AS ENUM ('a', 'b'); CREATE TYPE addr AS (street varchar(8), no int); CREATE DOMAIN short AS varchar(4);
		CREATE TABLE typed (id bigint PRIMARY KEY, m mood, ms mood[], ad addr, s short, n numeric, f float8, ts timestamptz, i interval,
			j jsonb, b bytea, t text, ta text[], r int4range, bits bit(4), c char(6), money money, u uuid, e text, x xml);
		INSERT INTO typed SELECT i, (ARRAY['a', 'b'])[i % 2 + 1]::mood, ARRAY['a', NULL]::mood[], ROW('st' || i % 7, i)::addr, 'v' || i % 10,
			CASE i % 5 WHEN 0 THEN 'NaN' WHEN 1 THEN 'Infinity' ELSE i / 3.0 END, CASE i % 3 WHEN 0 THEN 'NaN' ELSE i / 7.0 END,
			CASE i % 4 WHEN 0 THEN 'infinity' ELSE '2026-01-01 12:00+00'::timestamptz + i * interval '1 s' END, i * interval '1 mon 1 s',
			jsonb_build_object('k', i), decode(md5(i::text), 'hex'), CASE i % 3 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE E'\\N\t\n' || i END,
			ARRAY['x', NULL, ''], int4range(i, i + 5), (i % 16)::bit(4), 'c' || i % 9, i::money, md5(i::text)::uuid, 'äöü€𝄞' || i, '<a/>'
		FROM generate_series(1, 2000) i`)
	w.build("TYPE", "mood", "CREATE TYPE @.mood AS ENUM ('b', 'a', 'c');")
	w.build("TYPE", "addr", "CREATE TYPE @.addr AS (street varchar(8), no int);")
	w.build("DOMAIN", "short", "CREATE DOMAIN @.short AS varchar(4) CHECK (VALUE <> 'no');")
	w.build("TABLE", "typed", `CREATE TABLE @.typed (id bigint NOT NULL, m @.mood, ms @.mood[], ad @.addr, s @.short, n numeric(10,2), f float8, ts timestamptz(0), i interval,
		j jsonb, b bytea, t text, ta text[], r int4range, bits bit(4), c char(8), money money, u uuid, e varchar(20), x xml);`)
	w.copied(w.source("typed", plans.Plain, "id"), []string{"id"}, "id = id", "m = m::text::"+shopShadow+".mood", "ms = ms::text::"+shopShadow+".mood[]",
		"ad = ad::text::"+shopShadow+".addr", "s = s", "n = n", "f = f", "ts = ts", "i = i", "j = j", "b = b", "t = t", "ta = ta", "r = r", "bits = bits", "c = c", "money = money", "u = u", "e = e", "x = x")
	return w
}

// without the columns that round or pad: they are compared in words.
const typedRows = `SELECT id, m::text, ms::text, ad::text, s::text, n::numeric(10,2) FILTER, f, ts, i, j, b, t, ta, r, bits, c::char(8), money::numeric, u, e, x::text`

func (w *world) typedEqual() {
	w.t.Helper()
	rows := strings.ReplaceAll(typedRows, " FILTER", "")
	w.equal(strings.ReplaceAll(rows, "n::numeric(10,2)", "CASE WHEN n = 'Infinity' THEN 'NaN' ELSE n::numeric(10,2) END")+" FROM shop.typed", rows+" FROM "+shopShadow+".typed")
}

func TestTypesArriveAsAnAssignmentLeavesThem(t *testing.T) {
	t.Parallel()
	w := typed(t, testcontainers.Database(t), testcontainers.Database(t))
	w.exec("UPDATE shop.typed SET n = 'NaN' WHERE n = 'Infinity'") // numeric(10,2) refuses it on both ways
	w.start()
	w.copy()
	w.typedEqual()
}

func TestOldServerIsCopiedToANewOne(t *testing.T) {
	t.Parallel()
	server, err := testcontainers.Start(t.Context(), testcontainers.Options{Major: 17})
	must(t, err)
	t.Cleanup(func() { _ = server.Stop(context.Background()) })
	w := typed(t, server.DSN("postgres"), testcontainers.Database(t))
	w.exec("UPDATE shop.typed SET n = 'NaN' WHERE n = 'Infinity'")
	w.exec("SET search_path = shop; " + items)
	tab := w.plain("items")
	w.start()
	w.copy()
	w.settle()
	w.typedEqual()
	w.equal("SELECT * FROM shop.items", "SELECT * FROM "+shopShadow+".items")
	if got := w.state(tab); got != "following" {
		t.Error(got)
	}
	w.wants("true", "SELECT current_setting('server_version_num')::int >= 170000 FROM "+shopShadow+".items LIMIT 1")
}

// An explicit cast to the shadow's type would cut these values, as would one to a
// domain over it or to a composite with such a field.
func TestTooLongValuesAreRefusedNotCut(t *testing.T) {
	t.Parallel()
	for name, column := range map[string]struct{ kind, expression string }{
		"plain":           {"varchar(2)", "v"},
		"domain":          {"@.tiny", "v"},
		"array of domain": {"@.tiny[]", "ARRAY[v]"},
		"composite":       {"@.pair", "ROW(v, 1)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := remote.world(t, items)
			w.build("DOMAIN", "tiny", "CREATE DOMAIN @.tiny AS varchar(2);")
			w.build("TYPE", "pair", "CREATE TYPE @.pair AS (v varchar(2), n int);")
			w.build("TABLE", "items", "CREATE TABLE @.items (id bigint NOT NULL, v "+column.kind+");")
			w.copied(w.source("items", plans.Plain, "id"), []string{"id"}, "id = id", "v = "+column.expression)
			w.start()
			err := w.copier().Copy(w.t.Context())
			var e *RowError
			if !errors.As(err, &e) || pg.State(err) != "22001" || e.Column != "v" {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestTableOfWhichNoColumnIsWrittenKeepsItsRows(t *testing.T) {
	t.Parallel()
	w := remote.world(t, "CREATE TABLE log (a int); INSERT INTO log SELECT generate_series(1, 7)")
	w.build("TABLE", "log", "CREATE TABLE @.log (token uuid DEFAULT gen_random_uuid());")
	tab := w.copied(w.source("log", plans.Plain), nil)
	tab.Columns = []plans.Column{{Shadow: "token", Volatile: true}}
	tab.Where = "a > 2 -- the others"
	w.start()
	w.copy()
	w.wants("5", "SELECT count(DISTINCT token) FROM "+shopShadow+".log")
}

func TestSkeletonStandsInProductionAndGoes(t *testing.T) {
	t.Parallel()
	w := remote.world(t, items)
	w.plain("items")
	w.entry("EXTENSION SCHEMA", pg.Name{Name: "ext"}, pg.Name{}, plans.StageBuild, "CREATE SCHEMA IF NOT EXISTS ext; GRANT USAGE ON SCHEMA ext TO pg_monitor;")
	w.entry("EXTENSION", pg.Name{Schema: "ext", Name: "earthdistance"}, pg.Name{}, plans.StageBuild, "CREATE EXTENSION IF NOT EXISTS earthdistance WITH SCHEMA ext CASCADE;")
	w.entry("EXTENSION", pg.Name{Schema: "public", Name: "cube"}, pg.Name{}, plans.StageBuild, "CREATE EXTENSION IF NOT EXISTS cube WITH SCHEMA public CASCADE;")
	w.plan.Entries = append(w.plan.Entries[2:], w.plan.Entries[:2]...)
	const extensions = "SELECT extname || ' in ' || extnamespace::regnamespace FROM pg_extension WHERE extname <> 'plpgsql'"
	w.exec("CREATE SCHEMA ext; CREATE EXTENSION cube; SELECT 'shop.'") // production has one of them
	w.start()
	skeleton := "SELECT 'shop.', relname FROM pg_class WHERE relnamespace = '" + shopShadow + "'::regnamespace"
	w.wants("items", "SELECT relname FROM ("+skeleton+") AS x (y, relname)")
	if diff := cmp.Diff([]string{"cube in public", "earthdistance in ext"}, w.onShadow(extensions)); diff != "" {
		t.Error(diff)
	}
	const granted = "SELECT has_schema_privilege('pg_monitor', 'ext', 'USAGE')::text"
	if got := w.onShadow(granted); got[0] != "true" || w.text(granted) != "false" {
		t.Errorf("ext: %s; production's, which was there: %s", got, w.text(granted))
	}
	must(t, DropSkeleton(w.t.Context(), w.sides, w.run))
	w.wants("0", "SELECT count(*) FROM pg_namespace WHERE nspname || '.' = '"+shopShadow+".' AND 'shop.' <> ''")
	w.wants("cube", "SELECT string_agg(extname, ',') FROM pg_extension WHERE extname <> 'plpgsql'")
	w.wants("1", "SELECT count(*) FROM pg_class WHERE oid = '"+shopShadow+".items'::regclass")
	must(t, Drop(w.t.Context(), w.sides, w.run))
	if left := w.onShadow(extensions + " UNION ALL SELECT nspname FROM pg_namespace WHERE nspname IN ('ext', '" + shopShadow + "')"); len(left) > 0 {
		t.Error(left)
	}
}

// onShadow reads texts there, whatever the query speaks of.
func (w *world) onShadow(sql string) []string {
	w.t.Helper()
	var found []string
	err := w.sides.Shadow.QueryRow(w.t.Context(), "SELECT coalesce(array_agg(x ORDER BY x), '{}') FROM ("+sql+") AS q (x)").Scan(&found)
	must(w.t, err)
	return found
}

func TestEitherSidesNameMayBeTaken(t *testing.T) {
	t.Parallel()
	w := remote.world(t, items)
	w.plain("items")
	w.create()
	_, err := w.sides.Shadow.Exec(t.Context(), "CREATE SCHEMA "+shopShadow)
	must(t, err)
	var taken *TakenError
	if err := Build(t.Context(), w.sides, w.run); !errors.As(err, &taken) || !strings.Contains(err.Error(), "the shadow's database") {
		t.Errorf("got %v", err)
	}
}

func TestCommittedChunksOutliveACrashOfTheShadow(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	server, err := testcontainers.Start(ctx, testcontainers.Options{})
	must(t, err)
	t.Cleanup(func() { _ = server.Stop(context.Background()) })
	w := worldAt(t, testcontainers.Database(t), server.DSN("postgres"), items+"; "+itemsNamed("quick")+"; ALTER TABLE quick SET UNLOGGED; "+itemsNamed("other"))
	w.plain("items")
	w.build("TABLE", "quick", "CREATE UNLOGGED TABLE @.quick (id bigint NOT NULL, v text);")
	lost := w.copied(w.source("quick", plans.Plain, "id"), []string{"id"}, "id = id", "v = v")
	lost.Unlogged, w.plan.Sources[1].Unlogged = true, true
	w.plain("other") // from an unlogged table, but logged itself
	w.plan.Sources[2].Unlogged = true
	w.start()
	c := w.copier()
	chunks := 0
	c.Progress = func(Progress) {
		if chunks++; chunks == 40 {
			must(t, server.Crash(ctx))
		}
	}
	if err := c.Copy(ctx); !pg.Unreachable(err) {
		t.Fatalf("got %v", err)
	}
	must(t, server.Restart(ctx))
	w.sides.Shadow.Close()
	w.connect()
	found, err := Lost(ctx, w.sides, w.run)
	must(t, err)
	if len(found) != 1 || found[0].Shadow != in("quick") {
		t.Errorf("lost: %v", found)
	}
	const done = "SELECT n, chunk, done_at FROM pgumbra.chunk WHERE done_at IS NOT NULL AND n <> 1"
	before := w.rows(done)
	w.copy()
	for _, table := range []string{"items", "quick", "other"} {
		w.equal("SELECT * FROM shop."+table, "SELECT * FROM "+shopShadow+"."+table)
	}
	after := w.rows(done)
	if len(before) == 0 || !strings.Contains(strings.Join(after, " "), before[0]) {
		t.Errorf("of %v remained %v", before, after)
	}
	w.wants("0,1,0", "SELECT string_agg(recopied::text, ',' ORDER BY n) FROM pgumbra.shadow_table")
}

func TestAnotherProductionStopsTheCopy(t *testing.T) {
	t.Parallel()
	w := remote.world(t, items)
	w.plain("items")
	w.start()
	w.exec("UPDATE pgumbra.run SET origin = json_build_object('system', '1', 'timeline', '00000001', 'database', 1)")
	if err := w.copier().Copy(t.Context()); !errors.Is(err, control.ErrOrigin) {
		t.Fatalf("got %v", err)
	}
	w.wants("0", "SELECT count(*) FROM "+shopShadow+".items")
}

func TestPathOnTheShadowLeadsToWhatWillBeThere(t *testing.T) {
	t.Parallel()
	plan := &plans.Plan{Schemas: []plans.Schema{{Production: "shop", Shadow: "pgumbra_r_shop"}, {Production: "My, odd", Shadow: "s2"}}}
	for path, want := range map[string]string{
		"shop, public":          `"pgumbra_r_shop", shop, public`,
		`"$user",SHOP`:          `"$user", "pgumbra_r_shop", SHOP`,
		`"My, odd", "Shop",pub`: `"s2", "My, odd", "Shop", pub`,
		`""`:                    `""`,
	} {
		plan.SearchPath = path
		if got := shadowPath(plan); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

func TestStatisticsCoverRootsAndExtendedOnes(t *testing.T) {
	testcontainers.InTurn(t, 5)
	bothWays(t, func(t *testing.T, how way) {
		w := indexed(t, how)
		w.on(plans.StageIndex, "STATISTICS", "orders_s", "orders", "CREATE STATISTICS @.orders_s (dependencies) ON label, m FROM @.orders;")
		w.on(plans.StageIndex, "STATISTICS", "orders_0_s", "orders_0", "CREATE STATISTICS @.orders_0_s (mcv) ON label, m FROM @.orders_0;")
		w.start()
		w.copy()
		w.settle()
		w.wants("items 3000,orders 3600,orders_0 true,totals 1", `SELECT string_agg(relname || ' ' || CASE relname WHEN 'orders_0' THEN (reltuples > 1000)::text ELSE reltuples::text END, ',' ORDER BY relname)
			FROM pg_class WHERE relnamespace = '`+shopShadow+`'::regnamespace AND relname IN ('orders', 'orders_0', 'items', 'totals')`)
		w.wants("items_s,orders_0_s,orders_s", `SELECT string_agg(statistics_name, ',' ORDER BY statistics_name) FROM pg_stats_ext WHERE schemaname = '`+shopShadow+`'
			AND coalesce(dependencies::text, most_common_vals::text) IS NOT NULL`)
		w.wants("4", "SELECT count(DISTINCT tablename) FROM pg_stats WHERE schemaname = '"+shopShadow+"' AND tablename LIKE 'orders%' AND attname = 'label'")
	})
}

// TestRowTooLargeForCopyIsNamed: two values that are well below what one may take,
// and together above what a row may, on its way to another database.
func TestRowTooLargeForCopyIsNamed(t *testing.T) {
	t.Parallel()
	if !testcontainers.Whole() {
		t.Skip("a row of more than 1 GB takes long: make test-faults")
	}
	w := remote.world(t, `CREATE TABLE large (id int PRIMARY KEY, a text, b text); INSERT INTO large SELECT i, i, i FROM generate_series(1, 100) i;
		UPDATE large SET a = repeat('x', 540000000) WHERE id = 42; UPDATE large SET b = a WHERE id = 42`)
	w.build("TABLE", "large", "CREATE TABLE @.large (id int NOT NULL, a text, b text);")
	large := w.source("large", plans.Plain, "id")
	large.Columns = []plans.SourceColumn{{Name: "a", Type: "text"}, {Name: "b", Type: "text"}}
	w.copied(large, []string{"id"}, "id = id", "a = a", "b = b")
	w.start()
	err := w.copier().Copy(w.t.Context())
	var e *RowError
	if !errors.As(err, &e) || !errors.Is(err, pg.ErrRowTooLarge) || e.Key != "id = 42" || !strings.Contains(err.Error(), "it takes 1.0") {
		t.Errorf("got %v", err)
	}
	t.Log(err)
}
