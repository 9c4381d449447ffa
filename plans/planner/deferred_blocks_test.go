package planner

import (
	"testing"

	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// aBlock asks rows in loops what it does to others.
const aBlock = `DO $$ DECLARE one record; n int := 0; last text; BEGIN
	FOR one IN SELECT * FROM users WHERE mail IS NOT NULL LOOP
		SELECT count(*) INTO n FROM grants WHERE role_id = one.role_id;
		IF n > 1 AND one.mail <> 'root' THEN
			UPDATE users SET mail = mail || n WHERE id = one.id;
			INSERT INTO roles (name) VALUES ('of ' || one.mail) ON CONFLICT (name) DO UPDATE SET made_at = now() RETURNING name INTO last;
			RAISE NOTICE 'made %', last;
		END IF;
	END LOOP;
END $$`

// A DO block whose statements are all in its text waits for the swap by itself, with what has to do with
// the tables that it writes. The files behind it are built before the fence.
func TestMakeDefersBlocks(t *testing.T) {
	testcontainers.InTurn(t, 1)
	t.Parallel()
	s := newShop(t, seededShop+`; CREATE TABLE other (id int PRIMARY KEY, mail text)`, aBlock+`; ALTER TABLE users ADD COLUMN active boolean DEFAULT true`, `ALTER TABLE users ALTER COLUMN mail SET NOT NULL; UPDATE grants SET word = 'x' WHERE word = 'y'`,
		`CREATE TABLE notes AS SELECT id, mail FROM other; ALTER TABLE other ALTER COLUMN id TYPE bigint`)
	s.file.Build = plans.Auto
	p := s.runnable(t)
	b := p.Behind
	if p.Build != plans.Direct || b == nil || len(b.Files) != 0 || len(b.Deferred) != 2 || len(b.Deferred[0].Statements) != 1 || len(b.Deferred[1].Statements) != 2 {
		t.Fatalf("%s, %+v: %+v", p.Build, p.Behind, p.Findings)
	}
	tables := map[string]int{}
	for _, at := range p.AtSwap() {
		tables[at.Table.String()]++
	}
	if len(tables) != 3 || tables["shop.users"] != 2 || tables["shop.roles"] != 1 || tables["shop.grants"] != 1 {
		t.Errorf("%v", tables)
	}
}

// One that may be another one in the swap cuts the window.
func TestMakeCutsBeforeBlocks(t *testing.T) {
	testcontainers.InTurn(t, 7)
	t.Parallel()
	all := []seedCase{
		{"it executes a text", `DO $$ BEGIN EXECUTE 'UPDATE users SET mail = ' || quote_literal('x') || ' WHERE id % 2 = ' || (SELECT count(*) FROM grants); END $$`},
		{"it catches errors", `DO $$ BEGIN FOR i IN 1..2 LOOP UPDATE users SET id = -id WHERE id = i; END LOOP; EXCEPTION WHEN unique_violation THEN NULL; END $$`},
		{"it asks for the structure", `DO $$ BEGIN FOR i IN 1..2 LOOP IF (SELECT count(*) FROM pg_attribute WHERE attrelid = 'users'::regclass) > 3 THEN UPDATE users SET mail = mail || 'x'; END IF; END LOOP; END $$`},
		{"it has a column's type", `DO $$ DECLARE m users.mail%TYPE; BEGIN FOR m IN SELECT mail FROM users ORDER BY id LOOP UPDATE users SET mail = m || 'x' WHERE mail = m; END LOOP; END $$`},
		{"it takes a whole row", `DO $$ DECLARE u record; BEGIN FOR u IN SELECT * FROM users LOOP UPDATE users SET mail = u::text WHERE id = u.id; END LOOP; END $$`},
		{"it takes a row in order", `DO $$ DECLARE a int; b int; c text; BEGIN FOR i IN 1..3 LOOP SELECT * INTO a, b, c FROM users WHERE id = i; UPDATE users SET mail = b::text WHERE id = a; END LOOP; END $$`},
		{"foreign keys lead there", `DO $$ DECLARE r record; BEGIN FOR r IN SELECT id FROM roles LOOP DELETE FROM roles WHERE id = r.id AND random() < 2; END LOOP; END $$`},
	}
	for _, c := range testcontainers.Some(t, all, 3) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, seededShop, c.sql, `ALTER TABLE users ADD COLUMN active boolean DEFAULT true`)
			s.file.Build = plans.Auto
			if p := s.runnable(t); p.Behind == nil || p.Behind.From != 2 || len(p.Behind.Deferred) != 0 {
				t.Errorf("%+v: %+v", p.Behind, p.Findings)
			}
		})
	}
}
