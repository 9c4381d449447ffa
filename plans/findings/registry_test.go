package findings_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pgumbra/pgumbra/plans/findings"
)

// The packages that make findings, and what each writes before its codes.
var makers = map[string]string{
	"plans/planner": "", "plans/planner/estimate": "", "plans/planfile": "", "plans/migrations": "", "plans/syntax": "", "plans/transforms": "", "plans/conditions": "",
	"cutover": "", "upgrade": "", "cutover/traffic": "pgbouncer-",
}

var looksLikeCode = regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)

// TestEveryCodeIsRegistered: codes are what scripts rely on, and what people look up.
// A code is what a package gives to a field, a parameter or a variable of that name.
func TestEveryCodeIsRegistered(t *testing.T) {
	t.Parallel()
	used := map[string]string{}
	for dir, prefix := range makers {
		collect(t, filepath.Join("..", "..", filepath.FromSlash(dir)), func(code, where string, whole bool) {
			if !whole {
				code = prefix + code
			}
			if looksLikeCode.MatchString(code) {
				used[code] = where
			}
		})
	}
	for code, where := range used {
		if _, ok := findings.Of(code); !ok {
			t.Errorf("%s: the code %q is not in the register", where, code)
		}
	}
	seen := map[string]bool{}
	for _, s := range findings.Sections() {
		for _, c := range s.Checks {
			if used[c.Code] == "" {
				t.Errorf("nobody makes findings of code %q", c.Code)
			}
			if seen[c.Code] {
				t.Errorf("code %q is registered twice", c.Code)
			}
			seen[c.Code] = true
			if c.Means == "" || !c.May("blocker") && !c.May("warning") && !c.May("info") || (c.Bad == "") != (c.Good == "") {
				t.Errorf("%q lacks what it means, its level, or one of its examples", c.Code)
			}
			if c.Do == "" && !strings.HasPrefix(c.Level, "info") {
				t.Errorf("%q does not say what to do", c.Code)
			}
		}
	}
	if len(used) < 150 {
		t.Errorf("%d codes were found", len(used))
	}
}

// collect finds the codes that a package's source names. whole: not to be prefixed.
func collect(t *testing.T, dir string, found func(code, where string, whole bool)) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %v", dir, err)
	}
	set := token.NewFileSet()
	var parsed []*ast.File
	parameter := map[string]int{} // of a function, the one that is a code
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, file)
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok {
				if i := codeParameter(f.Type.Params); i >= 0 {
					parameter[f.Name.Name] = i
				}
			}
		}
	}
	for _, file := range parsed {
		ast.Inspect(file, func(n ast.Node) bool {
			for _, e := range codesOf(n, parameter) {
				if text, ok := literal(e); ok {
					_, field := n.(*ast.KeyValueExpr)
					found(text, set.Position(e.Pos()).String(), field)
				}
			}
			return true
		})
	}
}

func codeParameter(params *ast.FieldList) int {
	i := 0
	for _, f := range params.List {
		for _, n := range f.Names {
			if n.Name == "code" {
				return i
			}
			i++
		}
	}
	return -1
}

// codesOf are the expressions that a node makes codes of.
func codesOf(n ast.Node, parameter map[string]int) []ast.Expr {
	switch n := n.(type) {
	case *ast.KeyValueExpr:
		if isCode(n.Key) {
			return []ast.Expr{n.Value}
		}
	case *ast.CallExpr:
		if i, ok := parameter[nameOf(n.Fun)]; ok && i < len(n.Args) {
			return n.Args[i : i+1]
		}
	case *ast.AssignStmt:
		var all []ast.Expr
		for i, left := range n.Lhs {
			if isCode(left) && len(n.Rhs) == len(n.Lhs) {
				all = append(all, n.Rhs[i])
			}
		}
		return all
	case *ast.ValueSpec:
		if slices.ContainsFunc(n.Names, func(id *ast.Ident) bool { return strings.HasPrefix(strings.ToLower(id.Name), "code") }) {
			return n.Values
		}
	}
	return nil
}

func isCode(e ast.Expr) bool { return strings.EqualFold(nameOf(e), "code") }

func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

func literal(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(lit.Value)
	return text, err == nil
}

// TestDocumentationIsWritten: go generate ./plans/findings writes it.
func TestDocumentationIsWritten(t *testing.T) {
	t.Parallel()
	docs, err := os.ReadFile(filepath.Join("..", "..", "docs", "findings.md"))
	if err != nil {
		t.Fatal(err)
	}
	if string(docs) != findings.Markdown() {
		t.Error("docs/findings.md is not what the register says: go generate ./plans/findings")
	}
}
