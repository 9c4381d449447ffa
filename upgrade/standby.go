package upgrade

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/cutover/traffic"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/upgrade/lease"
)

const (
	// How often a standby looks whether it could lead: the shadow, PgBouncer, the
	// plan file and the program beside the leader's. Each takes no longer.
	checkEvery = 5 * time.Second
	// A server that does not answer a standby for so long is away.
	lookWithin = 10 * time.Second
	// How often production is looked for that cannot be reached.
	lookForProduction = time.Second
)

// Standby waits, with connections to all that a leader needs, and leads the run as
// [Run] does once there is no leader any more: at once where the last one ended by
// itself or its lock is gone, after three missed heartbeats otherwise. A leader that
// lost its lead stands by again. It ends with nil once the run is over, or as Run
// ends. A run that has not begun is waited for.
//
// It changes nothing but its own row of the control schema until then, and lets
// commands that somebody typed go first. Of a group it ends where it lost its lead, since
// who leads one of its members leads all.
func Standby(ctx context.Context, file *planfile.File, o Options) error {
	s := &standby{file: file, o: o, self: control.Standby{Host: lease.Hostname(), PID: os.Getpid(), Program: o.Program}}
	defer s.closeShadow()
	for {
		l, run, cause, err := s.wait(ctx)
		if err != nil || l == nil {
			return err
		}
		o.Log.Warn("taking the lead", "because", string(cause), "phase", string(run.Phase))
		s.closeShadow()
		err = lead(ctx, file, o, &leases{id: run.ID, given: l, cause: cause})
		var led *lease.ErrLed
		if !errors.As(err, &led) && !errors.Is(err, control.ErrFencedOff) || o.With != nil {
			return err
		}
		o.Log.Warn("another process leads now; standing by", "error", err)
	}
}

// standby is a process that waits to lead.
type standby struct {
	file *planfile.File
	o    Options
	self control.Standby
	met  bool // production was reached before
	seen bool // a run was there

	shadow *pgx.Conn // while it can be reached

	mu       sync.Mutex
	problems []string
}

// wait watches, over lost connections, until it takes the lead. No lease: the run
// is over.
func (s *standby) wait(ctx context.Context) (*lease.Lease, *control.Run, lease.Cause, error) {
	said := false
	for {
		l, run, cause, err := s.watch(ctx)
		if err == nil || !s.met || ctx.Err() != nil || errors.Is(err, control.ErrNewer) {
			return l, run, cause, err
		}
		if !said {
			s.o.Log.Warn("production cannot be reached; looking again", "error", err)
		}
		said = true
		select {
		case <-ctx.Done():
			return nil, nil, "", ctx.Err()
		case <-time.After(lookForProduction):
		}
	}
}

// watch looks after the leader by one session.
func (s *standby) watch(ctx context.Context) (l *lease.Lease, run *control.Run, cause lease.Cause, err error) {
	w, err := lease.OpenWatch(ctx, s.file.Production.DSN, s.file.Name)
	if err != nil {
		return nil, nil, "", err
	}
	s.met = true
	defer func() {
		if l == nil {
			s.forget(ctx, w.Conn(), run)
			w.Close(ctx)
		}
	}()
	checking, stop := context.WithCancel(ctx)
	defer stop()
	check := func(context.Context) error { s.check(checking); return nil }
	err = beside(ctx, checkEvery, check, func(ctx context.Context) error {
		defer stop() // a look that is under way must not hold up who takes the lead
		var err error
		l, run, cause, err = s.look(ctx, w)
		return err
	})
	if err != nil && l != nil {
		l.Release(ctx)
		return nil, run, "", err
	}
	return l, run, cause, err
}

// look looks again and again until the leader is gone or the run is over.
func (s *standby) look(ctx context.Context, w *lease.Watch) (*lease.Lease, *control.Run, lease.Cause, error) {
	var noted time.Time
	var waits bool
	tick := time.NewTicker(lease.LookEvery)
	defer tick.Stop()
	for {
		l, run, cause, err := s.lookOnce(ctx, w, &noted)
		s.seen = s.seen || err == nil // one that leads at the first look has seen the run as well
		switch {
		case errors.Is(err, control.ErrNoRun) && s.seen: // over, and purged
			return nil, nil, "", nil
		case errors.Is(err, control.ErrNoRun):
			if !waits {
				s.o.Log.Info("there is no run yet; waiting for one", "run", s.file.Name)
			}
			waits = true
		case err != nil:
			return nil, run, "", err
		case l != nil || run.Phase.Over():
			return l, run, cause, nil
		}
		select {
		case <-ctx.Done():
			return nil, run, "", ctx.Err()
		case <-tick.C:
		}
	}
}

func (s *standby) lookOnce(ctx context.Context, w *lease.Watch, noted *time.Time) (*lease.Lease, *control.Run, lease.Cause, error) {
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	run, err := control.Look(ctx, w.Conn(), s.file.Name)
	if err != nil || run.Phase.Over() {
		return nil, run, "", err
	}
	if time.Since(*noted) >= lease.Heartbeat {
		if err := s.note(ctx, w, run); err != nil {
			return nil, run, "", err
		}
		*noted = time.Now()
	}
	l, cause, err := w.Look(ctx)
	return l, run, cause, err
}

// note says that this standby lives, in the way in which a leader does: how that
// goes tells whether the leader's silence means anything.
func (s *standby) note(ctx context.Context, w *lease.Watch, run *control.Run) error {
	s.mu.Lock()
	s.self.Problems = slices.Clone(s.problems)
	s.mu.Unlock()
	noted, err := control.NoteStandby(ctx, w.Conn(), run, s.self)
	if err == nil && !noted { // the leader is of an older pgumbra
		_, err = w.Conn().Exec(ctx, `SELECT pg_catalog.pg_logical_emit_message(true, 'pgumbra', '')`)
	}
	if err != nil {
		return err
	}
	w.Committed()
	return nil
}

func (s *standby) forget(ctx context.Context, conn *pgx.Conn, run *control.Run) {
	if run == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	_ = control.ForgetStandby(ctx, conn, run, s.self, lease.LiveFor) // or it grows old, and is not shown any more
}

// check looks whether this standby could lead, and tells what has changed since
// the last look.
func (s *standby) check(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, checkEvery)
	defer cancel()
	found := s.findProblems(ctx)
	if s.o.Besides != nil {
		found = append(found, s.o.Besides(ctx)...)
	}
	if ctx.Err() != nil && (len(found) == 0 || errors.Is(ctx.Err(), context.Canceled)) { // the look was ended, and says nothing
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case slices.Equal(found, s.problems):
		return
	case len(found) == 0:
		s.o.Log.Info("this standby could lead")
	default:
		s.o.Log.Warn("this standby could not lead as the leader does", "problems", found)
	}
	s.problems = found
}

// CouldLead is what keeps this process from leading a run, as a standby finds it out;
// empty: nothing, or there is no run.
func CouldLead(ctx context.Context, file *planfile.File, o Options) []string {
	conn, err := connect(ctx, file, "standby")
	if err != nil {
		return []string{"production: " + pg.Redact(err.Error())}
	}
	_ = conn.Close(ctx)
	s := &standby{file: file, o: o}
	defer s.closeShadow()
	return s.findProblems(ctx)
}

func (s *standby) findProblems(ctx context.Context) []string {
	conn, err := pg.Connect(ctx, s.file.Production.DSN, pg.Options{Component: "standby"})
	if err != nil {
		return nil // the watch's own session says so
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	run, err := control.Find(ctx, conn, s.file.Name)
	if err != nil {
		return nil
	}
	var all []string
	all = append(all, s.otherThanTheLeader(ctx, conn, run)...)
	if run.Plan.Remote {
		if err := s.reachShadow(ctx, conn, run); err != nil {
			all = append(all, "the shadow: "+pg.Redact(err.Error()))
		}
		if err := reachTraffic(ctx, s.file, s.o); err != nil {
			all = append(all, "traffic: "+pg.Redact(err.Error()))
		}
	}
	return all
}

// otherThanTheLeader compares program and plan file with the leader's.
func (s *standby) otherThanTheLeader(ctx context.Context, conn *pgx.Conn, run *control.Run) []string {
	theirs, err := control.ReadProgram(ctx, conn, run)
	if err != nil {
		return []string{err.Error()}
	}
	var all []string
	if theirs.Version != "" && theirs.Version != s.o.Program {
		all = append(all, fmt.Sprintf("the leader is pgumbra %s, this is %s", theirs.Version, s.o.Program))
	}
	if theirs.File == nil {
		return all
	}
	ours, err := factsOf(s.file)
	if err != nil {
		return append(all, err.Error())
	}
	if keys := differentKeys(theirs.File, ours); len(keys) > 0 {
		all = append(all, "the plan file says something else than the leader's of "+joined(keys))
	}
	return all
}

// reachShadow keeps a session to the shadow's database open, and makes sure that
// it is the run's.
func (s *standby) reachShadow(ctx context.Context, production *pgx.Conn, run *control.Run) error {
	if s.file.Shadow.DSN == "" {
		return errors.New("shadow.dsn is not in the plan file")
	}
	if s.shadow != nil && s.shadow.Ping(ctx) != nil {
		s.closeShadow()
	}
	if s.shadow == nil {
		conn, err := pg.Connect(ctx, s.file.Shadow.DSN, pg.Options{Component: "standby"})
		if err != nil {
			return err
		}
		s.shadow = conn
	}
	return control.CheckShadow(ctx, production, s.shadow, run)
}

func (s *standby) closeShadow() {
	if s.shadow != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.shadow.Close(ctx)
		s.shadow = nil
	}
}

// reachTraffic asks each PgBouncer's console, and reads its file.
func reachTraffic(ctx context.Context, file *planfile.File, o Options) error {
	t, err := traffic.Open(file, o.Log)
	if err != nil || t.ByHand() {
		return err
	}
	_, err = t.Side(ctx)
	return err
}
