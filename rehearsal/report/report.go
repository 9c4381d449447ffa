// Package report shows what a rehearsal found out: as JSON, JUnit and SARIF for
// programs, as text, Markdown and HTML for people. It only reads the result.
package report

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/pgumbra/pgumbra/rehearsal"
)

// Options of a report.
type Options struct {
	Format string // one of [Formats]
	// Version of pgumbra, for who reads the report later.
	Version string
	// PlanFile, Migrations are where findings are shown in a repository: paths as
	// its root sees them.
	PlanFile   string
	Migrations string
}

// Formats that [Write] knows.
var Formats = []string{"text", "json", "markdown", "html", "junit", "sarif"}

var writers = map[string]func(io.Writer, *rehearsal.Result, Options) error{
	"text": writeText, "json": writeJSON, "markdown": writeMarkdown, "html": writeHTML, "junit": writeJUnit, "sarif": writeSARIF,
}

// Write writes the report of a rehearsal.
func Write(w io.Writer, r *rehearsal.Result, o Options) error {
	write, ok := writers[o.Format]
	if !ok {
		return fmt.Errorf("no report format %q", o.Format)
	}
	return write(w, r, o)
}

func writeJSON(w io.Writer, r *rehearsal.Result, _ Options) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(r)
}
