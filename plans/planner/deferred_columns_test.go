package planner

import (
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

// What would be something else while such a column is there still cuts the window, and so does what
// took a unique index away that decided about rows where these were put.
func TestMakeCutsBeforeWhatSeesColumnsThatGo(t *testing.T) {
	testcontainers.InTurn(t, 7)
	t.Parallel()
	all := []seedCase{
		{"a view of all columns", `CREATE VIEW v AS SELECT * FROM users`},
		{"the same name", `ALTER TABLE users ADD COLUMN role_id text`},
		{"an index that went with it", `CREATE INDEX IF NOT EXISTS by_role ON users (mail)`},
		{"a function that holds its columns", `CREATE FUNCTION one() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT u.id FROM users u LIMIT 1; END`},
		{"a table like it", `CREATE TABLE others (LIKE users)`},
		{"a foreign key that acts on rows", `ALTER TABLE grants ADD COLUMN mail text REFERENCES users (mail) ON UPDATE CASCADE`},
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
