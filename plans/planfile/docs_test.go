package planfile

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

func TestDocumentationHasEveryKeyWithItsDefault(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/plan-file.md")
	if err != nil {
		t.Fatal(err)
	}
	defaults := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_.]+)` \\| ([^|]*) \\|").FindAllStringSubmatch(string(text), -1) {
		defaults[m[1]] = strings.Trim(m[2], "`")
	}
	for _, k := range keys {
		written, ok := defaults[k.path]
		switch {
		case !ok:
			t.Errorf("%s is not documented", k.path)
		case k.standard != "" && written != k.standard:
			t.Errorf("%s: documented default %q, real %q", k.path, written, k.standard)
		}
	}
	for _, name := range append(append([]string{}, listKeys...), tableKeys...) {
		if _, ok := defaults[name]; !ok {
			t.Errorf("%s is not documented", name)
		}
	}
}

func TestDocumentedExampleLoads(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/plan-file.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(text), "```yaml\n")
	example, _, _ = strings.Cut(example, "```")
	if f := loaded(t, example, nil); len(f.Tables) != 4 {
		t.Errorf("tables: %+v", f.Tables)
	}
}
