package cutover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/conditions"
)

// checkConditions asks the list of conditions on production's side.
func (c *Cutover) checkConditions(ctx context.Context, db pg.Querier) ([]Blocker, error) {
	scope := c.Upgrade.Plan.Rests()
	scope.Own = c.own()
	return askConditions(ctx, db, c.Upgrade.Plan.SwapsOn(), scope)
}

// checkShadowConditions asks it in the shadow's own database.
func (c *Cutover) checkShadowConditions(ctx context.Context, db pg.Querier) ([]Blocker, error) {
	return askConditions(ctx, db, conditions.Shadow, c.Upgrade.Plan.RestsOnShadow())
}

var errNoBatches = errors.New("this connection takes no batches")

func askConditions(ctx context.Context, db pg.Querier, side conditions.Side, scope conditions.Scope) ([]Blocker, error) {
	sender, ok := db.(conditions.Sender)
	if !ok {
		return nil, errNoBatches
	}
	found, err := conditions.Ask(ctx, sender, side, conditions.Swapping, scope)
	return blockersFor(found), err
}

// checkVersion asks whether production was migrated meanwhile.
func (c *Cutover) checkVersion(ctx context.Context, db pg.Querier) ([]Blocker, error) {
	found, err := conditions.AskVersion(ctx, db, c.Upgrade.Plan.Rests().At)
	return blockersFor(found), err
}

func blockersFor(found []conditions.Found) (all []Blocker) {
	for _, f := range found {
		all = append(all, Blocker{Code: f.Condition.Code, Message: f.Object + ": " + f.Message, Fix: f.Fix,
			Lasting: f.Condition.Weight != conditions.Passing, AcceptLoss: f.Condition.Loss})
	}
	return all
}

// lookAgain is the last thing that is asked before COMMIT: whether everything
// that the swap rests on is still as it was before the fence. The fence keeps rows
// from changing, not structure: what is made, replaced or granted meanwhile would
// stay with the old tables. It is asked on the session that does not swap, with a
// snapshot of this moment: that one sees what others have committed, and production
// under the names that it had.
func (a *attempt) lookAgain(ctx context.Context) error {
	group, both := errgroup.WithContext(ctx)
	group.Go(func() error { return a.lookTwice(both, a.c.checkConditions, a.c.Parts.Changed) })
	group.Go(func() error {
		unproved, err := a.c.Parts.Unproved(both)
		if err == nil && len(unproved) > 0 {
			err = refuse(unproved...)
		}
		return err
	})
	return group.Wait()
}

// lookBefore asks the same before the fence, so that the sessions know the catalogs
// and have planned the questions. What it finds was told by [Cutover.Check], or
// will be.
func lookBefore(ctx context.Context, looks ...func(context.Context) error) error {
	for _, look := range looks {
		var found *notNow
		if err := look(ctx); err != nil && !errors.As(err, &found) {
			return err
		}
	}
	return nil
}

// passingBy is how long a transaction is given that seems to change the schemas: one that
// ends lets go of its locks one after the other, and one that is about to lock a table for
// itself has its number already.
const passingBy = 10 * time.Millisecond

// lookTwice is lookOnce, and once more all of it where nothing was found but transactions
// that may be passing by: what they commit between the two the second one sees.
func (p *pair) lookTwice(ctx context.Context, conditions func(context.Context, pg.Querier) ([]Blocker, error),
	different func(context.Context, pg.Querier) ([]string, error)) error {
	err := p.lookOnce(ctx, conditions, different)
	var found *notNow
	if !errors.As(err, &found) || slices.ContainsFunc(found.blockers, func(b Blocker) bool { return b.Code != structureUnderWay }) {
		return err
	}
	select {
	case <-ctx.Done():
		return err
	case <-time.After(passingBy):
	}
	return p.lookOnce(ctx, conditions, different)
}

// structureUnderWay is the code of the condition that asks for open transactions which may
// change the schemas.
const structureUnderWay = "structure-under-way"

func (p *pair) lookOnce(ctx context.Context, conditions func(context.Context, pg.Querier) ([]Blocker, error),
	different func(context.Context, pg.Querier) ([]string, error)) error {
	var found []Blocker
	var changed []string
	group, both := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		found, err = conditions(both, p.observer)
		return err
	})
	if different != nil {
		group.Go(func() (err error) {
			changed, err = different(both, p.checker)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("look at what the swap rests on: %w", err)
	}
	if found = append(found, changedBlockers(changed)...); len(found) > 0 {
		return refuse(found...)
	}
	return nil
}
