package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
)

//go:embed html.tmpl
var htmlText string

var htmlReport = template.Must(template.New("html").Funcs(template.FuncMap{
	"lines": func(statements []string) string { return strings.Join(statements, "\n") },
	"more":  func(objects []place) int { return len(objects) - 1 },
	"past":  func(phase string) bool { return phase == "cutover" || phase == "watching" },
	"shown": func(n int, all []group) []group { first, _ := divided(n, all); return first },
	"rest":  func(n int, all []group) []group { _, rest := divided(n, all); return rest },
	"told":  told, "names": names, "steps": func(phases []phaseView) (n int) {
		for _, p := range phases {
			n += len(p.Steps)
		}
		return n
	},
}).Parse(htmlText))

// writeHTML writes the dry run as one page that needs no other file and no
// script, reads in light and dark, and prints well.
func writeHTML(v view) ([]byte, error) {
	var b bytes.Buffer
	err := htmlReport.Execute(&b, v)
	return b.Bytes(), err
}

// divided are the groups that are seen at once, blockers and the first warnings, and
// those that are folded: what is seen must not be longer than three screens of a phone.
func divided(n int, all []group) (shown, rest []group) {
	for _, g := range all {
		switch {
		case g.Level == plans.Blocker:
			shown = append(shown, g)
		case g.Level == plans.Warning && n > 0:
			shown, n = append(shown, g), n-1
		default:
			rest = append(rest, g)
		}
	}
	return shown, rest
}

// told counts groups by their level, and names what they are about or, of mere notes,
// what they say.
func told(all []group) string {
	var findings []plans.Finding
	var objects []string
	for _, g := range all {
		for _, o := range g.Objects {
			findings = append(findings, plans.Finding{Level: g.Level})
			name := o.Object
			if g.Level == plans.Info {
				name = g.Code
			}
			if !slices.Contains(objects, name) {
				objects = append(objects, name)
			}
		}
	}
	return countLevels(findings) + ": " + listed(objects)
}

// names are the changes of a file in a line.
func names(changes []catalog.Change) string {
	var all []string
	for _, c := range changes {
		all = append(all, c.String())
	}
	return listed(all)
}

func listed(all []string) string {
	const enough = 6
	if len(all) > enough {
		return strings.Join(all[:enough], ", ") + fmt.Sprintf(" and %d more", len(all)-enough)
	}
	return strings.Join(all, ", ")
}
