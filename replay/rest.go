package replay

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/plans"
)

// rest is what was touched of a table since its proof.
type rest struct {
	f       *applier
	proof   control.Proof
	pending pending
}

// byTouch reports whether proving the touched keys again proves the table: not
// where a TRUNCATE concerns all keys.
func (t rest) byTouch() bool { return !t.proof.Renewing && !t.pending.whole && !t.pending.member }

// rests are the tables, fed by key, of which keys were touched since their proof.
func (r *Replayer) rests(ctx context.Context) (all []rest, err error) {
	return r.restsOf(ctx, func(t *plans.Table) bool { return r.Run.Plan.ProvedByKey(t) })
}

func (r *Replayer) restsOf(ctx context.Context, concerns func(*plans.Table) bool) (all []rest, err error) {
	proofs, err := control.Proofs(ctx, r.Sides.Shadow, r.Run)
	if err != nil {
		return nil, err
	}
	for _, p := range proofs {
		t := &r.Run.Plan.Tables[p.N]
		if p.State != control.FollowingState || !p.Begun || p.Current || !t.Verifiable() || !concerns(t) {
			continue
		}
		one := rest{proof: p}
		if one.f, err = r.applier(ctx, t); err != nil {
			return nil, err
		}
		if one.pending, err = one.f.readPending(ctx, r.Sides.Production, p.Proved); err != nil {
			return nil, err
		}
		// Of a table without a key journals are emptied as soon as they are replayed.
		if one.pending.changes > 0 || one.f.kind() == keyless {
			all = append(all, one)
		}
	}
	return all, nil
}

// Rest is what is left to prove.
type Rest struct {
	Changes int64         // journal rows that name keys which are to be proved again
	Takes   time.Duration // to prove them, as fast as it went in this run
	// Whole are the tables that cannot be proved by those alone: they are compared
	// whole, by a [Prover].
	Whole []string
}

// Rest says what is left to prove of the tables that are fed by key.
func (r *Replayer) Rest(ctx context.Context) (Rest, error) {
	var left Rest
	all, err := r.rests(ctx)
	for _, one := range all {
		left.Changes += one.pending.changes
		left.Takes += r.provedIn(one.f.t.N, one.pending.changes)
		if !one.byTouch() {
			left.Whole = append(left.Whole, one.f.t.Final.String())
		}
	}
	return left, err
}

// restTime bounds how long [Replayer.ProveRest] goes on beginning with tables.
const restTime = 2 * time.Second

// ProveRest proves touched keys again, of all tables of which the last batch did
// not do so.
func (r *Replayer) ProveRest(ctx context.Context) error {
	all, err := r.rests(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(r.workers())
	for _, one := range all {
		g.Go(func() error {
			if time.Since(began) > restTime {
				return nil
			}
			err := r.proveTouched(ctx, one.f)
			if isLater(err) {
				r.Log.Debug("not proved now", "table", one.f.t.Final.String(), "error", err.Error())
				return nil
			}
			return err
		})
	}
	return g.Wait()
}

// ProveDrained proves what [Replayer.Drain] has left to prove, behind the fence:
// then every row is proved as it is now. It names the tables of which that was not
// possible. Tables without a key are compared whole, as far as that takes less than
// so long; of the others it stays with their last proof. Differences: see
// [Replayer.Found].
func (r *Replayer) ProveDrained(ctx context.Context, keylessFor time.Duration) (left []string, err error) {
	all, err := r.restsOf(ctx, func(t *plans.Table) bool { return t.Verifiable() })
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(r.workers())
	for _, one := range all {
		if one.f.kind() == keyless {
			if keylessFor -= one.proof.Took; keylessFor < 0 {
				continue
			}
		}
		g.Go(func() error {
			proved, err := r.proveDrained(ctx, one)
			if err != nil || proved {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			left = append(left, one.f.t.Final.String())
			return nil
		})
	}
	err = g.Wait()
	slices.Sort(left)
	return left, err
}

func (r *Replayer) proveDrained(ctx context.Context, one rest) (proved bool, err error) {
	switch {
	case one.f.kind() == keyless:
		err = r.again(ctx, one.f, one.proof.Pass)
	case one.byTouch():
		err = r.proveTouched(ctx, one.f)
	default:
		return false, nil
	}
	if isLater(err) {
		r.Log.Debug("not proved behind the fence", "table", one.f.t.Final.String(), "error", err.Error())
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("verify what changed of %s: %w", one.f.t.Shadow, err)
	}
	return true, nil
}

// again compares a table as a whole that was proved before.
func (r *Replayer) again(ctx context.Context, f *applier, pass int) error {
	found, err := r.compareRange(ctx, f, group{})
	if err != nil {
		return err
	}
	if !found.equal() {
		verdict, err := r.confirm(ctx, f, "", group{})
		switch {
		case err != nil:
			return err
		case !verdict.Equal:
			return r.differs(ctx, f, verdict)
		case f.t.Own == "": // it was in motion
			return nil
		}
	}
	return r.recordAgain(ctx, f, pass, found)
}
