package group

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/upgrade"
	"github.com/pgumbra/pgumbra/upgrade/lease"
)

// Standby waits to lead all members of a plan file's group, as [upgrade.Standby] waits to
// lead one. It watches the leader of the first one, and whoever leads that one takes the
// others: two standbys never lead a part of the group each. One that loses its lead of
// any member gives up all, and stands by again.
func Standby(ctx context.Context, file *planfile.File, o upgrade.Options) error {
	for {
		err := Open(file, o.Log).standBy(ctx, o)
		var led *lease.ErrLed
		if !errors.As(err, &led) && !errors.Is(err, control.ErrFencedOff) {
			return err
		}
		o.Log.Warn("another process leads now; standing by", "error", err)
	}
}

func (g *Group) standBy(ctx context.Context, o upgrade.Options) error {
	over := make(chan struct{})
	o.Besides = func(ctx context.Context) []string { return g.outOfReach(ctx, o) }
	err := g.lead(ctx, o, func(ctx context.Context, file *planfile.File, o upgrade.Options) error {
		if file == g.members[0].file {
			defer close(over)
			return upgrade.Standby(ctx, file, o)
		}
		select {
		case <-g.led:
			return g.takeOver(ctx, file, o)
		case <-over:
		case <-ctx.Done():
		}
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	return g.completed(ctx, o)
}

// takeOver leads another member than the first one, once its last leader has let it go:
// that one does where it lives, and has lost the first one.
func (g *Group) takeOver(ctx context.Context, file *planfile.File, o upgrade.Options) error {
	if _, err := g.read(ctx); err != nil { // which group it is, for a member that had not begun
		return err
	}
	for {
		err := upgrade.Run(ctx, file, o)
		var led *lease.ErrLed
		if !errors.As(err, &led) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lease.LookEvery):
		}
	}
}

// completed sees to members that have not followed a rollback of the first one, whose run
// is over with it.
func (g *Group) completed(ctx context.Context, o upgrade.Options) error {
	s, err := g.read(ctx)
	if err != nil || len(s.behind()) == 0 {
		return err
	}
	return g.Run(ctx, o)
}

// outOfReach is what keeps this process from leading the other members.
func (g *Group) outOfReach(ctx context.Context, o upgrade.Options) (all []string) {
	o.Log = slog.New(slog.DiscardHandler)
	for _, m := range g.members[1:] {
		for _, problem := range upgrade.CouldLead(ctx, m.file, o) {
			all = append(all, m.name+": "+problem)
		}
	}
	return all
}
