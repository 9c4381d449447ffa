package cutover

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
)

// Resolution says what became of a cutover that a process left unfinished.
type Resolution int

// The resolutions.
const (
	Settled     Resolution = iota // none was unfinished
	WentBack                      // it did not happen: production takes writes, the run follows
	WentForward                   // it happened: clients are led to the shadow, the run watches
)

// Resolve ends a cutover to another database that a process left unfinished:
// run.switch is not null. To be called by each new leader, on both sides, before
// anything else, and again until it returns nil: repeating it does no harm. The
// transaction on the shadow decides: committed, it goes forward; not committed,
// it goes back. Which it was is asked of the shadow alone, never guessed;
// clients and fence are then brought to where they belong, wherever they are.
//
// Of a rollback the ends are exchanged: the note is on the new side, the old one decides.
//
// It changes the run's phase to where the swap leads, or from cutover to following. Returns
// [ErrUnknown] when the shadow cannot be asked or contradicts itself: then
// production stays fenced and clients stay held, as they were found. Other
// errors leave something to do to the next call, with the direction known.
func (c *Cutover) Resolve(ctx context.Context) (Resolution, error) {
	if !c.Sides.Remote() {
		return Settled, nil
	}
	p, err := c.underWay(ctx, c.Sides.Production)
	if err != nil {
		return Settled, err
	}
	if p == nil {
		lost, err := c.agreed(ctx)
		if err != nil || lost == nil {
			return Settled, err
		}
		return WentForward, c.goOn(ctx, lost)
	}
	c.Log.Info("a cutover was left unfinished", "step", p.Step, "since", p.At)
	c.Upgrade.ToFollow = p.Follow
	err = c.decided(ctx, p)
	var no *notNow
	switch {
	case err == nil:
		return WentForward, c.goOn(ctx, p)
	case errors.As(err, &no):
		return WentBack, c.giveUp(ctx, p)
	}
	return Settled, fmt.Errorf("%w; production refuses writes until this is known; once %s answers, type: pgumbra run", err, p.Place)
}

// agreed makes sure that the shadow knows of no swap that production has
// forgotten: a standby that was promoted may lack the last commits. Where the record is
// on the shadow's side, as of a rollback, that decides, and what production lost is
// done again: not nil.
func (c *Cutover) agreed(ctx context.Context) (*progress, error) {
	if c.backwards() {
		return c.agreedBack(ctx)
	}
	if c.Upgrade.Phase.Swapped() || c.Upgrade.Phase.Over() {
		return nil, nil
	}
	phase, err := control.CurrentPhase(ctx, c.Sides.Shadow, c.Upgrade)
	if err != nil {
		return nil, fmt.Errorf("ask the shadow whether the swap is done: %w", err)
	}
	if phase.Swapped() {
		return nil, fmt.Errorf("%w: it is committed on %s, and production's record lacks it: was production restored, or a standby promoted?",
			ErrUnknown, placeOf(c.ShadowDSN))
	}
	return nil, nil
}

func (c *Cutover) agreedBack(ctx context.Context) (*progress, error) {
	record, err := control.ReadSwaps(ctx, c.Sides.Record(), c.Upgrade)
	var here control.Swaps
	if err == nil {
		here, err = control.ReadSwaps(ctx, c.Sides.Production, c.Upgrade)
	}
	known := here.Phase == control.Watching && record.Cutover.Equal(here.Cutover) // it watches what the record knows of
	follow := record.Phase == control.Following && c.Upgrade.Again
	switch {
	case err != nil:
		return nil, fmt.Errorf("ask both sides whether the rollback is done: %w", err)
	case known && (record.Phase == control.RolledBack || follow):
		c.Upgrade.ToFollow = follow
		return &progress{Step: swapped, Place: placeOf(c.ShadowDSN), Follow: follow, At: time.Now().UTC()}, nil
	case record.Phase == control.Watching && (here.Phase == control.RolledBack || here.Phase == control.Following):
		return nil, fmt.Errorf("%w: the new server says that the rollback is committed on %s, whose record lacks it: was that server restored, or a standby promoted?",
			ErrUnknown, placeOf(c.ShadowDSN))
	}
	return nil, nil
}

// ResolveAlone ends a rollback that a process left unfinished, where the old server is
// gone: without its COMMIT it did not happen, and the new side takes writes again.
// Returns [ErrUnknown] where that was being sent: only the old server knows.
func (c *Cutover) ResolveAlone(ctx context.Context) error {
	p, err := c.underWay(ctx, c.Sides.Production)
	if err != nil || p == nil {
		return err
	}
	if p.Step == deciding || p.Step == swapped {
		return fmt.Errorf("%w: a rollback to %s was being committed when its process ended, and only that server knows whether it was", ErrUnknown, p.Place)
	}
	c.Log.Info("a rollback was left unfinished", "step", p.Step, "since", p.At)
	if err := c.openFence(ctx, p); err != nil {
		return fmt.Errorf("undo the rollback: %w", err)
	}
	if err := c.dropRemoteFence(ctx); err != nil {
		return fmt.Errorf("undo the rollback: %w", err)
	}
	return control.NoteSwitch(ctx, c.Sides.Production, c.Upgrade, nil)
}

// decided is nil when the swap is committed on the shadow, a notNow when it is
// not and never will be.
func (c *Cutover) decided(ctx context.Context, p *progress) error {
	if p.XID == "" { // COMMIT is sent after it is noted
		return refuse(Blocker{Code: "interrupted", Message: "the cutover was interrupted", Fix: "it is tried again"})
	}
	return c.learn(ctx, c.ShadowDSN, p.Decision, p.Backend)
}

// goOn is forward for a process that has not measured anything: the shadow
// holds the report that its swap was committed with.
func (c *Cutover) goOn(ctx context.Context, p *progress) error {
	report, err := control.Outcome(ctx, c.Sides.Shadow, c.Upgrade)
	if err != nil {
		return err
	}
	if err := c.fenceStands(ctx, p); err != nil {
		return err
	}
	return c.forward(ctx, p, func() []byte { return report })
}

// fenceStands makes sure that production refuses writes. It does, unless it
// lost the last commits before a crash, or is a standby that was promoted: that
// may have the opened triggers of an earlier attempt.
func (c *Cutover) fenceStands(ctx context.Context, p *progress) error {
	production, _ := c.Upgrade.Plan.SchemaNames()
	var open []relation
	err := pinned(ctx, c.Sides.Production, func(tx pgx.Tx) error {
		if err := makeFunction(ctx, tx, closedFence(c.Upgrade, p.Place, control.Ours(c.Upgrade)), fenceName(c.Upgrade)); err != nil {
			return err
		}
		tables, err := relations(ctx, tx, production)
		if err == nil {
			open, err = without(ctx, tx, remoteFenceTrigger, tables)
		}
		return err
	})
	if err != nil || len(open) == 0 {
		return err
	}
	c.Log.Error("production had lost its fence; what was written there since the swap is not on the shadow", "table", open[0].name.String())
	for _, t := range open {
		err := patiently(ctx, c.Sides.Production, append([]string{"LOCK TABLE ONLY " + t.name.Quoted() + " IN EXCLUSIVE MODE"},
			remoteFence(c.Upgrade, []relation{t})...)...)
		if err != nil {
			return fmt.Errorf("fence %s: %w", t.name, err)
		}
	}
	return nil
}

func (c *Cutover) giveUp(ctx context.Context, p *progress) error {
	err := c.unlessMisrouted(c.back(ctx, p))
	if err != nil {
		return fmt.Errorf("undo the cutover: %w", err)
	}
	if c.Upgrade.Phase != control.Cutover {
		return nil
	}
	err = pg.ReadCommitted(ctx, c.Sides.Production, func(tx pgx.Tx) error {
		return control.Advance(ctx, tx, c.Upgrade, control.Following)
	})
	if err != nil {
		return err
	}
	c.Upgrade.Entered(control.Following)
	return nil
}

// Clear takes away what attempts at a cutover to another database have made on
// both sides: fence and write block. For abort, and only after [Cutover.Resolve]. A
// shadow that cannot be reached, Sides.Shadow nil, is left out.
// ACCESS EXCLUSIVE on one table at a time, waiting at most 100 ms each time.
func (c *Cutover) Clear(ctx context.Context) error {
	if !c.Sides.Remote() {
		return nil
	}
	left, err := c.underWay(ctx, c.Sides.Production)
	if err != nil {
		return err
	}
	if left != nil && left.Step == undoing {
		if err := c.back(ctx, left); err != nil {
			return fmt.Errorf("undo the cutover: %w", err)
		}
		left = nil
	}
	if left != nil || c.Upgrade.Phase.Swapped() {
		return fmt.Errorf("the cutover is not undone: %s", c.Upgrade.Phase)
	}
	err = dropTriggers(ctx, c.Sides.Production, c.Upgrade, remoteFenceTrigger, fenceName(c.Upgrade))
	if c.Sides.Shadow == nil {
		return err
	}
	return errors.Join(err, c.dropWriteBlock(ctx))
}

func (c *Cutover) dropWriteBlock(ctx context.Context) error {
	return dropTriggers(ctx, c.Sides.Shadow, c.Upgrade, writeBlockTrigger, writeBlockName(c.Upgrade))
}
