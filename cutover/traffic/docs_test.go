package traffic

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEveryCodeIsInTheDocs: codes are what scripts rely on.
func TestEveryCodeIsInTheDocs(t *testing.T) {
	t.Parallel()
	docs, err := os.ReadFile(filepath.Join("..", "..", "docs", "findings.md"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	written := regexp.MustCompile(`\.(?:block|note|against)\((?:plans\.\w+, |level, |user, )?"([a-z-]+)"`)
	found := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(filepath.Clean(file))
		if err != nil {
			t.Fatal(err)
		}
		for _, code := range written.FindAllStringSubmatch(string(text), -1) {
			found++
			if !strings.Contains(string(docs), "`pgbouncer-"+code[1]+"`") {
				t.Errorf("%s: code pgbouncer-%s is not in docs/findings.md", file, code[1])
			}
		}
	}
	if found < 25 {
		t.Errorf("%d codes were found", found)
	}
}
