package report

import (
	"bytes"
	_ "embed"
	"slices"
	"strings"
	"text/template"

	"github.com/pgumbra/pgumbra/internal/human"
)

//go:embed markdown.tmpl
var markdownText string

var markdownReport = template.Must(template.New("markdown").Funcs(MarkdownFuncs).Parse(markdownText))

const (
	// markdownLimit is what a comment on a pull request takes: GitHub's limit of
	// characters.
	markdownLimit = 65_536
	markdownRows  = 100 // tables listed at most where all would be too long
)

// writeMarkdown writes the dry run for a ticket, a wiki or a comment; as much of
// it as fits into one.
func writeMarkdown(v view) ([]byte, error) {
	for {
		var b bytes.Buffer
		if err := markdownReport.Execute(&b, v); err != nil {
			return nil, err
		}
		if b.Len() <= markdownLimit || !v.shorten() {
			return b.Bytes(), nil
		}
	}
}

// shorten takes the next thing out that the reader can do without; false: there
// is none.
func (v *view) shorten() bool {
	switch at := slices.Index(Details, v.Detail); {
	case at > 0:
		v.Detail = Details[at-1]
	case len(v.Listed) > markdownRows:
		v.Listed = v.Listed[:markdownRows]
	case len(v.Listed) > 0:
		v.Listed = nil
	case len(v.Changes) > 0:
		v.Changes = nil
	default:
		return false
	}
	return true
}

// Cut is how many tables are not listed.
func (v view) Cut() int { return len(v.Tables) - len(v.Listed) }

var markdownSigns = strings.NewReplacer(`\`, `\\`, "|", `\|`, "`", "\\`", "*", `\*`, "_", `\_`, "<", "&lt;", "[", `\[`, "\n", " ", "\r", "")

// markdownCell is text that a table or a paragraph takes as it stands.
func markdownCell(s string) string { return human.Plain(markdownSigns.Replace(s)) }

// markdownCode is a code span; its fence is longer than any run of backticks
// inside. In a table only the bar needs an escape.
func markdownCode(s string) string {
	if s == "" {
		return ""
	}
	s = strings.ReplaceAll(human.OneLine(s), "|", `\|`)
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
