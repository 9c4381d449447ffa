package rehearsal

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/migrations"
	"github.com/pgumbra/pgumbra/rehearsal/generate"
)

// A CHECK is found by its name, or by a statement with its table and columns where the
// server has named it; what comes later than the rehearsal's last migration is not asked.
func TestGapsNameTheStatementThatAsks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"1_init.up.sql":  "CREATE SCHEMA app;\n\nCREATE TABLE app.parts (code text CHECK (code LIKE 'A%'), n int);",
		"2_named.up.sql": "ALTER TABLE app.parts\n  ADD CONSTRAINT n_is_odd CHECK (n % 2 = 1);\nUPDATE app.parts SET code = 'A' WHERE code = 'B';",
		"3_later.up.sql": "ALTER TABLE app.parts ADD CHECK (code <> 'A');",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	folder, err := migrations.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	parts := pg.Name{Schema: "app", Name: "parts"}
	gaps := []generate.Gap{{Table: parts, Constraint: "parts_code_check", Columns: []string{"code"}}, {Table: parts, Constraint: "n_is_odd", Columns: []string{"n"}}, {Table: parts}}
	(&rehearsal{folder: folder, window: span{0, 2}}).placeGaps(gaps)
	for i, want := range []string{"1_init.up.sql:3", "2_named.up.sql:1", ""} {
		if gaps[i].Where != want {
			t.Errorf("%s stands at %q, want %q", gaps[i].Constraint, gaps[i].Where, want)
		}
	}
}
