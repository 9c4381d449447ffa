package upgrade

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/planfile"
)

// ErrInGroup says that a run is one of a group's, and that the plan file is not the
// group's; or the other way round. Nothing was changed. The caller names the plan file.
var ErrInGroup = errors.New("the run is one of a group of databases")

// Companions are the other members of the group that a run is in, as it meets them. A
// member's run is led as any other, and asks them where one must not go on alone.
type Companions interface {
	Suspension
	// Group is what this member's run records.
	Group() *control.Group
	// Begin returns once each member has a run, or a plan by which one can begin.
	Begin(ctx context.Context) error
	// Reached says that this member is as far as it was to come, and whether all are.
	Reached() bool
	// Decided reports whether the group has swapped that way without this member, by
	// what is recorded of the one that decides.
	Decided(ctx context.Context, way plans.Direction) (Decision, error)
	// Assemble returns once all members would attempt a swap that way now; nil: some
	// would not, for a while.
	Assemble(ctx context.Context, way plans.Direction) cutover.Companions
}

// Decision of a group that a member has still to follow.
type Decision struct {
	Made bool
	// Follow, of a rollback: the new side is followed again.
	Follow bool
}

// Belongs is nil where a run may be led by who has that plan file: with its group, or
// without one where it is in none. [ErrInGroup].
func Belongs(run *control.Run, file *planfile.File) error {
	switch g := run.Group; {
	case g == nil && file.Member == "":
		return nil
	case g == nil:
		return fmt.Errorf("%w, which it is not: run %s of database %s was begun by itself; finish or abort it with a plan file of its own", ErrInGroup, run.Name, file.Member)
	case g.Member != file.Member || !slices.Equal(g.Members, file.Group):
		return fmt.Errorf("%w: run %s is that of %s in the group %s; use the plan file that lists these databases, in that order", ErrInGroup, run.Name, g.Member, strings.Join(g.Members, ", "))
	}
	return nil
}

// begin waits until the whole group can begin or go on.
func begin(ctx context.Context, o Options) error {
	if o.With == nil {
		return nil
	}
	return o.With.Begin(ctx)
}

// groupOf is what is recorded of the group; nil: the run is in none.
func groupOf(o Options) *control.Group {
	if o.With == nil {
		return nil
	}
	return o.With.Group()
}

// way is which way this worker's rows go, and a swap of its would lead.
func (w *worker) way() plans.Direction {
	if w.run.Plan.Backwards() {
		return plans.Back
	}
	return plans.Forward
}

// lookAtGroup finds out whether the group has swapped and this member has not: then it does
// so at once and by itself, since clients use the others already. Not known where the
// member that decides cannot be asked: then nothing is tried.
func (w *worker) lookAtGroup(ctx context.Context) (known bool, err error) {
	if w.with == nil {
		return true, nil
	}
	decision, err := w.with.Decided(ctx, w.way())
	if err != nil {
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		w.log.Debug("where the group stands is not known", "error", err)
		return false, nil
	}
	before := w.closing
	w.closing = decision.Made
	if !w.closing || before {
		return true, nil
	}
	w.log.Warn("the group is divided: its other databases are swapped, and this one follows them now")
	if w.way() == plans.Back {
		w.as.Follow = decision.Follow
	}
	w.swapping = w.newSwapping()
	return true, nil
}

// groupWentBack reports whether the group has gone back without this member, which
// watches: its watch is not to end before it has followed.
func (w *worker) groupWentBack(ctx context.Context) bool {
	if w.with == nil {
		return false
	}
	decision, err := w.with.Decided(ctx, plans.Back)
	return err == nil && decision.Made
}

// assemble waits a moment for the other members to be ready. alone: nobody is to be
// waited for. Neither: not now.
func (w *worker) assemble(ctx context.Context) (with cutover.Companions, alone bool) {
	if w.with == nil || w.closing {
		return nil, true
	}
	return w.with.Assemble(ctx, w.way()), false
}

// attemptWith makes an attempt with the others, which learn of it where it comes to nothing.
func (w *worker) attemptWith(ctx context.Context, with cutover.Companions) (cutover.Outcome, error) {
	w.swapping.cutover.With = with
	defer func() { w.swapping.cutover.With = nil }()
	if err := control.KeepOutcomes(ctx, w.sides.Record(), w.run); err != nil {
		leave(with, "no attempt was made")
		return cutover.Outcome{}, err
	}
	outcome, err := w.attempt(ctx)
	w.swapping.taken = outcome.Taken
	if !outcome.Swapped {
		leave(with, "no attempt was made")
	}
	return outcome, err
}

// attempt makes one at the swap, which may turn the flow around.
func (w *worker) attempt(ctx context.Context) (cutover.Outcome, error) {
	w.mirrors.Lock()
	defer w.mirrors.Unlock()
	return w.swapping.cutover.Attempt(ctx)
}

// leave tells the others that no attempt is made.
func leave(with cutover.Companions, why string) {
	if with != nil {
		with.Left(why)
	}
}

// reached reports whether the run, as far as it was to come, may end there: with all
// others of its group.
func (w *worker) reached() bool { return w.with == nil || w.with.Reached() }

// Look reads the newest run of a plan file's name, without its plan. To another
// database the shadow's COMMIT decides: a swap that is committed there counts although
// production's record lacks it yet, or is gone for good. Each server has so much time to
// answer: one that swallows all takes none of the other one's.
func Look(ctx context.Context, file *planfile.File, within time.Duration) (*control.Run, error) {
	run, err := lookAt(ctx, file.Production.DSN, within, control.Look, file)
	if err != nil {
		err = fmt.Errorf("production: %w", err)
	}
	if file.Shadow.DSN == "" || !gone(err) && (err != nil || run.Phase != control.Cutover) {
		return run, err
	}
	there, thereErr := lookAt(ctx, file.Shadow.DSN, within, control.FindAdopted, file)
	if thereErr == nil && there.Phase.Swapped() && (run == nil || there.ID == run.ID) {
		return there, nil
	}
	return run, err
}

func lookAt(ctx context.Context, dsn string, within time.Duration, look func(context.Context, pg.Querier, string) (*control.Run, error),
	file *planfile.File) (*control.Run, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	conn, err := pg.Connect(ctx, dsn, lookOptions())
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	return look(ctx, conn, file.Name)
}
