package cutover

import (
	"context"
	"fmt"
	"math/big"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// placement is where a swap put a sequence.
type placement struct {
	OID    uint32 `json:"oid"`
	Last   int64  `json:"last"`
	Called bool   `json:"called"`
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
		at := placement{OID: s.target.OID}
		at.Last, at.Called = s.place()
		if i := slices.IndexFunc(a.raised, func(r placement) bool { return r.OID == at.OID }); i >= 0 {
			at = a.raised[i]
		}
		all = append(all, at)
	}
	var free []pg.Name
	for _, s := range a.plan.Sequences { // what draws from these may feed a column of the old side that draws from another
		if s.Production.IsZero() {
			free = append(free, a.plan.Final(s.Shadow))
		}
	}
	more, err := placements(ctx, a.shadow.locker, free)
	return append(all, more...), err
}

// placements are where sequences stand now.
func placements(ctx context.Context, db pg.Querier, names []pg.Name) (all []placement, err error) {
	now, err := counters(ctx, db, names)
	for _, name := range names {
		if c, ok := now[name]; ok {
			all = append(all, placement{OID: c.OID, Last: c.Last, Called: c.Called})
		}
	}
	return all, err
}

// standingOf is where a sequence stands now.
func standingOf(ctx context.Context, db pg.Querier, oid uint32) (placement, error) {
	at := placement{OID: oid}
	var name string
	err := db.QueryRow(ctx, `SELECT $1::oid::regclass::text`, oid).Scan(&name)
	if err == nil {
		err = db.QueryRow(ctx, `SELECT last_value, is_called FROM `+name).Scan(&at.Last, &at.Called)
	}
	if err != nil {
		return at, fmt.Errorf("look where a sequence stands: %w", err)
	}
	return at, nil
}

// standingsBehind asks the catalogs. A sequence that none goes on for is open again: what
// goes back into a column that only the old side has draws from it.
func (a *attempt) standingsBehind(ctx context.Context) (all []placement, err error) {
	var oids []uint32
	for _, s := range a.sequences {
		oids = append(oids, s.target.OID)
	}
	rows, err := a.shadow.locker.Query(ctx, `SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_class c
		JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY ($1)`, oids)
	if err != nil {
		return nil, fmt.Errorf("name the sequences: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowToStructByPos[pg.Name])
	if err != nil {
		return nil, fmt.Errorf("name the sequences: %w", err)
	}
	if all, err = placements(ctx, a.shadow.locker, names); err != nil {
		return nil, err
	}
	gone := func(s succession) bool {
		return !slices.ContainsFunc(all, func(at placement) bool { return at.OID == s.target.OID })
	}
	var script []string
	for _, s := range a.sequences {
		var name string
		if !gone(s) || a.plan.Remote { // on another server they are closed after this
			continue
		}
		if err := a.locker.QueryRow(ctx, `SELECT $1::oid::regclass::text`, s.old.OID).Scan(&name); err != nil {
			return nil, fmt.Errorf("name a sequence: %w", err)
		}
		script = append(script, succession{old: s.old, target: s.old, reopens: true}.proceed(name)...)
	}
	a.sequences = slices.DeleteFunc(a.sequences, gone)
	return all, a.play(ctx, a.pair, []stage{{"sequences that none goes on for", script}})
}

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
