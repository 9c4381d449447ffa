package group

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/plans"
)

// assembleFor is how long a member that is ready for an attempt waits for the others
// before it goes on following for a moment.
const assembleFor = time.Second

// meeting is one attempt of all members.
type meeting struct {
	members int
	first   *member // whose commit decides

	mu      sync.Mutex
	joined  map[*member]bool
	formed  chan struct{} // closed once all have joined
	arrived [cutover.Points]int
	there   [cutover.Points]chan struct{} // closed once all are at that point
	broken  chan struct{}                 // closed once one has left
	why     string                        // it left
	decided chan struct{}                 // closed once the first one's commit is known
}

func newMeeting(members int, first *member) *meeting {
	m := &meeting{members: members, first: first, joined: map[*member]bool{}, formed: make(chan struct{}), broken: make(chan struct{}), decided: make(chan struct{})}
	for i := range m.there {
		m.there[i] = make(chan struct{})
	}
	return m
}

// Assemble implements [upgrade.Companions].
func (m *member) Assemble(ctx context.Context, way plans.Direction) cutover.Companions {
	mt := m.join(way)
	select {
	case <-mt.formed:
	case <-ctx.Done():
	case <-time.After(assembleFor):
	}
	m.group.mu.Lock()
	defer m.group.mu.Unlock()
	select {
	case <-mt.formed: // too late to stay away
		return &seat{mt, m}
	default:
		delete(mt.joined, m)
		return nil
	}
}

func (m *member) join(way plans.Direction) *meeting {
	g := m.group
	g.mu.Lock()
	defer g.mu.Unlock()
	mt := g.forming[way]
	if mt == nil {
		mt = newMeeting(len(g.members), g.members[0])
		g.forming[way] = mt
	}
	mt.joined[m] = true
	if len(mt.joined) == mt.members {
		close(mt.formed)
		delete(g.forming, way)
	}
	return mt
}

// seat is a member's place in a meeting.
type seat struct {
	*meeting
	member *member
}

// Meet implements [cutover.Companions].
func (s *seat) Meet(ctx context.Context, at cutover.Point) error {
	s.mu.Lock()
	s.arrived[at]++
	if s.arrived[at] == s.members {
		close(s.there[at])
	}
	s.mu.Unlock()
	select {
	case <-s.there[at]:
		return nil
	case <-s.broken:
		return s.refusal()
	case <-ctx.Done():
		return s.late(ctx, "the other databases were not there in time")
	}
}

// Decision implements [cutover.Companions].
func (s *seat) Decision(ctx context.Context) error {
	if s.member == s.first {
		return nil
	}
	select {
	case <-s.decided:
		return nil
	case <-s.broken:
	case <-ctx.Done():
		return s.late(ctx, "the commit of "+s.first.name+", which decides, was not known in time")
	}
	select {
	case <-s.decided: // somebody left after it
		return nil
	default:
		return s.refusal()
	}
}

// Committed implements [cutover.Companions].
func (s *seat) Committed() {
	if s.member == s.first {
		close(s.decided)
	}
}

// Left implements [cutover.Companions].
func (s *seat) Left(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.broken:
	default:
		s.why = s.member.name + ": " + why
		close(s.broken)
	}
}

func (s *seat) refusal() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return notNow(fmt.Sprintf("another database of the group could not swap, so that none did: %s", s.why))
}

// late is that the time was over, unless somebody stops the process.
func (s *seat) late(ctx context.Context, what string) error {
	if ctx.Err() == context.Canceled {
		return ctx.Err()
	}
	return notNow(what)
}

func notNow(message string) error {
	return cutover.NotNow(cutover.Blocker{Code: "group", Message: message, Fix: "nothing changed in any of them; it is tried again"})
}
