package cutover

import (
	"context"
	"fmt"
	"maps"
	"math/big"
	"slices"
)

// placement is where a swap put a sequence.
type placement struct {
	OID       uint32 `json:"oid"`
	Last      int64  `json:"last"`
	Called    bool   `json:"called"`
	Increment int64  `json:"increment,omitempty"` // 0: an older pgumbra did not note it
}

// placed is where a sequence stands as it is, or is being put.
func (s counter) placed() placement {
	return placement{OID: s.OID, Last: s.Last, Called: s.Called, Increment: s.Increment}
}

// movedSince tells how production's sequence has moved since the swap that closed the
// twin: 0 not at all, above 0 forward, below 0 back, by its direction. Forward, where
// there was no such swap or it noted nothing.
func (s succession) movedSince(last int64, called bool) int {
	if s.placed == nil {
		return 1
	}
	return s.old.next(last, called).Cmp(s.old.next(s.placed.Last, s.placed.Called))
}

// standings are where the swap has put the sequences that go on for closed ones.
// Migrations behind the fence may have set them since, or dropped them.
func (a *attempt) standings(ctx context.Context) ([]placement, error) {
	if a.plan.Behind != nil {
		return a.standingsBehind(ctx)
	}
	var all []placement
	for _, s := range a.sequences {
		at := s.target.placed()
		at.Last, at.Called = s.place()
		if i := slices.IndexFunc(a.raised, func(r placement) bool { return r.OID == at.OID }); i >= 0 {
			at = a.raised[i]
		}
		all = append(all, at)
	}
	return a.standElse(ctx, all)
}

// standElse adds, to where the swap has put sequences, where others stand that columns draw
// from: they may feed a column of the other side that draws from another one there.
func (a *attempt) standElse(ctx context.Context, placed []placement) ([]placement, error) {
	var oids []uint32
	for _, d := range a.landing {
		oids = append(oids, d.sequence)
	}
	now, err := countersOf(ctx, a.shadow.locker, oids)
	for _, p := range placed {
		delete(now, p.OID)
	}
	for _, oid := range slices.Sorted(maps.Keys(now)) {
		placed = append(placed, now[oid].placed())
	}
	return placed, err
}

// standingsBehind asks the catalogs. A sequence that none goes on for is open again: what
// goes back into a column that only the old side has draws from it.
func (a *attempt) standingsBehind(ctx context.Context) (all []placement, err error) {
	var oids []uint32
	for _, s := range a.sequences {
		oids = append(oids, s.target.OID)
	}
	now, err := countersOf(ctx, a.shadow.locker, oids)
	if err != nil {
		return nil, err
	}
	gone := func(s succession) bool { _, there := now[s.target.OID]; return !there }
	var script []string
	for _, s := range a.sequences {
		var name string
		if !gone(s) {
			all = append(all, now[s.target.OID].placed())
			continue
		}
		if a.plan.Remote { // on another server they are closed after this
			continue
		}
		if err := a.locker.QueryRow(ctx, `SELECT $1::oid::regclass::text`, s.old.OID).Scan(&name); err != nil {
			return nil, fmt.Errorf("name a sequence: %w", err)
		}
		script = append(script, reopened(s.old).proceed(name)...)
	}
	a.sequences = slices.DeleteFunc(a.sequences, gone)
	if err := a.play(ctx, a.pair, []stage{{"sequences that none goes on for", script}}); err != nil {
		return nil, err
	}
	production, _ := a.plan.SchemaNames()
	if a.landing, err = drawing(ctx, a.shadow.locker, production); err != nil {
		return nil, err
	}
	return a.standElse(ctx, all)
}

// reopened is a sequence that none goes on for: it stands where it stood.
func reopened(was counter) succession { return succession{old: was, target: was, reopens: true} }

// passed tells whether clients have left behind them where the migrations set a
// sequence, RESTART WITH 1000, say, by what they drew from production's since the
// plan was made: it goes on with production's then, for these numbers are in use.
// A sequence that the migrations set back is set back: in place they would hand
// out the numbers between again too.
func (s succession) passed(last int64, called bool) bool {
	if last == s.plan.ProductionLast && called == s.plan.ProductionCalled {
		return false
	}
	set := s.target.next(s.plan.LastValue, s.plan.IsCalled)
	was := s.target.next(s.plan.ProductionLast, s.plan.ProductionCalled)
	return set.Cmp(was) >= 0 && s.target.next(last, called).Cmp(set) > 0
}

// next number after a standing, so that a greater one comes later.
func (s counter) next(last int64, called bool) *big.Int {
	step, n := big.NewInt(s.Increment), big.NewInt(last)
	if called {
		n.Add(n, step)
	}
	return n.Mul(n, big.NewInt(int64(step.Sign())))
}
