package planner

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
	written := regexp.MustCompile(`(?:blocker|warning|info)\("([a-z]+(?:-[a-z]+)*)"|Code: +"([a-z-]+)"|Code[A-Z]\w+ += "([a-z-]+)"`)
	for _, pattern := range []string{"*.go", "../migrations/*.go", "../planfile/*.go", "../syntax/*.go", "../conditions/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(filepath.Clean(file))
			if err != nil {
				t.Fatal(err)
			}
			for _, found := range written.FindAllStringSubmatch(string(text), -1) {
				if code := found[1] + found[2] + found[3]; !strings.Contains(string(docs), "`"+code+"`") {
					t.Errorf("%s: code %s is not in docs/findings.md", file, code)
				}
			}
		}
	}
}
