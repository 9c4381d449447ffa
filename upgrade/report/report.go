// Package report tells how a real run went, for who was not there: the verdict,
// phases, what the dry run had estimated, plots of what was recorded on the way. It
// only reads the record.
package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/internal/plot"
	"github.com/pgumbra/pgumbra/upgrade"
)

//go:embed report.tmpl
var page string

var pageTemplate = template.Must(template.New("run").Parse(page))

// Options of a report.
type Options struct {
	Version string // of pgumbra
	Now     time.Time
}

type view struct {
	upgrade.PastRun
	Verdict  string
	Made     string
	Facts    []fact
	Timed    []fact // phases, and how long each took
	Swapped  []Line
	Failed   []Line // attempts
	Before   int    // more of them, which are not listed
	Drawings []drawing
}

type fact struct{ Name, Value, Note string }

type drawing struct {
	Title string
	SVG   template.HTML
}

// WriteHTML writes one page that needs no other file and no script.
func WriteHTML(w io.Writer, r upgrade.PastRun, o Options) error {
	return pageTemplate.Execute(w, viewOf(r, o))
}

func viewOf(r upgrade.PastRun, o Options) view {
	v := view{PastRun: r, Verdict: Verdict(r), Facts: facts(r), Swapped: Swaps(r), Drawings: drawings(r)}
	v.Failed, v.Before = Refused(r)
	v.Made = fmt.Sprintf("Began %s, read %s, pgumbra %s", moment(r.StartedAt), moment(o.Now), o.Version)
	for _, p := range r.Phases {
		took := "since " + moment(p.At)
		if p.Seconds != nil {
			took = human.Seconds(*p.Seconds)
		}
		if p.Phase.Over() {
			took = moment(p.At)
		}
		v.Timed = append(v.Timed, fact{Name: strings.ReplaceAll(string(p.Phase), "_", " "), Value: took})
	}
	return v
}

// Verdict is what a reader has to know who reads one sentence.
func Verdict(r upgrade.PastRun) string {
	phase := strings.ReplaceAll(string(r.Phase), "_", " ")
	switch {
	case r.BackAgain():
		return fmt.Sprintf("The upgrade was taken back, with what was written since: writers waited %.0f ms, at %s. The run is %s.", r.Rollback.StallMS, moment(r.Rollback.At), phase)
	case r.Cutover != nil:
		return fmt.Sprintf("The upgrade is done: writers waited %.0f ms, at %s, in attempt %d. The run is %s.", r.Cutover.StallMS, moment(r.Cutover.At), r.Cutover.Attempts, phase)
	case r.Failure != "":
		return fmt.Sprintf("The run stopped while %s: %s", phase, human.OneLine(r.Failure))
	case r.Phase.Over():
		return "The run was " + phase + ": production is as it was."
	}
	return "The run is " + phase + "; production serves its clients as before."
}

func facts(r upgrade.PastRun) []fact {
	ready := fact{"Ready after", "not yet", "no cutover could be tried"}
	if r.ReadyAfter != nil {
		ready = fact{"Ready after", human.Seconds(*r.ReadyAfter), fmt.Sprintf("copy and indexes were estimated at %s", human.Seconds(r.EstimatedSeconds))}
	}
	all := []fact{ready, {"Rows", human.Count(r.Rows), human.Bytes(r.Bytes) + " without indexes, as the dry run counted"}}
	if c := r.Cutover; c != nil {
		all = append(all, fact{"Writers waited", fmt.Sprintf("%.1f ms", c.StallMS), fmt.Sprintf("%.1f ms of them for the locks; %s changes were drained", c.LockWaitMS, human.Count(c.Drained)) + spent(c)})
	}
	if b := r.Rollback; b != nil {
		all = append(all, fact{"Writers waited for the rollback", fmt.Sprintf("%.1f ms", b.StallMS), fmt.Sprintf("at %s; %s changes were drained", moment(b.At), human.Count(b.Drained)) + spent(b)})
	}
	if t := r.Taken; t.Attempts > 1 {
		all = append(all, fact{"All attempts", human.Took(t.HeldMS), fmt.Sprintf("that writers waited in %d attempts; %d of them swapped", t.Attempts, len(r.Swaps))})
	}
	var most int64
	for _, s := range r.Samples {
		most = max(most, s.JournalBytes)
	}
	if len(r.Samples) > 0 {
		all = append(all, fact{"Journals", human.Bytes(most), "at most, as far as it was looked"})
	}
	return all
}

func spent(o *upgrade.Outcome) string {
	if o.Spent() == "" {
		return ""
	}
	return ". By steps: " + o.Spent()
}

// Stall is a line about what the stall of the swap that came last was spent on; empty:
// there was none, or it is not known.
func Stall(r upgrade.PastRun) string {
	o := r.Cutover
	if r.BackAgain() {
		o = r.Rollback
	}
	if o == nil || o.Spent() == "" {
		return ""
	}
	return "Stall by steps: " + o.Spent() + "."
}

func drawings(r upgrade.PastRun) []drawing {
	var copied, verified, pending, journal []plot.Point
	for i, s := range r.Samples {
		if i > 0 {
			before := r.Samples[i-1]
			seconds := s.At.Sub(before.At).Seconds()
			rate := func(now, then int64) float64 { return max(float64(now-then), 0) / max(seconds, 1e-3) }
			copied = append(copied, plot.Point{At: s.At, Value: rate(s.RowsCopied, before.RowsCopied)})
			verified = append(verified, plot.Point{At: s.At, Value: rate(s.RowsVerified, before.RowsVerified)})
		}
		pending = append(pending, plot.Point{At: s.At, Value: float64(s.Pending)})
		journal = append(journal, plot.Point{At: s.At, Value: float64(s.JournalBytes)})
	}
	var marks []plot.Mark
	for _, p := range r.Phases {
		marks = append(marks, plot.Mark{At: p.At, Name: string(p.Phase)})
	}
	rows := func(v float64) string { return human.Count(int64(v)) + " rows/s" }
	changes := func(v float64) string { return human.Count(int64(v)) + " changes" }
	size := func(v float64) string { return human.Bytes(int64(v)) }
	var all []drawing
	for _, p := range []plot.Plot{{Title: "Rows copied a second", Points: plot.Busy(copied), Text: rows}, {Title: "Changes not replayed yet", Points: quiet(pending), Text: changes},
		{Title: "Journals on disk", Points: journal, Text: size}, {Title: "Rows compared a second", Points: plot.Busy(verified), Text: rows}} {
		p.Marks = marks
		if svg := p.SVG(); svg != "" {
			all = append(all, drawing{p.Title, template.HTML(svg)}) //nolint:gosec // escapes what it draws
		}
	}
	return all
}

// quiet: a line that never left the ground says nothing.
func quiet(points []plot.Point) []plot.Point {
	for _, p := range points {
		if p.Value > 0 {
			return points
		}
	}
	return nil
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
