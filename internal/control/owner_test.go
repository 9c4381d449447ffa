package control_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestStateOwnsItsSQL: who names a table of the control schema in a statement of its
// own knows its columns too, and a change of them is a search through the whole tree.
func TestStateOwnsItsSQL(t *testing.T) {
	t.Parallel()
	tables := controlTables(t)
	if len(tables) < 14 || !slices.Contains(tables, "shadow_table") {
		t.Fatalf("the migrations make %q", tables)
	}
	named := regexp.MustCompile(`pgumbra"?\."?(` + strings.Join(tables, "|") + `)\b`)
	said := regexp.MustCompile(`\b(SELECT|FROM|JOIN|INTO|UPDATE|DELETE|TABLE|regclass)\b`)
	root := filepath.Join("..", "..")
	sources := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		inside, _ := filepath.Rel(root, path)
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || inside == filepath.Join("internal", "control") || strings.HasPrefix(d.Name(), ".") && d.Name() != ".."):
			return fs.SkipDir
		case strings.HasSuffix(path, ".sql"):
			text, err := os.ReadFile(path)
			if found := named.FindString(string(text)); found != "" {
				t.Errorf("%s names %s", inside, found)
			}
			return err
		case !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		sources++
		return literals(path, func(at token.Position, text string) {
			if found := named.FindString(text); found != "" && said.MatchString(text) {
				t.Errorf("%s names %s", at, found)
			}
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	if sources < 300 {
		t.Errorf("%d sources were read", sources)
	}
}

// controlTables are the tables that the migrations make, and golang-migrate's own.
func controlTables(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("migrations/*.up.sql")
	must(t, err)
	all := []string{"version"}
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(t, err)
		for _, found := range regexp.MustCompile(`CREATE (?:UNLOGGED )?TABLE IF NOT EXISTS pgumbra\.(\w+)`).FindAllStringSubmatch(string(text), -1) {
			all = append(all, found[1])
		}
	}
	return all
}

// literals calls f for each string of a source.
func literals(path string, f func(token.Position, string)) error {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, nil, 0)
	if err != nil {
		return err
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
			f(fset.Position(l.Pos()), l.Value)
		}
		return true
	})
	return nil
}
