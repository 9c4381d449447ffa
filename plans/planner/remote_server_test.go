package planner

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// newer starts a server of a newer version and gives the shop its shadow there.
func newer(t *testing.T, s *shop, major int) (shadow *shop) {
	t.Helper()
	shadow = &shop{dsn: serverOf(t, major)}
	s.file.Shadow.DSN = shadow.dsn
	return shadow
}

// serverOf starts a server of a version.
func serverOf(t *testing.T, major int) (dsn string) {
	t.Helper()
	server, err := testcontainers.Start(t.Context(), testcontainers.Options{Major: major})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop(context.WithoutCancel(t.Context())) })
	return server.DSN("postgres")
}

// TestNewerServerTakesTheStructure: whatever pg_dump writes of an older server.
func TestNewerServerTakesTheStructure(t *testing.T) {
	testcontainers.InTurn(t, 6)
	t.Parallel()
	s := newShop(t, strings.ReplaceAll(zoo, "shop.", "")+
		`; GRANT ALL ON parts TO pg_monitor; CREATE TABLE public.notes ("select" int PRIMARY KEY, "json" int, "system_user" int, merge_action int);
		ALTER TABLE shop."Big Table" DROP CONSTRAINT "Big Table_select_key"`) // another version of ICU may take other texts for equal
	s.file.Production.Schemas = []string{"shop", "public"}
	s.file.Migrations = planfile.MigrationsFile{}
	s.runnableRemote(t, newer(t, s, 17))
	s.runnableRemote(t, newer(t, s, 18))
}

func TestNewerServersRefusalsAreFound(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY, day text);
		CREATE VIEW io AS SELECT checkpoints_timed FROM pg_stat_bgwriter;
		CREATE VIEW over_io AS SELECT * FROM io;
		CREATE FUNCTION old() RETURNS int LANGUAGE sql SET force_parallel_mode = off AS 'SELECT 1'`)
	newer(t, s, 17)
	p := s.plan(t)
	var got []string
	for _, f := range p.Findings {
		if f.Level == plans.Blocker {
			got = append(got, f.Code+" "+f.Object)
		}
	}
	if slices.Sort(got); !slices.Equal(got, []string{"shadow-restore function shop.old()", "shadow-restore view shop.io"}) {
		t.Errorf("%q", got)
	}
}

func TestRolesRightsAndRoomOfAnotherServer(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	role := "owner_" + strings.ToLower(t.Name())[:12]
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY)`)
	s.exec(t, `CREATE ROLE `+role+` LOGIN NOINHERIT PASSWORD 'secret-of-mine'; GRANT pg_monitor TO `+role+`; ALTER ROLE `+role+` SET work_mem = '5MB';
		ALTER TABLE shop.a OWNER TO `+role+`; ALTER TABLE shop.a OWNER TO CURRENT_USER; GRANT SELECT ON shop.a TO `+role)
	t.Cleanup(func() { s.exec(t, `DROP OWNED BY `+role+`; DROP ROLE `+role) })
	shadow := newer(t, s, 17)
	p := s.plan(t)
	var fix string
	for _, f := range p.Findings {
		if f.Code == "role-absent" && f.Object == role && f.Level == plans.Blocker {
			fix = f.Fix
		}
		if f.Code == "role-absent" && strings.HasPrefix(f.Object, "pgumbra_") {
			t.Errorf("a role of scratch's own is asked for: %s", f.Object)
		}
	}
	want := `CREATE ROLE "` + role + `" NOINHERIT LOGIN; GRANT pg_monitor TO ` + role +
		`; ALTER ROLE "` + role + `" SET "work_mem" TO '5MB';`
	statements, _, _ := strings.Cut(fix, " -- ")
	if statements != want || !strings.Contains(fix, "pg_dumpall") || strings.Contains(fix, "SCRAM") || strings.Contains(fix, "secret") {
		t.Errorf("fix %q", fix)
	}
	shadow.exec(t, statements)
	s.exec(t, `ALTER ROLE `+role+` CREATEDB`)
	p = s.plan(t)
	if !p.Runnable || !has(p, plans.Warning, "role-differs", role) || !has(p, plans.Warning, "role-password", role) {
		t.Errorf("%+v", p.Findings)
	}
	since := func() string {
		t.Helper()
		all, err := RolesSince(t.Context(), connected(t, s.dsn), connected(t, shadow.dsn), p.Findings)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(all, "\n")
	}
	if got := since(); strings.Contains(got, role) {
		t.Errorf("what the plan has told is told again: %s", got)
	}
	s.exec(t, `GRANT pg_read_all_stats TO `+role)
	if got := since(); !strings.Contains(got, "GRANT pg_read_all_stats TO "+role) {
		t.Errorf("a membership of mid-run is not told: %q", got)
	}
	shadow.exec(t, `CREATE ROLE plain LOGIN; GRANT CONNECT ON DATABASE postgres TO plain; REVOKE TEMPORARY ON DATABASE postgres FROM PUBLIC`)
	s.file.Shadow.DSN = strings.Replace(shadow.dsn, "postgres://postgres@", "postgres://plain@", 1)
	if s.file.Shadow.DSN == shadow.dsn {
		t.Fatalf("no user in %s", shadow.dsn)
	}
	p = s.plan(t)
	if got := fixes(p, "shadow-privileges"); len(got) != 3 || !strings.Contains(got[0], `GRANT CREATE ON DATABASE "postgres" TO "plain"`) {
		t.Errorf("%q", got)
	}
}

// TestRoleStatementsRunInTheirOrder types what the findings say, one after the
// other, on a server that has none of the roles.
func TestRoleStatementsRunInTheirOrder(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY)`)
	made := `CREATE ROLE order_z_top NOLOGIN CREATEDB; CREATE ROLE order_m_group IN ROLE order_z_top CONNECTION LIMIT 7 VALID UNTIL '2031-02-03 04:05:06+00';
		CREATE ROLE order_a_member NOINHERIT LOGIN BYPASSRLS IN ROLE order_m_group, pg_monitor; GRANT order_z_top TO order_a_member WITH ADMIN OPTION;
		CREATE ROLE "order ""b"" client" LOGIN IN ROLE order_y_only_group_of_a_client ROLE order_a_member;
		ALTER ROLE order_a_member SET search_path = shop, "odd, name"; ALTER ROLE order_m_group SET "app.tenant" = 'it''s';`
	s.exec(t, `CREATE ROLE order_y_only_group_of_a_client REPLICATION;`+made+` ALTER TABLE shop.a OWNER TO order_a_member`)
	t.Cleanup(func() {
		s.exec(t, `ALTER TABLE shop.a OWNER TO CURRENT_USER; DROP ROLE order_a_member, order_m_group, order_z_top, "order ""b"" client", order_y_only_group_of_a_client`)
	})
	shadow := newer(t, s, majorOf(t, s))
	typed := 0
	for _, f := range s.plan(t).Findings {
		if f.Code == "role-absent" && strings.HasPrefix(f.Object, "order") {
			statements, _, _ := strings.Cut(f.Fix, " -- ")
			shadow.exec(t, statements)
			typed++
		}
	}
	p := s.plan(t)
	for _, f := range p.Findings {
		if strings.HasPrefix(f.Code, "role-") && strings.HasPrefix(f.Object, "order") && f.Code != "role-password" {
			t.Errorf("%+v", f)
		}
	}
	if typed != 5 {
		t.Errorf("%d statements were typed", typed)
	}
}

func majorOf(t *testing.T, s *shop) (major int) {
	t.Helper()
	db, err := pgx.Connect(t.Context(), s.dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close(t.Context()) }()
	if err := db.QueryRow(t.Context(), `SELECT current_setting('server_version_num')::int / 10000`).Scan(&major); err != nil {
		t.Fatal(err)
	}
	return major
}

func fixes(p *plans.Plan, code string) []string {
	var all []string
	for _, f := range p.Findings {
		if f.Code == code {
			all = append(all, f.Fix)
		}
	}
	return all
}

func TestOlderShadowIsRefused(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY)`)
	newer(t, s, 14)
	if p := s.plan(t); !has(p, plans.Blocker, "shadow-older", "") || p.Runnable {
		t.Errorf("%+v", p.Findings)
	}
}
