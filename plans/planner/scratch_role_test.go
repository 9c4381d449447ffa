package planner

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/pgdump"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// noTraceOf fails where a plan left a role of scratch's behind, or a migration
// made one.
func (s *shop) noTraceOf(t *testing.T, role string) {
	t.Helper()
	if got := s.ask(t, `SELECT coalesce(string_agg(rolname, ' '), '') FROM pg_roles WHERE rolname = $1 OR starts_with(rolname, $2)`,
		role, guestName(scratchName(s.file.Name, s.database(t)))); got != "" {
		t.Errorf("there are roles: %s", got)
	}
}

// What a migration calls cannot reach out of scratch, whoever wrote it: each of
// these did with a superuser's rights.
func TestMigrationsReachNothingOutsideOfScratch(t *testing.T) {
	testcontainers.InTurn(t, 6)
	t.Parallel()
	for name, attack := range map[string]struct{ structure, migration string }{
		"function of its own": {"", `CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN CREATE ROLE {role} SUPERUSER; RETURN 1; END $$;
			SELECT f()`},
		"security definer": {`CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN CREATE ROLE {role} SUPERUSER; RETURN 1; END $$`, `SELECT 1;
			SELECT f()`},
		"dynamic": {"", `SELECT 1;
			DO $$ BEGIN EXECUTE 'CREATE ' || 'RO' || 'LE {role}'; END $$`},
		"trigger": {`CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN CREATE ROLE {role}; RETURN NULL; END $$;
			CREATE TABLE log (id int); CREATE TRIGGER t AFTER INSERT ON log FOR EACH STATEMENT EXECUTE FUNCTION f()`, `SELECT 1;
			INSERT INTO log VALUES (1)`},
		"event trigger": {`CREATE FUNCTION f() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN IF tg_tag = 'CREATE VIEW' THEN EXECUTE 'CREATE ' || 'ROLE {role}'; END IF; END $$;
			CREATE EVENT TRIGGER "{role}" ON ddl_command_end WHEN TAG IN ('CREATE VIEW') EXECUTE FUNCTION f()`, ``},
		"default of a column": {`CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql STABLE AS $$ BEGIN EXECUTE 'CREATE ROLE {role}'; RETURN 1; END $$`, `SELECT 1;
			ALTER TABLE a ADD COLUMN w int DEFAULT f()`},
		"out of a role": {"", `CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RESET ROLE; SET SESSION AUTHORIZATION {us}; CREATE ROLE {role}; RETURN 1; END $$;
			SELECT f()`},
		"a role's password": {"", `CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'ALTER ROLE {us} PASSWORD ''x'''; RETURN 1; END $$;
			SELECT f()`},
		"a program": {"", `CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'COPY a FROM PROGRAM ''true'''; RETURN 1; END $$;
			SELECT f()`},
		"a file": {"", `CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$ SELECT pg_catalog.pg_read_file('/etc/hostname') $$;
			SELECT f()`},
		"a large object's file": {"", `CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN lo_import('/etc/hostname'); END $$;
			SELECT f()`},
		"another database": {`CREATE EXTENSION dblink SCHEMA public`, `CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$ SELECT public.dblink_connect_u('a', 'dbname=postgres') $$;
			SELECT f()`},
		"another database by a password": {`CREATE EXTENSION dblink SCHEMA public`, `CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$ SELECT public.dblink_connect('a', 'dbname=postgres user={us}') $$;
			SELECT f()`},
		"the catalogs": {"", `CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN UPDATE pg_catalog.pg_authid SET rolsuper = true WHERE rolname = current_user; RETURN 1; END $$;
			SELECT f()`},
		"our own function": {"", `CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM pgumbra_trace.hand_over(10, 10); RETURN 1; END $$;
			SELECT f()`},
		"a deferred trigger": {`CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN CREATE ROLE {role}; RETURN NULL; END $$;
			CREATE TABLE log (id int); CREATE CONSTRAINT TRIGGER t AFTER INSERT ON log DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION f()`, `SELECT 1;
			INSERT INTO log VALUES (1)`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY, v text)`, "")
			role := "reached_" + strings.NewReplacer("-", "_").Replace(s.database(t))
			role = role[:min(len(role), 60)]
			words := strings.NewReplacer("{role}", role, "{us}", s.ask(t, "SELECT current_user::text"))
			defer s.exec(t, "DROP ROLE IF EXISTS "+role)
			s.exec(t, "SET search_path = shop, public; "+words.Replace(attack.structure))
			if strings.Contains(attack.structure, "EVENT TRIGGER") {
				attack.migration = `SELECT 1;
					CREATE VIEW seen AS SELECT id FROM a`
			}
			s.write(t, s.file.Migrations.Path, "000002_step.up.sql", words.Replace(attack.migration))
			p := s.plan(t)
			s.noTraceOf(t, role)
			if p.Runnable {
				t.Fatalf("the plan can run: %+v", p.Findings)
			}
			for _, f := range p.Findings {
				if f.Level == plans.Blocker && strings.HasPrefix(f.Where, "000002_step.up.sql:") && !strings.Contains(f.Message, "pgumbra_scratch_") {
					return
				}
			}
			if !has(p, plans.Blocker, "event-trigger", role) {
				t.Errorf("no line is named: %+v", p.Findings)
			}
		})
	}
}

// What a superuser's migration may do in its own database it may do in scratch,
// and it leaves the same.
func TestGuestDoesWhatASuperuserMayInItsDatabase(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (id int PRIMARY KEY REFERENCES a); CREATE SCHEMA other; CREATE TABLE other.o (id int);
		CREATE AGGREGATE most(int) (SFUNC = int4larger, STYPE = int)`,
		"", `SET session_replication_role = replica; ALTER TABLE shop.a DISABLE TRIGGER ALL;
		ALTER TABLE shop.a ENABLE TRIGGER ALL; SET session_replication_role = DEFAULT;
		CREATE EXTENSION file_fdw SCHEMA public;
		COMMENT ON EXTENSION plpgsql IS 'the language';
		CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
		CREATE TABLE shop.after (id int PRIMARY KEY)`)
	owner, reader := s.role(t, "odd_"), s.role(t, "reader_")
	defer s.exec(t, "DROP SCHEMA shop CASCADE")
	s.exec(t, `GRANT USAGE, CREATE ON SCHEMA shop TO `+owner+`; ALTER TABLE shop.a OWNER TO `+owner+`; GRANT SELECT ON shop.a TO `+reader+` WITH GRANT OPTION; ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT SELECT ON TABLES TO `+reader+
		`; ALTER DEFAULT PRIVILEGES FOR ROLE `+owner+` IN SCHEMA shop GRANT INSERT ON TABLES TO `+reader+`; ALTER ROLE `+owner+` CREATEROLE`)
	us := s.ask(t, "SELECT current_user::text")
	step := strings.NewReplacer("{owner}", owner, "{reader}", reader, "{us}", us).Replace(`ALTER TABLE shop.a ADD COLUMN w text; ALTER TABLE shop.b owner to {reader};
		CREATE TABLE shop.made (id int PRIMARY KEY, by text DEFAULT current_user); INSERT INTO shop.made VALUES (1); GRANT UPDATE ON shop.made TO PUBLIC;
		ALTER TABLE shop.made OWNER TO {us}; REVOKE ALL ON TABLE shop.made FROM {us}; GRANT SELECT ON TABLE shop.made TO {us};
		SET ROLE {owner}; ALTER TABLE shop.a ADD COLUMN x text; RESET ROLE; SET ROLE "{owner}"; RESET ROLE;
		ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA shop GRANT DELETE ON TABLES TO {reader}; CREATE SCHEMA extra AUTHORIZATION {owner};
		CREATE VIEW shop.v AS SELECT id FROM shop.a; ALTER VIEW shop.v OWNER TO {owner}; CREATE EXTENSION citext SCHEMA public; DROP TABLE other.o;
		CREATE AGGREGATE shop.sums(int) (SFUNC = int4pl, STYPE = int); ALTER AGGREGATE shop.most(int) RENAME TO largest`)
	s.write(t, s.file.Migrations.Path, "000002_step.up.sql", step)
	p := s.plan(t)
	for _, f := range p.Findings {
		if f.Level == plans.Blocker && f.Code != "outside-change" {
			t.Errorf("%+v", f)
		}
	}
	s.noTraceOf(t, "nobody")
	var all []string
	for _, e := range p.Entries {
		all = append(all, e.SQL)
	}
	text := strings.Join(all, "\n")
	if strings.Contains(text, "pgumbra_scratch_") {
		t.Errorf("a stand-in is left in\n%s", text)
	}
	shadow := p.Schemas[0].Shadow
	for _, want := range []string{
		"ALTER TABLE " + shadow + ".made OWNER TO " + us, "ALTER TABLE " + shadow + ".a OWNER TO " + owner, "ALTER TABLE " + shadow + ".b OWNER TO " + reader,
		"ALTER TABLE " + shadow + ".v OWNER TO " + owner, "GRANT SELECT ON TABLE " + shadow + ".a TO " + reader + " WITH GRANT OPTION",
		"REVOKE ALL ON TABLE " + shadow + ".made FROM " + us, "GRANT UPDATE ON TABLE " + shadow + ".made TO PUBLIC", "GRANT SELECT ON TABLE " + shadow + ".after TO " + reader,
		"ALTER DEFAULT PRIVILEGES FOR ROLE " + owner + " IN SCHEMA " + shadow + " GRANT INSERT,DELETE ON TABLES",
		"ALTER AGGREGATE " + shadow + ".sums(integer) OWNER TO " + us, "ALTER AGGREGATE " + shadow + ".largest(integer) OWNER TO " + us,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
	if rows := tableNamed(p, t, "shop.made").CarriedRows; rows != "1\t"+us+"\n" {
		t.Errorf("carried %q", rows)
	}
	if t.Failed() {
		t.Log(text)
	}
}

// Row security that is forced on owners binds no superuser, whom the guest stands for.
func TestForcedRowSecurityDoesNotBindTheGuest(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY, v text); INSERT INTO a VALUES (1, 'x'), (2, 'y');
		ALTER TABLE a ENABLE ROW LEVEL SECURITY; ALTER TABLE a FORCE ROW LEVEL SECURITY; CREATE POLICY none ON a USING (id > 1)`,
		`ALTER TABLE a ADD COLUMN w text; UPDATE a SET w = upper(v)`)
	s.file.Scratch.Rows = 100
	if p := s.runnable(t); p.Behind != nil {
		t.Errorf("behind the fence: %+v", p.Findings)
	}
}

// What a killed plan left of the guest is found again by name and mark.
func TestGuestOfAKilledPlanIsDropped(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY)`, `ALTER TABLE a ADD COLUMN b int`)
	scratch := scratchName(s.file.Name, s.database(t))
	left := guestName(scratch)
	mark := func(role string) string {
		return fmt.Sprintf("CREATE ROLE %s; COMMENT ON ROLE %[1]s IS '%s';", role, roleMark+scratch)
	}
	s.exec(t, mark(left)+mark(left+"_1"))
	if err := DropScratch(t.Context(), s.file); err != nil {
		t.Fatal(err)
	}
	s.noTraceOf(t, "nobody")
	s.exec(t, mark(left)+mark(left+"_7"))
	s.runnable(t)
	s.noTraceOf(t, "nobody")
	s.exec(t, "CREATE ROLE "+left)
	defer s.exec(t, "DROP ROLE "+left)
	if p := s.plan(t); !has(p, plans.Blocker, "name-taken", left) {
		t.Errorf("%+v", p.Findings)
	}
}

// A role that is no superuser runs them itself: nothing is made for it.
func TestRoleWithoutSuperuserHasNoGuest(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY)`, `CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN CREATE ROLE never_made_here; RETURN 1; END $$;
		SELECT f()`)
	role := s.role(t, "plain_")
	s.exec(t, "ALTER ROLE "+role+" LOGIN CREATEDB; GRANT pg_read_all_stats TO "+role+"; GRANT CREATE ON DATABASE "+pgx.Identifier{s.database(t)}.Sanitize()+" TO "+role+
		"; ALTER SCHEMA shop OWNER TO "+role+"; ALTER TABLE shop.a OWNER TO "+role+"; ALTER TABLE shop.schema_migrations OWNER TO "+role)
	s.file.Production.DSN = strings.Replace(s.file.Production.DSN, "postgres://postgres@", "postgres://"+role+"@", 1)
	p := s.plan(t)
	if p.Runnable || !has(p, plans.Blocker, "migration-failed", "000002_step.up.sql") {
		t.Errorf("%+v", p.Findings)
	}
	s.noTraceOf(t, "never_made_here")
}

func TestRolesAreReplacedWhereStatementsNameThem(t *testing.T) {
	t.Parallel()
	g := &guest{standIns: map[string]string{"app": "X", `Odd "r`: "Y"}}
	for text, want := range map[string]string{
		`ALTER TABLE app OWNER TO app; SELECT 'OWNER TO app'`:                          `ALTER TABLE app OWNER TO X; SELECT 'OWNER TO app'`,
		`ALTER TABLE t owner to "Odd ""r"`:                                             `ALTER TABLE t owner to Y`,
		`GRANT SELECT ON app TO app, PUBLIC, "Odd ""r"; SELECT extract(year FROM app)`: `GRANT SELECT ON app TO X, PUBLIC, Y; SELECT extract(year FROM app)`,
		`REVOKE ALL ON t FROM APP`:                                                     `REVOKE ALL ON t FROM X`,
		`ALTER DEFAULT PRIVILEGES FOR ROLE app, "Odd ""r" GRANT SELECT ON TABLES TO b`: `ALTER DEFAULT PRIVILEGES FOR ROLE X, Y GRANT SELECT ON TABLES TO b`,
		`SET ROLE app; SET LOCAL ROLE app; SET SESSION AUTHORIZATION app; SET x = app`: `SET ROLE X; SET LOCAL ROLE X; SET SESSION AUTHORIZATION app; SET x = app`,
		`CREATE SCHEMA app AUTHORIZATION app`:                                          `CREATE SCHEMA app AUTHORIZATION X`,
		`UPDATE t SET role = app; ALTER TABLE a RENAME TO app`:                         `UPDATE t SET role = app; ALTER TABLE a RENAME TO app`,
		`DO $$ BEGIN ALTER TABLE a OWNER TO app; END $$ -- OWNER TO app`:               `DO $$ BEGIN ALTER TABLE a OWNER TO app; END $$ -- OWNER TO app`,
	} {
		if got := g.masked(text); got != want {
			t.Errorf("%s:\n%s, want\n%s", text, got, want)
		}
	}
}

func FuzzMasked(f *testing.F) {
	f.Add("ALTER TABLE x OWNER TO app; GRANT a ON b TO")
	f.Fuzz(func(t *testing.T, text string) {
		g := &guest{standIns: map[string]string{"app": "app"}}
		if got := g.masked(text); !strings.EqualFold(got, text) && !strings.Contains(text, `"`) {
			t.Errorf("%q became %q", text, got)
		}
		tokens, _ := pgdump.Lex(text)
		for _, i := range rolePlaces(tokens) {
			if i >= len(tokens) {
				t.Fatal(i)
			}
		}
	})
}
