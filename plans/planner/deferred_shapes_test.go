package planner

import (
	"slices"
	"strings"
	"testing"

	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// notUnderstood changes rows by a query that is not followed.
const notUnderstood = `UPDATE users u SET mail = (SELECT r.name FROM roles r WHERE r.id = u.role_id UNION SELECT 'none' ORDER BY 1 LIMIT 1)`

// What is not understood waits for the swap by itself, with what says what its rows must be like.
func TestMakeDefersWhatIsNotUnderstood(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	files := []string{
		notUnderstood + `; DELETE FROM users WHERE mail IS NULL; ALTER TABLE users ALTER COLUMN mail SET NOT NULL, ADD CHECK (mail <> ''), ADD CONSTRAINT mailed CHECK (length(mail) < 100)`,
		notUnderstood + `; DELETE FROM users WHERE mail IS NULL; ALTER TABLE users ALTER COLUMN mail SET NOT NULL, ADD CONSTRAINT mailed CHECK (length(mail) < 100), ADD UNIQUE (mail);
			CREATE UNIQUE INDEX lower_mail ON users (lower(mail)); ALTER TABLE users DROP CONSTRAINT IF EXISTS users_mail_fkey, ADD FOREIGN KEY (mail) REFERENCES roles (name)`,
	}
	want := []string{"UPDATE", "DELETE", "ALTER TABLE", "ALTER TABLE", "CREATE UNIQUE INDEX"}
	s := newShop(t, seededShop, files[1], `ALTER TABLE users ADD COLUMN active boolean NOT NULL DEFAULT true; ALTER TABLE roles ADD COLUMN note text; UPDATE grants SET word = lower(word)`)
	s.file.Build = plans.Auto
	p := s.runnable(t)
	var got []string
	for _, at := range p.AtSwap() {
		got = append(got, at.Verb())
	}
	slices.Sort(got[2:])
	if b := p.Behind; p.Build != plans.Direct || b == nil || len(b.Files) != 0 || *b.Built != 3 || !slices.Equal(got, want) {
		t.Fatalf("%s, %+v, %q: %+v", p.Build, p.Behind, got, p.Findings)
	}
	if !slices.ContainsFunc(p.Findings, func(f plans.Finding) bool {
		return f.Code == "at-swap" && strings.Contains(f.Message, "000002_step.up.sql:1 is not understood (UPDATE cannot be followed")
	}) {
		t.Errorf("%+v", p.Findings)
	}
	t.Run("a constraint without a name", func(t *testing.T) {
		s := newShop(t, seededShop, files[0], `ALTER TABLE users ADD COLUMN active boolean`)
		s.file.Build = plans.Auto
		if p := s.runnable(t); p.Behind == nil || p.Behind.From != 2 {
			t.Errorf("%+v: %+v", p.Behind, p.Findings)
		}
	})
	t.Run("in the last file", func(t *testing.T) {
		s := newShop(t, seededShop, `ALTER TABLE users ADD COLUMN active boolean`, notUnderstood)
		s.file.Build = plans.Auto
		if p := s.runnable(t); p.Behind == nil || p.Behind.From != 3 || len(p.AtSwap()) != 0 {
			t.Errorf("%+v: %+v", p.Behind, p.Findings)
		}
	})
}

// What would see the difference cuts the window where it stands.
func TestMakeCutsBeforeWhatSeesThatOthersWait(t *testing.T) {
	testcontainers.InTurn(t, 6)
	t.Parallel()
	shape := notUnderstood + `; ALTER TABLE users ADD CONSTRAINT one_mail UNIQUE (mail), ADD CONSTRAINT named FOREIGN KEY (mail) REFERENCES roles (name)`
	all := []seedCase{
		{"a comment", `COMMENT ON CONSTRAINT one_mail ON users IS 'x'`},
		{"a foreign key to it", `CREATE TABLE mails (mail text REFERENCES users (mail))`},
		{"another foreign key to it", `ALTER TABLE grants ADD COLUMN mail text, ADD FOREIGN KEY (mail) REFERENCES users (mail) NOT VALID`},
		{"a table like it", `CREATE TABLE others (LIKE users INCLUDING ALL)`},
		{"its index", `ALTER INDEX one_mail RENAME TO other`},
		{"a column that it names otherwise", `ALTER TABLE roles ADD COLUMN mail text DEFAULT upper('x')`},
		{"the key that it leads to", `ALTER TABLE roles DROP CONSTRAINT roles_name_key CASCADE`},
		{"a column that it leads to", `ALTER TABLE roles RENAME COLUMN name TO word`},
		{"what it reads, by code", `DO $$ BEGIN UPDATE roles SET name = upper(name); END $$`},
	}
	for _, c := range testcontainers.Some(t, all, 3) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			bare := shape
			if c.name == "a column that it names otherwise" {
				bare = `UPDATE users SET mail = (SELECT name FROM roles WHERE id = role_id AND mail IS NULL UNION SELECT 'none' LIMIT 1)`
			}
			s := newShop(t, seededShop, bare, `ALTER TABLE users ADD COLUMN active boolean NOT NULL DEFAULT true`, c.sql, `CREATE TABLE last ()`)
			s.file.Build = plans.Auto
			if p := s.runnable(t); p.Behind == nil || p.Behind.From != 4 || len(p.Behind.Deferred) != 1 {
				t.Errorf("%+v: %+v", p.Behind, p.Findings)
			}
		})
	}
	t.Run("what needs it, unseen", func(t *testing.T) {
		t.Parallel()
		needs := `CREATE FUNCTION put() RETURNS void LANGUAGE plpgsql AS 'BEGIN INSERT INTO users (id, mail) SELECT id, mail FROM users ON CONFLICT (mail) DO NOTHING; END'; SELECT put()`
		unique := strings.Split(shape, ", ADD CONSTRAINT named")[0]
		s := newShop(t, seededShop, unique, `ALTER TABLE users ADD COLUMN active boolean NOT NULL DEFAULT true`, needs, `CREATE TABLE last ()`)
		s.file.Build, s.file.Scratch.Rows = plans.Auto, 0
		if p := s.plan(t); p.Behind == nil || p.Behind.From == 0 || p.Behind.From > 4 || has(p, plans.Blocker, "migration-failed", "000004_step.up.sql") {
			t.Errorf("%+v: %+v", p.Behind, p.Findings)
		}
		s = newShop(t, seededShop, unique, `SELECT no_such FROM users`, `CREATE TABLE last ()`)
		s.file.Build = plans.Auto
		if p := s.plan(t); p.Runnable || !has(p, plans.Blocker, "migration-failed", "000003_step.up.sql") {
			t.Errorf("a file that fails anyhow: %+v", p.Findings)
		}
	})
	t.Run("whole rows", func(t *testing.T) {
		t.Parallel()
		s := newShop(t, seededShop, `UPDATE users SET mail = (SELECT to_jsonb(r)::text FROM roles r UNION SELECT 'none' LIMIT 1)`, `CREATE TABLE last ()`)
		s.file.Build = plans.Auto
		if p := s.runnable(t); p.Behind == nil || p.Behind.From != 2 {
			t.Errorf("%+v: %+v", p.Behind, p.Findings)
		}
	})
}
