package cutover

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/cutover/traffic"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/testcontainers"
)

func TestCheckApartAsksBothSides(t *testing.T) {
	t.Parallel()
	f := remoteShop(t).behindBouncer()
	if found, err := f.Check(context.Background()); err != nil || len(found) != 0 {
		t.Fatal(found, err)
	}
	reader := f.client() // a snapshot that never hinders: production stays
	run(t, reader, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
	f.settle(0, time.Second)
	f.there.exec("UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{shadow}.account_pkey'::regclass")
	found, err := f.Check(context.Background())
	if err != nil || len(found) != 1 || found[0].Code != "invalid-index" || !strings.HasPrefix(found[0].Message, "on the shadow: ") {
		t.Error(found, err)
	}
	f.there.exec("UPDATE pgumbra.run SET origin = '{}'")
	if _, err := f.Check(context.Background()); !errors.Is(err, control.ErrOrigin) {
		t.Error(err)
	}
}

func TestEndsApart(t *testing.T) {
	testcontainers.InTurn(t, 6)
	t.Parallel()
	for name, old := range map[string]OldSide{"keep": KeepOld, "drop": DropOld} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := remoteShop(t)
			f.exec("CREATE SCHEMA {shadow}; CREATE VIEW shop.sums AS SELECT sum(balance) FROM shop.account")
			f.Parts = skeleton{f.Parts, func() { f.exec("DROP SCHEMA IF EXISTS {shadow} CASCADE") }}
			f.swaps()
			for range 2 {
				if err := f.After(context.Background()); err != nil {
					t.Fatal(err)
				}
			}
			if get[bool](f.there, "SELECT EXISTS (SELECT FROM pg_trigger WHERE tgname LIKE '%pgumbra%')") {
				t.Error("a trigger of ours is left")
			}
			f.livesIn(traffic.Shadow)
			for range 2 {
				if err := f.Finish(context.Background(), old); err != nil {
					t.Fatal(err)
				}
			}
			if p := get[string](f.there, "SELECT phase FROM pgumbra.run"); p != "finished" || f.Upgrade.Phase != control.Finished {
				t.Error(p, f.Upgrade.Phase)
			}
			if there := get[bool](f, "SELECT to_regnamespace('shop') IS NOT NULL"); there == (old == DropOld) {
				t.Error("old schema there:", there)
			}
			if err := f.writes(f.dsn, write); err == nil {
				t.Error("the old side takes writes")
			}
		})
	}
}

func TestPublicWithExtensionsApart(t *testing.T) {
	t.Parallel()
	dsn, pool := database(t, "public", extensions)
	there := &fixture{t: t, dsn: testcontainers.Database(t)}
	there.exec("CREATE EXTENSION citext; CREATE EXTENSION pg_trgm;")
	f := remoteFrom(t, &fixture{t: t, dsn: dsn, pool: pool, schema: plans.Schema{Production: "public", Swap: plans.Move}}, there)
	there.exec(`CREATE TABLE {shadow}.word (w citext PRIMARY KEY); CREATE INDEX word_trgm ON {shadow}.word USING gin ((w::text) gin_trgm_ops);
		GRANT USAGE ON SCHEMA {shadow} TO pg_monitor`)
	f.Parts = enters{f.Parts, standing("GRANT CREATE ON SCHEMA public TO pg_monitor;", "COMMENT ON SCHEMA public IS 'as production''s';")}
	f.swaps()
	f.livesIn(traffic.Shadow)
	if !get[bool](there, `SELECT has_schema_privilege('pg_monitor', 'public', 'CREATE') AND obj_description('public'::regnamespace) = 'as production''s'
		AND to_regnamespace('{shadow}') IS NULL`) {
		t.Error("public is not as the plan says")
	}
	run(t, connect(t, there.dsn), "INSERT INTO public.word VALUES ('Abc')")
	if err := f.After(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := f.Finish(context.Background(), DropOld); err != nil {
		t.Fatal(err)
	}
	if n := get[int](f, "SELECT count(*)::int FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'S')"); n != 0 {
		t.Errorf("%d relations are left", n)
	}
	if get[int](f, "SELECT count(*)::int FROM pg_extension WHERE extname IN ('citext', 'pg_trgm')") != 2 {
		t.Error("an extension is gone")
	}
}

func TestClearLeavesNothingOnEitherSide(t *testing.T) {
	t.Parallel()
	f := remoteShop(t)
	before := f.dump()
	f.fails("before commit", func() error { return errInjected })
	if _, err := f.Attempt(context.Background()); !errors.Is(err, errInjected) {
		t.Fatal(err)
	}
	if err := f.Clear(context.Background()); err != nil {
		t.Fatal(err)
	}
	if f.dump() != before {
		t.Error("production is not as it was")
	}
	for _, side := range f.sides() {
		if n := get[int](side, "SELECT count(*)::int FROM pg_proc WHERE pronamespace = 'pgumbra'::regnamespace AND proname ~ '^(fence|gate)_'"); n != 0 {
			t.Errorf("%d functions are left", n)
		}
	}
}
