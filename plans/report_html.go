package plans

import (
	"bytes"
	_ "embed"
	"html/template"
	"io"
	"strings"
)

//go:embed report.html.tmpl
var htmlText string

var htmlReport = template.Must(template.New("report.html").Funcs(template.FuncMap{
	"lines": func(statements []string) string { return strings.Join(statements, "\n") },
}).Parse(htmlText))

// WriteHTML writes the dry run as one page that needs no other file and prints
// well.
func (p *Plan) WriteHTML(w io.Writer) error {
	var b bytes.Buffer
	if err := htmlReport.Execute(&b, p.view()); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}
