package plans

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"
)

// textStatements is how many statements of a step the text report shows: a
// schema of a thousand tables has thousands. JSON shows all.
const textStatements = 25

// WriteText writes the dry run for a terminal: findings first, then tables,
// estimates and steps.
func (p *Plan) WriteText(w io.Writer) error {
	v := p.view()
	var b bytes.Buffer
	fmt.Fprintf(&b, "Run %s: version %s → %s, %s build\n", v.Run, v.From, v.To, v.Build)
	fmt.Fprintln(&b, v.Verdict)
	textFindings(&b, v)
	if !v.NothingToDo {
		textTables(&b, v)
		textColumns(&b, v)
		textFacts(&b, v)
		textSteps(&b, v)
	}
	_, err := w.Write(b.Bytes())
	return err
}

func textFindings(b *bytes.Buffer, v view) {
	if len(v.Findings) == 0 {
		return
	}
	fmt.Fprintf(b, "\nFINDINGS (%s)\n", v.Counts)
	for _, f := range v.Findings {
		fmt.Fprintf(b, "\n  %s  %s  %s", strings.ToUpper(string(f.Level)), f.Code, plain(f.Object))
		if f.Where != "" {
			fmt.Fprintf(b, "  (%s)", plain(f.Where))
		}
		b.WriteString("\n")
		indent(b, "    ", f.Message)
		if f.Fix != "" {
			indent(b, "    ", "fix: "+f.Fix)
		}
	}
}

func textTables(b *bytes.Buffer, v view) {
	fmt.Fprintf(b, "\nTABLES (%d)\n", len(v.Listed))
	tab := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tab, "  production\tshadow\trows\tsize\tkey\trecord\tcolumns")
	for _, t := range v.Listed {
		fmt.Fprintf(tab, "  %s\t%s\t%s\t%s\t%s\t%s\t%s\n", plain(t.Origin), plain(t.Shadow), t.RowsText, t.BytesText,
			plain(t.KeyText), t.Record, t.ColumnSummary)
	}
	_ = tab.Flush() // a bytes.Buffer takes everything
}

func textColumns(b *bytes.Buffer, v view) {
	heading := "\nCOLUMNS that are not simply copied\n"
	for _, t := range v.Listed {
		if len(t.Changed) == 0 && t.Where == "" && t.From == "" {
			continue
		}
		b.WriteString(heading)
		heading = ""
		fmt.Fprintf(b, "  %s\n", plain(t.Shadow))
		if t.From != "" {
			indent(b, "    ", "from: "+t.From)
		}
		if t.Where != "" {
			indent(b, "    ", "only rows where "+t.Where)
		}
		tab := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
		for _, c := range t.Changed {
			fmt.Fprintf(tab, "    %s\t%s\t%s\n", plain(c.Shadow), c.Source, oneLine(c.Expression))
		}
		_ = tab.Flush()
	}
}

func textFacts(b *bytes.Buffer, v view) {
	b.WriteString("\nESTIMATES\n")
	tab := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, f := range v.Facts {
		fmt.Fprintf(tab, "  %s\t%s\n", f.Name, f.Value)
	}
	_ = tab.Flush()
}

func textSteps(b *bytes.Buffer, v view) {
	if len(v.Phases) == 0 {
		return
	}
	b.WriteString("\nSTEPS\n")
	for _, p := range v.Phases {
		fmt.Fprintf(b, "\n  %s\n", p.Name)
		for _, s := range p.Steps {
			fmt.Fprintf(b, "  %2d. %s\n      lock: %s; waits: %s\n", s.Number, plain(s.Title), s.Lock, plain(s.Waits))
			for i, sql := range s.SQL {
				if i == textStatements {
					fmt.Fprintf(b, "        -- … and %s more: --format json shows all\n", humanCount(int64(len(s.SQL)-i)))
					break
				}
				indent(b, "        ", sql)
			}
		}
	}
}

func indent(b *bytes.Buffer, by, text string) {
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		b.WriteString(strings.TrimRight(by+plain(line), " ") + "\n")
	}
}

func oneLine(s string) string { return plain(strings.Join(strings.Fields(s), " ")) }

// plain shows control characters instead of sending them to a terminal: names
// and literals in a database may hold any.
func plain(s string) string {
	if !strings.ContainsFunc(s, unicode.IsControl) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\t':
			b.WriteString("    ")
		case unicode.IsControl(r):
			fmt.Fprintf(&b, "\\x%02x", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
