package upgrade

import (
	"context"
	"log/slog"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/cutover/traffic"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/replay"
	"github.com/pgumbra/pgumbra/upgrade/lease"
)

// CheckCutover asks what [cutover.Cutover.Check] asks before an attempt, with structure
// and trial, and names what stands against one now. It leads nothing, beside a
// leader or without one, takes no lock but a reader's, and changes nothing. Nil: an
// attempt would be made, unless what only a leader does stands against it: to prove the
// rest, to look for rows that a new foreign key would refuse, to ask hooks.before_cutover.
// Whether the locks are got in time only the attempt shows. [ErrWrongPhase] before
// following and after the swap.
func CheckCutover(ctx context.Context, file *planfile.File, log *slog.Logger) ([]cutover.Blocker, error) {
	conn, err := connect(ctx, file, "cutover")
	if err != nil {
		return nil, err
	}
	run, err := control.Find(ctx, conn, file.Name)
	if err == nil && run.Phase != control.Following && run.Phase != control.Cutover {
		err = notIn(run.Phase, "cutover --check is for a run that follows")
	}
	var leads pg.Backends
	if err == nil {
		leads, err = control.LeaderSessions(ctx, conn, run)
	}
	var standing control.Standing
	if err == nil {
		standing, err = control.ReadStanding(ctx, conn, run, lease.LiveFor)
	}
	if err == nil {
		_, err = tellChanged(ctx, conn, run, file, log)
	}
	_ = conn.Close(ctx)
	if err != nil {
		return nil, err
	}
	run.Plan.Settings = run.Plan.Settings.Renewed(file.Settings)
	sides, err := onlooker(ctx, file, run)
	if err != nil {
		return nil, err
	}
	defer sides.Close()
	w := &worker{file: file, run: run, sides: sides, log: log, lead: &lease.Lease{}, replayer: &replay.Replayer{Sides: sides, Run: run, Log: log}}
	if w.traffic, err = traffic.Open(file, log); err != nil {
		return nil, err
	}
	against, err := w.check(ctx, leads)
	if err == nil && !standing.Alive {
		withoutLeader(against)
	}
	return against, err
}

// withoutLeader says of what goes away by itself while the run is led who is to lead it: to
// wait is of no use. What is not replayed a cutover without a leader replays first.
func withoutLeader(against []cutover.Blocker) {
	for i := range against {
		switch b := &against[i]; b.Code {
		case "lag":
			b.Message += "; no process leads the run"
			b.Fix = "pgumbra run replays them; pgumbra cutover does, too, before it tries"
		case "not-following", "not-verified":
			b.Fix = "pgumbra run: no process leads the run"
		}
	}
}

// check asks in the order in which cutOver does.
func (w *worker) check(ctx context.Context, leads pg.Backends) (against []cutover.Blocker, err error) {
	if w.structure.signature, err = w.schemasSignature(ctx, w.sides.Production); err != nil {
		return nil, err
	}
	c := w.newCutover()
	c.Own = func() pg.Backends { return leads }
	var compared bool
	if w.structure.changes, compared, err = w.drift(ctx); err != nil {
		return nil, err
	}
	if !compared { // whoever holds the lock would keep us waiting for as long
		if against, err = c.InTheWay(ctx); err != nil || len(against) > 0 {
			return against, err
		}
	}
	if against, err = c.Check(ctx); err != nil {
		return nil, err
	}
	if w.trials.last, err = readTrial(ctx, w.sides.Production, w.run); err != nil {
		return nil, err
	}
	return append(against, w.againstTrial()...), nil
}
