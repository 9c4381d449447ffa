package upgrade

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/cutover/traffic"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/shadow"
	"github.com/pgumbra/pgumbra/upgrade/lease"
)

// What is done here goes by the shadow's server alone: production's was destroyed,
// or cannot be reached, or holds no record of the run any more. The control schema
// in the shadow's database knows the run, its plan and whether the swap is
// committed, which is decided there in any case.

// ErrProductionAway says that only the shadow's side of a run could be undone. The
// caller repeats the command should production come back.
var ErrProductionAway = errors.New("production cannot be reached, and was not freed")

// gone reports whether an error says that there is no production to be had: no
// server answers, or it has no such database. A server that answers and refuses is
// there.
func gone(err error) bool {
	if state := pg.State(err); state != "" {
		return state == pgerrcode.InvalidCatalogName
	}
	var connect *pgconn.ConnectError
	return pg.Unreachable(err) && errors.As(err, &connect)
}

// survivor leads a run in the database of its shadow.
type survivor struct {
	*worker
	conn *pgx.Conn
}

// survive takes the lead in the shadow's database and calls f, if the shadow's
// record of the run is of a phase that f is for. Returns [control.ErrNoRun] where
// nothing is known there. Sessions of a leader that lives and reaches the shadow
// are ended, and whatever it had under way there fails its epoch's check.
func survive(ctx context.Context, file *planfile.File, log *slog.Logger, fits func(control.Phase) error, f func(*survivor, context.Context) error) error {
	if file.Shadow.DSN == "" {
		return control.ErrNoRun
	}
	l, err := lease.TakeIn(ctx, "the shadow", file.Shadow.DSN, file.Name)
	if err != nil {
		return err
	}
	defer l.Release(ctx)
	if _, err := control.FindAdopted(ctx, l.Conn, file.Name); err != nil {
		return err
	}
	if err := control.Migrate(ctx, file.Shadow.DSN); err != nil {
		return err
	}
	run, err := control.FindAdopted(ctx, l.Conn, file.Name)
	if err != nil {
		return err
	}
	if err := fits(run.Phase); err != nil {
		return err
	}
	if err := control.EndLeaderSessions(ctx, l.Conn, run); err != nil {
		return err
	}
	if err := l.FenceOff(ctx, run); err != nil { // waits for a swap that is being committed, and reads the phase
		return err
	}
	if err := fits(run.Phase); err != nil {
		return err
	}
	if err := control.Claim(ctx, l.Conn, run); err != nil {
		return err
	}
	run.Plan.Remote = false // all that there is, is here
	here := *file
	here.Production.DSN, here.Shadow.DSN = file.Shadow.DSN, ""
	w := &worker{lead: l, file: &here, run: run, log: log}
	if w.traffic, err = traffic.Open(file, log); err != nil {
		return err
	}
	pool, err := l.Pool(ctx, file.Shadow.DSN, 4, w.options())
	if err != nil {
		return err
	}
	defer pool.Close()
	w.sides = control.Local(pool)
	return whileBeating(ctx, l, run, func(ctx context.Context) error { return f(&survivor{w, l.Conn}, ctx) })
}

// finishAlone ends the watch of a run whose production is gone: what is production
// now is freed of everything that served the way back. What may be left on the old
// server, should it come back, is named.
func finishAlone(ctx context.Context, file *planfile.File, leftovers Leftovers, log *slog.Logger, cause error) error {
	fits := func(p control.Phase) error {
		if !p.Swapped() {
			return notIn(p, "finish is for after the cutover")
		}
		return nil
	}
	err := survive(ctx, file, log, fits, func(s *survivor, ctx context.Context) error {
		log.Warn("the old server is left out: it cannot be reached, or knows nothing of the run. Should it come back, its tables refuse writes, and pgumbra finish removes what is left there",
			"error", pg.Redact(cause.Error()))
		if s.run.GoesBack() {
			if err := s.reversed().newCutover().ResolveAlone(ctx); err != nil {
				return err
			}
		}
		s.leadClients(ctx, traffic.Shadow)
		if err := shadow.PostSwap(ctx, s.sides, s.run); err != nil {
			return fmt.Errorf("validate foreign keys: %w", err)
		}
		if err := s.newCutover().Finish(ctx, cutover.KeepOld); err != nil {
			return err
		}
		if leftovers == Purge {
			if err := control.Purge(ctx, s.conn, s.run); err != nil {
				return err
			}
		}
		return s.traffic.Finish()
	})
	if errors.Is(err, control.ErrNoRun) {
		return cause // nobody knows more
	}
	return err
}

// abortAlone removes from the shadow's server what a run has there whose
// production is gone before the cutover. It says by [ErrProductionAway] that
// production was not freed.
func abortAlone(ctx context.Context, file *planfile.File, log *slog.Logger, cause error) error {
	fits := func(p control.Phase) error {
		if p.Swapped() {
			return notIn(p, "abort is for before the cutover")
		}
		return nil
	}
	err := survive(ctx, file, log, fits, func(s *survivor, ctx context.Context) error {
		if len(s.run.Plan.Schemas) == 0 {
			return fmt.Errorf("%w: %w; an older pgumbra made what is on the shadow's server, and its plan is not recorded there: drop its schemas by hand", ErrProductionAway, cause)
		}
		s.leadClients(ctx, traffic.Production)
		if err := s.removeCapture(ctx); err != nil {
			return err
		}
		if err := shadow.Drop(ctx, s.sides, s.run); err != nil {
			return err
		}
		if err := s.newCutover().Forget(ctx); err != nil {
			return err
		}
		if err := control.Purge(ctx, s.conn, s.run); err != nil {
			return err
		}
		return fmt.Errorf("%w: %w; what the run had on the shadow's server is removed. Should production come back, its journals grow up to their limit until then", ErrProductionAway, cause)
	})
	if errors.Is(err, control.ErrNoRun) || pg.Unreachable(err) && !errors.Is(err, ErrProductionAway) {
		return cause
	}
	return err
}

// leadClients lets clients go on that a process left waiting in the middle of a
// cutover. An entry that somebody changed since is not touched.
func (s *survivor) leadClients(ctx context.Context, to traffic.Place) {
	side, err := s.traffic.Side(ctx)
	if err == nil && side.Leads != traffic.Unknown && (side.Paused || side.Leads != to && (side.Leads == traffic.Production || side.Leads == traffic.Shadow)) {
		err = s.traffic.Settle(ctx, to, s.run.Plan.Settings.Cutover.MaxStall)
	}
	if err != nil {
		s.log.Warn("where PgBouncer leads clients is not known", "error", err) // that hampers nothing on the server
	}
}

// readAlone is [ReadStatus] where production is gone after the cutover: what the
// shadow, which is production now, knows. Not ok where that is nothing, or a run
// before its cutover, of which it knows too little.
func readAlone(ctx context.Context, file *planfile.File, cause error) (s *Status, ok bool) {
	if file.Shadow.DSN == "" {
		return nil, false
	}
	ctx, cancel := context.WithTimeout(ctx, lookAlone)
	defer cancel()
	conn, err := pg.Connect(ctx, file.Shadow.DSN, lookOptions())
	if err != nil {
		return nil, false
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	s = newStatus(file)
	s.Away = "the old server: " + pg.Redact(cause.Error())
	err = pg.RepeatableRead(ctx, conn, func(tx pgx.Tx) error {
		run, err := control.FindAdopted(ctx, tx, file.Name)
		if err != nil {
			return err
		}
		if !run.Phase.Swapped() {
			return ErrWrongPhase
		}
		if err := s.readStanding(ctx, tx, run); err != nil {
			return err
		}
		return s.read(ctx, tx, run)
	})
	s.Leader = nil
	return s, err == nil
}

// lookAlone bounds the look at the shadow for a status.
const lookAlone = 5 * time.Second

// ReadStanding is [ReadStatus] in little time, for whoever has just failed: both servers
// are asked at once, since the one that keeps silent may be the old one. Nil: not known.
func ReadStanding(ctx context.Context, file *planfile.File, within time.Duration) *Status {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	there := make(chan *Status, 1)
	go func() {
		s, ok := readAlone(ctx, file, errNoAnswer)
		if !ok {
			s = nil
		}
		there <- s
	}()
	s, err := readStatus(ctx, file)
	if gone(err) || ctx.Err() != nil || err == nil && s.Phase == nil {
		if alone := <-there; alone != nil {
			return alone
		}
	}
	if err != nil {
		return nil
	}
	return s
}

var errNoAnswer = errors.New("it does not answer, or does not know the run")

// ControlOwner is the role that made the control schema in production; empty: not known.
func ControlOwner(ctx context.Context, file *planfile.File, within time.Duration) (role string) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	conn, err := connect(ctx, file, "status")
	if err != nil {
		return ""
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if role, err = control.Owner(ctx, conn); err != nil {
		return ""
	}
	return role
}
