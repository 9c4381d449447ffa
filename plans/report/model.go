// Package report shows a plan: as JSON for scripts, as text, Markdown and HTML
// for people. It only reads the plan, and knows nothing of servers.
package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
)

// Options of a report.
type Options struct {
	Format string // one of [Formats]
	SQL    Detail // empty: what suits the format
	// Version of pgumbra, for who reads the report later.
	Version string
	// Width of the terminal on which text is read; 0: any.
	Width int
}

// Detail is how much of the steps a report shows.
type Detail string

// The details.
const (
	None    Detail = "none"    // no steps
	Summary Detail = "summary" // steps with their locks
	Full    Detail = "full"    // with the SQL
)

// Details in the order of their length.
var Details = []Detail{None, Summary, Full}

var writers = map[string]func(view) ([]byte, error){"text": writeText, "markdown": writeMarkdown, "html": writeHTML}

// Formats that [Write] knows.
var Formats = []string{"text", "json", "markdown", "html"}

// Write writes the dry run of a plan.
func Write(w io.Writer, p *plans.Plan, o Options) error {
	if o.Format == "json" {
		return writeJSON(w, p)
	}
	write, ok := writers[o.Format]
	if !ok {
		return fmt.Errorf("no report format %q", o.Format)
	}
	text, err := write(viewOf(p, o))
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}

// Document is the dry run as scripts read it. Its keys are public.
type Document struct {
	Run         string              `json:"run"`
	FromVersion *int64              `json:"from_version"`
	ToVersion   *int64              `json:"to_version"`
	Build       plans.Build         `json:"build"`
	Behind      *behind             `json:"behind_fence"` // null: no migration runs behind the fence
	AtSwap      []atSwap            `json:"at_swap"`      // statements of the others that run in the swap by themselves
	Runnable    bool                `json:"runnable"`
	NothingToDo bool                `json:"nothing_to_do"`
	Production  plans.Server        `json:"production"`
	MadeAt      string              `json:"made_at"`
	Changes     []plans.FileChanges `json:"changes"`
	Findings    []plans.Finding     `json:"findings"`
	Tables      []table             `json:"tables"`
	Estimates   plans.Estimates     `json:"estimates"`
	Steps       []plans.Step        `json:"steps"`
}

// table is how one shadow table comes about. Production is empty where no single
// production table stands behind it.
type table struct {
	Production string       `json:"production"`
	Shadow     string       `json:"shadow"`
	Feed       plans.Feed   `json:"feed"`
	Rows       int64        `json:"rows"`
	Bytes      int64        `json:"bytes"`
	Key        []string     `json:"key"`
	Record     plans.Record `json:"record"`
	Where      string       `json:"where"`
	From       string       `json:"from"`
	Columns    []column     `json:"columns"`
	// Reverse is what fills the old table's columns on the way back; empty: none of
	// its rows goes back.
	Reverse []reversed `json:"reverse"`
}

// reversed is a column of the old table on the way back.
type reversed struct {
	Production string             `json:"production"`
	Expression string             `json:"expression"` // over the upgraded row; empty: it does not hold the value
	Source     plans.ColumnOrigin `json:"source"`
	Kept       bool               `json:"kept"` // rows that the old table has keep theirs; the expression is for new ones
	Loss       string             `json:"loss"` // which values may not come back, after "values that"
}

type column struct {
	Shadow     string             `json:"shadow"`
	Expression string             `json:"expression"`
	Source     plans.ColumnOrigin `json:"source"`
}

// behind is what runs for real behind the fence, and why.
type behind struct {
	From       int64          `json:"from"`
	Files      []string       `json:"files"`
	Why        []plans.Reason `json:"why"`
	EstimateMS int64          `json:"estimate_ms"`
	Unseen     string         `json:"unseen,omitempty"` // why it is not known what they change
}

// atSwap is a statement that runs for real in the transaction of the swap, while the
// file that it is of is built before the fence.
type atSwap struct {
	File  string `json:"file"`
	Line  int    `json:"line"`
	SQL   string `json:"sql"`
	Table string `json:"table"` // that it changes, by its name after the swap
}

func behindOf(b *plans.Behind) *behind {
	if b == nil || len(b.Files) == 0 {
		return nil
	}
	r := &behind{From: b.From, Files: []string{}, Why: append([]plans.Reason{}, b.Why...), EstimateMS: b.EstimateMS, Unseen: b.Unseen}
	for _, f := range b.Files {
		r.Files = append(r.Files, f.Name)
	}
	return r
}

// DocumentOf gathers what the dry run shows. Lists are never nil, so that JSON
// has [] and not null.
func DocumentOf(p *plans.Plan) Document {
	d := Document{Run: p.Run, FromVersion: p.FromVersion, ToVersion: p.ToVersion, Build: cmp.Or(p.Build, plans.Direct), Behind: behindOf(p.Behind),
		Runnable: p.Runnable, NothingToDo: p.NothingToDo, Production: p.Production, MadeAt: p.StartedAt, Estimates: finite(p.Estimates),
		Findings: byLevel(p.Findings), AtSwap: []atSwap{}, Tables: []table{}, Steps: []plans.Step{}, Changes: []plans.FileChanges{}}
	for _, s := range p.AtSwap() {
		d.AtSwap = append(d.AtSwap, atSwap{File: s.File, Line: s.Line, SQL: s.SQL, Table: s.Table.String()})
	}
	for i := range p.Tables {
		d.Tables = append(d.Tables, tableOf(p, &p.Tables[i]))
	}
	for _, s := range p.Steps {
		s.SQL = append([]string{}, s.SQL...)
		d.Steps = append(d.Steps, s)
	}
	for _, c := range p.Changes {
		c.Changes = append([]catalog.Change{}, c.Changes...)
		d.Changes = append(d.Changes, c)
	}
	return d
}

var levels = []plans.Level{plans.Blocker, plans.Warning, plans.Info}

func byLevel(findings []plans.Finding) []plans.Finding {
	sorted := append([]plans.Finding{}, findings...)
	slices.SortStableFunc(sorted, func(a, b plans.Finding) int {
		return slices.Index(levels, a.Level) - slices.Index(levels, b.Level)
	})
	return sorted
}

// finite: JSON has no NaN and no infinity.
func finite(e plans.Estimates) plans.Estimates {
	for _, f := range []*float64{&e.SampleRate, &e.CopySeconds} {
		if math.IsNaN(*f) || math.IsInf(*f, 0) {
			*f = 0
		}
	}
	return e
}

func tableOf(p *plans.Plan, t *plans.Table) table {
	r := table{Shadow: t.Shadow.String(), Feed: t.Feed, Where: t.Where, From: t.From, Key: []string{}, Columns: []column{}, Reverse: []reversed{}}
	if !t.Production.IsZero() {
		r.Production = t.Production.String()
	}
	if s := p.CopiedFrom(t); s != nil {
		r.Rows, r.Bytes, r.Record = s.Rows, s.Bytes, s.Record
	}
	for _, k := range t.Key {
		r.Key = append(r.Key, cmp.Or(k.Production, k.Shadow))
	}
	for _, c := range t.Columns {
		r.Columns = append(r.Columns, column{Shadow: c.Shadow, Expression: c.Meaning(), Source: cmp.Or(c.Origin, plans.FromDefault)})
	}
	if p.Reversible() {
		for _, c := range t.Reverse {
			if !c.Generated {
				r.Reverse = append(r.Reverse, reversed{Production: c.Shadow, Expression: c.Meaning(), Source: cmp.Or(c.Origin, plans.FromDefault), Kept: c.Kept, Loss: c.Loss})
			}
		}
	}
	return r
}

func writeJSON(w io.Writer, p *plans.Plan) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(DocumentOf(p))
}
