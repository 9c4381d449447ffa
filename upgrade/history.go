package upgrade

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/planfile"
)

// History is all runs of a production database, the newest first.
type History struct {
	Runs []PastRun `json:"runs"`
}

// PastRun is a run as its record says, over or not.
type PastRun struct {
	Run              string        `json:"run"`
	Phase            control.Phase `json:"phase"`
	FromVersion      *int64        `json:"from_version"`
	ToVersion        *int64        `json:"to_version"`
	StartedAt        time.Time     `json:"started_at"`
	EndedAt          *time.Time    `json:"ended_at"`
	ReadyAfter       *float64      `json:"ready_after_seconds"` // from its start until a cutover could be tried first
	Rows             int64         `json:"rows"`                // as the dry run counted them
	Bytes            int64         `json:"bytes"`
	EstimatedSeconds float64       `json:"estimated_seconds"` // of copy and indexes, by the dry run
	Phases           []PhaseTime   `json:"phases"`
	Cutover          *Outcome      `json:"cutover"`  // null: none
	Rollback         *Outcome      `json:"rollback"` // null: none
	// Swaps are all cutovers and rollbacks of the run, the first one first.
	Swaps []Swap `json:"swaps"`
	// Taken is what attempts at swaps have taken from clients.
	Taken Taken `json:"taken"`
	// Refused are the attempts that came to nothing, and the looks before one.
	Refused []control.Refused `json:"refused"`
	Failure string            `json:"failure"` // why it stopped; empty: it did not
	Samples []control.Sample  `json:"samples,omitempty"`

	id int64
}

// PhaseTime is how long a run was in a phase.
type PhaseTime struct {
	Phase   control.Phase `json:"phase"`
	At      time.Time     `json:"at"`
	Seconds *float64      `json:"seconds"` // null: it is in it
}

// Swap is a cutover or a rollback, and how it went.
type Swap struct {
	Kind string `json:"swap"` // cutover or rollback
	Outcome
}

// Taken is what attempts, those that swapped too, have taken from clients.
type Taken struct {
	Attempts int     `json:"attempts"` // that asked for a lock or held clients
	HeldMS   float64 `json:"held_ms"`  // for how long in all
}

// BackAgain reports whether the last swap of the run was its rollback.
func (r PastRun) BackAgain() bool {
	return r.Rollback != nil && (r.Cutover == nil || r.Rollback.At.After(r.Cutover.At))
}

// Outcome of the attempt at the cutover, or the rollback, that succeeded.
type Outcome struct {
	At         time.Time `json:"at"`
	Attempts   int       `json:"attempts"`
	LockWaitMS float64   `json:"lock_wait_ms"`
	Drained    int64     `json:"drained"` // changes replayed behind the fence
	StallMS    float64   `json:"stall_ms"`
	HeldMS     float64   `json:"held_ms,omitempty"` // for how long a pool's clients were held
	// Parts are what the stall was spent on, in their order; older records have none.
	Parts []cutover.PartTime `json:"parts,omitempty"`
	// Migrations that ran behind the fence, and the foreign keys that were left to
	// validate.
	Migrations  json.RawMessage `json:"migrations,omitempty"`
	Unvalidated json.RawMessage `json:"unvalidated,omitempty"`
	Guard       string          `json:"guard,omitempty"`
}

// Spent says what the stall was spent on; empty: it is not known.
func (o Outcome) Spent() string { return cutover.Spent(o.Parts) }

// ReadHistory reads the record of all runs. It needs no leadership and changes
// nothing.
func ReadHistory(ctx context.Context, file *planfile.File) (History, error) {
	h := History{Runs: []PastRun{}}
	conn, err := connect(ctx, file, "status")
	if err != nil {
		return h, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	past, err := control.History(ctx, conn)
	if err != nil {
		return h, err
	}
	for _, p := range past {
		run, err := pastRun(ctx, conn, p)
		if err != nil {
			return h, err
		}
		h.Runs = append(h.Runs, run)
	}
	return h, nil
}

// underWay names the runs of a database that are not over, with their phases.
func underWay(ctx context.Context, db pg.Querier) (names []string, err error) {
	past, err := control.History(ctx, db)
	for _, p := range past {
		if !p.Phase.Over() {
			names = append(names, fmt.Sprintf("%s (%s)", p.Name, p.Phase))
		}
	}
	return names, err
}

func pastRun(ctx context.Context, db pg.Querier, p control.Past) (PastRun, error) {
	r := PastRun{Run: p.Name, Phase: p.Phase, FromVersion: p.FromVersion, ToVersion: p.ToVersion, StartedAt: p.CreatedAt, EndedAt: p.EndedAt,
		Rows: p.Rows, Bytes: p.Bytes, EstimatedSeconds: p.EstimatedSeconds, Failure: p.Failure, Phases: []PhaseTime{}, id: p.ID,
		Taken: Taken{p.Attempts, p.HeldMS}}
	if p.ReadyAt != nil {
		after := p.ReadyAt.Sub(p.CreatedAt).Seconds()
		r.ReadyAfter = &after
	}
	for _, o := range []struct {
		text []byte
		into **Outcome
	}{{p.Cutover, &r.Cutover}, {p.Rollback, &r.Rollback}} {
		if len(o.text) == 0 {
			continue
		}
		*o.into = new(Outcome)
		if err := json.Unmarshal(o.text, *o.into); err != nil {
			return r, fmt.Errorf("read the outcome of run %s: %w", p.Name, err)
		}
	}
	if err := r.readSwaps(p.Earlier); err != nil {
		return r, fmt.Errorf("read the earlier swaps of run %s: %w", p.Name, err)
	}
	refused, err := control.ReadRefused(ctx, db, p.ID, 0)
	if err != nil {
		return r, err
	}
	r.Refused = append([]control.Refused{}, refused...)
	entries, err := control.Entries(ctx, db, p.ID)
	for i, e := range entries {
		t := PhaseTime{Phase: e.Phase, At: e.At}
		if i+1 < len(entries) {
			seconds := entries[i+1].At.Sub(e.At).Seconds()
			t.Seconds = &seconds
		}
		r.Phases = append(r.Phases, t)
	}
	return r, err
}

// readSwaps puts the run's swaps in their order: those that were kept before the next
// attempt, then what came since. By that, and not by their times, which are a server's.
func (r *PastRun) readSwaps(earlier []byte) error {
	r.Swaps = []Swap{}
	if err := json.Unmarshal(earlier, &r.Swaps); err != nil {
		return err
	}
	last := []Swap{}
	for kind, o := range map[string]*Outcome{"cutover": r.Cutover, "rollback": r.Rollback} {
		kept := func(s Swap) bool { return s.Kind == kind && s.At.Equal(o.At) }
		if o != nil && !o.At.IsZero() && !slices.ContainsFunc(r.Swaps, kept) {
			last = append(last, Swap{kind, *o})
		}
	}
	slices.SortFunc(last, func(a, b Swap) int { return a.At.Compare(b.At) })
	r.Swaps = append(r.Swaps, last...)
	return nil
}

// ReadPast reads the record of the newest run of the plan file's name, with its
// samples. [control.ErrNoRun] if there is none.
func ReadPast(ctx context.Context, file *planfile.File) (PastRun, error) {
	h, err := ReadHistory(ctx, file)
	if err != nil {
		return PastRun{}, err
	}
	for _, r := range h.Runs {
		if r.Run != file.Name {
			continue
		}
		conn, err := connect(ctx, file, "status")
		if err != nil {
			return r, err
		}
		defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
		r.Samples, err = control.Samples(ctx, conn, r.id)
		return r, err
	}
	return PastRun{}, fmt.Errorf("%w: %s", control.ErrNoRun, file.Name)
}
