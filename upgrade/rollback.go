package upgrade

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/upgrade/lease"
)

// NoWayBack says why a run cannot be rolled back, now or ever. The caller shows it.
type NoWayBack struct {
	Why  string
	Next string // what to do instead
}

func (n *NoWayBack) Error() string { return n.Why }

// Rollback goes back to the old side with what was written since the cutover:
// through the leader if one runs, else by itself, after bringing the old side up to
// date. Nil as well where that is done already. Returns [ErrNotNow] if it was not
// possible, [*NoWayBack], and [ErrWrongPhase] before a cutover or after finish.
//
// o.As says what is done about what a rollback would lose, and whether the new side
// is followed again afterwards.
func Rollback(ctx context.Context, file *planfile.File, o Options) error {
	o.Back = true
	return askOrLead(ctx, file, o, func() (bool, error) { return requestRollback(ctx, file, o) })
}

// requestRollback is requestCutover for the way back.
func requestRollback(ctx context.Context, file *planfile.File, o Options) (served bool, err error) {
	conn, err := connect(ctx, file, "rollback")
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	run, err := control.Find(ctx, conn, file.Name)
	if err != nil {
		return false, err
	}
	if isBack(run, run.Phase) {
		_, tidied, err := control.Rollback(ctx, conn, run)
		return tidied, err
	}
	if err := mayGoBack(run, o.As); err != nil {
		return false, err
	}
	for _, text := range human.Together(run.Plan.LostColumns()) {
		o.Log.Warn("a rollback loses this", "what", text)
	}
	for _, n := range run.Plan.Lost() {
		o.Log.Warn("a rollback loses this", "what", n.String()+": what was written to it since the cutover")
	}
	for _, text := range human.Together(run.Plan.LeftBehind()) {
		o.Log.Warn("the old side has no place for this", "what", text)
	}
	unfit, err := unfitRows(ctx, conn, run.Reversed(), shownUnfit)
	if err != nil {
		return false, err
	}
	for _, r := range unfit {
		o.Log.Warn("the old side cannot hold this row as it is", "row", r.String())
	}
	served, err = waitForLeader(ctx, conn, run, file, Options{As: o.As, Log: o.Log}, "rollback", func(p control.Phase) (bool, error) {
		switch {
		case p == control.Watching:
			return false, nil
		case p == control.RolledBack, o.As.Follow && !p.Over(): // its leader tidies up
			_, tidied, err := control.Rollback(ctx, conn, run)
			return tidied, err
		}
		return false, notIn(p, "there is nothing to go back from")
	})
	if ctx.Err() != nil {
		takeBack(ctx, file, run)
	}
	return served, err
}

// isBack: the run in this phase was rolled back, and not cut over since.
func isBack(run *control.Run, p control.Phase) bool {
	return p == control.RolledBack || run.Again && !p.Over() && !p.Swapped()
}

// ranInSwap says what did.
func ranInSwap(b *plans.Behind) string {
	if len(b.Files) == 0 {
		return "statements of the migrations ran at the swap"
	}
	return fmt.Sprintf("migrations from version %d on ran behind the fence", b.From)
}

// mayGoBack is nil where a run can be rolled back as far as its record says.
func mayGoBack(run *control.Run, as control.RollbackAs) error {
	switch {
	case run.Phase == control.Finished:
		return notIn(run.Phase, "finish has ended the watch, and the way back with it")
	case run.Phase != control.Watching:
		return notIn(run.Phase, "rollback is for after the cutover; before it, abort undoes a run")
	case run.Plan.Behind != nil && as.Follow:
		return &NoWayBack{Why: ranInSwap(run.Plan.Behind) + ": what they made of the new tables cannot be followed from the old ones",
			Next: "pgumbra rollback without --follow goes back, and ends the run; another pgumbra run copies again"}
	case run.Plan.Behind != nil && !run.Plan.Behind.Back:
		return &NoWayBack{Why: ranInSwap(run.Plan.Behind) + " and made the new tables: how their rows go back to the old ones is not known",
			Next: "pgumbra finish ends the watch; the old schemas hold the data as they were at the cutover"}
	case !run.GoesBack():
		return &NoWayBack{Why: "the cutover was made without preparing a way back (watch.enabled is false, or an older pgumbra made it)",
			Next: "pgumbra finish ends the watch; the old schemas hold the data as they were at the cutover"}
	}
	lost := run.Plan.Lost()
	if as.AcceptLoss || len(lost) == 0 {
		return nil
	}
	var names []string
	for _, n := range lost {
		names = append(names, n.String())
	}
	return &NoWayBack{Why: "rows of " + strings.Join(names, ", ") + " do not come back: the new tables do not tell what the old rows were, so that what was written since the cutover would be lost",
		Next: "pgumbra rollback --accept-loss leaves behind what was written to them; the rest comes back"}
}

// swapped reports whether the run's cutover is done.
func swapped(ctx context.Context, file *planfile.File) bool {
	conn, err := connect(ctx, file, "leader")
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	run, err := control.Look(ctx, conn, file.Name)
	return err == nil && run.Phase.Swapped()
}

// endPatience is how long the command is given that ends a watch.
const endPatience = time.Minute

// dropped reports whether an error may come of something of ours being dropped: a
// table, schema, function or type that is not there, or was when the statement began.
func dropped(err error) bool {
	state := pg.State(err)
	return pgerrcode.IsSyntaxErrororAccessRuleViolation(state) || pgerrcode.IsInvalidSchemaName(state) || pgerrcode.IsInternalError(state)
}

// endedByCommand is nil where another process took the lead of a watch to end it: by
// finish, which may be dropping the record just now, or by a rollback. [*lease.ErrLed] at
// once where the new side is followed again since, by whoever leads. Otherwise cause.
func endedByCommand(ctx context.Context, file *planfile.File, id int64, cause error) error {
	deadline := time.Now().Add(endPatience)
	for time.Now().Before(deadline) {
		conn, err := connect(ctx, file, "leader")
		if err != nil {
			return cause
		}
		run, err := control.Find(ctx, conn, file.Name)
		var again error
		if err == nil {
			again = followsAgain(ctx, conn, run)
		}
		_ = conn.Close(ctx)
		if again != nil {
			return again
		}
		if errors.Is(err, control.ErrNoRun) || err == nil && (run.ID != id || run.Phase == control.Finished || run.Phase == control.RolledBack) {
			return nil
		}
		if pg.Unreachable(err) { // another error is that of a record which is being dropped
			return cause
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return cause
}

// followsAgain says who leads a run whose new side is followed again after a rollback;
// nil: it is not, or looking for it came to nothing.
func followsAgain(ctx context.Context, conn *pgx.Conn, run *control.Run) error {
	if run.Phase.Over() || !isBack(run, run.Phase) {
		return nil
	}
	leader, err := control.LastLeader(ctx, conn, run.Name, lease.LiveFor)
	if err != nil {
		return nil //nolint:nilerr // it is asked once more
	}
	return &lease.ErrLed{Host: leader.Host, PID: leader.PID}
}

// tidyRolledBack completes a rollback of this name whose process died after its
// commit: whoever leads next does so first.
func tidyRolledBack(ctx context.Context, l *lease.Lease, file *planfile.File, o Options) error {
	run, err := control.Find(ctx, l.Conn, file.Name)
	if err != nil || run.Phase != control.RolledBack {
		return unlessNoRun(err)
	}
	_, tidied, err := control.Rollback(ctx, l.Conn, run)
	if err != nil || tidied {
		return err
	}
	return withWorker(ctx, l, run, file, o, once, (*worker).tidyUp)
}

func unlessNoRun(err error) error {
	if errors.Is(err, control.ErrNoRun) {
		return nil
	}
	return err
}

// dropAbandoned drops the new side of a run that was rolled back, for a run of the
// same name that begins anew.
func dropAbandoned(ctx context.Context, l *lease.Lease, run *control.Run, file *planfile.File, o Options) error {
	return withWorker(ctx, l, run, file, o, once, func(w *worker, ctx context.Context) error {
		w.log.Info("dropping the new side of the run that was rolled back")
		return w.endRolledBack(ctx, cutover.DropOld)
	})
}

// errNewSideAway says that the new side of a run that was rolled back is to be dropped,
// and cannot be reached.
var errNewSideAway = errors.New("the new side, which is to be dropped, cannot be reached")

// endRolledBack leaves nothing of the run on the new side's own server but what is to
// stay there.
func (w *worker) endRolledBack(ctx context.Context, side cutover.OldSide) error {
	if w.sides.Shadow == nil {
		if side == cutover.DropOld {
			return errNewSideAway
		}
		return nil
	}
	if side == cutover.DropOld {
		if err := w.reversed().newCutover().DropAbandoned(ctx); err != nil {
			return err
		}
	}
	return w.forgetOnShadow(ctx)
}

// finishRolledBack ends what is left of a run that was rolled back: the new side is
// dropped when told.
func finishRolledBack(ctx context.Context, l *lease.Lease, run *control.Run, file *planfile.File, side cutover.OldSide, log *slog.Logger) error {
	o := Options{Log: log}
	if err := tidyRolledBack(ctx, l, file, o); err != nil {
		return err
	}
	return withWorker(ctx, l, run, file, o, once, func(w *worker, ctx context.Context) error { return w.endRolledBack(ctx, side) })
}
