package group

import (
	"context"
	"time"

	"github.com/pgumbra/pgumbra/internal/pg"
)

const (
	// A member that follows asks several times a second whether it is to stand still.
	asksWithin = 2 * time.Second
	// How long the others are given to stand still before a run that has stopped ends
	// the process.
	standWithin = 5 * time.Second
)

// suspension is which members do not go on, and which stand still for that.
type suspension struct {
	lost   map[*member]string
	asked  map[*member]time.Time
	stands map[*member]bool
}

// Lost implements [upgrade.Suspension].
func (m *member) Lost(why string) {
	m.group.mu.Lock()
	defer m.group.mu.Unlock()
	m.group.apart.lost[m] = why
}

// Found implements [upgrade.Suspension].
func (m *member) Found() {
	m.group.mu.Lock()
	defer m.group.mu.Unlock()
	delete(m.group.apart.lost, m)
}

// Suspended implements [upgrade.Suspension]: another one does not go on.
func (m *member) Suspended() string {
	g := m.group
	g.mu.Lock()
	defer g.mu.Unlock()
	g.apart.asked[m] = time.Now()
	for _, other := range g.members {
		if why, lost := g.apart.lost[other]; lost && other != m {
			return other.name + ": " + why
		}
	}
	delete(g.apart.stands, m)
	return ""
}

// Stands implements [upgrade.Suspension].
func (m *member) Stands() {
	m.group.mu.Lock()
	defer m.group.mu.Unlock()
	m.group.apart.stands[m] = true
}

// stopped lets the others stand still before the end of this one's run ends them: as
// their records then say, they wait for it.
func (m *member) stopped(ctx context.Context, cause error) {
	m.Lost("its run has stopped: " + pg.Redact(cause.Error()))
	deadline := time.After(standWithin)
	for !m.othersStand() {
		select {
		case <-ctx.Done():
			return
		case <-deadline:
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// othersStand reports whether each other one that follows stands still.
func (m *member) othersStand() bool {
	g := m.group
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, other := range g.members {
		if other != m && time.Since(g.apart.asked[other]) < asksWithin && !g.apart.stands[other] {
			return false
		}
	}
	return true
}
