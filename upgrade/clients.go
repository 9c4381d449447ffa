package upgrade

import (
	"context"
	"slices"
	"time"

	"github.com/pgumbra/pgumbra/cutover/traffic"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/plans"
)

// clientsEvery is how often a run that follows looks whether its clients could be
// redirected. A look logs in as each user of a pool, so it is not done every few
// seconds; the cutover looks again by itself.
const (
	clientsEvery = time.Minute
	followsEvery = 2 * time.Second // how soon the first look comes
)

// besideClients runs f while it is looked, beside it, whether clients could be led
// over: PgBouncer's state, and whether its users get in at the new place.
func (w *worker) besideClients(ctx context.Context, f func(context.Context) error) error {
	if !w.sides.Remote() || w.traffic.ByHand() {
		return f(ctx)
	}
	clients, err := traffic.Open(w.file, w.log) // of its own: a look must not meet with a cutover's steps
	if err != nil {
		return err
	}
	looking, stop := context.WithCancel(ctx)
	defer stop()
	var known []string
	var last time.Time
	look := func(context.Context) error {
		if time.Since(last) >= clientsEvery && w.follows(looking) {
			known, last = w.lookAtClients(looking, clients, known), time.Now()
		}
		return nil
	}
	return beside(ctx, followsEvery, look, func(ctx context.Context) error {
		defer stop()
		return f(ctx)
	})
}

func (w *worker) follows(ctx context.Context) bool {
	phase, err := control.CurrentPhase(ctx, w.sides.Production, w.run)
	return err == nil && phase == control.Following
}

// lookAtClients tells what has changed since the last look, and notes it for
// status. What cannot be looked at now is looked at in a minute.
func (w *worker) lookAtClients(ctx context.Context, clients *traffic.Traffic, known []string) []string {
	found, err := clients.Inspect(ctx)
	if err != nil {
		return known
	}
	against := []string{}
	for _, f := range found {
		if f.Level == plans.Blocker {
			against = append(against, f.Code+" "+f.Object+": "+f.Message)
		}
	}
	if len(against) > 0 && !slices.Equal(against, known) {
		w.log.Warn("this stands against leading clients over", "found", against)
	}
	if err := control.NoteClients(ctx, w.sides.Production, w.run, against); err != nil {
		return known
	}
	return against
}
