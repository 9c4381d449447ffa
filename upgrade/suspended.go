package upgrade

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/replay"
)

// Suspension keeps the members of a group together while one of them is away: the others
// stand still, each at one snapshot for all of its tables, and go on when it is back.
// Production goes on everywhere, and journals record it.
type Suspension interface {
	// Lost says that this member does not go on, and why.
	Lost(why string)
	// Found says that it does again.
	Found()
	// Suspended is why this member is to stand still; empty: it is not.
	Suspended() string
	// Stands says that it does.
	Stands()
}

// lost tells the group, if there is one, that a connection was lost.
func (o Options) lost(err error) {
	if o.With != nil {
		o.With.Lost(pg.Redact(err.Error()))
	}
}

// found tells it that the servers are there again, and the run is led.
func (w *worker) found(ctx context.Context) error {
	if w.with == nil {
		return nil
	}
	w.with.Found()
	return control.NoteSuspended(ctx, w.sides.Record(), w.run, "") // of a process before this one
}

// standStill replays nothing while the group is suspended. What it stands at is one
// snapshot for all tables, taken when it learns of it.
func (w *worker) standStill(ctx context.Context) error {
	if w.with == nil || w.way() == plans.Back {
		return nil
	}
	why, err := w.suspension(ctx)
	if err != nil || why == "" {
		return err
	}
	defer w.pauseProver()()
	w.log.Warn("suspended with the group; production goes on, and what is written is recorded", "reason", why)
	if err := w.alignAll(ctx); err != nil {
		return err
	}
	if err := control.NoteSuspended(ctx, w.sides.Record(), w.run, why); err != nil {
		return err
	}
	w.with.Stands()
	for why != "" {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(idle):
		}
		if why, err = w.suspension(ctx); err != nil {
			return err
		}
	}
	w.log.Info("the group goes on")
	return control.NoteSuspended(ctx, w.sides.Record(), w.run, "")
}

// suspension is why this member is to stand still; empty: it is not. One that the group
// has swapped without does not wait for another one that is away.
func (w *worker) suspension(ctx context.Context) (why string, err error) {
	if why = w.with.Suspended(); why == "" {
		return "", nil
	}
	if _, err := w.lookAtGroup(ctx); err != nil || w.closing {
		return "", err
	}
	return why, nil
}

// alignAll brings all tables that follow to one snapshot. What stands against that, a
// row that is refused, is seen to by the rounds that come.
func (w *worker) alignAll(ctx context.Context) error {
	states, err := control.States(ctx, w.sides.Shadow, w.run)
	if err != nil {
		return err
	}
	var tables []*plans.Table
	for i := range w.run.Plan.Tables {
		if t := &w.run.Plan.Tables[i]; states[t.N] == control.FollowingState {
			tables = append(tables, t)
		}
	}
	err = w.replayer.Aligned(ctx, tables, func(pgx.Tx) error { return nil })
	if errors.Is(err, replay.ErrRecopy) || errors.Is(err, replay.ErrConflict) {
		w.log.Warn("the tables stand at moments of their own", "error", err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("bring all tables to one moment: %w", err)
	}
	return nil
}
