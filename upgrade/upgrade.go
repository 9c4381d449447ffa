// Package upgrade is the conductor: it leads a run through its phases, keeps
// the leadership, resumes after crashes and answers where a run stands. What
// each phase does is in the package that the phase names; [life] is the whole
// of it on one screen.
//
// A command either leads ([Run]), or asks the process that does, by a row of the control
// schema ([Cutover], [Rollback]: request.go), or takes the lead from it ([Abort],
// [Finish]), or works beside it ([ReadStatus], [Verify], [CheckCutover]).
//
// It is one package since one leader does all of it: phases, attempts and the watch are
// methods of a worker and go by what that remembers from round to round, and the commands
// open the same worker for a moment. What can be told apart is: who leads is package
// lease, several databases as one package group, the account of a run package report.
package upgrade

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/cutover/traffic"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/replay"
	"github.com/pgumbra/pgumbra/shadow"
	"github.com/pgumbra/pgumbra/upgrade/lease"
)

// Blocked says that findings stand against a run. The caller shows them.
type Blocked struct{ Plan *plans.Plan }

func (b *Blocked) Error() string {
	text := "the plan has blockers:"
	for _, f := range b.Plan.Findings {
		if f.Level == plans.Blocker {
			text += fmt.Sprintf("\n  %s (%s): %s", f.Code, f.Object, f.Message)
		}
	}
	return text
}

// Sentinels for the caller.
var (
	// ErrNothingToDo: production is at the newest version already.
	ErrNothingToDo = errors.New("production is at the newest version: nothing to do")
	// ErrStopped: the run stopped for good and says why in its failure; abort
	// or look at it.
	ErrStopped = errors.New("the run has stopped")

	errStop = errors.New("stop asked for")
)

// Options of [Run].
type Options struct {
	// Until ends the run once this phase is complete; empty: none. Following
	// is complete once every table follows and is verified.
	Until control.Phase
	// Cutover goes through the cutover as soon as the run is ready for it, and
	// ends after it.
	Cutover bool
	// Once gives a cutover one series of attempts instead of trying forever:
	// what `pgumbra cutover` does where no leader runs.
	Once bool
	// Back goes back to the old side: what [Rollback] does where no leader runs. As is
	// how.
	Back bool
	As   control.RollbackAs
	// Program is this program's version, for standbys to compare.
	Program string
	// NotBefore and NotAfter are when attempts at the cutover may be made; zero: at
	// any time.
	NotBefore, NotAfter time.Time
	// With are the other members of the run's group; nil: it is in none.
	With Companions
	// Besides is what else keeps a standby from leading as the leader does; nil: nothing.
	Besides func(context.Context) []string
	Log     *slog.Logger
}

// worker does the work of one lease. Its phases are one goroutine's. Beside them others
// use its pools, and what is made for that: besideClients and besideSamples read
// (lastPending is atomic), guarded looks after the journals' size while rows are copied,
// mirrored copies positions under mirrors, the prover is told what to leave out under
// watching.mu, and an attempt asks its [cutover.Parts].
//
// It has so many methods because it is the conductor: each phase's work is one or a few
// of them, and what they do is in the packages that it hands on to. What several phases
// know is in parts of its own.
type worker struct {
	intent
	observed
	backlog

	lead     *lease.Lease
	file     *planfile.File
	sides    control.Sides
	traffic  *traffic.Traffic
	run      *control.Run
	forward  *control.Run // of a worker of the reversed run: the run itself
	untold   lease.Cause  // why a standby leads, until it is told once the record was looked at
	log      *slog.Logger
	with     Companions // nil: the run is in no group
	copier   *shadow.Copier
	replayer *replay.Replayer
	prover   *replay.Prover // while tables follow
	mirrors  sync.Mutex     // held by who copies positions, or turns the flow around

	swapping  swapping
	watching  watching
	trials    trials
	structure structure
	strangers strangers
	built     shadow.Built // foreign keys that stand on the shadow already, for the swap
	keysTried time.Time    // when it was last tried to make them
}

// intent is what somebody wants of a worker.
type intent struct {
	until     control.Phase
	cutover   bool
	once      bool
	back      bool               // somebody waits for this process to roll back
	as        control.RollbackAs // how a rollback is to be done
	notBefore time.Time          // no attempt at the cutover before
	notAfter  time.Time          // nor after; zero: at any time
	asked     bool               // somebody waits for a cutover by command
	closing   bool               // the group has swapped without this run, which does so now
}

// observed is what a worker's last looks found.
type observed struct {
	away     bool         // the shadow cannot be reached, which was said
	intact   string       // the catalogs' signature at the last clean look at structure and triggers
	against  []string     // what the list of conditions found
	unproved map[int]bool // tables that somebody writes past capture: no proof of them counts
}

// backlog is how much there is to do, and how fast it goes.
type backlog struct {
	forecast    replay.Forecast
	counts      counts
	counted     time.Time
	lastPending atomic.Int64 // at the last count, for samples
}

// Run brings a run to where the options say, starting or resuming it. It ends
// with nil when that is reached, or when somebody else's cutover command was
// served. Once it leads, lost connections are survived: the lead is taken
// anew and the servers are asked what happened.
func Run(ctx context.Context, file *planfile.File, o Options) error {
	return lead(ctx, file, o, &leases{})
}

func lead(ctx context.Context, file *planfile.File, o Options, s *leases) error {
	pause := backoff.NewExponentialBackOff()
	pause.MaxInterval = 15 * time.Second
	lost := time.Now()
	for {
		s.taken = false
		err := s.runOnce(ctx, file, o)
		switch {
		case o.Cutover && isSwapped(ctx, file, err):
			return nil // and its leader keeps the old side current
		case s.watching && deposed(err):
			return endedByCommand(ctx, file, s.id, err)
		case dropped(err) && abortedMeanwhile(ctx, file, s.id):
			return WrongPhase("somebody aborted the run")
		case errors.Is(err, errStop):
			return nil
		case errors.Is(err, errAnew):
			continue
		case s.id == 0: // a server that was never reached is a mistake, not a fault
			return err
		case !lease.Away(ctx, file.Production.DSN, err):
			return err
		case s.taken: // an outage begins now, however long the run lasts already
			lost = time.Now()
			pause.Reset()
		case time.Since(lost) > patience:
			return err
		}
		o.Log.Warn("the connection was lost; looking again", "error", err)
		o.lost(err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause.NextBackOff()):
		}
	}
}

// abortedMeanwhile: what a leader worked on is gone since another command aborted its run,
// which frees production first and says so last.
func abortedMeanwhile(ctx context.Context, file *planfile.File, id int64) bool {
	for deadline := time.Now().Add(abortPatience); time.Now().Before(deadline); {
		conn, err := connect(ctx, file, "leader")
		if err != nil {
			return false
		}
		run, err := control.Look(ctx, conn, file.Name)
		_ = conn.Close(ctx)
		if errors.Is(err, control.ErrNoRun) || err == nil && run.ID == id && run.Phase == control.Aborted {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(100 * time.Millisecond):
		}
	}
	return false
}

// abortPatience is how long an abort that is under way may take to say so.
const abortPatience = 5 * time.Second

// deposed: another process leads, or drops what this one works on.
func deposed(err error) bool {
	var led *lease.ErrLed
	return errors.As(err, &led) || errors.Is(err, control.ErrFencedOff) || dropped(err)
}

// patience is how long a run looks for a server that went away.
const patience = 10 * time.Minute

// leases are what a process remembers of its leases.
type leases struct {
	id       int64 // of the run that it leads, once it does
	taken    bool  // this time
	watching bool  // the last time it led a run whose watch has begun

	given *lease.Lease // by a standby, which has it already
	cause lease.Cause  // why it was given
}

// lease takes the lead, if it is not given.
func (s *leases) lease(ctx context.Context, file *planfile.File) (l *lease.Lease, err error) {
	if l, s.given = s.given, nil; l != nil {
		return l, nil
	}
	s.cause = ""
	return lease.Take(ctx, file.Production.DSN, file.Name)
}

func (s *leases) runOnce(ctx context.Context, file *planfile.File, o Options) error {
	l, err := s.lease(ctx, file)
	if o.Cutover && isSwapped(ctx, file, err) {
		return errStop
	}
	if err != nil {
		return err
	}
	defer l.Release(ctx)
	if err := tidyRolledBack(ctx, l, file, o); err != nil {
		return err
	}
	run, err := findOrCreate(ctx, l, file, o, s.id)
	if err != nil {
		return err
	}
	s.id, s.taken = run.ID, true
	err = withWorker(ctx, l, run, file, o, asLongAsItTakes, func(w *worker, ctx context.Context) error {
		if err := errors.Join(w.found(ctx), w.followAgain(ctx)); err != nil {
			return err
		}
		if o.Back && w.run.Phase != control.Watching { // done, by whoever
			return errStop
		}
		err := w.live(ctx, s.cause)
		w.tellStopped(ctx, err)
		return err
	})
	s.watching = run.Phase.Swapped() || run.Phase == control.RolledBack
	recordFailure(ctx, l, run, err)
	if pg.Unreachable(err) || errors.Is(err, errAnew) {
		l.KeepLease()
	}
	return err
}

// isSwapped: another process leads the watch of a run that has been cut over, which
// leaves nothing to do for who wants a cutover.
func isSwapped(ctx context.Context, file *planfile.File, err error) bool {
	var led *lease.ErrLed
	return errors.As(err, &led) && swapped(ctx, file)
}

// recordFailure notes in the run's row what ended it, for status. Nothing is
// noted of what is no failure of the run: a stop that was asked for, a lost
// connection, a lost leadership, a cutover that was not possible.
func recordFailure(ctx context.Context, l *lease.Lease, run *control.Run, err error) {
	if !failure(ctx, err) {
		return
	}
	// Not worth an error of its own: the caller says why the run ended.
	_ = control.NoteFailure(ctx, l.Conn, run, pg.Redact(err.Error()))
}

func failure(ctx context.Context, err error) bool {
	if err == nil || ctx.Err() != nil || pg.Unreachable(err) {
		return false
	}
	for _, other := range []error{errStop, errAnew, control.ErrFencedOff, ErrNotNow, cutover.ErrUnknown, shadow.ErrTriggersFire} {
		if errors.Is(err, other) {
			return false
		}
	}
	return true
}

// withWorker fences predecessors off, brings their control schema up to date, opens
// the sessions that work and runs f with a heartbeat.
func withWorker(ctx context.Context, l *lease.Lease, run *control.Run, file *planfile.File, o Options, how waiting,
	f func(*worker, context.Context) error) error {
	if err := Belongs(run, file); err != nil {
		return err
	}
	if err := l.FenceOff(ctx, run); err != nil {
		return err
	}
	migrate := func(ctx context.Context) error { return control.Migrate(ctx, file.Production.DSN) } // after the orphans' locks are gone
	if err := whileBeating(ctx, l, run, migrate); err != nil {
		return err
	}
	if err := control.Claim(ctx, l.Conn, run); err != nil {
		return err
	}
	if err := control.NoteSession(ctx, l.Conn, run.ID); err != nil {
		return err
	}
	if err := noteProgram(ctx, l, run, file, o); err != nil {
		return err
	}
	run.Plan.Settings = run.Plan.Settings.Renewed(file.Settings)
	w := &worker{lead: l, file: file, run: run, log: o.Log, with: o.With,
		intent: intent{until: o.Until, cutover: o.Cutover, once: o.Once, back: o.Back, as: o.As, notBefore: o.NotBefore, notAfter: o.NotAfter}}
	var err error
	if w.traffic, err = traffic.Open(file, o.Log); err != nil {
		return err
	}
	production, err := l.Pool(ctx, file.Production.DSN, w.sessions(), w.options())
	if err != nil {
		return err
	}
	defer production.Close()
	w.sides = control.Local(production)
	return whileBeating(ctx, l, run, func(ctx context.Context) error {
		defer w.closeSides()
		if err := w.openSides(ctx, how); err != nil {
			return err
		}
		return f(w, ctx)
	})
}

// noteProgram says what leads, for standbys.
func noteProgram(ctx context.Context, l *lease.Lease, run *control.Run, file *planfile.File, o Options) error {
	facts, err := tellChanged(ctx, l.Conn, run, file, o.Log)
	if err != nil {
		return err
	}
	return control.NoteProgram(ctx, l.Conn, run, control.Program{Version: o.Program, File: facts})
}

// whileBeating runs f with a heartbeat beside it on the lock's own session. If
// the heartbeat fails the lock may be gone: f's context ends.
func whileBeating(ctx context.Context, l *lease.Lease, run *control.Run, f func(context.Context) error) error {
	return beside(ctx, lease.Heartbeat, func(ctx context.Context) error { return l.Beat(ctx, run) }, f)
}

// sessions are what each side is opened with, as many as are needed: more workers may be
// asked for in mid-run.
func (w *worker) sessions() int {
	return 3*max(w.run.Plan.Settings.Copy.Workers, shadow.MostWorkers) + 6
}

func (w *worker) options() pg.Options {
	settings := maps.Clone(w.run.Plan.Session)
	if settings == nil {
		settings = map[string]string{}
	}
	settings[pg.StallSetting] = strconv.FormatInt(w.run.Plan.Settings.Cutover.MaxStall.Milliseconds(), 10)
	return pg.Options{Component: "work", Settings: settings}
}
