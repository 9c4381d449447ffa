package plans

import (
	"strings"
	"testing"
)

func TestColumnsOfATableAreSplit(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"\n    id integer NOT NULL,\n    \"a,\"\"b\" numeric(10,2) DEFAULT 1.5\n)\nINHERITS (x);": "id | a,\"b",
		"\n    z text DEFAULT 'x,\n    q int'::text,\n    a integer[] DEFAULT ARRAY[1, (2)]\n);":  "z | a",
		"\n)\nINHERITS (x);":           "",
		"\n    broken text DEFAULT ('": "?",
	} {
		items, end := splitColumns(text)
		var names []string
		for _, item := range items {
			names = append(names, leadingName(item))
		}
		got := strings.Join(names, " | ")
		if end < 0 {
			got = "?"
		}
		if got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
