package planner

import (
	"strings"
	"testing"

	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// columnsGo is a seed, an UPDATE that waits with it, and what goes behind it.
const columnsGo = `INSERT INTO roles (name) VALUES ('auditor') ON CONFLICT DO NOTHING; UPDATE users SET mail = (SELECT name FROM roles WHERE id = role_id);
	CREATE INDEX IF NOT EXISTS by_mail ON users (mail); ALTER TABLE users DROP COLUMN role_id, DROP COLUMN IF EXISTS never; ALTER TABLE roles DROP CONSTRAINT roles_name_key`

// A column or a unique constraint that is dropped behind what waits for the swap waits with it. Names
// of indexes, and new columns that refer to another table, stand against nothing.
func TestMakeDefersColumnsThatGo(t *testing.T) {
	testcontainers.InTurn(t, 1)
	t.Parallel()
	s := newShop(t, seededShop, columnsGo, `ALTER TABLE users ADD COLUMN boss int REFERENCES users, ADD COLUMN main int REFERENCES roles ON DELETE CASCADE;
		CREATE INDEX ON users (main); UPDATE grants SET word = lower(word)`)
	s.file.Build = plans.Auto
	p := s.runnable(t)
	if b := p.Behind; p.Build != plans.Direct || b == nil || len(b.Files) != 0 || *b.Built != 3 || len(p.AtSwap()) != 4 {
		t.Fatalf("%s, %+v: %+v", p.Build, p.Behind, p.Findings)
	}
	if c := column(tableNamed(p, t, "shop.users"), "role_id"); c.Expression != "role_id" {
		t.Errorf("until the swap it is there: %+v", c)
	}
}

// So does a column that comes, with what is said of it: it is not there until the swap.
func TestMakeDefersColumnsThatCome(t *testing.T) {
	testcontainers.InTurn(t, 1)
	t.Parallel()
	come := `; ALTER TABLE users ADD COLUMN role_id text NOT NULL DEFAULT 'x', ADD COLUMN role int DEFAULT 1 REFERENCES roles; ALTER TABLE users ALTER COLUMN role DROP DEFAULT;
		CREATE INDEX by_role ON users (role); ALTER TABLE users ADD COLUMN last text`
	s := newShop(t, seededShop, columnsGo+come, `ALTER TABLE roles ADD COLUMN note text; UPDATE grants SET word = lower(word)`)
	s.file.Build = plans.Auto
	p := s.runnable(t)
	if b := p.Behind; p.Build != plans.Direct || b == nil || len(b.Files) != 0 || len(p.AtSwap()) != 8 {
		t.Fatalf("%s, %+v: %+v", p.Build, p.Behind, p.Findings)
	}
	for _, sql := range []string{`COMMENT ON COLUMN users.role IS 'x'`, `CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT role FROM users LIMIT 1'`,
		`CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS 'BEGIN EXECUTE ''SELECT ro'' || ''le FROM use'' || ''rs''; END'; SELECT f()`} {
		s := newShop(t, seededShop, columnsGo+come, `ALTER TABLE roles ADD COLUMN note text`, sql)
		s.file.Build = plans.Auto
		if p := s.runnable(t); p.Behind == nil || p.Behind.From != 4 {
			t.Errorf("%s: %+v: %+v", sql, p.Behind, p.Findings)
		}
	}
}

// So does another name of a column, once and again; it has the old one until the swap. A key's cuts the window.
func TestMakeDefersColumnsThatAreRenamed(t *testing.T) {
	testcontainers.InTurn(t, 1)
	t.Parallel()
	const renamed = `; ALTER TABLE users RENAME COLUMN mail TO x; ALTER TABLE users RENAME role_id TO mail; ALTER TABLE users RENAME x TO role_id; UPDATE users SET role_id = mail || 'x'`
	all := []struct {
		from int64 // the cut; 0: none
		sql  string
	}{
		{0, `UPDATE grants SET word = lower(word)`}, {4, `CREATE VIEW v AS SELECT mail FROM users`}, {4, `COMMENT ON COLUMN users.mail IS 'x'`},
		{4, `ALTER TABLE users RENAME id TO nr`}, {4, `ALTER TABLE users RENAME TO people`},
	}
	for _, c := range testcontainers.Some(t, all, 3) {
		s := newShop(t, seededShop, strings.Replace(columnsGo, "; ALTER TABLE users DROP COLUMN role_id, DROP COLUMN IF EXISTS never", renamed, 1), `ALTER TABLE roles ADD COLUMN note text`, c.sql)
		s.file.Build = plans.Auto
		p := s.runnable(t)
		if b := p.Behind; b == nil || b.From != c.from || len(b.Deferred) != 1 || len(b.Deferred[0].Statements) != 7 {
			t.Fatalf("%s: %+v: %+v", c.sql, p.Behind, p.Findings)
		}
		if c := column(tableNamed(p, t, "shop.users"), "role_id"); c.Expression != "role_id" {
			t.Errorf("until the swap it is what it was: %+v", c)
		}
	}
}

// What would be something else while such a column is there still cuts the window, and so does what
// took a unique index away that decided about rows where these were put.
func TestMakeCutsBeforeWhatSeesColumnsThatGo(t *testing.T) {
	testcontainers.InTurn(t, 7)
	t.Parallel()
	all := []seedCase{
		{"a view of all columns", `CREATE VIEW v AS SELECT * FROM users`},
		{"the same name", `ALTER TABLE users ADD COLUMN role_id text DEFAULT upper('x')`},
		{"an index that went with it", `CREATE INDEX CONCURRENTLY IF NOT EXISTS by_role ON users (mail)`},
		{"a function that holds its columns", `CREATE FUNCTION one() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT u.id FROM users u LIMIT 1; END`},
		{"a table like it", `CREATE TABLE others (LIKE users)`},
		{"a foreign key that acts on rows", `ALTER TABLE grants ADD COLUMN mail text DEFAULT upper('x') REFERENCES users (mail) ON UPDATE CASCADE`},
		{"a unique index that was there for a while", `DROP INDEX for_a_while`},
	}
	for _, c := range testcontainers.Some(t, all, 3) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, seededShop+`; CREATE INDEX by_role ON users (role_id); CREATE UNIQUE INDEX mails ON users (mail)`,
				`CREATE UNIQUE INDEX for_a_while ON roles (lower(name)); `+columnsGo, `ALTER TABLE users ADD COLUMN active boolean NOT NULL DEFAULT true`, c.sql)
			s.file.Build = plans.Auto
			if p := s.runnable(t); p.Behind == nil || p.Behind.From != 4 || len(p.Behind.Deferred) != 1 {
				t.Errorf("%+v: %+v", p.Behind, p.Findings)
			}
		})
	}
}

// What gives rows of a table other keys is told before the cutover: the old side would not find them.
func TestMakeTellsOfRowsThatGetOtherKeys(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (id int PRIMARY KEY, v text); CREATE TABLE c (id int PRIMARY KEY, v text); CREATE TABLE d (id int PRIMARY KEY, v text)`,
		`UPDATE a SET id = (SELECT x.id FROM (SELECT a.id + 100 AS id UNION SELECT a.id + 100) x ORDER BY 1 LIMIT 1)`,
		`ALTER TABLE d ADD COLUMN w int`,
		`DO $$ DECLARE r record; BEGIN FOR r IN SELECT id FROM b ORDER BY v LOOP UPDATE b SET id = -r.id WHERE id = r.id; END LOOP; END $$;
		INSERT INTO c VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET id = c.id + 1000; UPDATE d SET v = id`)
	s.file.Build = plans.Auto
	p := s.runnable(t)
	if b := p.Behind; b == nil || b.From != 4 || len(b.Deferred) != 1 {
		t.Fatalf("%+v: %+v", p.Behind, p.Findings)
	}
	for table, lost := range map[string]bool{"shop.a": true, "shop.b": true, "shop.c": true, "shop.d": false} {
		if has(p, plans.Warning, "not-reversible", table) != lost {
			t.Errorf("%s: %+v", table, p.Findings)
		}
	}
}
