package report

import (
	"bytes"
	_ "embed"
	"io"
	"text/template"

	"github.com/pgumbra/pgumbra/plans"
	plan "github.com/pgumbra/pgumbra/plans/report"
	"github.com/pgumbra/pgumbra/rehearsal"
)

//go:embed markdown.tmpl
var markdownText string

var markdownReport = template.Must(template.New("markdown").Funcs(plan.MarkdownFuncs).Parse(markdownText))

// page is a view of which some may have been left out.
type page struct {
	view
	Shown                         []plans.Finding
	MoreDifferences, MoreFindings int
}

// writeMarkdown writes for a comment on a pull request; as much as fits into one.
func writeMarkdown(w io.Writer, r *rehearsal.Result, o Options) error {
	for limit := 1000; ; limit /= 2 {
		p := page{view: viewOf(r, o), Shown: r.Found}
		if n := len(p.Differences) - limit; n > 0 {
			p.Differences, p.MoreDifferences = p.Differences[:limit], n
		}
		if n := len(p.Shown) - limit; n > 0 {
			p.Shown, p.MoreFindings = p.Shown[:limit], n
		}
		p.Broken = p.Broken[:min(len(p.Broken), limit)]
		var b bytes.Buffer
		if err := markdownReport.Execute(&b, p); err != nil {
			return err
		}
		if b.Len() <= plan.MarkdownLimit || limit == 0 {
			_, err := w.Write(b.Bytes())
			return err
		}
	}
}
