package report

import (
	"bytes"
	_ "embed"
	"html/template"
	"strings"
)

//go:embed html.tmpl
var htmlText string

var htmlReport = template.Must(template.New("html").Funcs(template.FuncMap{
	"lines": func(statements []string) string { return strings.Join(statements, "\n") },
	"more":  func(objects []place) int { return len(objects) - 1 },
	"past":  func(phase string) bool { return phase == "cutover" || phase == "watching" },
}).Parse(htmlText))

// writeHTML writes the dry run as one page that needs no other file and no
// script, reads in light and dark, and prints well.
func writeHTML(v view) ([]byte, error) {
	var b bytes.Buffer
	err := htmlReport.Execute(&b, v)
	return b.Bytes(), err
}

// FewChanges: they all are shown unfolded.
func (v view) FewChanges() bool {
	n := 0
	for _, f := range v.Changes {
		n += len(f.Changes)
	}
	return n <= 20
}
