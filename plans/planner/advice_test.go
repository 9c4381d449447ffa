package planner

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// TestAdviceGivesNoMoreThanIsNeeded: membership in an owner is advised where it
// gives that owner's objects alone, not where powers over the server come along,
// its own or through roles that it is in; and no statement makes a superuser on
// the shadow's server of who is one in production. (What every plan's fixes may not
// say is [widening].)
func TestAdviceGivesNoMoreThanIsNeeded(t *testing.T) {
	testcontainers.InTurn(t, 6)
	t.Parallel()
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY)`)
	s.exec(t, `CREATE ROLE advice_plain; CREATE ROLE advice_maker CREATEROLE; CREATE ROLE advice_far; CREATE ROLE advice_us; CREATE ROLE advice_super SUPERUSER LOGIN;
		CREATE ROLE advice_deputy LOGIN; GRANT advice_super TO advice_deputy; GRANT advice_maker TO advice_far; GRANT pg_write_server_files TO advice_maker;
		CREATE ROLE advice_files; GRANT pg_read_server_files TO advice_files`)
	t.Cleanup(func() {
		s.exec(t, `DROP ROLE advice_plain, advice_maker, advice_far, advice_us, advice_deputy, advice_super, advice_files`)
	})
	db := connected(t, s.dsn)
	for owner, powers := range map[string]string{
		"advice_plain":  "",
		"advice_absent": "",
		"advice_maker":  "CREATEROLE, membership in pg_write_server_files",
		"advice_far":    "membership in advice_maker, membership in pg_write_server_files",
		"advice_files":  "membership in pg_read_server_files",
		"advice_super":  "SUPERUSER",
		"advice_deputy": "membership in advice_super",
	} {
		got := mayActAs(t.Context(), db, owner, "advice_us")
		if powers == "" && got != "GRANT "+pg.Ident(owner)+` TO "advice_us";` || powers != "" && (strings.Contains(got, "GRANT") || !strings.Contains(got, powers)) {
			t.Errorf("%s: %s", owner, got)
		}
	}

	shadow := newer(t, s, majorOf(t, s))
	for object, says := range map[string]string{"advice_super": "SUPERUSER too", "advice_deputy": "membership in advice_super too"} {
		var statements string
		for _, f := range s.plan(t).Findings {
			if f.Code == "role-absent" && f.Object == object {
				statements, _, _ = strings.Cut(f.Fix, " -- ")
				if !strings.Contains(f.Fix, says) {
					t.Errorf("%s: production's powers are not named: %s", object, f.Fix)
				}
			}
		}
		shadow.exec(t, statements)
	}
	if shadow.is(t, `SELECT bool_or(rolsuper) FROM pg_roles WHERE rolname ~ '^advice'`) {
		t.Error("what was typed made a superuser")
	}
}

func (s *shop) is(t *testing.T, sql string) (is bool) {
	t.Helper()
	if err := connected(t, s.dsn).QueryRow(t.Context(), sql).Scan(&is); err != nil {
		t.Fatal(err)
	}
	return is
}

func connected(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}
