package lease

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
)

const (
	// LookEvery is how often a standby looks after the leader.
	LookEvery = Heartbeat / 4
	// A leader that a standby watches is dead once its heartbeat has not moved for
	// this long, and commits of the standby's own, made as a heartbeat is, went
	// through meanwhile: where the server is slow, theirs are slow as well, and
	// nobody is dead.
	silentFor  = 3 * Heartbeat
	ownCommits = 2
	// How long a standby waits for the sessions that it ended to be gone.
	goneWithin = 2 * time.Second
	// successionClass is the first key of the advisory lock of who takes the lead,
	// the second is a hash of the run's name. A standby has it alone, so that one
	// of several wins; commands that people typed share it, and standbys stand
	// back for them.
	successionClass = 0x70676d73 // "pgms"
)

// Cause is why a standby took the lead.
type Cause string

// The causes.
const (
	HandedOver Cause = "the leader has ended"
	LockGone   Cause = "the leader's lock is gone"
	Silent     Cause = "the leader's heartbeat has stopped"
)

// Watch is a standby's look at the leader of a run, by the session that is to hold
// the lock.
type Watch struct {
	lease *Lease

	last    control.Leader
	moved   time.Time // when the heartbeat was seen to move last, by our clock
	commits int       // of our own since
	free    bool      // the lock was, at the last look
}

// OpenWatch opens the session.
func OpenWatch(ctx context.Context, dsn, name string) (*Watch, error) {
	l, err := open(ctx, "production", dsn, name)
	if err != nil {
		return nil, err
	}
	return &Watch{lease: l, moved: time.Now()}, nil
}

// Conn is the session, for looks between two of [Watch.Look].
func (w *Watch) Conn() *pgx.Conn { return w.lease.Conn }

// Close ends a watch that came to nothing.
func (w *Watch) Close(ctx context.Context) { w.lease.Release(ctx) }

// Committed notes that a transaction of this standby's that wrote something was
// committed just now.
func (w *Watch) Committed() { w.commits++ }

// Look takes the lead if there is no leader any more, and says why. The lease
// counts from [Lease.FenceOff] on; nil: the leader lives, or somebody else takes
// its place.
func (w *Watch) Look(ctx context.Context) (*Lease, Cause, error) {
	got, err := w.lease.try(ctx)
	if err != nil {
		return nil, "", err
	}
	other, err := lastLeader(ctx, w.lease.Conn, w.lease.name)
	if err != nil {
		return nil, "", err
	}
	if !other.Beat.Equal(w.last.Beat) || other.PID != w.last.PID {
		w.last, w.moved, w.commits = other, time.Now(), 0
	}
	if got {
		return w.succeed(ctx, other)
	}
	w.free = false
	// One that holds the lock and never had a heartbeat was stopped as it began.
	if time.Since(w.moved) < silentFor || w.commits < ownCommits {
		return nil, "", nil
	}
	return w.replace(ctx, other)
}

// succeed takes over a lock that was free. One that a process has let go for a
// moment, to take it again, is left to that one: it is looked at twice.
func (w *Watch) succeed(ctx context.Context, other control.Leader) (*Lease, Cause, error) {
	cause := HandedOver
	if !other.Beat.IsZero() {
		cause = LockGone
	}
	alone := cause == HandedOver || w.free
	w.free = true
	if alone {
		var err error
		if alone, err = w.lease.succession(ctx, exclusive); err != nil {
			return nil, "", err
		}
	}
	if !alone {
		return nil, "", w.lease.letGo(ctx)
	}
	return w.lease, cause, nil
}

// replace ends the sessions of a leader that is silent, and takes its lock.
func (w *Watch) replace(ctx context.Context, other control.Leader) (*Lease, Cause, error) {
	alone, err := w.lease.succession(ctx, exclusive)
	if err != nil || !alone {
		return nil, "", err
	}
	for end := time.Now().Add(goneWithin); ; {
		now, err := lastLeader(ctx, w.lease.Conn, w.lease.name)
		if err != nil {
			return nil, "", err
		}
		if !now.Beat.Equal(other.Beat) || time.Now().After(end) { // it woke up, or its server does not let it go
			return nil, "", w.lease.endSuccession(ctx)
		}
		if err := endSessions(ctx, w.lease.Conn, w.lease.name, now); err != nil {
			return nil, "", err
		}
		got, err := w.lease.try(ctx)
		if err != nil || got {
			return w.lease, Silent, err
		}
		select {
		case <-ctx.Done():
			return nil, "", ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// share is how the succession's lock is taken.
type share string

const (
	exclusive share = ""
	shared    share = "_shared"
)

// succession takes the lock of who takes the lead, if nobody is in its way.
func (l *Lease) succession(ctx context.Context, how share) (got bool, err error) {
	if l.succeeds != nil {
		return true, nil
	}
	err = l.Conn.QueryRow(ctx, `SELECT pg_try_advisory_lock`+string(how)+`($1, hashtext($2))`, successionClass, l.name).Scan(&got)
	if err != nil {
		return false, fmt.Errorf("say who takes the lead: %w", err)
	}
	if got {
		l.succeeds = &how
	}
	return got, nil
}

// HoldBack keeps standbys from taking the lead until the function that it returns is
// called: for who ends a leader to lead after it, and would find one in its place.
func HoldBack(ctx context.Context, dsn, name string) (release func(), err error) {
	l, err := open(ctx, "production", dsn, name)
	if err != nil {
		return nil, err
	}
	if _, err := l.succession(ctx, shared); err != nil { // not got: one takes the lead now, and is met as the leader
		l.Release(ctx)
		return nil, err
	}
	return func() { l.Release(ctx) }, nil
}

// endSuccession lets others look who leads.
func (l *Lease) endSuccession(ctx context.Context) error {
	if l.succeeds == nil {
		return nil
	}
	_, err := l.Conn.Exec(ctx, `SELECT pg_advisory_unlock`+string(*l.succeeds)+`($1, hashtext($2))`, successionClass, l.name)
	if err != nil {
		return fmt.Errorf("say who has taken the lead: %w", err)
	}
	l.succeeds = nil
	return nil
}

// letGo gives a lock back that nothing was done under.
func (l *Lease) letGo(ctx context.Context) error {
	if _, err := l.Conn.Exec(ctx, `SELECT pg_advisory_unlock($1, hashtext($2))`, lockClass, l.name); err != nil {
		return fmt.Errorf("let the leader's lock go: %w", err)
	}
	return nil
}
