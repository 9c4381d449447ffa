package cutover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/cutover/traffic"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// Traffic leads clients from one database to the other, as package traffic does
// it: with all pools at once, and repeating a step does no harm. Pause and Switch
// are undone everywhere if they fail anywhere; Settle goes as far as it can.
type Traffic interface {
	Inspect(ctx context.Context) ([]plans.Finding, error)
	Pause(ctx context.Context) error
	Switch(ctx context.Context, to traffic.Place) error
	Settle(ctx context.Context, to traffic.Place, patience time.Duration) error
	Resume(ctx context.Context) error
	Misrouted(ctx context.Context, wrong traffic.Place) (bool, error)
	// Unfinished are clients that a Pause would wait for.
	Unfinished(ctx context.Context, production pg.Querier, longer time.Duration) ([]traffic.Session, error)
}

// from and to are where clients belong before and after the swap.
func (c *Cutover) from() traffic.Place {
	if c.backwards() {
		return traffic.Shadow
	}
	return traffic.Production
}

func (c *Cutover) to() traffic.Place {
	if c.backwards() {
		return traffic.Production
	}
	return traffic.Shadow
}

// How far a cutover came, in production's pgumbra.run.switch (of a rollback in the new
// side's, which is fenced then). Each is noted before what it stands for is begun.
const (
	pausing   = "pausing"   // clients are held, or about to be
	fencing   = "fencing"   // they are; locks, drain, and the swap on the shadow, not committed
	switching = "switching" // production refuses writes; clients are redirected
	deciding  = "deciding"  // they are led; COMMIT is sent to the shadow
	swapped   = "swapped"   // it is committed there; clients go on
	undoing   = "undoing"   // it is not; all that was done is undone
)

// progress is what pgumbra.run.switch holds while a cutover to another database
// is under way.
type progress struct {
	Step string `json:"step"`
	// The swap's transaction on the shadow: whether it committed decides which side
	// is production. Empty before it is ready.
	control.Decision
	Backend uint32 `json:"backend,omitempty"` // that is in it
	// Fence and FenceBackend are the transaction that fences production.
	Fence        string `json:"fence,omitempty"`
	FenceBackend uint32 `json:"fence_backend,omitempty"`
	// Sequences open production's again.
	Sequences []string `json:"sequences,omitempty"`
	Place     string   `json:"place"` // of the shadow, as clients are told
	// Follow: the new side is followed again after this rollback.
	Follow bool      `json:"follow,omitempty"`
	At     time.Time `json:"at"`
}

// note records how far the cutover came. [control.ErrFencedOff] when another
// leader took over: then it decides.
func (c *Cutover) note(ctx context.Context, db pg.Querier, p *progress, step string) error {
	p.Step, p.At = step, time.Now().UTC()
	text, err := pg.JSON(p)
	if err != nil {
		return err
	}
	return control.NoteSwitch(ctx, db, c.Upgrade, text)
}

// underWay reads the note; nil if no cutover is under way.
func (c *Cutover) underWay(ctx context.Context, db pg.Querier) (*progress, error) {
	text, err := control.Switch(ctx, db, c.Upgrade)
	if err != nil || text == nil {
		return nil, err
	}
	p := new(progress)
	if err := json.Unmarshal(text, p); err != nil {
		return nil, fmt.Errorf("read how far the cutover came: %w", err)
	}
	return p, nil
}

// What is done after the decision takes its time, whatever became of the
// caller's context: clients are held.
const (
	// notePatience is for production to be reached: then clients go on without.
	notePatience = 10 * time.Second
	leadPatience = 30 * time.Second
	// dropPatience is for the triggers of an opened fence, which do no harm.
	dropPatience = 5 * time.Second
)

// pausePatience is how long clients' open transactions are waited for while
// those that come queue: max_stall and no more, whatever is waited for. Five
// seconds of it at each attempt, with one long report open, held all clients for
// half of three minutes, and those beyond query_wait_timeout were broken off.
func (c *Cutover) pausePatience() time.Duration { return c.settings().MaxStall }

// forward completes a swap that is committed on the shadow: clients are led
// there and go on, whatever else fails; the next leader does the rest. report
// is the outcome for status, made anew once clients go on.
func (c *Cutover) forward(ctx context.Context, p *progress, report func() []byte) error {
	ctx = context.WithoutCancel(ctx)
	noted := c.noteSwapped(ctx, p, report())
	if errors.Is(noted, control.ErrFencedOff) {
		return noted
	}
	if err := errors.Join(noted, c.settle(ctx, c.to())); err != nil {
		return fmt.Errorf("%s is production now, but not everything is done that leads there: %w", p.Place, err)
	}
	ctx, cancel := context.WithTimeout(ctx, notePatience)
	defer cancel()
	if err := control.CorrectOutcome(ctx, c.Sides.Record(), c.Upgrade, report()); err != nil {
		return err
	}
	return control.EndSwitch(ctx, c.Sides.Production, c.Upgrade, report())
}

// noteSwapped moves the phase in production, unless a commit whose answer was
// lost has done so. Where rows go on from the swap, that side then holds the positions.
func (c *Cutover) noteSwapped(ctx context.Context, p *progress, report []byte) error {
	ctx, cancel := context.WithTimeout(ctx, notePatience)
	defer cancel()
	phase := c.Upgrade.Landing()
	var turned *control.Turned
	err := onceReachable(ctx, func() (err error) {
		if turned, err = control.ReadTurned(ctx, c.Sides.Shadow, c.Upgrade); err != nil {
			return err
		}
		return pg.ReadCommitted(ctx, c.Sides.Production, func(tx pgx.Tx) error {
			if err := c.enter(ctx, tx, phase, turned); err != nil {
				return err
			}
			if err := control.NoteOutcome(ctx, tx, c.Upgrade, report); err != nil {
				return err
			}
			return c.note(ctx, tx, p, swapped)
		})
	})
	if err == nil {
		c.Upgrade.Entered(phase)
		if turned != nil {
			c.Upgrade.Turned(turned.Flow)
		}
	}
	return err
}

// enter moves the phase on production's side, and turns the flow around with it.
func (c *Cutover) enter(ctx context.Context, tx pgx.Tx, to control.Phase, turned *control.Turned) error {
	here := *c.Upgrade // of a rollback the record is elsewhere, and may be ahead
	var err error
	if here.Phase, err = control.LockPhase(ctx, tx, c.Upgrade); err != nil || here.Phase == to {
		return err
	}
	if err := control.Advance(ctx, tx, &here, to); err != nil || turned == nil {
		return err
	}
	return turned.Record(ctx, tx, c.Upgrade)
}

// settle makes sure of where clients are led, and lets them go on. A PgBouncer
// that was started again holds nobody any more and reads where to lead in its
// file; only what leads elsewhere must be held to be changed.
func (c *Cutover) settle(ctx context.Context, to traffic.Place) error {
	if c.Traffic == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, leadPatience)
	defer cancel()
	return c.Traffic.Settle(ctx, to, c.pausePatience())
}

// hold pauses clients within its own deadline.
func (c *Cutover) hold(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.pausePatience())
	defer cancel()
	return c.Traffic.Pause(ctx)
}

// openFence lets production's tables be written again. Noting it first waits
// for the transaction that fences: its fate must not come after. A full disk, which has no
// room for that either, is waited for as a server that is away: a client may make room.
func (c *Cutover) openFence(ctx context.Context, p *progress) error {
	ctx, cancel := context.WithTimeout(ctx, notePatience)
	defer cancel()
	passing := func(err error) bool { return pg.Unreachable(err) || pg.State(err) == pgerrcode.DiskFull }
	err := pg.Retry(ctx, pg.Every(latePause), passing, func() error {
		if p.Fence != "" {
			if err := end(ctx, c.DSN, p.Fence, p.FenceBackend); err != nil {
				return err
			}
		}
		return pg.ReadCommitted(ctx, c.Sides.Production, func(tx pgx.Tx) error {
			if err := c.note(ctx, tx, p, undoing); err != nil {
				return err
			}
			if err := execAll(ctx, tx, p.Sequences); err != nil {
				return fmt.Errorf("open production's sequences: %w", err)
			}
			return makeFunction(ctx, tx, opened(fenceName(c.Upgrade)), fenceName(c.Upgrade))
		})
	})
	if err != nil {
		return fmt.Errorf("what clients write to may refuse writes until this is done, by the same command typed again: %w", err)
	}
	return nil
}

func (c *Cutover) dropRemoteFence(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, dropPatience)
	defer cancel()
	return dropTriggers(ctx, c.Sides.Production, c.Upgrade, remoteFenceTrigger, fenceName(c.Upgrade))
}

// onceReachable repeats what a lost connection ended, until ctx ends. For what
// may be done twice.
func onceReachable(ctx context.Context, do func() error) error {
	return pg.Retry(ctx, pg.Every(latePause), pg.Unreachable, do)
}
