package planner

import (
	"slices"
	"testing"

	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/testcontainers"
)

const seededShop = `CREATE TABLE roles (id serial PRIMARY KEY, name text NOT NULL UNIQUE, made_at timestamptz NOT NULL DEFAULT now());
	CREATE TABLE users (id int PRIMARY KEY, role_id int REFERENCES roles, mail text);
	CREATE TABLE grants (role_id int REFERENCES roles ON DELETE CASCADE, word text, PRIMARY KEY (role_id, word))`

// Rows that are put beside production's wait for the swap by themselves, so that what
// stands behind them in the migrations is built before the fence.
func TestMakeDefersInsertsBesideProductionsRows(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	s := newShop(t, seededShop,
		`INSERT INTO roles (name) VALUES ('auditor') ON CONFLICT DO NOTHING; ALTER TABLE roles ADD COLUMN level int NOT NULL DEFAULT 1`,
		`INSERT INTO grants (role_id, word) SELECT r.id, 'read' FROM roles r WHERE r.name = 'auditor' AND NOT EXISTS (SELECT * FROM grants g WHERE g.role_id = r.id);
		INSERT INTO grants VALUES (1, 'write')`,
		`CREATE INDEX ON roles (level); ALTER TABLE users ADD COLUMN active boolean NOT NULL DEFAULT true; UPDATE users SET mail = lower(mail)`)
	p := s.runnable(t) // a direct build
	b := p.Behind
	if p.Build != plans.Direct || b == nil || len(b.Files) != 0 || len(b.Deferred) != 2 || *b.Built != 4 {
		t.Fatalf("%s, %+v", p.Build, b)
	}
	at := p.AtSwap()
	if len(at) != 3 || at[0].Where() != "000002_step.up.sql:1" || at[0].Table.String() != "shop.roles" || at[2].SQL != "INSERT INTO grants VALUES (1, 'write')" {
		t.Errorf("%+v", at)
	}
	if !has(p, plans.Info, "at-swap", "shop.roles") || has(p, plans.Warning, "behind-fence", "") || len(p.Shared) != 0 {
		t.Errorf("%+v, shared %+v", p.Findings, p.Shared)
	}
	if s := find(t, p.Steps, "Swap the names and run"); len(s.SQL) != 5 { // and what is checked at the end of each file

		t.Errorf("%+v", s)
	}
}

// What changes or reads rows that come in the swap waits with them, if it is a statement that may
// run there as well.
func TestMakeDefersWhatHasToDoWithRowsOfTheSwap(t *testing.T) {
	t.Parallel()
	s := newShop(t, seededShop,
		`INSERT INTO roles (name) VALUES ('auditor') ON CONFLICT (name) DO UPDATE SET made_at = now(); ALTER TABLE roles ADD COLUMN level int;
		UPDATE roles SET level = 1 WHERE name = 'auditor'; INSERT INTO roles (id, name) VALUES (nextval('roles_id_seq'), 'guest')`,
		`UPDATE users SET role_id = (SELECT id FROM roles WHERE name = 'auditor') WHERE role_id IS NULL;
		WITH x AS (SELECT id, row_number() OVER (ORDER BY id) AS r FROM roles) DELETE FROM grants USING x WHERE x.r = 1 AND x.id = role_id`,
		`ALTER TABLE users ADD COLUMN active boolean NOT NULL DEFAULT true`)
	p := s.runnable(t)
	if b := p.Behind; p.Build != plans.Direct || b == nil || len(b.Files) != 0 || *b.Built != 4 {
		t.Fatalf("%s, %+v: %+v", p.Build, b, p.Findings)
	}
	var got []string
	for _, at := range p.AtSwap() {
		got = append(got, at.Verb()+" "+at.Table.Name)
	}
	if want := []string{"INSERT roles", "UPDATE roles", "INSERT roles", "UPDATE users", "DELETE grants"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// seedCase is what follows a seed, or another one.
type seedCase struct{ name, sql string }

// What has to do with the rows that come in the swap runs behind the fence, after them.
func TestMakeCutsBeforeWhatNeedsRowsOfTheSwap(t *testing.T) {
	testcontainers.InTurn(t, 6)
	t.Parallel()
	seed := `INSERT INTO roles (name) VALUES ('auditor') ON CONFLICT DO NOTHING`
	all := []seedCase{
		{"reads them by code", `DO $$ BEGIN UPDATE users SET role_id = (SELECT id FROM roles WHERE name = 'auditor') WHERE role_id IS NULL; END $$`},
		{"refers to them", `UPDATE users SET role_id = 7 WHERE role_id IS NULL`},
		{"changes their keys", `UPDATE roles SET id = id + 100 WHERE name = 'auditor'`},
		{"takes them away", `DELETE FROM roles WHERE name = 'auditor'`},
		{"renames the table", `ALTER TABLE roles RENAME TO parts`},
		{"another type", `ALTER TABLE roles ALTER COLUMN name TYPE varchar(50)`},
		{"a unique index", `CREATE UNIQUE INDEX ON roles (lower(name))`},
		{"drops the key", `ALTER TABLE users ADD COLUMN x int; ALTER TABLE roles DROP CONSTRAINT roles_pkey CASCADE`},
		{"a trigger", `CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER t BEFORE INSERT ON roles FOR EACH ROW EXECUTE FUNCTION f()`},
		{"code that names nothing", `DO $$ DECLARE t text; BEGIN FOR t IN SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'shop'::regnamespace AND relname LIKE 'rol%' LOOP EXECUTE format('ALTER TABLE %I ADD COLUMN z int', t); END LOOP; END $$`},
		{"its numbers", `SELECT setval('roles_id_seq', 1000)`},
		{"a view that is filled", `CREATE VIEW v AS SELECT name FROM roles; CREATE MATERIALIZED VIEW m AS SELECT name FROM v`},
	}
	for _, c := range testcontainers.Some(t, all, 3) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, seededShop, seed, `ALTER TABLE users ADD COLUMN active boolean NOT NULL DEFAULT true`, c.sql)
			s.file.Build = plans.Auto
			p := s.runnable(t)
			b := p.Behind
			switch {
			case c.name == "refers to them": // by a foreign key: which statement may is not looked for
				if b == nil || b.From != 2 {
					t.Errorf("%+v: %+v", b, p.Findings)
				}
			case b == nil || b.From != 4 || len(b.Deferred) != 1 || len(b.Files) != 1:
				t.Errorf("%+v: %+v", b, p.Findings)
			}
		})
	}
}

// What may be another statement in the swap runs behind the fence where it stands.
func TestMakeDefersNoOtherInserts(t *testing.T) {
	testcontainers.InTurn(t, 6)
	t.Parallel()
	all := []seedCase{
		{"changes keys in the way", `INSERT INTO roles (name) VALUES ('auditor') ON CONFLICT (name) DO UPDATE SET id = roles.id + 100`},
		{"asks who it is", `INSERT INTO roles (name) VALUES (current_user)`},
		{"draws from what it asks for", `INSERT INTO roles (id, name) VALUES (nextval((SELECT 'roles_id_seq')), 'auditor')`},
		{"a number of an object", `INSERT INTO roles (name) VALUES ('roles'::regclass::oid::text)`},
		{"all columns", `INSERT INTO roles SELECT * FROM roles WHERE id = 0`},
		{"with a table's name", `WITH users AS (SELECT mail FROM users) INSERT INTO roles (name) SELECT mail FROM users`},
		{"other settings", `SET DateStyle = 'SQL, DMY'; INSERT INTO roles (name, made_at) VALUES ('auditor', '01/02/2020')`},
		{"fires a trigger", `CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER t BEFORE INSERT ON roles FOR EACH ROW EXECUTE FUNCTION f(); INSERT INTO roles (name) VALUES ('auditor')`},
		{"a function's default", `CREATE FUNCTION g() RETURNS text LANGUAGE sql AS 'SELECT mail FROM shop.users LIMIT 1'; ALTER TABLE roles ADD COLUMN g text; ALTER TABLE roles ALTER COLUMN g SET DEFAULT g(); INSERT INTO roles (name) VALUES ('auditor')`},
	}
	for _, c := range testcontainers.Some(t, all, 3) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, seededShop, c.sql)
			s.file.Build = plans.Auto
			if p := s.runnable(t); p.Behind == nil || p.Behind.From != 2 || len(p.Behind.Deferred) != 0 {
				t.Errorf("%+v: %+v", p.Behind, p.Findings)
			}
		})
	}
}
