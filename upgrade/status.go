package upgrade

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/capture"
	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/upgrade/lease"
)

// Status is where a run stands, as `status --json` prints it.
type Status struct {
	Run string `json:"run"`
	// Member is the database's name in its group; empty: it is in none.
	Member string         `json:"member,omitempty"`
	Phase  *control.Phase `json:"phase"` // null: no run of that name
	// PlanningSince is since when a process plans the run, which is not recorded yet.
	PlanningSince *time.Time      `json:"planning_since,omitempty"`
	StartedAt     *time.Time      `json:"started_at"`
	EndedAt       *time.Time      `json:"ended_at"`
	PhaseSince    *time.Time      `json:"phase_since"` // by the server's clock, as AsOf
	AsOf          *time.Time      `json:"as_of"`
	Leader        *Leader         `json:"leader"`
	Standbys      []StandbyStatus `json:"standbys"` // that live
	Tables        []TableStatus   `json:"tables"`
	Journal       Journal         `json:"journal"`
	Rate          Rate            `json:"rate"`
	ETASeconds    *float64        `json:"eta_seconds"` // null: measuring, or never
	Throttled     string          `json:"throttled"`
	// Waits are the sessions for whose locks in production pgumbra waits.
	Waits []string `json:"waits"`
	// Suspended is why the run stands still with its group; empty: it does not.
	Suspended string `json:"suspended,omitempty"`
	// Work is what the run is busy with; null: it follows, or is past that.
	Work        *Work  `json:"work"`
	ShadowBytes *int64 `json:"shadow_bytes"` // null: not known
	// Left is what stays of the side that is not production any more; null: not known.
	Left     *OldSide        `json:"left,omitempty"`
	PausedAt *time.Time      `json:"paused_at"` // since when somebody wants the copy to pause
	Workers  *int            `json:"workers"`   // that copy, as pgumbra workers asked for; null: copy.workers
	Ready    bool            `json:"ready"`
	Blockers []string        `json:"blockers"`
	Cutover  json.RawMessage `json:"cutover"`
	// Rollback is how the rollback went, as Cutover is of the cutover.
	Rollback json.RawMessage `json:"rollback,omitempty"`
	// Tidied: nothing is left to be done after the rollback.
	Tidied bool `json:"tidied,omitempty"`
	// Refused are rows that the old side does not take back.
	Refused []RefusedRow `json:"refused,omitempty"`
	// WayBack says whether the old side is kept current after the cutover.
	WayBack  *WayBack `json:"way_back,omitempty"`
	Attempts Attempts `json:"attempts"`
	Failure  string   `json:"failure,omitempty"`
	// Away is which server could not be asked, and why: the rest is what the other
	// one knows.
	Away string `json:"away,omitempty"`
	// Unled is what capture costs and records while nobody leads the run; null: it is
	// led, or nothing is captured.
	Unled *Unled `json:"unled,omitempty"`
	// Trial of the swap, and of the migrations that run behind the fence; null: none
	// yet.
	Trial *cutover.Trial `json:"trial,omitempty"`
	// TryingSince is since when the migrations behind the fence are tried on the shadow,
	// while replay waits; null: they are not.
	TryingSince *time.Time `json:"trying_since,omitempty"`
	// TrialTooLong: what was tried takes longer than cutover.max_stall.
	TrialTooLong bool `json:"-"`

	beat   *time.Time        // of the last leader
	doubts map[string]string // by table: why it is not verified any more
}

// Leader is the process that leads the run; null where none is alive.
type Leader struct {
	Host  string `json:"host"`
	PID   int    `json:"pid"`
	Epoch int64  `json:"epoch"`
}

// Self reports whether this process is it.
func (l *Leader) Self() bool {
	return l != nil && l.PID == os.Getpid() && l.Host == lease.Hostname()
}

// Unled is what a process that died left in production.
type Unled struct {
	Since    *time.Time `json:"since"` // the last heartbeat; null: the leader ended by itself
	Tables   int        `json:"tables"`
	Triggers int        `json:"triggers"`
	Recorded int64      `json:"recorded"` // changes that wait to be replayed
}

// StandbyStatus is a process that waits to lead.
type StandbyStatus struct {
	Host    string    `json:"host"`
	PID     int       `json:"pid"`
	Since   time.Time `json:"since"`
	Program string    `json:"program"`
	// Ready: it would lead as the leader does. Problems say why not.
	Ready    bool     `json:"ready"`
	Problems []string `json:"problems"`
}

// WayBack is how a run that watches could be rolled back.
type WayBack struct {
	Open bool `json:"open"`
	// Why it is not; empty: it is.
	Why string `json:"why,omitempty"`
	// Against is what a rollback would be refused for now, a line each.
	Against []string `json:"against,omitempty"`
	// Lost are production's tables whose rows do not come back, and columns that come
	// back otherwise than they are written, a line each.
	Lost []string `json:"lost,omitempty"`
	// MayLose are columns of which some values would not come back as they are, if there
	// are some, a line each. Rows that have one are among the status's refused.
	MayLose []string `json:"may_lose,omitempty"`
}

// Attempts at the cutover, and what they have taken from clients.
type Attempts struct {
	Count  int     `json:"count"`     // that asked for a lock or held clients
	Tried  int     `json:"tried"`     // of the last series, those that were only looks included
	Of     int     `json:"of"`        // cutover.attempts, of a series
	Last   string  `json:"last"`      // why the last one came to nothing; empty: there was none
	HeldMS float64 `json:"held_ms"`   // of all together
	MaxMS  float64 `json:"budget_ms"` // what they may take: cutover.max_total_stall
}

func (s *Status) readAttempts(ctx context.Context, tx pgx.Tx, run *control.Run, file *planfile.File) error {
	s.Attempts.MaxMS = float64(file.Settings.Cutover.Total().Milliseconds())
	live := run.Phase == control.Following || run.Phase == control.Cutover
	if live {
		if err := s.Attempts.readLast(ctx, tx, run, file); err != nil {
			return err
		}
	}
	if live {
		held := time.Duration(s.Attempts.HeldMS * float64(time.Millisecond))
		s.Blockers = append(s.Blockers, messages(cutover.OverTotal(s.Attempts.Count, held, file.Settings.Cutover))...)
	}
	return nil
}

// readLast reads why the last attempt came to nothing.
func (a *Attempts) readLast(ctx context.Context, tx pgx.Tx, run *control.Run, file *planfile.File) error {
	a.Of = max(file.Settings.Cutover.Attempts, 1)
	var detail struct {
		Reason  string `json:"reason"`
		Attempt int    `json:"attempt"`
	}
	if found, err := control.LastRefused(ctx, tx, run, &detail); err != nil || !found {
		return err
	}
	a.Last, a.Tried = detail.Reason, detail.Attempt
	return nil
}

// Rate is in journal rows a second.
type Rate struct {
	In  float64 `json:"in"`
	Out float64 `json:"out"`
}

// ReadStatus asks the control schema where the run stands. It needs no
// leadership and changes nothing. Phase is nil where there is no such run. Where
// production is gone after the cutover, the shadow is asked: see Away.
func ReadStatus(ctx context.Context, file *planfile.File) (*Status, error) {
	s, err := readStatus(ctx, file)
	if gone(err) || err == nil && s.Phase == nil {
		cause := err
		if cause == nil {
			cause = control.ErrNoRun
		}
		if alone, ok := readAlone(ctx, file, cause); ok {
			return alone, nil
		}
	}
	return s, err
}

// lookOptions are of a session that only looks: a process that was stopped while it
// showed its progress kept its snapshot, and no cutover by anybody else was possible.
func lookOptions() pg.Options {
	return pg.Options{Component: "status", Settings: pg.Looking()}
}

// looking are this process's sessions in production that only look where a run stands, for
// its own progress lines. An attempt at a cutover does not wait for their snapshots: they
// read the control schema and catalogs. On a slow machine one stood against each attempt of
// the process that had opened it.
var looking pg.Register

// openLook opens one of them; closeLook ends it.
func openLook(ctx context.Context, file *planfile.File) (*pgx.Conn, error) {
	conn, err := pg.Connect(ctx, file.Production.DSN, lookOptions())
	if err == nil {
		if err = looking.Opened(ctx, conn); err == nil {
			return conn, nil
		}
		_ = conn.Close(context.WithoutCancel(ctx))
	}
	return nil, fmt.Errorf("production: %w", err)
}

func closeLook(ctx context.Context, conn *pgx.Conn) {
	_ = conn.Close(context.WithoutCancel(ctx))
	looking.Closed(conn)
}

func newStatus(file *planfile.File) *Status {
	return &Status{Run: file.Name, Member: file.Member, Standbys: []StandbyStatus{}, Waits: []string{}, Tables: []TableStatus{}, Blockers: []string{}}
}

// Unreached is the status of a database that could not be asked.
func Unreached(file *planfile.File, cause error) *Status {
	s := newStatus(file)
	s.Away = pg.Redact(cause.Error())
	return s
}

func readStatus(ctx context.Context, file *planfile.File) (*Status, error) {
	conn, err := openLook(ctx, file)
	if err != nil {
		return nil, err
	}
	defer closeLook(ctx, conn)
	s := newStatus(file)
	var run *control.Run
	err = pg.RepeatableRead(ctx, conn, func(tx pgx.Tx) error {
		run, err = control.Find(ctx, tx, file.Name)
		if errors.Is(err, control.ErrNoRun) {
			s.PlanningSince, err = lease.Since(ctx, tx, file.Name)
			return err
		}
		if err != nil {
			return err
		}
		run.Plan.Settings = run.Plan.Settings.Renewed(file.Settings) // as whoever leads it has them
		if err := s.readStanding(ctx, tx, run); err != nil {
			return err
		}
		if err := s.readAttempts(ctx, tx, run, file); err != nil {
			return err
		}
		if err := s.readWaits(ctx, tx); err != nil {
			return err
		}
		if err := s.read(ctx, tx, run); err != nil {
			return err
		}
		return s.readWork(ctx, tx, run, file)
	})
	if older, lookErr := keptByOlder(ctx, conn, err); lookErr == nil && older {
		return readOlder(ctx, conn, file)
	}
	if dropped(err) { // by finish --purge, just now: a transaction that has met it can ask nothing more
		if there, lookErr := control.Exists(ctx, conn); lookErr == nil && !there {
			return newStatus(file), nil
		}
	}
	if err == nil && run != nil && run.Phase == control.Watching && run.Plan.Remote {
		s.readThere(ctx, file, run)
	}
	return s, err
}

func (s *Status) readWaits(ctx context.Context, tx pgx.Tx) error {
	holders, err := cutover.Waits(ctx, tx)
	for _, h := range holders {
		s.Waits = append(s.Waits, h.Text)
	}
	return err
}

func (s *Status) read(ctx context.Context, tx pgx.Tx, run *control.Run) error {
	s.Phase = &run.Phase
	if err := s.readTables(ctx, tx, run); err != nil {
		return err
	}
	if s.journalsHere(run) {
		if err := s.readPending(ctx, tx, run.Now()); err != nil {
			return err
		}
	}
	if err := s.readJournals(ctx, tx, run); err != nil {
		return err
	}
	if err := s.readWayBack(ctx, tx, run); err != nil {
		return err
	}
	if !run.Phase.Swapped() || s.journalsHere(run) {
		if err := s.readUnled(ctx, tx, run); err != nil {
			return err
		}
	}
	if run.Phase == control.Following || run.Phase == control.Cutover {
		changes, err := structureEvent(ctx, tx, run)
		if err != nil {
			return err
		}
		s.Blockers = append(s.Blockers, changes...)
		if err := s.readConditions(ctx, tx, run); err != nil {
			return err
		}
		if s.Leader != nil {
			against, err := control.LastClients(ctx, tx, run)
			if err != nil {
				return err
			}
			s.Blockers = append(s.Blockers, against...)
		}
		if s.Trial, err = readTrial(ctx, tx, run); err != nil {
			return err
		}
	}
	s.classify(run)
	return nil
}

func (s *Status) readStanding(ctx context.Context, tx pgx.Tx, run *control.Run) error {
	at, err := control.ReadStanding(ctx, tx, run, lease.LiveFor)
	if err != nil {
		return err
	}
	s.StartedAt, s.EndedAt, s.AsOf, s.PhaseSince, s.PausedAt = &at.StartedAt, at.EndedAt, &at.AsOf, &at.PhaseSince, at.PausedAt
	s.Rate, s.Throttled, s.Failure, s.Cutover, s.Suspended = Rate{In: at.RateIn, Out: at.RateOut}, at.Throttled, at.Failure, at.Cutover, at.Suspended
	s.Attempts.Count, s.Attempts.HeldMS = at.Attempts, float64(at.Held.Microseconds())/1000
	if at.Alive && !run.Phase.Over() {
		s.Leader = &Leader{Host: at.Host, PID: at.PID, Epoch: at.Epoch}
	}
	s.Workers = at.Workers
	if s.Leader != nil {
		s.TryingSince = at.TryingAt
	}
	s.beat = at.Beat
	return s.readStandbys(ctx, tx, run)
}

func (s *Status) readStandbys(ctx context.Context, tx pgx.Tx, run *control.Run) error {
	standbys, err := control.Standbys(ctx, tx, run, lease.LiveFor)
	if err != nil || run.Phase.Over() {
		return err
	}
	for _, b := range standbys {
		s.Standbys = append(s.Standbys, StandbyStatus{Host: b.Host, PID: b.PID, Since: b.Since, Program: b.Program, Ready: len(b.Problems) == 0, Problems: b.Problems})
	}
	return nil
}

// readUnled asks the database of the journals what it pays while nobody leads.
func (s *Status) readUnled(ctx context.Context, tx pg.Querier, run *control.Run) error {
	if s.Leader != nil || run.Phase.Over() {
		return nil
	}
	u := Unled{Since: s.beat, Recorded: s.Journal.Pending}
	var err error
	if u.Tables, u.Triggers, err = capture.Standing(ctx, tx, run); err != nil || u.Triggers == 0 {
		return err
	}
	s.Unled = &u
	return nil
}

// readWayBack says whether a run that is swapped could be rolled back, and what
// stands against it.
func (s *Status) readWayBack(ctx context.Context, tx pgx.Tx, run *control.Run) (err error) {
	if s.Rollback, s.Tidied, err = control.Rollback(ctx, tx, run); err != nil || run.Phase != control.Watching {
		if err == nil && run.Phase == control.RolledBack { // what was left behind
			s.Refused, err = unfitRows(ctx, tx, run.Reversed(), shownUnfit)
		}
		return err
	}
	s.WayBack = &WayBack{Lost: run.Plan.LostColumns(), MayLose: run.Plan.MayLose()}
	for _, n := range run.Plan.Lost() {
		s.WayBack.Lost = append(s.WayBack.Lost, n.String()+": what is written to it does not come back")
	}
	s.WayBack.Lost = append(s.WayBack.Lost, run.Plan.LeftBehind()...)
	var none *NoWayBack
	switch err := mayGoBack(run, control.RollbackAs{AcceptLoss: true}); {
	case errors.As(err, &none):
		s.WayBack.Why = none.Why
	case s.Failure != "":
		s.WayBack.Why = s.Failure
	case s.Away != "":
		s.WayBack.Why = s.Away
	}
	s.WayBack.Open = s.WayBack.Why == ""
	s.Refused, err = refusedRows(ctx, tx, run.Reversed(), shownUnfit)
	if s.WayBack.Open && err == nil {
		return s.readAgainstBack(ctx, tx, run)
	}
	return err
}

// readAgainstBack says what a rollback would be refused for, as far as it is recorded.
func (s *Status) readAgainstBack(ctx context.Context, tx pgx.Tx, run *control.Run) error {
	var none *NoWayBack
	if errors.As(mayGoBack(run, control.RollbackAs{}), &none) {
		s.WayBack.Against = append(s.WayBack.Against, none.Why+"; "+none.Next)
	}
	back := run.Reversed()
	against := againstRows(s.Refused, control.RollbackAs{})
	doubts, err := control.Doubts(ctx, tx, back)
	for n := range back.Plan.Tables {
		if d, ok := doubts[n]; ok && strings.HasPrefix(d.Why, foundDifferent) {
			against = append(against, differing(back, n, run.Plan.Behind != nil))
		}
	}
	for _, b := range against {
		s.WayBack.Against = append(s.WayBack.Against, b.Reason())
	}
	return err
}
