package pg

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzASCIIComesBack(f *testing.F) {
	for _, s := range []string{"", "plain", "längen … 20 €", "\U0001f418 and \u0000", `C:\users`, `\u`, `\ud800x`, "é\\u00", "\ufffd"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) || FromASCII(s) != s { // holds an escape of its own
			t.Skip()
		}
		a := ASCII(s)
		if !ascii(a) || FromASCII(a) != s {
			t.Errorf("%q became %q, and that %q", s, a, FromASCII(a))
		}
		text, err := JSON(map[string]string{"k": s})
		if err != nil || !ascii(string(text)) {
			t.Fatalf("%s, %v", text, err)
		}
		var back map[string]string
		if err := json.Unmarshal(text, &back); err != nil || back["k"] != s {
			t.Errorf("%q became %s, and that %q, %v", s, text, back["k"], err)
		}
	})
}

func ascii(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}

// speaking are the packages that send text to servers. Those of plans write for
// people too: what they say reaches a server only in the stored plan, by [JSON].
var speaking = []string{"internal", "capture", "shadow", "replay", "cutover", "upgrade"}

// TestWhatIsSentIsASCII: a sign that production's encoding lacks, in a comment
// of a function's or in a message, is an error that no UTF-8 database shows.
func TestWhatIsSentIsASCII(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		inside, _ := filepath.Rel(root, path)
		first, _, _ := strings.Cut(filepath.ToSlash(inside), "/")
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && d.Name() != ".."):
			return fs.SkipDir
		case strings.HasSuffix(path, ".sql") && first != "examples":
			text, err := os.ReadFile(path)
			if !ascii(string(text)) {
				t.Errorf("%s holds signs beyond ASCII", inside)
			}
			return err
		case strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") && (first == "plans" || slices.Contains(speaking, first)):
			return checkSource(t, path, inside, first)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkLiteral(t *testing.T, fset *token.FileSet, n *ast.BasicLit) {
	if n.Kind == token.STRING && !ascii(n.Value) {
		t.Errorf("%s: %s holds signs beyond ASCII", fset.Position(n.Pos()), n.Value)
	}
}

func checkSource(t *testing.T, path, inside, first string) error {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BasicLit:
			if first != "plans" {
				checkLiteral(t, fset, n)
			}
		case *ast.CallExpr:
			sel, ok := n.Fun.(*ast.SelectorExpr)
			if !ok || first != "plans" || !slices.Contains([]string{"Exec", "Query", "QueryRow", "ExecScript"}, sel.Sel.Name) {
				return true
			}
			for _, arg := range n.Args {
				ast.Inspect(arg, func(inside ast.Node) bool {
					if literal, ok := inside.(*ast.BasicLit); ok {
						checkLiteral(t, fset, literal)
					}
					return true
				})
			}
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			if ok && x.Name == "json" && strings.HasPrefix(n.Sel.Name, "Marshal") && filepath.Base(inside) != "ascii.go" {
				t.Errorf("%s: json.%s: what goes to a server is pg.JSON", fset.Position(n.Pos()), n.Sel.Name)
			}
		}
		return true
	})
	return nil
}
