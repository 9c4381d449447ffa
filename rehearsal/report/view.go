package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/rehearsal"
)

// view is the result as people read it.
type view struct {
	*rehearsal.Result
	Options
	Verdict     string
	Facts       []fact
	Differences []difference
	Broken      []string
	Levels      string // how many findings of each level
}

type fact struct{ Name, Value string }

// difference is one with a sentence of its own.
type difference struct {
	rehearsal.Difference
	Sentence string
}

func viewOf(r *rehearsal.Result, o Options) view {
	v := view{Result: r, Options: o, Verdict: verdict(r), Facts: facts(r), Levels: levels(r.Found)}
	if r.Oracle != nil {
		for _, d := range r.Oracle.Differences {
			v.Differences = append(v.Differences, difference{d, sentence(d)})
		}
	}
	for _, m := range slices.Sorted(maps.Keys(r.Traffic.Broken)) {
		v.Broken = append(v.Broken, fmt.Sprintf("%s, %s", human.OneLine(m), human.Plural(int(r.Traffic.Broken[m]), "time")))
	}
	return v
}

func verdict(r *rehearsal.Result) string {
	if r.Nothing {
		return fmt.Sprintf("Nothing to do: the migrations have nothing newer than version %d.", r.FromVersion)
	}
	var failed []string
	for _, g := range r.Gates {
		if !g.Passed {
			failed = append(failed, g.Name)
		}
	}
	if len(failed) == 0 {
		return fmt.Sprintf("Passed in %.0f s.", r.Seconds)
	}
	if slices.Contains(failed, "migrations") {
		return fmt.Sprintf("Not decided: the migrations fail on these rows, run in place too; after %.0f s.", r.Seconds)
	}
	return fmt.Sprintf("Failed: %s (%d of %s), after %.0f s.", strings.Join(failed, ", "), len(failed), human.Plural(len(r.Gates), "gate"), r.Seconds)
}

// sentence says what a difference is.
func sentence(d rehearsal.Difference) string {
	rows := human.Plural(int(d.Count), "row")
	switch d.Kind {
	case rehearsal.ValuesDiffer:
		return fmt.Sprintf("%s.%s: %s with another value", d.Object, d.Column, rows)
	case rehearsal.RowsMissing:
		return fmt.Sprintf("%s: %s that the shadow lacks", d.Object, rows)
	case rehearsal.RowsExtra:
		return fmt.Sprintf("%s: %s that only the shadow has", d.Object, rows)
	case rehearsal.StructureMissing:
		return d.Object + ": the shadow lacks it"
	case rehearsal.StructureExtra:
		return d.Object + ": only the shadow has it"
	case rehearsal.StructureDiffers:
		return d.Object + ": it is another one"
	case rehearsal.SequenceDiffers:
		return "sequence " + d.Object
	}
	return d.Name()
}

func levels(found []plans.Finding) string {
	count := map[plans.Level]int{}
	for _, f := range found {
		count[f.Level]++
	}
	var parts []string
	for _, l := range []plans.Level{plans.Blocker, plans.Warning, plans.Info} {
		if n := count[l]; n > 0 {
			parts = append(parts, human.Plural(n, string(l)))
		}
	}
	return strings.Join(parts, ", ")
}

// facts are what was measured.
func facts(r *rehearsal.Result) []fact {
	var all []fact
	if len(r.Data.Tables) > 0 {
		all = append(all, fact{"rows", fmt.Sprintf("%s in %s, %s", human.Count(r.Data.Rows()), human.Plural(len(r.Data.Tables), "table"), r.Data.Source)})
	}
	if asked := r.Data.Asked; len(asked) > 0 {
		all = append(all, fact{"asked of the rows", "by the migrations: " + strings.Join(asked, "; ")})
	}
	if c := r.Cutover; c != nil {
		all = append(all, fact{"stall", fmt.Sprintf("%.1f ms in attempt %d, %s drained", c.StallMS, c.Attempts, human.Plural(int(c.Drained), "change"))})
		if spent := cutover.Spent(c.Parts); spent != "" {
			all = append(all, fact{"stall by steps", spent})
		}
		all = append(all, fact{"longest client wait", fmt.Sprintf("%.1f ms, from the request for the cutover on", c.LongestMS)})
	}
	if b := r.Rollback; b != nil {
		all = append(all, fact{"rollback", fmt.Sprintf("%.1f ms, with %s of the new structure taken along", b.StallMS, human.Plural(int(b.Committed), "commit"))})
	}
	t := r.Traffic
	if t.Done()+t.Repeated+t.Refused > 0 {
		all = append(all, fact{"transactions", fmt.Sprintf("%s committed, %s rolled back on purpose, %s refused by constraints, %s repeated",
			human.Count(t.Committed), human.Count(t.RolledBack), human.Count(t.Refused), human.Count(t.Repeated))})
	}
	switch t.Redirected {
	case rehearsal.ByPgBouncer:
		all = append(all, fact{"to the new server", "PgBouncer led the clients, which queued meanwhile"})
	case rehearsal.ByThemselves:
		all = append(all, fact{"to the new server", "the clients went by themselves, once the old one refused their writes"})
	}
	if t.Withheld > 0 {
		all = append(all, fact{"after the cutover", fmt.Sprintf("%s in the new structure, rolled back at their end", human.Plural(int(t.Withheld), "transaction"))})
	}
	if t.Slowdown > 0 {
		all = append(all, fact{"throughput", fmt.Sprintf("%.0f transactions a second before, %.0f while following (slowdown %.2f)", t.Before, t.Following, t.Slowdown)})
	}
	if o := r.Oracle; o != nil {
		all = append(all, fact{"in place", fmt.Sprintf("the migrations took %.2f s on the same rows, behind their locks", o.InPlaceSeconds)})
	}
	return append(all, fact{"all of it", fmt.Sprintf("%.0f s", r.Seconds)})
}
