package planner

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// TestWhatIsOtherOnTheShadowsServerIsNamed: settings, libraries, locale,
// tablespaces, versions of extensions, collations.
func TestWhatIsOtherOnTheShadowsServerIsNamed(t *testing.T) {
	testcontainers.InTurn(t, 6)
	t.Parallel()
	start := func(settings map[string]string) (dsn string) {
		server, err := testcontainers.Start(t.Context(), testcontainers.Options{Settings: settings})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = server.Stop(context.WithoutCancel(t.Context())) })
		return server.DSN("postgres")
	}
	s := newShopAt(t, start(map[string]string{"shared_preload_libraries": "auto_explain", "max_connections": "120", "timezone": "Europe/Zurich",
		"allow_in_place_tablespaces": "on"}),
		`SELECT 1`)
	s.exec(t, `CREATE TABLESPACE fast LOCATION ''`)
	s.exec(t, `CREATE EXTENSION hstore SCHEMA public VERSION '1.7'; CREATE EXTENSION old_snapshot SCHEMA public; CREATE TABLE shop.quick (id int PRIMARY KEY, t text COLLATE "de-x-icu") TABLESPACE fast;
		CREATE TABLE public.kept (id int); INSERT INTO public.kept VALUES (1);
		SET allow_system_table_mods = on; UPDATE pg_extension SET extconfig = ARRAY['public.kept'::regclass], extcondition = '{""}' WHERE extname = 'hstore';
		ALTER EXTENSION hstore ADD TABLE public.kept`)
	shadow := &shop{dsn: start(map[string]string{"max_connections": "90", "timezone": "UTC"})}
	shadow.exec(t, `CREATE DATABASE sorted TEMPLATE template0 LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'`)
	s.file.Shadow.DSN = strings.Replace(shadow.dsn, "/postgres?", "/sorted?", 1)
	(&shop{dsn: s.file.Shadow.DSN}).exec(t, `DROP COLLATION "de-x-icu"`)
	s.finds(t, []want{
		{plans.Warning, "setting-differs", "TimeZone"}, {plans.Warning, "setting-differs", "max_connections"}, {plans.Warning, "setting-differs", "shared_preload_libraries"},
		{plans.Warning, "shadow-locale", "sorted"}, {plans.Warning, "tablespace-absent", "fast"}, {plans.Info, "extension-version", "hstore"},
		{plans.Warning, "extension-rows", "public.kept"}, {plans.Blocker, "collation-absent", `pg_catalog."de-x-icu"`},
	})
	newer(t, s, 17)
	s.finds(t, []want{{plans.Blocker, "extension-absent", "old_snapshot"}, {plans.Info, "extension-version", "hstore"}})
}

type want struct {
	level        plans.Level
	code, object string
}

func (s *shop) finds(t *testing.T, all []want) {
	t.Helper()
	p := s.plan(t)
	for _, w := range all {
		at := slices.IndexFunc(p.Findings, func(f plans.Finding) bool { return f.Level == w.level && f.Code == w.code && f.Object == w.object })
		if at < 0 {
			t.Errorf("no %+v", w)
		}
	}
	if t.Failed() {
		t.Errorf("%+v", p.Findings)
	}
}
