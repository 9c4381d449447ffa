package plans

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// report is the dry run as scripts read it. Its keys are public.
type report struct {
	Run         string        `json:"run"`
	FromVersion *int64        `json:"from_version"`
	ToVersion   *int64        `json:"to_version"`
	Build       Build         `json:"build"`
	Behind      *reportBehind `json:"behind_fence"` // null: nothing runs behind the fence
	Runnable    bool          `json:"runnable"`
	NothingToDo bool          `json:"nothing_to_do"`
	Findings    []Finding     `json:"findings"`
	Tables      []reportTable `json:"tables"`
	Estimates   Estimates     `json:"estimates"`
	Steps       []Step        `json:"steps"`
}

// reportTable is how one shadow table comes about. Production is empty where
// no single production table stands behind it.
type reportTable struct {
	Production string         `json:"production"`
	Shadow     string         `json:"shadow"`
	Feed       Feed           `json:"feed"`
	Rows       int64          `json:"rows"`
	Bytes      int64          `json:"bytes"`
	Key        []string       `json:"key"`
	Record     Record         `json:"record"`
	Where      string         `json:"where"`
	From       string         `json:"from"`
	Columns    []reportColumn `json:"columns"`
}

type reportColumn struct {
	Shadow     string       `json:"shadow"`
	Expression string       `json:"expression"`
	Source     ColumnOrigin `json:"source"`
}

// reportBehind is what runs for real behind the fence, and why.
type reportBehind struct {
	From       int64    `json:"from"`
	Files      []string `json:"files"`
	Why        []Reason `json:"why"`
	EstimateMS int64    `json:"estimate_ms"`
}

func (b *Behind) report() *reportBehind {
	if b == nil {
		return nil
	}
	r := &reportBehind{From: b.From, Files: []string{}, Why: append([]Reason{}, b.Why...), EstimateMS: b.EstimateMS}
	for _, f := range b.Files {
		r.Files = append(r.Files, f.Name)
	}
	return r
}

// report gathers what the dry run shows. Lists are never nil, so that JSON has
// [] and not null.
func (p *Plan) report() report {
	r := report{Run: p.Run, FromVersion: p.FromVersion, ToVersion: p.ToVersion, Build: cmp.Or(p.Build, Direct), Behind: p.Behind.report(),
		Runnable: p.Runnable, NothingToDo: p.NothingToDo, Estimates: p.Estimates.finite(),
		Findings: byLevel(p.Findings), Tables: []reportTable{}, Steps: []Step{}}
	for i := range p.Tables {
		r.Tables = append(r.Tables, p.reportTable(&p.Tables[i]))
	}
	for _, s := range p.Steps {
		s.SQL = append([]string{}, s.SQL...)
		r.Steps = append(r.Steps, s)
	}
	return r
}

func byLevel(findings []Finding) []Finding {
	order := []Level{Blocker, Warning, Info}
	sorted := append([]Finding{}, findings...)
	slices.SortStableFunc(sorted, func(a, b Finding) int {
		return slices.Index(order, a.Level) - slices.Index(order, b.Level)
	})
	return sorted
}

// finite: JSON has no NaN and no infinity.
func (e Estimates) finite() Estimates {
	for _, f := range []*float64{&e.SampleRate, &e.CopySeconds} {
		if math.IsNaN(*f) || math.IsInf(*f, 0) {
			*f = 0
		}
	}
	return e
}

func (p *Plan) reportTable(t *Table) reportTable {
	r := reportTable{Shadow: t.Shadow.String(), Feed: t.Feed, Where: t.Where, From: t.From,
		Key: []string{}, Columns: []reportColumn{}}
	if !t.Production.IsZero() {
		r.Production = t.Production.String()
	}
	if s := p.source(t); s != nil {
		r.Rows, r.Bytes, r.Record = s.Rows, s.Bytes, s.Record
	}
	for _, k := range t.Key {
		r.Key = append(r.Key, cmp.Or(k.Production, k.Shadow))
	}
	for _, c := range t.Columns {
		r.Columns = append(r.Columns, reportColumn{Shadow: c.Shadow, Expression: cmp.Or(c.Means, c.Expression), Source: cmp.Or(c.Origin, FromDefault)})
	}
	return r
}

// source is the production table that a shadow table is copied from; nil: none.
func (p *Plan) source(t *Table) *Source {
	if t.Source < 0 || t.Source >= len(p.Sources) || t.Feed == Derived || t.Feed == Carried {
		return nil
	}
	return &p.Sources[t.Source]
}

// WriteJSON writes the dry run as one JSON document for scripts.
func (p *Plan) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(p.report())
}

// view is the report with everything as people read it, for the three formats
// that are for people.
type view struct {
	report
	From, To string
	Verdict  string
	Counts   string // of findings
	Facts    []fact
	Listed   []tableView
	Phases   []phaseView
}

type fact struct{ Name, Value string }

type tableView struct {
	reportTable
	Origin        string // the production table, or what else rows come from
	RowsText      string
	BytesText     string
	KeyText       string
	Changed       []columnView // columns that are not simply copied
	Same          int          // columns copied as they are
	ColumnSummary string
}

type columnView struct{ Shadow, Expression, Source string }

type phaseView struct {
	Name  string
	Steps []stepView
}

type stepView struct {
	Step
	Number int
}

func (p *Plan) view() view {
	v := view{report: p.report()}
	v.From, v.To = p.versions()
	v.Counts = countLevels(v.Findings)
	v.Verdict = v.verdict()
	v.Facts = v.Estimates.facts()
	for i := range v.Tables {
		v.Listed = append(v.Listed, viewTable(v.Tables[i], &p.Tables[i]))
	}
	v.Phases = viewPhases(v.Steps)
	return v
}

// versions as people read them. A plan that stopped early did not come to them.
func (p *Plan) versions() (from, to string) {
	if p.ToVersion == nil && len(p.Steps) == 0 {
		return "unknown", "unknown"
	}
	return versionText(p.FromVersion), versionText(p.ToVersion)
}

func versionText(v *int64) string {
	if v == nil {
		return "none"
	}
	return fmt.Sprint(*v)
}

func countLevels(findings []Finding) string {
	var parts []string
	for _, level := range []Level{Blocker, Warning, Info} {
		n := 0
		for _, f := range findings {
			if f.Level == level {
				n++
			}
		}
		if n > 0 {
			parts = append(parts, plural(n, string(level)))
		}
	}
	return strings.Join(parts, ", ")
}

func plural(n int, word string) string {
	if n == 1 || word == string(Info) {
		return fmt.Sprintf("%d %s", n, word)
	}
	return fmt.Sprintf("%d %ss", n, word)
}

func (v *view) verdict() string {
	switch {
	case v.NothingToDo:
		return "Nothing to do: production is at the newest version."
	case v.Runnable:
		return "Can run."
	}
	return "Cannot run yet: the blockers come first."
}

func (e Estimates) facts() []fact {
	free := "not known from here"
	if e.FreeDisk != nil {
		free = humanBytes(*e.FreeDisk)
	}
	rate := "not measured"
	if e.SampleRate > 0 {
		rate = humanBytes(int64(e.SampleRate)) + "/s read and transformed by one worker"
	}
	return []fact{
		{"rows to copy", humanCount(e.Rows)},
		{"data to copy", humanBytes(e.Bytes)},
		{"shadow with indexes", humanBytes(e.ShadowBytes)},
		{"WAL written", humanBytes(e.WALBytes)},
		{"free disk", free},
		{"sample", rate},
		{"copy and indexes", humanSeconds(e.CopySeconds)},
		{"locks of the swap", fmt.Sprintf("%s of %s", humanCount(int64(e.Locks)), humanCount(int64(e.LocksCapacity)))},
	}
}

func viewTable(r reportTable, t *Table) tableView {
	v := tableView{reportTable: r, Origin: origin(r), RowsText: humanCount(r.Rows), BytesText: humanBytes(r.Bytes),
		KeyText: strings.Join(r.Key, ", ")}
	if len(r.Key) == 0 {
		v.KeyText = "none"
	}
	if t.Feed != Copied && t.Feed != Derived {
		v.KeyText = "–"
	}
	if t.Feed == Carried || t.Feed == Version || t.Feed == Skipped {
		v.Same = len(r.Columns)
		v.ColumnSummary = summary(0, v.Same)
		return v
	}
	for i, c := range r.Columns {
		if unchanged(t.Columns[i]) {
			v.Same++
			continue
		}
		v.Changed = append(v.Changed, columnView{Shadow: c.Shadow, Expression: describe(t.Columns[i]), Source: string(c.Source)})
	}
	v.ColumnSummary = summary(len(v.Changed), v.Same)
	return v
}

func origin(r reportTable) string {
	switch r.Feed {
	case Derived:
		return "(query)"
	case Carried:
		return "(rows of the migrations)"
	case Version:
		return "(version table)"
	case Skipped:
		return cmp.Or(r.Production, "–") + " (skipped)"
	}
	return cmp.Or(r.Production, "(new, empty)")
}

// terminated ends statements with a semicolon, for reading one after the other.
func terminated(statements []string) []string {
	all := make([]string, len(statements))
	for i, sql := range statements {
		_, last, _ := strings.Cut(sql[strings.LastIndexByte(sql, '\n')+1:], "--")
		if last == "" && !strings.HasSuffix(sql, ";") {
			sql += ";"
		}
		all[i] = sql
	}
	return all
}

func unchanged(c Column) bool {
	return c.Origin == FromLineage && (c.Expression == c.Shadow || c.Expression == pg.Ident(c.Shadow))
}

func describe(c Column) string {
	switch {
	case c.Generated:
		return "(generated by the table itself)"
	case c.Volatile:
		return "(made once per row by the column's default, then kept)"
	}
	return cmp.Or(c.Means, c.Expression)
}

func summary(changed, same int) string {
	switch {
	case changed == 0:
		return fmt.Sprintf("%d", same)
	case same == 0:
		return fmt.Sprintf("%d, all by an expression", changed)
	}
	return fmt.Sprintf("%d, %d by an expression", changed+same, changed)
}

func viewPhases(steps []Step) []phaseView {
	var phases []phaseView
	for i, s := range steps {
		if n := len(phases); n == 0 || phases[n-1].Name != s.Phase {
			phases = append(phases, phaseView{Name: s.Phase})
		}
		last := &phases[len(phases)-1]
		s.SQL = terminated(s.SQL)
		last.Steps = append(last.Steps, stepView{Step: s, Number: i + 1})
	}
	return phases
}
