package group

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/upgrade"
)

// ErrDivided says that some members of a group are swapped and others are not: a crash or
// a lost connection came between the first commit and the last. Nothing is lost: what is
// written to the others is recorded, and pgumbra run takes them over before all else.
var ErrDivided = errors.New("the group is divided")

// ErrAhead says that members are swapped that cannot be: see [standing.ahead]. Nothing is
// done about it but by a rollback that somebody types.
var ErrAhead = errors.New("the group is divided, and not by pgumbra")

// standing is where a group stands by the records of its members.
type standing struct {
	members []*member
	runs    []*control.Run // nil: none, or one of another group that is over; not known
	away    []*member      // those that could not be asked
}

// read asks all members. Runs that are not this group's are an error where they are
// not over. It also learns the group's id, where it has one. With an error that some
// could not be asked comes what the others say.
func (g *Group) read(ctx context.Context) (*standing, error) {
	s := &standing{members: g.members, runs: make([]*control.Run, len(g.members))}
	errs := make([]error, len(g.members))
	var all sync.WaitGroup
	for i, m := range g.members {
		all.Go(func() {
			s.runs[i], errs[i] = m.look(ctx)
			if errors.Is(errs[i], control.ErrNoRun) {
				errs[i] = nil
			}
		})
	}
	all.Wait()
	for i, err := range errs {
		if err != nil {
			s.away = append(s.away, g.members[i])
		}
	}
	err := g.recognize(s)
	if len(s.away) > 0 {
		err = errors.Join(g.gather(errs), err)
	}
	return s, err
}

// recognize wants the runs that are not over to be of one group, this one. The newest
// of those that are over count as long as one of their group is not.
func (g *Group) recognize(s *standing) error {
	id := ""
	for i, run := range s.runs {
		if run == nil || run.Phase.Over() {
			continue
		}
		if err := upgrade.Belongs(run, g.members[i].file); err != nil {
			return &Error{[]MemberError{{g.members[i].name, err}}}
		}
		if id != "" && run.Group.ID != id {
			return fmt.Errorf("%w: the runs of these databases are of two groups; finish or abort each with its own plan file", upgrade.ErrInGroup)
		}
		id = run.Group.ID
	}
	if id == "" { // all are over, or there are none: those that ended together tell how
		for _, run := range s.runs {
			if run != nil && run.Group != nil {
				id = run.Group.ID
				break
			}
		}
	}
	for i, run := range s.runs {
		if run != nil && (run.Group == nil || run.Group.ID != id) {
			s.runs[i] = nil
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.id = id
	return nil
}

// in are the members whose runs fit.
func (s *standing) in(fits func(control.Phase) bool) (all []*member) {
	for i, run := range s.runs {
		if run != nil && fits(run.Phase) {
			all = append(all, s.members[i])
		}
	}
	return all
}

func live(p control.Phase) bool { return !p.Over() }

func (s *standing) first() *control.Run { return s.runs[0] }

// behind are the members that have not followed the first one: forward, or back.
func (s *standing) behind() (all []*member) {
	first := s.first()
	switch {
	case first == nil || first.Phase == control.Aborted:
		return nil
	case first.Phase.Swapped():
		return s.in(func(p control.Phase) bool { return live(p) && !p.Swapped() })
	case wentBack(first):
		return s.in(func(p control.Phase) bool { return p == control.Watching })
	}
	return nil
}

// ahead are members that are swapped although the first one never was, as its record
// says: its server was restored, or a standby was promoted that lacked the last commits.
func (s *standing) ahead() []*member {
	first := s.first()
	if first == nil || first.Phase.Swapped() || wentBack(first) {
		return nil
	}
	return s.in(func(p control.Phase) bool { return p == control.Watching })
}

// divided is nil, or says which members are on which side.
func (s *standing) divided() error {
	if len(s.runs) == 0 { // not known
		return nil
	}
	if ahead := s.ahead(); len(ahead) > 0 {
		return fmt.Errorf("%w: the shadow is production in %s, and not in %s, whose commit comes first: was its server restored, or a standby promoted?", ErrAhead, names(ahead), s.members[0].name)
	}
	behind := s.behind()
	if len(behind) == 0 {
		return nil
	}
	var done []*member
	for i, m := range s.members {
		if s.runs[i] != nil && !slices.Contains(behind, m) {
			done = append(done, m)
		}
	}
	if s.first().Phase.Swapped() {
		return fmt.Errorf("%w: the shadow is production in %s, and not yet in %s", ErrDivided, names(done), names(behind))
	}
	return fmt.Errorf("%w: %s went back, and not yet %s", ErrDivided, names(done), names(behind))
}

func names(members []*member) string {
	var all []string
	for _, m := range members {
		all = append(all, m.name)
	}
	return strings.Join(all, ", ")
}

// phase is that of the member that is least far.
func (s *standing) phase() *control.Phase {
	order := []control.Phase{control.Aborted, control.RolledBack, control.Building, control.Capturing, control.Copying, control.Following, control.Cutover, control.Watching, control.Finished}
	var least *control.Phase
	for _, run := range s.runs {
		if run == nil {
			return nil
		}
		if least == nil || slices.Index(order, run.Phase) < slices.Index(order, *least) {
			least = &run.Phase
		}
	}
	return least
}
