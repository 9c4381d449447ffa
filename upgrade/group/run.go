package group

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/upgrade"
)

// Run leads all members, as [upgrade.Run] leads one. Where the group is divided, the
// members that are behind follow the others first; if that was a rollback, it is the end.
// Where a server does not answer that is all that is done.
func (g *Group) Run(ctx context.Context, o upgrade.Options) error {
	s, err := g.read(ctx)
	switch behind := s.behind(); {
	case err != nil && len(behind) == 0:
		return err
	case len(s.ahead()) > 0:
		return s.divided()
	case len(behind) > 0 && s.first().Phase == control.RolledBack:
		return errors.Join(err, g.goBack(ctx, s, o))
	case err != nil:
		return errors.Join(err, g.alone(ctx, behind, o, upgrade.Cutover))
	}
	if ended := s.in(control.Phase.Over); len(ended) > 0 && len(s.in(live)) > 0 {
		return g.partly(s, ended)
	}
	if len(s.in(live)) == 0 { // a new one
		g.mu.Lock()
		g.id = newID()
		g.mu.Unlock()
	}
	return g.lead(ctx, o, upgrade.Run)
}

// partly says what ended in some databases alone, by a command that was stopped.
func (g *Group) partly(s *standing, ended []*member) error {
	verb, command := "finished", "finish"
	if s.runs[slices.Index(g.members, ended[0])].Phase == control.Aborted {
		verb, command = "aborted", "abort"
	}
	return upgrade.WrongPhase("the run is %s in %s, and not yet in %s: pgumbra %s ends that", verb, names(ended), names(s.in(live)), command)
}

// lead does something that may lead the runs of all members.
func (g *Group) lead(ctx context.Context, o upgrade.Options, work func(context.Context, *planfile.File, upgrade.Options) error) error {
	err := g.each(ctx, func(ctx context.Context, m *member) error {
		o := o
		o.With, o.Log = m, m.log
		err := work(ctx, m.file, o)
		switch {
		case errors.Is(err, upgrade.ErrNothingToDo):
			m.arrive(true)
		case err != nil && ctx.Err() == nil && !errors.Is(err, upgrade.ErrNotNow):
			m.stopped(ctx, err)
		}
		return err
	})
	return g.unlessDivided(err)
}

// unlessDivided adds to what ended the work that it left the group divided.
func (g *Group) unlessDivided(err error) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*lookFor) // of each its two servers
	defer cancel()
	s, readErr := g.read(ctx)
	if readErr != nil {
		return err
	}
	if divided := s.divided(); divided != nil {
		return errors.Join(divided, err)
	}
	return err
}

// Cutover swaps all members at one moment: see [upgrade.Cutover].
func (g *Group) Cutover(ctx context.Context, o upgrade.Options) error {
	s, err := g.read(ctx)
	if err != nil {
		return err
	}
	if len(s.behind()) > 0 && wentBack(s.first()) || len(s.ahead()) > 0 {
		return s.divided()
	}
	if len(s.in(live)) < len(g.members) && len(s.in(control.Phase.Swapped)) < len(g.members) {
		return upgrade.WrongPhase("a cutover is for a run of all databases of the group, and there is one in %s", orNone(s.in(live)))
	}
	return g.lead(ctx, o, upgrade.Cutover)
}

func orNone(members []*member) string {
	if len(members) == 0 {
		return "none"
	}
	return names(members)
}

// Rollback goes back in all members at one moment: see [upgrade.Rollback]. One that was
// decided is completed, as far as servers answer; so are members taken back that are
// swapped although the first one is not.
func (g *Group) Rollback(ctx context.Context, o upgrade.Options) error {
	s, err := g.read(ctx)
	switch behind := s.behind(); {
	case len(behind) > 0 && s.first().Phase == control.RolledBack || len(s.ahead()) > 0:
		return errors.Join(err, g.goBack(ctx, s, o))
	case err != nil:
		return err
	case len(behind) > 0 && s.first().Phase.Swapped():
		return fmt.Errorf("%w; it goes back as one, once it is one: pgumbra run", s.divided())
	}
	if finished := s.in(func(p control.Phase) bool { return p == control.Finished }); len(finished) > 0 {
		return upgrade.WrongPhase("finish has ended the watch of %s, and the way back of the group with it", names(finished))
	}
	return g.lead(ctx, o, upgrade.Rollback)
}

// goBack has the members that are swapped follow those that are not. Those that went
// back tidy up, where a process died before it had.
func (g *Group) goBack(ctx context.Context, s *standing, o upgrade.Options) error {
	swapped := s.in(func(p control.Phase) bool { return p == control.Watching })
	g.log.Warn("the group is divided; its other databases went back, and these follow", "behind", names(swapped))
	o.As.Follow = false
	return g.alone(ctx, append(swapped, s.in(func(p control.Phase) bool { return p == control.RolledBack })...), o, upgrade.Rollback)
}

// alone does something that leads members which wait for no other one: the group has
// swapped without them. What ends one ends no other one.
func (g *Group) alone(ctx context.Context, members []*member, o upgrade.Options, work func(context.Context, *planfile.File, upgrade.Options) error) error {
	errs := make([]error, len(g.members))
	var all sync.WaitGroup
	for i, m := range g.members {
		if !slices.Contains(members, m) {
			continue
		}
		all.Go(func() {
			o := o
			o.With, o.Log = alone{m}, m.log
			errs[i] = work(ctx, m.file, o)
		})
	}
	all.Wait()
	return g.unlessDivided(g.gather(errs))
}

// alone is a member that waits for no other one.
type alone struct{ *member }

// Decided is what was decided before, and is done now.
func (alone) Decided(context.Context, plans.Direction) (upgrade.Decision, error) {
	return upgrade.Decision{Made: true}, nil
}

// Suspended: it is not.
func (alone) Suspended() string { return "" }

// Begin waits for nobody.
func (alone) Begin(context.Context) error { return nil }

// Reached is what it is.
func (alone) Reached() bool { return true }

// Abort undoes all members' runs. The first one comes first: once it is fenced off, no
// swap of the group can be decided any more. Another one whose server does not answer
// keeps nobody from being freed.
func (g *Group) Abort(ctx context.Context, leftovers upgrade.Leftovers) ([]upgrade.Aborted, error) {
	s, err := g.read(ctx)
	if err != nil && (len(s.away) == 0 || s.away[0] == g.members[0]) {
		return nil, err
	}
	swapped := s.in(control.Phase.Swapped)
	switch {
	case len(swapped) > 0 && s.divided() != nil:
		return nil, fmt.Errorf("%w; abort is for before the swap", s.divided())
	case len(swapped) > 0:
		return nil, upgrade.WrongPhase("the swap is done in %s: abort is for before it", names(swapped))
	}
	all := make([]upgrade.Aborted, len(g.members))
	errs := make([]error, len(g.members))
	for i, m := range g.members {
		all[i], errs[i] = upgrade.Abort(ctx, m.file, leftovers, m.log)
		if errs[i] != nil && (i == 0 || ctx.Err() != nil) {
			break
		}
	}
	return all, g.gather(errs)
}

// Finish ends the watch of all members. The first one comes last: until then the group
// is what it is.
func (g *Group) Finish(ctx context.Context, old cutover.OldSide, leftovers upgrade.Leftovers) error {
	s, err := g.read(ctx)
	if err != nil {
		return err
	}
	if err := s.divided(); err != nil {
		return err
	}
	if before := s.in(func(p control.Phase) bool { return live(p) && !p.Swapped() }); len(before) > 0 {
		return upgrade.WrongPhase("finish is for after the cutover, and %s is before it", names(before))
	}
	errs := make([]error, len(g.members))
	for i := len(g.members) - 1; i >= 0; i-- {
		m := g.members[i]
		if s.runs[i] == nil && leftovers == upgrade.Purge { // purged already
			continue
		}
		if errs[i] = upgrade.Finish(ctx, m.file, old, leftovers, m.log); errs[i] != nil {
			break
		}
	}
	return g.gather(errs)
}

// Verify compares all members' tables: see [upgrade.Verify].
func (g *Group) Verify(ctx context.Context) (map[string][]upgrade.TableVerdict, error) {
	verdicts := make([][]upgrade.TableVerdict, len(g.members))
	err := g.each(ctx, func(ctx context.Context, m *member) (err error) {
		verdicts[slices.Index(g.members, m)], err = upgrade.Verify(ctx, m.file, m.log)
		return err
	})
	all := map[string][]upgrade.TableVerdict{}
	for i, m := range g.members {
		all[m.name] = verdicts[i]
	}
	return all, err
}

// Plan makes the plan of each member, one after the other.
func (g *Group) Plan(ctx context.Context) ([]*plans.Plan, error) {
	var all []*plans.Plan
	errs := make([]error, len(g.members))
	for i, m := range g.members {
		var plan *plans.Plan
		plan, errs[i] = upgrade.Plan(ctx, m.file, m.log)
		all = append(all, plan)
		if ctx.Err() != nil {
			break
		}
	}
	return all, g.gather(errs)
}

// CheckCutover looks at what stands against a cutover of each, in their order: see
// [upgrade.CheckCutover].
func (g *Group) CheckCutover(ctx context.Context) ([][]cutover.Blocker, error) {
	found := make([][]cutover.Blocker, len(g.members))
	err := g.each(ctx, func(ctx context.Context, m *member) (err error) {
		i := slices.Index(g.members, m)
		found[i], err = upgrade.CheckCutover(ctx, m.file, m.log)
		return err
	})
	return found, err
}

// Status is where a group stands, as `status --json` prints it.
type Status struct {
	Run string `json:"run"`
	// Phase is that of the database that is least far; null: not every one has a run.
	Phase *control.Phase `json:"phase"`
	// Ready: a cutover of all would be tried now.
	Ready bool `json:"ready"`
	// Divided: some databases are swapped and others are not, and which; empty: it is not.
	Divided string `json:"divided,omitempty"`
	// Behind are the databases of a divided group that the next pgumbra run sees to.
	Behind []string `json:"behind,omitempty"`
	// Members are the databases, in the order of the plan file.
	Members []*upgrade.Status `json:"members"`

	divided error
}

// Err is nil where the group is not divided.
func (s *Status) Err() error { return s.divided }

// ReadStatus asks all members where they stand: see [upgrade.ReadStatus].
//
// One that cannot be reached is told as that, as long as another one can: the phase of
// all is not known then.
func (g *Group) ReadStatus(ctx context.Context) (*Status, error) {
	s, err := g.read(ctx)
	known := err == nil
	status := &Status{Run: g.name, Ready: known, Members: make([]*upgrade.Status, len(g.members))}
	var all sync.WaitGroup
	var here atomic.Int64
	for i, m := range g.members {
		all.Go(func() {
			one, err := upgrade.ReadStatus(ctx, m.file)
			if err != nil {
				status.Members[i] = upgrade.Unreached(m.file, err)
				return
			}
			here.Add(1)
			g.more(ctx, m, one)
			status.Members[i] = one
		})
	}
	all.Wait()
	if !known && (here.Load() == 0 || here.Load() == int64(len(g.members)) || ctx.Err() != nil) {
		return nil, err
	}
	for _, one := range status.Members {
		status.Ready = status.Ready && one.Ready
	}
	status.Phase = s.phase()
	if divided := s.divided(); divided != nil {
		status.Divided, status.Ready, status.divided = divided.Error(), false, divided
		for _, m := range s.behind() {
			status.Behind = append(status.Behind, m.name)
		}
	}
	return status, nil
}

// more is what a status is told beside the control schema; not worth failing for.
func (g *Group) more(ctx context.Context, m *member, s *upgrade.Status) {
	if err := errors.Join(s.ReadShadowSize(ctx, m.file), s.ReadLeft(ctx, m.file)); err != nil {
		m.log.Debug("what a database holds of the run is not known", "error", err)
	}
}
