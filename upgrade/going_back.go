package upgrade

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgerrcode"

	"github.com/pgumbra/pgumbra/capture"
	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/replay"
)

// goBack makes one attempt at the rollback, as cutOver does at the cutover, if the
// pause after the last one is over.
func (w *worker) goBack(ctx context.Context) (bool, error) {
	if w.swapping.cutover == nil {
		w.swapping = w.newSwapping()
	}
	if time.Now().Before(w.swapping.next) {
		return false, nil
	}
	if err := w.tryRefused(ctx); err != nil {
		return false, err
	}
	proved, err := w.verified(ctx)
	if err != nil || !proved && len(w.watching.differ)+len(w.watching.refused) == 0 {
		return false, err // soon
	}
	defer w.pauseProver()()
	unfreeze, err := w.freezeStructure(ctx)
	if err != nil {
		return false, err
	}
	defer unfreeze()
	against, err := w.againstGoingBack(ctx)
	if err != nil {
		return false, err
	}
	if len(against) > 0 {
		w.endIfLasting(against)
		return false, w.notNow(ctx, against, w.swapping.look)
	}
	w.nameRoles(ctx)
	with, alone := w.assemble(ctx)
	if with == nil && !alone {
		return false, ctx.Err()
	}
	outcome, err := w.attemptWith(ctx, with)
	if err != nil || outcome.Swapped {
		return outcome.Swapped, err
	}
	w.endIfLasting(outcome.Blockers)
	w.endIfChanging(outcome.Blockers)
	return false, w.notNow(ctx, outcome.Blockers, w.swapping.pause)
}

// freezeStructure refuses changes of the new tables' structure while a rollback is
// prepared and done; of rows it refuses none. A process that dies leaves it to whoever
// leads next.
func (w *worker) freezeStructure(ctx context.Context) (unfreeze func(), err error) {
	if err := capture.FreezeNewSide(ctx, w.sides.Production, w.run); err != nil {
		return nil, err
	}
	return func() {
		if w.run.Phase != control.Watching { // it goes with the rest
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unfreezePatience)
		defer cancel()
		if err := capture.UnfreezeNewSide(ctx, w.sides.Production, w.run); err != nil {
			w.log.Warn("the structure of the new tables is still frozen; the next leader ends that", "error", err)
		}
	}, nil
}

const unfreezePatience = 5 * time.Second

// againstGoingBack is what stands against a rollback now. What the old side refuses
// would be lost, and is not: somebody mends it first. What of it is recorded status tells
// in the same words: see [Status.readAgainstBack].
func (w *worker) againstGoingBack(ctx context.Context) ([]cutover.Blocker, error) {
	against, err := w.againstRows(ctx)
	if err != nil {
		return nil, err
	}
	if against = append(against, w.againstDiffering()...); len(against) > 0 {
		return against, nil
	}
	if against, err = w.againstUnnoted(ctx); err != nil || len(against) > 0 {
		return against, err
	}
	if against, err = w.proveRest(ctx); errors.Is(err, replay.ErrConflict) {
		return []cutover.Blocker{refusedBy(err)}, nil
	}
	if err != nil {
		return nil, err
	}
	found, err := w.swapping.cutover.Check(ctx)
	if err != nil || len(against)+len(found) > 0 {
		return append(against, found...), err
	}
	return nil, w.swapping.cutover.FreshenViews(ctx)
}

// againstDiffering are the tables of which this process has found that the old rows are
// not what the new ones make of them, unless that is accepted.
func (w *worker) againstDiffering() (against []cutover.Blocker) {
	behind := w.forward != nil && w.forward.Plan.Behind != nil
	w.run.Accepted = map[int]bool{}
	for n := range w.watching.differ {
		if w.run.Accepted[n] = behind && w.as.AcceptLoss; !w.run.Accepted[n] {
			against = append(against, differing(w.run, n, behind))
		}
	}
	return against
}

// differing is a table of a reversed run that differs. Where migrations ran behind the
// fence these may have made it so, and the old rows are those of before: they may be what
// somebody wants to go back to.
func differing(back *control.Run, n int, behind bool) cutover.Blocker {
	b := cutover.Blocker{Code: "differs", Lasting: true, Message: "the old " + back.Plan.Tables[n].Final.String() + " differs from what the new one makes of it",
		Fix: "see what pgumbra verify shows of it; if the old side may have what the new one makes of these rows, touch them (UPDATE ... SET a column = itself), then stop pgumbra run and start it again to compare it anew"}
	if behind {
		b.Message += ": migrations behind the fence wrote rows of it, which keep the values of before in the old table unless a client changed them since"
		b.Fix += "; pgumbra rollback --accept-loss goes back to the values of before"
		b.AcceptLoss = true
	}
	return b
}

func (w *worker) againstRows(ctx context.Context) ([]cutover.Blocker, error) {
	rows, err := refusedRows(ctx, w.sides.Record(), w.run, 1)
	return againstRows(rows, w.as), err
}

// againstRows are the tables with rows that the old side refuses and, unless they are to
// be left behind, all rows that it cannot hold: one of each table stands for them.
func againstRows(rows []RefusedRow, as control.RollbackAs) (against []cutover.Blocker) {
	var unfit []string
	told := map[string]bool{}
	for _, r := range rows {
		switch {
		case r.Flow == flowWaits:
			against = append(against, refusing(r.Why, r.old))
		case !as.AcceptLoss && !told[r.Table]:
			told[r.Table] = true
			unfit = append(unfit, r.String())
		}
	}
	if len(unfit) > 0 {
		against = append(against, cutover.Blocker{Code: "row-unfit", Lasting: true, AcceptLoss: true, Message: "the old side cannot hold rows as they are: " + strings.Join(unfit, "; "),
			Fix: "change or delete such rows where they are now; pgumbra rollback --accept-loss leaves behind what does not fit"})
	}
	return against
}

// refusedBy is [refusing] of a batch, or a proof, that met the row just now.
func refusedBy(err error) cutover.Blocker {
	var old pg.Name
	var conflict *replay.Conflict
	if errors.As(err, &conflict) {
		old = conflict.Table
	}
	return refusing(err.Error(), old)
}

// refusing: what stands against a rollback while a table of the old side refuses a row.
// Where a column that only the old side has draws from a sequence which the cutover closed, the
// row may as well get its number from there, if somebody opens it.
func refusing(why string, old pg.Name) cutover.Blocker {
	if strings.Contains(why, "SQLSTATE "+pgerrcode.SequenceGeneratorLimitExceeded) {
		return cutover.Blocker{Code: "row-refused", Message: "the old side cannot number a row: " + why, Lasting: true,
			Fix: "let that sequence of the old schema go on at a number from which on all are free: " + openSequence(why, old) + "; or change or delete that row where it is now; then pgumbra rollback again"}
	}
	return cutover.Blocker{Code: "row-refused", Message: "the old side refuses a row: " + why, Lasting: true,
		Fix: "change or delete that row where it is now; then pgumbra rollback again"}
}

// spent is how the server says, in English, that a sequence is at its end.
var spent = regexp.MustCompile(`reached (m..imum) value of sequence "(.+?)" \(`)

// openSequence is the statement that lets a sequence which the swap closed go on. The server names
// it without a schema: closed ones are in those of the tables.
func openSequence(why string, old pg.Name) string {
	name, bound := "...", "MAXVALUE"
	if said := spent.FindStringSubmatch(why); said != nil {
		if !old.IsZero() {
			name = pg.Name{Schema: old.Schema, Name: said[2]}.Quoted()
		}
		if said[1] == "minimum" {
			bound = "MINVALUE"
		}
	}
	return "ALTER SEQUENCE " + name + " NO " + bound + " RESTART WITH ..."
}

// newRollback is the cutover of the reversed run, as somebody wants it now: whether the new
// side is followed again is set on the run with it, for the attempt notes it.
func (w *worker) newRollback() *cutover.Cutover {
	w.run.ToFollow = w.forward != nil && w.as.Follow
	if w.run.Plan.Belongings = w.watching.belongings; w.as.AcceptLoss {
		w.run.Plan.Belongings = nil // nothing is compared
	}
	c := &cutover.Cutover{Sides: w.sides, DSN: w.file.Production.DSN, Upgrade: w.run, Log: w.log, Own: w.backends,
		Parts: backParts{bothWays: bothWays{w}, again: w.run.ToFollow}}
	if w.sides.Remote() {
		c.DSN, c.ShadowDSN = w.file.Shadow.DSN, w.file.Production.DSN
	}
	if w.run.ToFollow {
		c.Again = w.forward
	}
	w.leads(c)
	return c
}

// drainBack ends the attempt, and not the watch, where the old side refuses a row.
func (w *worker) drainBack(ctx context.Context) (int64, error) {
	changes, err := w.drain(ctx)
	if errors.Is(err, replay.ErrConflict) {
		return changes, cutover.NotNow(refusedBy(err))
	}
	if err != nil {
		return changes, err
	}
	against, err := w.againstRows(ctx) // the last ones may have come with the drain
	if err == nil && len(against) == 0 {
		var violated []string
		violated, err = w.newForeignKeys(ctx)
		against = cutover.KeysViolated(violated)
	}
	if err == nil && len(against) > 0 {
		err = cutover.NotNow(against...)
	}
	return changes, err
}
