package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

// TestReportsTakeTheFormOfTheirFiles: --format says it where it is given, else the file.
func TestReportsTakeTheFormOfTheirFiles(t *testing.T) {
	t.Parallel()
	known := []string{"text", "json", "html", "junit"}
	for _, c := range []struct {
		given string
		paths []string
		want  []output
	}{
		{"", nil, []output{{"-", "text"}}},
		{"html", nil, []output{{"-", "html"}}},
		{"", []string{""}, []output{{"-", "text"}}},
		{"", []string{"-", "a.html", "b.xml", "c.json", "plain"}, []output{{"-", "text"}, {"a.html", "html"}, {"b.xml", "junit"}, {"c.json", "json"}, {"plain", "text"}}},
		{"text", []string{"a.html"}, []output{{"a.html", "text"}}},
		{"json", []string{"a.sarif"}, []output{{"a.sarif", "json"}}}, // a form that the command does not know
	} {
		command := &cobra.Command{}
		format := command.Flags().String("format", "text", "")
		if c.given != "" {
			must(t, command.Flags().Set("format", c.given))
		}
		got, err := outputsOf(command, *format, known, c.paths...)
		must(t, err)
		if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(output{})); diff != "" {
			t.Errorf("%v: %s", c.paths, diff)
		}
	}
	for _, path := range []string{"nowhere/a.html", "outputs_test.go/a.html", "a.pdf", "a.sarif"} {
		if _, err := outputsOf(&cobra.Command{}, "text", known, "a.json", path); exitCode(err) != exitUsage {
			t.Errorf("%s: %v", path, err)
		}
	}
}
