package upgrade

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/conditions"
	"github.com/pgumbra/pgumbra/replay"
)

// askConditions asks what a swap rests on, on production's side.
func askConditions(ctx context.Context, db pg.Beginner, run *control.Run, moment conditions.Moment) ([]conditions.Found, error) {
	return askSide(ctx, db, run.Plan.SwapsOn(), moment, run.Plan.Rests())
}

func askSide(ctx context.Context, db pg.Beginner, side conditions.Side, moment conditions.Moment, scope conditions.Scope) (found []conditions.Found, err error) {
	err = pg.ReadCommitted(ctx, db, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL search_path = pg_catalog"); err != nil {
			return err
		}
		found, err = conditions.Ask(ctx, tx, side, moment, scope)
		return err
	})
	return found, err
}

// lookAround asks the list of conditions while following, tells what has changed
// in the answer, and takes care that no table counts as proved that somebody writes
// past capture. The cutover asks again by itself.
func (w *worker) lookAround(ctx context.Context) error {
	found, err := w.askAround(ctx)
	if err != nil {
		return err
	}
	return w.pastCapture(ctx, found)
}

func (w *worker) askAround(ctx context.Context) ([]conditions.Found, error) {
	found, err := askConditions(ctx, w.sides.Production, w.run, conditions.Following)
	if err != nil {
		return nil, err
	}
	var told []string
	for _, f := range found {
		told = append(told, fmt.Sprintf("%s %s: %s", f.Condition.Code, f.Object, f.Message))
	}
	if !slices.Equal(told, w.against) && len(told) > 0 {
		w.log.Warn("this stands against a "+w.run.Plan.Swapping(), "found", told) //nolint:sloglint // one of two
	}
	w.against = told
	return found, nil
}

// lookAroundBack is lookAround while the old side is kept current. What a subscription
// wrote to the new tables is in no journal here either: its tables are compared whole
// once it is gone, and what the old side lacks stands against the rollback by that.
func (w *worker) lookAroundBack(ctx context.Context) error {
	found, err := w.askAround(ctx)
	if err != nil {
		return err
	}
	fed := w.fed(found)
	for n := range fed {
		w.leaveOut(n, time.Now().Add(2*inspectEvery))
	}
	return w.doubtFed(ctx, fed, false)
}

// pastCapture: the apply workers of a subscription fire no statement triggers, so
// what a subscription wrote since it was made is in no journal. While it is there
// no proof of the tables that it feeds counts; once it is gone they are copied
// again.
func (w *worker) pastCapture(ctx context.Context, found []conditions.Found) error {
	if err := w.doubtFed(ctx, w.fed(found), true); err != nil {
		return err
	}
	w.prover.LeaveOut(w.unproved)
	return w.recopyDoubted(ctx)
}

// enough ends a run that was to go as far as following: unless a table cannot be
// proved for now.
func (w *worker) enough() error {
	if len(w.unproved) > 0 {
		return nil
	}
	return errStop
}

// fed are the tables, by number, that a subscription feeds past capture, and what of
// production it writes to.
func (w *worker) fed(found []conditions.Found) map[int]string {
	all := map[int]string{}
	for _, f := range found {
		if f.Condition.Code != "subscription" {
			continue
		}
		for _, n := range w.fedBy(f.About) {
			all[n] = f.Object
		}
	}
	return all
}

// doubtFed takes back the proofs of what [worker.fed] found, which is to be copied again
// where the run follows.
func (w *worker) doubtFed(ctx context.Context, fed map[int]string, recopy bool) error {
	w.unproved = map[int]bool{}
	for n, object := range fed {
		w.unproved[n] = true
		d := control.Doubt{N: n, Why: "a subscription wrote to " + object + ", past capture", Recopy: recopy}
		if err := control.ClearProof(ctx, w.sides, w.run, d); err != nil {
			return err
		}
	}
	return nil
}

// fedBy are the numbers of the tables that a production table, of some oid, feeds.
func (w *worker) fedBy(oid string) (numbers []int) {
	for i := range w.run.Plan.Sources {
		src := &w.run.Plan.Sources[i]
		is := slices.ContainsFunc(src.Members, func(m plans.Member) bool { return strconv.FormatUint(uint64(m.OID), 10) == oid })
		for j := range w.run.Plan.Tables {
			if t := &w.run.Plan.Tables[j]; is && t.ReadsFrom(src.N) && !slices.Contains(numbers, t.N) {
				numbers = append(numbers, t.N)
			}
		}
	}
	return numbers
}

func (w *worker) recopyDoubted(ctx context.Context) error {
	doubts, err := control.Doubts(ctx, w.sides.Production, w.run)
	if err != nil {
		return err
	}
	again := false
	for i := range w.run.Plan.Tables {
		t := &w.run.Plan.Tables[i]
		if d, doubted := doubts[t.N]; doubted && d.Recopy && !w.unproved[t.N] {
			if err := w.recopy(ctx, t, d.Why); err != nil {
				return err
			}
			if err := control.Recopied(ctx, w.sides.Production, w.run, t.N); err != nil {
				return err
			}
			again = true
		}
	}
	if !again {
		return nil
	}
	return w.bringInStep(ctx)
}

// readConditions adds what stands against a cutover now, by the list that the
// cutover itself asks.
func (s *Status) readConditions(ctx context.Context, tx pgx.Tx, run *control.Run) error {
	if _, err := tx.Exec(ctx, "SET LOCAL search_path = pg_catalog"); err != nil {
		return err
	}
	found, err := conditions.Ask(ctx, tx, run.Plan.SwapsOn(), conditions.Following, run.Plan.Rests())
	if err != nil {
		return err
	}
	for _, f := range found {
		s.Blockers = append(s.Blockers, f.Object+": "+f.Message)
	}
	return nil
}

// readConditionsBack adds what stands against a rollback now, to another server, by the
// list that the rollback itself asks: of the new side, to which conn leads.
func (s *Status) readConditionsBack(ctx context.Context, conn *pgx.Conn, back *control.Run) (err error) {
	if back.Plan.Belongings, err = cutover.BelongingsAtSwap(ctx, conn, back); err != nil {
		return err
	}
	found, err := askConditions(ctx, conn, back, conditions.Following)
	for _, f := range found {
		s.WayBack.Against = append(s.WayBack.Against, f.Object+": "+f.Message+" ("+f.Fix+")")
	}
	return err
}

// readDoubts reads why tables are not verified any more, by their shadow's name.
func readDoubts(ctx context.Context, tx pgx.Tx, run *control.Run) (map[string]string, error) {
	why := map[string]string{}
	doubts, err := control.Doubts(ctx, tx, run)
	for n, d := range doubts {
		why[run.Plan.Tables[n].Shadow.String()] = ": " + d.Why
	}
	return why, err
}

// foundDifferent begins the note of a table that differs.
const foundDifferent = "verification found a difference"

// differs takes the proof of a table back, until another one succeeds.
func differs(ctx context.Context, sides control.Sides, run *control.Run, t *plans.Table, verdict replay.Verdict) error {
	why := foundDifferent
	if len(verdict.Differences) > 0 {
		why += ", of the row with " + verdict.Differences[0].Key
	}
	return control.ClearProof(ctx, sides, run, control.Doubt{N: t.N, Why: why})
}
