package report

import (
	_ "embed"
	"io"
	"strings"
	"text/template"

	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/upgrade"
)

//go:embed markdown.tmpl
var markdown string

var markdownTemplate = template.Must(template.New("run").Funcs(template.FuncMap{
	"cell":   func(s string) string { return human.Plain(markdownSigns.Replace(s)) },
	"moment": moment,
}).Parse(markdown))

var markdownSigns = strings.NewReplacer(`\`, `\\`, "|", `\|`, "`", "\\`", "*", `\*`, "_", `\_`, "<", "&lt;", "[", `\[`, "\n", " ", "\r", "")

// WriteMarkdown writes it for a ticket or a wiki.
func WriteMarkdown(w io.Writer, r upgrade.PastRun, o Options) error {
	return markdownTemplate.Execute(w, viewOf(r, o))
}
