package upgrade

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/pgumbra/pgumbra/capture"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/planner"
	"github.com/pgumbra/pgumbra/shadow"
)

// errAnew says that the plan is another one now, since partitions came or went, or
// rows go the other way: the leader begins again with it.
var errAnew = errors.New("the plan is another one now")

// errLater says that partitions came or went and that the shadow does not have them as
// yet: rows of theirs find no partition there meanwhile.
var errLater = errors.New("partitions came or went")

// regroup lets the run follow production's partitions: those that came are made
// in the shadow, those that are gone are dropped there. Their rows come and go by
// the journal where the event trigger has told of them ([capture.Members]: it has
// not, and the table is copied again). Only while all that the table feeds is in
// step; until then the journal keeps what happened. Returns [errAnew] after a
// change, with the plan recorded, and [errLater] where it came to nothing now.
func (w *worker) regroup(ctx context.Context) error {
	for i := range w.run.Plan.Sources {
		src := &w.run.Plan.Sources[i]
		if src.Kind != plans.Partitioned {
			continue
		}
		tree, err := capture.Tree(ctx, w.sides.Production, src)
		if err != nil {
			return err
		}
		came, went := missing(tree, src.Members), missing(slices.Concat(src.Members, src.Detached), tree)
		gone, err := w.gone(ctx, went)
		if err != nil {
			return err
		}
		if len(came)+len(gone)+len(missing(src.Members, tree)) == 0 || len(tree) == 0 {
			continue
		}
		inStep, err := w.inStep(ctx, src)
		if err != nil {
			return err
		}
		if !inStep {
			continue
		}
		if err := w.regroupSource(ctx, src, tree, came, went, gone); err != nil {
			return err
		}
	}
	return nil
}

// missing are the members of one list that another one lacks.
func missing(from, list []plans.Member) []plans.Member {
	known := map[uint32]bool{}
	for _, m := range list {
		known[m.OID] = true
	}
	var all []plans.Member
	for _, m := range from {
		if !known[m.OID] {
			all = append(all, m)
		}
	}
	return all
}

// known are the members of a list, each as another list has it, if it does.
func known(list, as []plans.Member) []plans.Member {
	var all []plans.Member
	for _, m := range list {
		if i := slices.IndexFunc(as, func(a plans.Member) bool { return a.OID == m.OID && a.Name == m.Name }); i >= 0 {
			m = as[i]
		}
		all = append(all, m)
	}
	return all
}

func (w *worker) inStep(ctx context.Context, src *plans.Source) (bool, error) {
	states, err := control.States(ctx, w.sides.Shadow, w.run)
	if err != nil {
		return false, err
	}
	for i := range w.run.Plan.Tables {
		if t := &w.run.Plan.Tables[i]; t.ReadsFrom(src.N) && states[t.N] != control.FollowingState {
			return false, nil
		}
	}
	return true, nil
}

func (w *worker) regroupSource(ctx context.Context, src *plans.Source, tree, came, went, gone []plans.Member) error {
	untold, err := w.untoldMembers(ctx, src)
	if err != nil {
		return err
	}
	if waits, err := w.regroupShadow(ctx, src, tree, came, gone, untold != ""); err != nil || waits {
		return err
	}
	before := *src
	src.Members, src.Detached = known(tree, src.Members), missing(went, gone)
	if err := planner.Regroup(ctx, w.run.Plan, w.sides.Production, w.file.Production.DSN, came, gone); err != nil {
		*src = before
		return w.later(ctx, err) // one may come or go while pg_dump reads
	}
	if err := control.NotePlan(ctx, w.sides.Production, w.run); err != nil {
		return err
	}
	w.log.Info("partitions came or went", "table", src.Name.String(), "came", namesOf(came), "went", namesOf(went))
	if untold != "" {
		err := w.recapture(ctx, src, untold)
		if err != nil && !errors.Is(err, capture.ErrChanged) {
			return err
		} // else one more came or went meanwhile: the next look takes it, and all is copied then
	}
	return errAnew
}

// untoldMembers is what came or went without a word from the capture's triggers, so that
// rows may be in no journal; empty: nothing. Another change of the structure stops the run.
func (w *worker) untoldMembers(ctx context.Context, src *plans.Source) (untold string, err error) {
	changes, err := capture.Check(ctx, w.sides.Production, w.run, src)
	for _, c := range changes {
		switch c.Kind {
		case capture.Structure:
			return "", fmt.Errorf("%w: the structure of %s changed: %s", ErrStopped, src.Name, c.Detail)
		case capture.Members:
			untold = c.Detail
		}
	}
	return untold, err
}

// regroupShadow makes the shadow's partitions of those that came and drops those of the
// gone. It waits for replay to take the rows of one that is gone away, unless all is
// copied again.
func (w *worker) regroupShadow(ctx context.Context, src *plans.Source, tree, came, gone []plans.Member, anew bool) (waits bool, err error) {
	if err := w.noteArrivals(ctx, src, came); err != nil {
		return false, err
	}
	made, err := shadow.AddPartitions(ctx, w.sides, w.run, src, came)
	if errors.Is(err, shadow.ErrShape) {
		return false, fmt.Errorf("%w: %w", ErrStopped, err)
	}
	if err != nil {
		return false, w.later(ctx, err)
	}
	for _, m := range gone {
		if slices.ContainsFunc(tree, func(now plans.Member) bool { return now.Name == m.Name }) {
			continue // another one has its place and its name
		}
		empty, err := shadow.DropPartition(ctx, w.sides, w.run, m)
		switch {
		case err != nil:
			return false, w.later(ctx, err)
		case empty || anew:
		case made: // a batch that found no place for others has one now
			return true, errLater
		default:
			return true, nil
		}
	}
	return false, nil
}

// noteArrivals records partitions before they are made in the shadow: one that goes again
// before it is a member is dropped there, too.
func (w *worker) noteArrivals(ctx context.Context, src *plans.Source, came []plans.Member) error {
	unnoted := missing(came, src.Detached)
	if len(unnoted) == 0 {
		return nil
	}
	src.Detached = append(src.Detached, unnoted...)
	return control.NotePlan(ctx, w.sides.Production, w.run)
}

// later is [errLater] after what may pass by itself: a lock that was not got, rows in a
// DEFAULT partition that replay has yet to take away.
func (w *worker) later(ctx context.Context, err error) error {
	if ctx.Err() != nil || pg.Unreachable(err) || errors.Is(err, control.ErrFencedOff) {
		return err
	}
	w.log.Warn("partitions came or went; trying again in a moment", "error", err)
	return errLater
}

// gone are the partitions that are in the schemas no longer. One that was
// detached and stays is a table that the shadow does not have: a change that
// stands against the cutover.
func (w *worker) gone(ctx context.Context, went []plans.Member) ([]plans.Member, error) {
	var all []plans.Member
	for _, m := range went {
		var there bool
		err := w.sides.Production.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
			WHERE c.oid = $1 AND n.nspname = $2)`, m.OID, m.Name.Schema).Scan(&there)
		if err != nil {
			return nil, fmt.Errorf("look for %s: %w", m.Name, err)
		}
		if !there {
			all = append(all, m)
		}
	}
	return all, nil
}

func namesOf(members []plans.Member) []string {
	var all []string
	for _, m := range members {
		all = append(all, m.Name.String())
	}
	return all
}
