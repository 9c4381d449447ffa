package plans

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/pgumbra/pgumbra/testcontainers"
)

// newer starts a server of a newer version and gives the shop its shadow there.
func newer(t *testing.T, s *shop, major int) (shadow *shop) {
	t.Helper()
	server, err := testcontainers.Start(t.Context(), testcontainers.Options{Major: major})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop(context.WithoutCancel(t.Context())) })
	shadow = &shop{dsn: server.DSN("postgres")}
	s.file.Shadow.DSN = shadow.dsn
	return shadow
}

// TestNewerServerTakesTheStructure: whatever pg_dump writes of an older server.
func TestNewerServerTakesTheStructure(t *testing.T) {
	t.Parallel()
	s := newShop(t, strings.ReplaceAll(zoo, "shop.", "")+
		`; GRANT ALL ON parts TO pg_monitor; CREATE TABLE public.notes ("select" int PRIMARY KEY, "json" int, "system_user" int, merge_action int)`)
	s.file.Production.Schemas = []string{"shop", "public"}
	s.file.Migrations = MigrationsFile{}
	s.runnableElsewhere(t, newer(t, s, 17))
	s.runnableElsewhere(t, newer(t, s, 18))
}

func TestNewerServersRefusalsAreFound(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY, day text);
		CREATE VIEW io AS SELECT checkpoints_timed FROM pg_stat_bgwriter;
		CREATE VIEW over_io AS SELECT * FROM io;
		CREATE FUNCTION old() RETURNS int LANGUAGE sql SET force_parallel_mode = off AS 'SELECT 1'`)
	newer(t, s, 17)
	p := s.plan(t)
	var got []string
	for _, f := range p.Findings {
		if f.Level == Blocker {
			got = append(got, f.Code+" "+f.Object)
		}
	}
	if slices.Sort(got); !slices.Equal(got, []string{"shadow-restore function shop.old()", "shadow-restore view shop.io"}) {
		t.Errorf("%q", got)
	}
}
