// Package group upgrades several databases as one: each of them has a run of its own,
// led as any other by package upgrade, and is swapped at the same moment as the others
// or not at all.
//
// Nothing is recorded of a group but in each member's run that it is in it, see
// [control.Group]. Where it stands is where its first member stands: the commit of that
// one's swap decides, there and back, and whoever leads next finds the others that have
// not followed it, by what their databases say, and takes them over before all else.
//
// It never swaps a member by itself before the first one, and never lets a member
// begin while another one's plan has blockers.
package group

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/upgrade"
)

// Group of databases, as one process leads it.
type Group struct {
	name    string
	members []*member // as listed; the first one's commit decides
	log     *slog.Logger

	mu      sync.Mutex
	id      string
	forming map[plans.Direction]*meeting
	begun   gate
	led     chan struct{} // closed once this process leads the first member
	reached map[*member]bool
	apart   suspension
	first   sighting
}

// member is one database of the group, and what its run meets of the others.
type member struct {
	group *Group
	name  string
	file  *planfile.File
	log   *slog.Logger
}

var _ upgrade.Companions = (*member)(nil)

// Open makes the group of a plan file that lists several databases. It connects to
// nothing.
func Open(file *planfile.File, log *slog.Logger) *Group {
	g := &Group{name: file.Name, log: log, forming: map[plans.Direction]*meeting{}, reached: map[*member]bool{}}
	for _, f := range file.Members {
		g.members = append(g.members, &member{group: g, name: f.Member, file: f, log: log.With("database", f.Member)})
	}
	g.apart = suspension{lost: map[*member]string{}, asked: map[*member]time.Time{}, stands: map[*member]bool{}}
	g.begun = gate{of: len(g.members), open: make(chan struct{})}
	g.led = make(chan struct{})
	return g
}

// Group implements [upgrade.Companions].
func (m *member) Group() *control.Group {
	m.group.mu.Lock()
	defer m.group.mu.Unlock()
	g := &control.Group{ID: m.group.id, Member: m.name}
	for _, other := range m.group.members {
		g.Members = append(g.Members, other.name)
	}
	return g
}

// gate opens once all members are there, for good.
type gate struct {
	of   int
	idle int // members that have nothing to do
	at   map[*member]bool
	open chan struct{}
}

// Begin implements [upgrade.Companions].
func (m *member) Begin(ctx context.Context) error {
	m.arrive(false)
	select {
	case <-m.group.begun.open:
	case <-ctx.Done():
		return ctx.Err()
	}
	m.group.mu.Lock()
	defer m.group.mu.Unlock()
	if m.group.begun.idle > 0 {
		return errIdle
	}
	return nil
}

// errIdle: a member that has nothing to do is told of by itself.
var errIdle = errors.New("another database of the group has nothing to do")

// arrive notes that a member has a run or a plan, or that it needs none.
func (m *member) arrive(idle bool) {
	g := m.group
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.begun.at == nil {
		g.begun.at = map[*member]bool{}
	}
	if g.begun.at[m] {
		return
	}
	g.begun.at[m] = true
	if m == g.members[0] {
		close(g.led)
	}
	if idle {
		g.begun.idle++
	}
	if len(g.begun.at) == g.begun.of {
		close(g.begun.open)
	}
}

// Reached implements [upgrade.Companions].
func (m *member) Reached() bool {
	g := m.group
	g.mu.Lock()
	defer g.mu.Unlock()
	g.reached[m] = true
	return len(g.reached) == len(g.members)
}

// sighting is what the first member's record said a moment ago.
type sighting struct {
	mu  sync.Mutex
	at  time.Time
	run *control.Run
	err error
}

// lookEvery is how often the first member's database is asked where the group stands.
const lookEvery = time.Second

// Decided implements [upgrade.Companions]. That the first member has swapped is never
// taken from an earlier look: of before this one's own swap it would undo that.
func (m *member) Decided(ctx context.Context, way plans.Direction) (upgrade.Decision, error) {
	first := m.group.members[0]
	if m == first {
		return upgrade.Decision{}, nil
	}
	s := &m.group.first
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh := time.Since(s.at) > lookEvery
	if fresh {
		s.look(ctx, first)
	}
	if s.err == nil && !fresh && decisionOf(s.run, way).Made {
		s.look(ctx, first)
	}
	if s.err != nil {
		return upgrade.Decision{}, fmt.Errorf("%s: %w", first.name, s.err)
	}
	return decisionOf(s.run, way), nil
}

func (s *sighting) look(ctx context.Context, first *member) {
	s.run, s.err = first.look(ctx)
	s.at = time.Now()
}

// decisionOf is what the first member's record says to the others.
func decisionOf(first *control.Run, way plans.Direction) upgrade.Decision {
	if way == plans.Forward {
		return upgrade.Decision{Made: first.Phase.Swapped()}
	}
	return upgrade.Decision{Made: wentBack(first), Follow: first.Phase != control.RolledBack}
}

// wentBack reports whether a run was swapped and is on its old side again.
func wentBack(run *control.Run) bool {
	return run.Phase == control.RolledBack || run.Again && !run.Phase.Over() && !run.Phase.Swapped()
}

// look reads a member's run; [control.ErrNoRun].
func (m *member) look(ctx context.Context) (*control.Run, error) {
	return upgrade.Look(ctx, m.file, lookFor)
}

// lookFor is how long each server has to say where its member stands.
const lookFor = 5 * time.Second

// Error is what became of the members of which something went wrong.
type Error struct{ Members []MemberError }

// MemberError is what went wrong with one.
type MemberError struct {
	Name string
	Err  error
}

func (e *Error) Error() string {
	var all []string
	for _, m := range e.Members {
		all = append(all, m.Name+": "+m.Err.Error())
	}
	return strings.Join(all, "\n")
}

func (e *Error) Unwrap() (all []error) {
	for _, m := range e.Members {
		all = append(all, m.Err)
	}
	return all
}

// each does something for all members at once. The first error ends the others, whose
// end by that is not told.
func (g *Group) each(ctx context.Context, f func(context.Context, *member) error) error {
	ending, end := context.WithCancel(ctx)
	defer end()
	errs := make([]error, len(g.members))
	var all sync.WaitGroup
	for i, m := range g.members {
		all.Go(func() {
			err := f(ending, m)
			if err != nil && !errors.Is(err, upgrade.ErrNothingToDo) && !errors.Is(err, errIdle) {
				if ending.Err() != nil && ctx.Err() == nil && errors.Is(err, context.Canceled) {
					return
				}
				end()
			}
			errs[i] = err
		})
	}
	all.Wait()
	return g.gather(errs)
}

// gather makes one error of the members'. Where all have nothing to do, nor has the group.
func (g *Group) gather(errs []error) error {
	var e Error
	idle := 0
	for i, err := range errs {
		switch {
		case err == nil || errors.Is(err, errIdle):
		case errors.Is(err, upgrade.ErrNothingToDo):
			idle++
		default:
			e.Members = append(e.Members, MemberError{g.members[i].name, err})
		}
	}
	if idle == len(errs) {
		return upgrade.ErrNothingToDo
	}
	if idle > 0 && len(e.Members) == 0 {
		for i, err := range errs {
			if errors.Is(err, upgrade.ErrNothingToDo) {
				e.Members = append(e.Members, MemberError{g.members[i].name, errAtNewest})
			}
		}
	}
	if len(e.Members) == 0 {
		return nil
	}
	return &e
}

var errAtNewest = errors.New("it is at the newest version, while others of the group are not: leave it out of production.databases")

func newID() string { return rand.Text() }
