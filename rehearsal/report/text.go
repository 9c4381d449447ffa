package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/rehearsal"
)

// writeText writes for a terminal and a CI log: the verdict, gates, what differs
// with an example and its origin, what was measured.
func writeText(w io.Writer, r *rehearsal.Result, o Options) error {
	v := viewOf(r, o)
	b := new(bytes.Buffer)
	if r.Nothing {
		_, err := fmt.Fprintf(w, "Rehearsal of %s: version %d\n%s\n", r.Run, r.FromVersion, v.Verdict)
		return err
	}
	fmt.Fprintf(b, "Rehearsal of %s: version %d → %d on PostgreSQL %s, %s build, seed %d\n%s\n", r.Run, r.FromVersion, r.ToVersion, r.Versions(), r.Build, r.Seed, v.Verdict)
	for _, n := range r.Notes {
		fmt.Fprintf(b, "Note: %s.\n", human.OneLine(n))
	}
	textGates(b, r)
	textDifferences(b, v)
	textLists(b, v)
	textFindings(b, v)
	b.WriteString("\nMEASURED\n")
	table(b, func(tab *tabwriter.Writer) {
		for _, f := range v.Facts {
			fmt.Fprintf(tab, "  %s\t%s\n", f.Name, f.Value)
		}
	})
	_, err := w.Write(b.Bytes())
	return err
}

func table(b *bytes.Buffer, fill func(*tabwriter.Writer)) {
	tab := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fill(tab)
	_ = tab.Flush() // a bytes.Buffer takes everything
}

// gateWidth is how wide the lines of gates are where nobody says otherwise: a log of CI.
const gateWidth = 120

func textGates(b *bytes.Buffer, r *rehearsal.Result) {
	b.WriteString("\nGATES\n")
	longest := 0
	for _, g := range r.Gates {
		longest = max(longest, len(g.Name))
	}
	for _, g := range r.Gates {
		word := "ok"
		if !g.Passed {
			word = "FAILED"
		}
		head := fmt.Sprintf("  %-6s  %-*s  ", word, longest, g.Name)
		fmt.Fprintln(b, human.FoldAt(head+human.OneLine(g.Message), gateWidth, len(head)))
		if !g.Passed && g.Fix != "" {
			fmt.Fprintln(b, human.FoldAt(strings.Repeat(" ", len(head))+"fix: "+human.OneLine(g.Fix), gateWidth, len(head)))
		}
	}
}

func textDifferences(b *bytes.Buffer, v view) {
	if len(v.Differences) > 0 {
		b.WriteString("\nDIFFERENCES from the migrations run in place\n")
	}
	for _, d := range v.Differences {
		fmt.Fprintf(b, "\n  %s\n", human.Plain(d.Sentence))
		for _, e := range d.Examples {
			if e.Key != "" {
				fmt.Fprintf(b, "    %s\n", human.OneLine(e.Key))
			}
			example(b, "in place", e.InPlace)
			example(b, "shadow", e.Upgraded)
		}
		if d.Explanation != "" {
			fmt.Fprintf(b, "    because: %s\n", human.OneLine(d.Explanation))
		}
	}
}

func example(b *bytes.Buffer, side, text string) {
	if text == "" {
		return
	}
	for i, line := range strings.Split(text, "\n") {
		if i > 0 {
			side = ""
		}
		fmt.Fprintf(b, "      %-9s %s\n", side, human.Plain(line))
	}
}

func textLists(b *bytes.Buffer, v view) {
	list := func(title string, lines []string) {
		if len(lines) > 0 {
			fmt.Fprintf(b, "\n%s\n  %s\n", title, strings.Join(lines, "\n  "))
		}
	}
	if v.Oracle != nil {
		list("NOT COMPARABLE: two runs in place give other values too (now(), random, the order of rows)", v.Oracle.NotComparable)
	}
	list("WHAT AN APPLICATION MEETS that is not deployed at the cutover", v.Broken)
	var gaps []string
	for _, g := range v.Data.Gaps {
		gaps = append(gaps, human.OneLine(g.String()+"; "+g.Fix))
	}
	list("ROWS that could not be made", gaps)
}

func textFindings(b *bytes.Buffer, v view) {
	if len(v.Found)+len(v.Settled) == 0 {
		return
	}
	fmt.Fprintf(b, "\nFINDINGS of the plan: %s; accepted by the baseline: %d\n", v.Levels, len(v.Settled))
	for _, f := range v.Found {
		if f.Level == plans.Info {
			continue
		}
		fmt.Fprintf(b, "  %s  %s  %s", strings.ToUpper(string(f.Level)), f.Code, human.Plain(f.Object))
		if f.Where != "" {
			fmt.Fprintf(b, "  (%s)", human.Plain(f.Where))
		}
		fmt.Fprintf(b, "\n    %s\n", human.OneLine(f.Message))
		if f.Fix != "" {
			fmt.Fprintf(b, "    fix: %s\n", human.OneLine(f.Fix))
		}
	}
}
