package report

import (
	"cmp"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strings"
	"time"

	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// view is the document as people read it: the verdict first, then what decides
// it, then what it is made of.
type view struct {
	Document
	Detail    Detail
	Width     int
	From, To  string
	Made      string // when, by whom, with what, of which server
	Verdict   string // one sentence
	Short     string // its first words
	Counts    string // of findings
	Facts     []fact // the five that a window is decided by
	Estimated []fact
	Blocking  []group // what stands against a run, of whatever subject
	Clients   []group // what clients will notice
	Always    []string
	Back      []group // what a rollback would lose
	Groups    []group // all other findings
	Listed    []tableView
	Phases    []phaseView
}

// group is findings that say the same of several objects.
type group struct {
	Level              plans.Level
	Code, Message, Fix string
	Objects            []place
}

type place struct{ Object, Where string }

type tableView struct {
	table
	Origin        string // the production table, or what else rows come from
	RowsText      string
	BytesText     string
	KeyText       string
	Changed       []column // columns that are not simply copied
	ColumnSummary string
}

type phaseView struct {
	Name  string
	Lock  string // the strongest on production
	Force int    // of that lock, 0 none to 3 nobody writes
	Waits string
	Takes string // how long; empty: as long as it is wanted
	Steps []stepView
}

type stepView struct {
	plans.Step
	Number int
}

func viewOf(p *plans.Plan, o Options) view {
	v := view{Document: DocumentOf(p), Detail: o.SQL, Width: o.Width}
	if v.Detail == "" {
		v.Detail = map[string]Detail{"html": Full}[o.Format]
		v.Detail = cmp.Or(v.Detail, Summary)
	}
	v.From, v.To = versions(p)
	v.Made = made(p, o)
	v.Counts = countLevels(v.Findings)
	v.Blocking, v.Clients, v.Back, v.Groups = grouped(v.Findings)
	v.Always = always(p)
	v.Short, v.Verdict = verdict(p, v)
	v.Facts = facts(p, v)
	v.Estimated = estimated(p, v.Estimates)
	for i := range v.Tables {
		v.Listed = append(v.Listed, viewTable(p, v.Tables[i], &p.Tables[i]))
	}
	v.Phases = viewPhases(p, v.Steps)
	return v
}

// versions as people read them; empty: a plan that stopped early did not come to them.
func versions(p *plans.Plan) (from, to string) {
	if p.ToVersion == nil && len(p.Steps) == 0 {
		return "", ""
	}
	return versionText(p.FromVersion), versionText(p.ToVersion)
}

func versionText(v *int64) string {
	if v == nil {
		return "none"
	}
	return fmt.Sprint(*v)
}

// made says of what, when and by whom a report is: it is read by others, later.
func made(p *plans.Plan, o Options) string {
	var parts []string
	if p.Production.Database != "" {
		parts = append(parts, fmt.Sprintf("database %s on PostgreSQL %s", p.Production.Database, serverVersion(p.Production.Version)))
	}
	if at, err := time.Parse(time.RFC3339Nano, p.StartedAt); err == nil {
		parts = append(parts, at.UTC().Format("2006-01-02 15:04 UTC"))
	}
	if who := author(); who != "" {
		parts = append(parts, "by "+who)
	}
	if o.Version != "" {
		parts = append(parts, "pgumbra "+o.Version)
	}
	return strings.Join(parts, " · ")
}

func serverVersion(number int) string { return fmt.Sprintf("%d.%d", number/10000, number%10000) }

func author() string {
	u, err := user.Current()
	if err != nil {
		return ""
	}
	host, err := os.Hostname()
	if err != nil {
		return u.Username
	}
	return u.Username + "@" + host
}

func countLevels(findings []plans.Finding) string {
	var parts []string
	for _, level := range levels {
		n := 0
		for _, f := range findings {
			if f.Level == level {
				n++
			}
		}
		switch {
		case n > 0 && level == plans.Info:
			parts = append(parts, fmt.Sprintf("%d info", n))
		case n > 0:
			parts = append(parts, human.Plural(n, string(level)))
		}
	}
	return strings.Join(parts, ", ")
}

// aboutClients are the codes of what applications notice.
var aboutClients = []string{"client-breaks", "result-type-changes"}

// aboutGoingBack are the codes of what a rollback would lose.
var aboutGoingBack = []string{"not-reversible", "reverse-lossy", "reverse-constraint", "reverse-new-table", "reverse-written-behind", "behind-fence-one-way"}

// grouped joins findings that differ in their object only. Blockers come before all
// else, however much there is to say.
func grouped(findings []plans.Finding) (blocking, clients, back, others []group) {
	for _, f := range findings {
		all := &others
		switch {
		case f.Level == plans.Blocker:
			all = &blocking
		case slices.Contains(aboutClients, f.Code):
			all = &clients
		case slices.Contains(aboutGoingBack, f.Code):
			all = &back
		}
		at := slices.IndexFunc(*all, func(g group) bool {
			return g.Level == f.Level && g.Code == f.Code && g.Message == f.Message && g.Fix == f.Fix
		})
		if at < 0 {
			at = len(*all)
			*all = append(*all, group{Level: f.Level, Code: f.Code, Message: f.Message, Fix: f.Fix})
		}
		(*all)[at].Objects = append((*all)[at].Objects, place{f.Object, f.Where})
	}
	return blocking, clients, back, others
}

func (v view) count(level plans.Level) int {
	n := 0
	for _, f := range v.Findings {
		if f.Level == level {
			n++
		}
	}
	return n
}

// verdict is what a reader has to know who reads one sentence.
func verdict(p *plans.Plan, v view) (short, whole string) {
	if p.NothingToDo {
		return "Nothing to do.", "Nothing to do: production is at the newest version."
	}
	if !p.Runnable {
		n := v.count(plans.Blocker)
		verb := "come"
		if n == 1 {
			verb = "comes"
		}
		return "Cannot run yet.", fmt.Sprintf("Cannot run yet: %s %s first.", human.Plural(n, "blocker"), verb)
	}
	whole = fmt.Sprintf("Can run. Writers wait %s; everything can be undone until the cutover", stall(p))
	if n := v.count(plans.Warning); n > 0 {
		whole += "; " + human.Plural(n, "warning") + " to read"
	}
	return "Can run.", whole + "."
}

func viewTable(p *plans.Plan, r table, t *plans.Table) tableView {
	v := tableView{table: r, Origin: origin(r, p.Known(t).String()), RowsText: human.Count(r.Rows), BytesText: human.Bytes(r.Bytes),
		KeyText: strings.Join(r.Key, ", ")}
	if len(r.Key) == 0 {
		v.KeyText = "none"
	}
	if t.Feed != plans.Copied && t.Feed != plans.Derived {
		v.KeyText = "–"
	}
	if t.Feed == plans.Carried || t.Feed == plans.Version || t.Feed == plans.Skipped {
		v.ColumnSummary = summary(0, len(r.Columns))
		return v
	}
	for i, c := range r.Columns {
		if !unchanged(t.Columns[i]) {
			v.Changed = append(v.Changed, column{Shadow: c.Shadow, Expression: t.Columns[i].Describe(), Source: c.Source})
		}
	}
	v.ColumnSummary = summary(len(v.Changed), len(r.Columns)-len(v.Changed))
	return v
}

// origin is the table's name, and where its rows come from unless it is its own in
// production.
func origin(r table, known string) string {
	switch {
	case r.Feed == plans.Derived:
		return known + " (query)"
	case r.Feed == plans.Carried:
		return known + " (rows of the migrations)"
	case r.Feed == plans.Version:
		return known + " (version table)"
	case r.Feed == plans.Skipped:
		return known + " (skipped)"
	case r.Production == "":
		return known + " (new, empty)"
	case r.Production != known:
		return known + " (of " + r.Production + ")"
	}
	return known
}

func unchanged(c plans.Column) bool {
	return c.Origin == plans.FromLineage && (c.Expression == c.Shadow || c.Expression == pg.Ident(c.Shadow))
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
