package plans

import (
	"bytes"
	_ "embed"
	"io"
	"strings"
	"text/template"
)

//go:embed report.md.tmpl
var markdownText string

var markdownReport = template.Must(template.New("report.md").Funcs(template.FuncMap{
	"cell": markdownCell, "code": markdownCode, "fenced": markdownBlock, "upper": strings.ToUpper,
}).Parse(markdownText))

// WriteMarkdown writes the dry run for a ticket or a wiki.
func (p *Plan) WriteMarkdown(w io.Writer) error {
	var b bytes.Buffer
	if err := markdownReport.Execute(&b, p.view()); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

var markdownSigns = strings.NewReplacer(`\`, `\\`, "|", `\|`, "`", "\\`", "*", `\*`, "_", `\_`, "<", "&lt;", "[", `\[`, "\n", " ", "\r", "")

// markdownCell is text that a table or a paragraph takes as it stands.
func markdownCell(s string) string { return plain(markdownSigns.Replace(s)) }

// markdownCode is a code span; its fence is longer than any run of backticks
// inside. In a table only the bar needs an escape.
func markdownCode(s string) string {
	if s == "" {
		return ""
	}
	s = strings.ReplaceAll(oneLine(s), "|", `\|`)
	fence := strings.Repeat("`", longestRun(s, '`')+1)
	if strings.HasPrefix(s, "`") || strings.HasSuffix(s, "`") {
		s = " " + s + " "
	}
	return fence + s + fence
}

// markdownBlock is a fenced block of SQL.
func markdownBlock(statements []string) string {
	text := strings.Join(statements, "\n")
	fence := strings.Repeat("`", max(3, longestRun(text, '`')+1))
	return fence + "sql\n" + strings.TrimRight(text, "\n") + "\n" + fence
}

func longestRun(s string, of rune) int {
	longest, run := 0, 0
	for _, r := range s {
		if r != of {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	return longest
}
