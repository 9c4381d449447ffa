package plans

import (
	"slices"

	"github.com/pgumbra/pgumbra/plans/catalog"
)

// What a plan tells people: findings, estimates, steps.

// Level of a finding.
type Level string

// The levels.
const (
	Blocker Level = "blocker"
	Warning Level = "warning"
	Info    Level = "info"
)

// Server is a database, as a report names it.
type Server struct {
	Database string `json:"database"`
	Version  int    `json:"version"` // server_version_num
}

// Finding is something a human should know before the run. Codes are stable
// and listed in docs/findings.md.
type Finding struct {
	Level   Level  `json:"level"`
	Code    string `json:"code"`
	Object  string `json:"object"`
	Where   string `json:"where"` // file:line, or empty
	Message string `json:"message"`
	Fix     string `json:"fix"`
	// Opaque: the statement at Where is not understood, so what it makes of
	// production is known only once it has run there. Run for real behind the
	// fence it is right. On a warning: the run goes on without that effect, which
	// in place it would have. Where is empty if it is not known which statement
	// that was; then none of the migrations can be told to be free of it.
	Opaque bool `json:"-"`
	// Sampled: rows of the sample showed it, so that what all rows show takes its place.
	Sampled bool `json:"-"`
}

// Estimates of what a run will take.
type Estimates struct {
	Rows        int64   `json:"rows"`
	Bytes       int64   `json:"bytes"`        // of the tables to copy
	ShadowBytes int64   `json:"shadow_bytes"` // with indexes
	WALBytes    int64   `json:"wal_bytes"`
	FreeDisk    *int64  `json:"free_disk"` // bytes; null: not known from here
	SampleRate  float64 `json:"sample_bytes_per_second"`
	CopySeconds float64 `json:"copy_seconds"`
	// Measured is what the last run of this database that became ready has taken;
	// null: there was none.
	Measured      *Measured `json:"measured"`
	Locks         int       `json:"locks"` // that the swap takes
	LocksCapacity int       `json:"locks_capacity"`
	// StallMS is how long writers wait if no lock is waited for, without what migrations
	// behind the fence take; 0: not known.
	StallMS float64 `json:"stall_ms"`
	// StallMaxMS is how long it may be as well, where no run has measured it or the server
	// is busy; as StallMS else.
	StallMaxMS float64 `json:"stall_max_ms"`
	// Busy says how busy production's server was when this was planned; empty: it was not,
	// or that is not known from here.
	Busy string `json:"busy,omitempty"`
}

// What a stall in one database was on two cores of PostgreSQL 15: 46 ms with a few tables
// under pgbench, 0.49 s with 1,000 tables and their 5,005 locks, so about so much and so
// much for each object.
const (
	stallBaseMS    = 35
	stallPerLockMS = 0.09
	// How much longer a server with other work makes it: no measurement, but a guess that
	// is meant to be rather too high.
	stallSpread = 4
)

// EstimateStall fills in StallMS, from the last run's where there was one: its server, its
// clients, and what is more or fewer objects. To another server the clients' pool decides,
// so without a run it is not known.
func (e *Estimates) EstimateStall(remote bool) {
	switch m := e.Measured; {
	case e.Locks == 0:
	case m != nil && m.StallMS > 0:
		e.StallMS = max(m.StallMS+stallPerLockMS*float64(e.Locks-m.Locks), 1)
	case !remote:
		e.StallMS = stallBaseMS + stallPerLockMS*float64(e.Locks)
	}
	e.StallMaxMS = e.StallMS
	if e.Busy != "" || e.Measured == nil || e.Measured.StallMS == 0 {
		e.StallMaxMS *= stallSpread
	}
}

// Measured is what a run has taken. Times of another run are a better guess than
// a sample: the same server, the same indexes, the same traffic.
type Measured struct {
	Run          string  `json:"run"`
	Rows         int64   `json:"rows"`
	ReadySeconds float64 `json:"ready_seconds"` // from its start until a cutover could be tried
	StallMS      float64 `json:"stall_ms"`      // of its cutover; 0: it had none
	Locks        int     `json:"locks"`         // that its dry run counted
}

// ReadySecondsFor are those of a run of so many rows, at the same speed.
func (m *Measured) ReadySecondsFor(rows int64) float64 {
	return m.ReadySeconds * float64(rows) / float64(max(m.Rows, 1))
}

// Step is one thing the run does, for the dry-run report.
type Step struct {
	Phase string   `json:"phase"`
	Title string   `json:"title"`
	SQL   []string `json:"sql"`
	Lock  string   `json:"lock"`  // strongest lock taken on production, or "none"
	Waits string   `json:"waits"` // who waits for it, for how long
}

// FileChanges is what one migration does to production's structure.
type FileChanges struct {
	File    string           `json:"file"`
	Changes []catalog.Change `json:"changes"`
}

// Structure is what the schemas that move held when the plan was made: the
// shadow was built after it, so whatever comes later would stay behind.
type Structure struct {
	// Dump is the major version of the pg_dump that told: another one writes
	// other text.
	Dump int `json:"dump"`
	// Objects has a hash of each object's text, by what it is called for people.
	Objects map[string]string `json:"objects"`
	// Whole: among them is also who owns the sequences that the shadow shares with
	// production, and, to another database, what is in no schema and comes along:
	// extensions, casts, default privileges. Plans of before lack it.
	Whole bool `json:"whole,omitempty"`
}

// AddFindings adds what was found elsewhere, of a package that this one knows
// nothing of. A blocker makes the plan one that cannot run.
func (p *Plan) AddFindings(more ...Finding) {
	p.Findings = append(p.Findings, more...)
	p.Conclude()
}

// Conclude sorts the findings, blockers first, and decides.
func (p *Plan) Conclude() {
	p.Findings = distinct(p.Findings)
	rank := map[Level]int{Blocker: 0, Warning: 1, Info: 2}
	slices.SortStableFunc(p.Findings, func(a, b Finding) int { return rank[a.Level] - rank[b.Level] })
	p.Runnable = !slices.ContainsFunc(p.Findings, func(f Finding) bool { return f.Level == Blocker })
}

func distinct(all []Finding) []Finding {
	seen := map[Finding]bool{}
	return slices.DeleteFunc(all, func(f Finding) bool {
		twice := seen[f]
		seen[f] = true
		return twice
	})
}
