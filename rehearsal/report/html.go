package report

import (
	_ "embed"
	"html/template"
	"io"

	"github.com/pgumbra/pgumbra/rehearsal"
)

//go:embed html.tmpl
var htmlText string

var htmlReport = template.Must(template.New("html").Parse(htmlText))

// writeHTML writes one page that needs no other file and no script, and reads in
// light and dark.
func writeHTML(w io.Writer, r *rehearsal.Result, o Options) error {
	return htmlReport.Execute(w, viewOf(r, o))
}
