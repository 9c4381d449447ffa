package report

import (
	"bytes"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/pgumbra/pgumbra/internal/human"
)

// textStatements is how many statements of a step the text report shows: a
// schema of a thousand tables has thousands. JSON shows all.
const textStatements = 25

// writeText writes the dry run for a terminal: the verdict, what clients notice,
// what changes, findings, tables, estimates, steps.
func writeText(v view) ([]byte, error) {
	b := new(bytes.Buffer)
	if v.From == "" {
		fmt.Fprintf(b, "Run %s\n", v.Run)
	} else {
		fmt.Fprintf(b, "Run %s: version %s → %s, %s build\n", v.Run, v.From, v.To, v.Build)
	}
	fmt.Fprintln(b, v.Verdict)
	textGroups(b, "BLOCKERS", v.Blocking)
	if v.NothingToDo {
		textGroups(b, "FINDINGS", v.Groups)
		return b.Bytes(), nil
	}
	textClients(b, v)
	textGroups(b, "WHAT GOING BACK AFTER THE CUTOVER WOULD LOSE", v.Back)
	textChanges(b, v)
	if len(v.Findings) > 0 {
		also := ""
		if len(v.Blocking)+len(v.Clients)+len(v.Back) > 0 {
			also = " with those above"
		}
		textGroups(b, "FINDINGS ("+v.Counts+also+")", v.Groups)
	}
	if len(v.Steps) > 0 { // a plan that stopped early has looked at none of this
		textTables(b, v)
		textColumns(b, v)
		textFacts(b, v)
		textSteps(b, v)
	}
	return b.Bytes(), nil
}

func textClients(b *bytes.Buffer, v view) {
	if len(v.Clients) == 0 && len(v.Steps) == 0 {
		return
	}
	b.WriteString("\nWHAT CLIENTS WILL NOTICE\n")
	for _, line := range v.Always {
		indent(b, "  ", line)
	}
	for _, g := range v.Clients {
		textGroup(b, g)
	}
}

func textChanges(b *bytes.Buffer, v view) {
	if len(v.Changes) == 0 && v.Behind == nil && len(v.AtSwap) == 0 {
		return
	}
	b.WriteString("\nWHAT CHANGES\n")
	for _, f := range v.Changes {
		fmt.Fprintf(b, "  %s\n", human.Plain(f.File))
		for _, c := range f.Changes {
			indent(b, "    ", human.OneLine(c.String()))
		}
	}
	if len(v.AtSwap) > 0 {
		indent(b, "  ", human.OneLine(atSwapText(v.AtSwap)))
	}
	if v.Behind != nil {
		indent(b, "  ", human.OneLine(behindFiles(v.Behind)))
	}
}

func textGroups(b *bytes.Buffer, title string, groups []group) {
	if len(groups) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\n", title)
	for _, g := range groups {
		textGroup(b, g)
	}
}

func textGroup(b *bytes.Buffer, g group) {
	b.WriteString("\n")
	for _, o := range g.Objects {
		fmt.Fprintf(b, "  %s  %s  %s", strings.ToUpper(string(g.Level)), g.Code, human.Plain(o.Object))
		if o.Where != "" {
			fmt.Fprintf(b, "  (%s)", human.Plain(o.Where))
		}
		b.WriteString("\n")
	}
	indent(b, "    ", g.Message)
	if g.Fix != "" {
		indent(b, "    ", "fix: "+g.Fix)
	}
}

func textTables(b *bytes.Buffer, v view) {
	fmt.Fprintf(b, "\nTABLES (%d)\n", len(v.Listed))
	c := human.Columns{Indent: "  ", Heads: []string{"table", "shadow", "rows", "size", "key", "record", "columns"}, Spare: []string{"shadow", "record", "key", "columns"}}
	for _, t := range v.Listed {
		c.Add(human.Plain(t.Origin), human.Plain(t.Shadow), t.RowsText, t.BytesText, human.Plain(t.KeyText), string(t.Record), t.ColumnSummary)
	}
	c.Fit(v.Width)
	_ = c.Write(b) // a bytes.Buffer takes everything
}

func textColumns(b *bytes.Buffer, v view) {
	heading := "\nCOLUMNS that are not simply copied\n"
	for _, t := range v.Listed {
		if len(t.Changed) == 0 && t.Where == "" && t.From == "" {
			continue
		}
		b.WriteString(heading)
		heading = ""
		fmt.Fprintf(b, "  %s\n", human.Plain(t.Shadow))
		if t.From != "" {
			indent(b, "    ", "from: "+t.From)
		}
		if t.Where != "" {
			indent(b, "    ", "only rows where "+t.Where)
		}
		tab := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
		for _, c := range t.Changed {
			fmt.Fprintf(tab, "    %s\t%s\t%s\n", human.Plain(c.Shadow), c.Source, human.OneLine(c.Expression))
		}
		_ = tab.Flush()
	}
}

func textFacts(b *bytes.Buffer, v view) {
	b.WriteString("\nESTIMATES\n")
	tab := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, f := range v.Estimated {
		fmt.Fprintf(tab, "  %s\t%s\n", f.Name, f.Value)
	}
	_ = tab.Flush()
}

func textSteps(b *bytes.Buffer, v view) {
	if v.Detail == None {
		return
	}
	b.WriteString("\nSTEPS\n")
	for _, p := range v.Phases {
		fmt.Fprintf(b, "\n  %s\n", p.Name)
		for _, s := range p.Steps {
			fmt.Fprintf(b, "  %2d. %s\n", s.Number, human.Plain(s.Title))
			if v.Detail == Full || s.Lock != "none" {
				fmt.Fprintf(b, "      lock: %s; waits: %s\n", s.Lock, human.Plain(s.Waits))
			}
			if v.Detail == Full {
				textSQL(b, s.SQL)
			}
		}
	}
	if v.Detail == Summary {
		fmt.Fprintf(b, "\nThe exact SQL: --sql full, or --format html\n")
	}
}

func textSQL(b *bytes.Buffer, statements []string) {
	for i, sql := range statements {
		if i == textStatements {
			fmt.Fprintf(b, "        -- … and %s more: --format json shows all\n", human.Count(int64(len(statements)-i)))
			return
		}
		indent(b, "        ", sql)
	}
}

func indent(b *bytes.Buffer, by, text string) {
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		b.WriteString(strings.TrimRight(by+human.Plain(line), " ") + "\n")
	}
}
