package rehearsal

import (
	"time"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/rehearsal/generate"
	"github.com/pgumbra/pgumbra/rehearsal/workload"
)

// Result is what a rehearsal found out. Its JSON is public.
type Result struct {
	Run    string `json:"run"`
	Passed bool   `json:"passed"`
	// Nothing: no migration is newer than production's version, and nothing was rehearsed.
	Nothing bool   `json:"nothing_to_do,omitempty"`
	Gates   []Gate `json:"gates"`
	Seed    uint64 `json:"seed"`
	Server  string `json:"server"` // its version
	// ShadowServer is the version of the shadow's, where it is another one.
	ShadowServer string  `json:"shadow_server,omitempty"`
	FromVersion  int64   `json:"from_version"`
	ToVersion    int64   `json:"to_version"`
	StartedAt    string  `json:"started_at"` // RFC 3339
	Seconds      float64 `json:"seconds"`
	Phases       []Phase `json:"phases"`

	Data    Data            `json:"data"`
	Traffic Traffic         `json:"traffic"`
	Build   plans.Build     `json:"build"`
	Found   []plans.Finding `json:"findings"` // of the plan
	Settled []plans.Finding `json:"accepted"` // those of them that the baseline accepts
	Cutover *Cutover        `json:"cutover"`  // null: it did not come to one
	// Rollback is null where no way back was rehearsed: see [Gates.RequireRollback].
	Rollback *Rollback     `json:"rollback"`
	Oracle   *OracleResult `json:"oracle"` // null: it was not asked
	Notes    []string      `json:"notes"`
}

// Versions are the servers', as reports say them.
func (r *Result) Versions() string {
	if r.ShadowServer == "" {
		return r.Server
	}
	return r.Server + ", to another server with " + r.ShadowServer
}

// Gate is something that a rehearsal must pass.
type Gate struct {
	Name    string `json:"gate"`
	Passed  bool   `json:"passed"`
	Message string `json:"message"`
	Fix     string `json:"fix,omitempty"`
}

// newResult is a rehearsal of which nothing is known yet: its lists are empty, not absent.
func newResult(run string, seed uint64, began time.Time) *Result {
	return &Result{Run: run, Seed: seed, StartedAt: began.UTC().Format(time.RFC3339), Build: plans.Direct,
		Data:    Data{Tables: []generate.Filled{}, Gaps: []generate.Gap{}},
		Traffic: Traffic{Counts: workload.Counts{Broken: map[string]int64{}, Failed: map[string]int64{}}},
		Gates:   []Gate{}, Phases: []Phase{}, Found: []plans.Finding{}, Settled: []plans.Finding{}, Notes: []string{}}
}

// EachTime are the gates of each rehearsal that comes to its end.
var EachTime = []string{"data", "traffic", "oracle", "max-stall"}

// Steps of a rehearsal by which gates are decided, or that not each has.
const (
	toPrepare  = "prepare the shadow's server"
	makingRows = "make rows"
	upgrading  = "upgrade under traffic"
	comparing  = "migrate in place and compare"
)

// StepOf is the step that decides a gate, by its name in the result's phases.
var StepOf = map[string]string{
	"data": makingRows, "traffic": upgrading, "max-slowdown": upgrading, "require-rollback": upgrading, "plan": upgrading, "fail-on warning": upgrading, "oracle": comparing,
}

// Phase is a part of the rehearsal and how long it took.
type Phase struct {
	Name    string  `json:"phase"`
	Seconds float64 `json:"seconds"`
}

// Data is what the rehearsal worked on.
type Data struct {
	Source string            `json:"source"` // generated, sample of production, dump
	Tables []generate.Filled `json:"tables"`
	Gaps   []generate.Gap    `json:"not_generated"`
	// Asked is what the migrations ask of generated rows beyond the catalog, found by
	// running them in place on a few.
	Asked []string `json:"asked_by_migrations,omitempty"`
}

// Rows are all of them.
func (d Data) Rows() (n int64) {
	for _, t := range d.Tables {
		n += t.Rows
	}
	return n
}

// Traffic is what the clients did and met with.
type Traffic struct {
	workload.Counts
	Clients   int     `json:"clients"`
	Before    float64 `json:"before_per_second"`    // transactions, before the run
	Following float64 `json:"following_per_second"` // and while it followed
	Slowdown  float64 `json:"slowdown"`             // the first by the second; 0: not measured
	// Redirected says who led clients to another server: PgBouncer, or the clients went
	// there themselves. Empty: there is no other one.
	Redirected string `json:"redirected_by,omitempty"`
}

// Cutover is how the swap went.
type Cutover struct {
	StallMS    float64 `json:"stall_ms"`
	LockWaitMS float64 `json:"lock_wait_ms"`
	Attempts   int     `json:"attempts"`
	Drained    int64   `json:"drained"`
	// LongestMS is how long a client's statement took at the most, from the request
	// for the cutover on.
	LongestMS float64 `json:"longest_client_wait_ms"`
	// Parts are what the stall was spent on, in the order of the steps.
	Parts []cutover.PartTime `json:"parts,omitempty"`
}

// OracleResult is the comparison with the migrations run in place.
type OracleResult struct {
	Compared
	Equal bool `json:"equal"`
	// InPlaceSeconds is how long the migrations took in place, on the same rows.
	InPlaceSeconds float64 `json:"in_place_seconds"`
	// NotComparable are columns that two runs of the migrations in place fill with
	// different values: now(), random(), the order of rows.
	NotComparable []string `json:"not_comparable"`
}
