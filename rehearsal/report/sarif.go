package report

import (
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"

	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/rehearsal"
)

const home = "https://github.com/pgumbra/pgumbra"

// place is a line in the repository.
type place struct {
	file string
	line int
}

// place finds where a finding stands: "000042_cents.up.sql:7" is in the
// migrations' folder, "pgumbra.yaml:3" the plan file; anything else is shown at the
// plan file, since code scanning shows nothing without a place.
func (o Options) place(where string) place {
	name, number, _ := strings.Cut(where, ":")
	line, err := strconv.Atoi(number)
	if err != nil || line < 1 {
		line = 1
	}
	switch {
	case strings.HasSuffix(name, ".sql"):
		return place{path.Join(o.Migrations, name), line}
	case name == path.Base(o.PlanFile):
		return place{o.PlanFile, line}
	}
	return place{o.PlanFile, 1}
}

// writeSARIF writes findings, failed gates and differences for code scanning
// (SARIF 2.1.0). Findings that the baseline accepts are suppressed ones.
func writeSARIF(w io.Writer, r *rehearsal.Result, o Options) error {
	run := sarif.NewRunWithInformationURI("pgumbra", home)
	run.Tool.Driver.WithVersion(o.Version)
	s := &scan{run: run, o: o}
	for _, f := range r.Found {
		s.add(f.Code, levelOf(f.Level), findingText(f), f.Where)
	}
	for _, f := range r.Settled {
		s.add(f.Code, levelOf(f.Level), findingText(f), f.Where).AddSuppression(sarif.NewSuppression().WithKind("external").WithJustification("accepted by the baseline"))
	}
	for _, g := range r.Gates {
		if !g.Passed {
			s.add("rehearsal-"+strings.ReplaceAll(g.Name, " ", "-"), "error", g.Message+sentenceOf(g.Fix), "")
		}
	}
	for _, d := range viewOf(r, o).Differences {
		s.add("rehearsal-"+string(d.Kind), "error", d.Sentence+"\n"+examples(d.Difference), d.Where)
	}
	report := sarif.NewReport()
	report.AddRun(run)
	if err := report.Validate(); err != nil {
		return fmt.Errorf("the SARIF report is not valid: %w", err)
	}
	return report.PrettyWrite(w)
}

// scan is a run that is being written.
type scan struct {
	run *sarif.Run
	o   Options
}

func (s *scan) add(rule, level, text, where string) *sarif.Result {
	s.run.AddRule(rule).WithHelpURI(home + "/blob/main/docs/findings.md").WithShortDescription(sarif.NewMultiformatMessageString().WithText(rule))
	at := s.o.place(where)
	location := sarif.NewPhysicalLocation().WithArtifactLocation(sarif.NewSimpleArtifactLocation(at.file)).WithRegion(sarif.NewSimpleRegion(at.line, at.line))
	result := s.run.CreateResultForRule(rule).WithLevel(level).WithMessage(sarif.NewTextMessage(text))
	result.AddLocation(sarif.NewLocationWithPhysicalLocation(location))
	return result
}

func levelOf(l plans.Level) string {
	switch l {
	case plans.Blocker:
		return "error"
	case plans.Warning:
		return "warning"
	}
	return "note"
}

func findingText(f plans.Finding) string {
	text := f.Message
	if f.Object != "" {
		text = f.Object + ": " + text
	}
	return text + sentenceOf(f.Fix)
}

func sentenceOf(fix string) string {
	if fix == "" {
		return ""
	}
	return ". What to do: " + fix
}
