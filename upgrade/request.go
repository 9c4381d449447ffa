package upgrade

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/upgrade/lease"
)

// Cutover swaps: through the leader if one runs, else by itself, catching up
// first. Returns [ErrNotNow] if it was not possible. Within a window
// (Options.NotBefore, NotAfter) one series of attempts follows the other.
func Cutover(ctx context.Context, file *planfile.File, o Options) error {
	o.Cutover, o.Once = true, true
	for pause := betweenSeries; ; pause = min(2*pause, longestBetween) {
		err := cutoverSeries(ctx, file, o)
		if !errors.Is(err, ErrNotNow) || !time.Now().Add(pause).Before(o.NotAfter) {
			return err
		}
		o.Log.Info("the window is still open: another series of attempts begins", "until", o.NotAfter.Format(time.TimeOnly))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// noCutover is said of a run that has ended without being production.
const noCutover = "there is nothing to cut over to any more"

func cutoverSeries(ctx context.Context, file *planfile.File, o Options) error {
	return askOrLead(ctx, file, o, func() (bool, error) { return requestCutover(ctx, file, o) })
}

// askOrLead has a live leader serve a request, or leads: until one of the two came
// about, since leaders come and go.
func askOrLead(ctx context.Context, file *planfile.File, o Options, request func() (served bool, err error)) error {
	for {
		served, err := request()
		if err != nil || served {
			return err
		}
		err = Run(ctx, file, o)
		var led *lease.ErrLed
		if !errors.As(err, &led) {
			return err
		}
	}
}

// requestCutover asks a live leader for a cutover and waits for its outcome.
// False: there is no live leader (any more).
func requestCutover(ctx context.Context, file *planfile.File, o Options) (bool, error) {
	conn, err := connect(ctx, file, "cutover")
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	run, err := control.Find(ctx, conn, file.Name)
	if err != nil {
		return false, err
	}
	if run.Phase.Swapped() {
		return true, nil
	}
	if run.Phase.Over() {
		return false, notIn(run.Phase, noCutover)
	}
	served, err := waitForLeader(ctx, conn, run, file, o, "cutover", func(p control.Phase) (bool, error) {
		if p.Over() && !p.Swapped() {
			return false, notIn(p, noCutover)
		}
		return p.Swapped(), nil
	})
	if ctx.Err() != nil {
		takeBack(ctx, file, run)
	}
	return served, err
}

// takeBack withdraws a request for a cutover that nobody waits for any more. On
// a session of its own: a cancelled statement has closed the other one.
func takeBack(ctx context.Context, file *planfile.File, run *control.Run) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	conn, err := connect(ctx, file, "cutover")
	if err != nil {
		return
	}
	_ = control.Withdraw(ctx, conn, run)
	_ = conn.Close(ctx)
}

// waitForLeader asks a leader to swap, once each: one that took over has forgotten
// what its predecessor was asked. done tells by the phase whether it did.
func waitForLeader(ctx context.Context, conn *pgx.Conn, run *control.Run, file *planfile.File, o Options, what string, done func(control.Phase) (bool, error)) (bool, error) {
	var asked int64 // the epoch that was asked
	leader := hearing{conn: conn, run: run, file: file, log: o.Log, what: what}
	for {
		now, err := control.ReadLeadership(ctx, conn, run, lease.LiveFor)
		if err != nil {
			return false, err
		}
		reached, err := done(now.Phase)
		answered := asked == now.Epoch && !now.Requested
		underWay := now.Phase == control.Cutover // an attempt, which is waited for
		if answered {
			leader.hear(ctx)
		}
		leader.listen(ctx)
		switch {
		case err != nil || reached:
			return reached, err
		case !now.Alive:
			return false, nil
		case answered:
			reason, accept := lastReason(ctx, conn, run, file)
			return false, &NotNow{Swapping: what, Reason: reason, AcceptLoss: accept}
		case time.Now().Before(o.NotBefore):
		case o.over() && !underWay:
			withdrawn, err := withdraw(ctx, conn, run)
			if err != nil || withdrawn {
				reason, _ := lastReason(ctx, conn, run, file)
				return false, errors.Join(err, &NotNow{Swapping: what, Reason: "the window is over; " + reason})
			}
		case asked != now.Epoch:
			// Asked by the phase in which the command was typed: a leader that has gone back and
			// follows again under a new epoch would take it for a request to cut over.
			seen, err := control.NewestEvent(ctx, conn, run)
			if err != nil {
				return false, err
			}
			if noted, err := control.Request(ctx, conn, run, o.As, run.Phase); err != nil {
				return false, err
			} else if noted {
				asked = now.Epoch
				leader.begin(seen)
			}
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// over reports whether the window for a cutover is over.
func (o Options) over() bool { return !o.NotAfter.IsZero() && time.Now().After(o.NotAfter) }

// withdraw takes a request back unless an attempt is under way. A leader enters it
// under the lock of the same row: see [worker.enterCutover].
func withdraw(ctx context.Context, conn pg.Querier, run *control.Run) (withdrawn bool, err error) {
	if err := control.Withdraw(ctx, conn, run); err != nil {
		return false, err
	}
	phase, err := control.CurrentPhase(ctx, conn, run)
	return phase == control.Following, err
}

// lastReason is why nothing came of a request: the hook that has not ended yet, what was
// said last, or else what stands against it where the run stands now. accept: see [NotNow].
func lastReason(ctx context.Context, conn pg.Querier, run *control.Run, file *planfile.File) (reason string, accept bool) {
	if hook, ago, err := control.LastHook(ctx, conn, run); err == nil && hook != "" {
		return fmt.Sprintf("%s was begun %s ago, and nothing came of it yet", hook, human.Took(float64(ago.Milliseconds()))), false
	}
	var detail struct {
		Reason     string `json:"reason"`
		AcceptLoss bool   `json:"accept_loss"` // an older leader's says nothing of it
	}
	if found, err := control.LastRefused(ctx, conn, run, &detail); err == nil && found {
		return detail.Reason, detail.AcceptLoss
	}
	if s, err := readStatus(ctx, file); err == nil && len(s.Blockers) > 0 {
		return strings.Join(s.Blockers, "; "), false
	}
	return "the process that leads the run did not come to it in time", false
}
