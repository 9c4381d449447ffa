package cutover

import (
	"context"
	_ "embed" // the query
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

//go:embed sql/draws.sql
var drawsSQL string

//go:embed sql/defaults.sql
var defaultsSQL string

// draw is a column that draws numbers from a sequence.
type draw struct {
	sequence, table         uint32
	sequenceName, tableName pg.Name
	column                  string
	feeders                 []uint32 // the sequences of the column that its values come from
}

// drawing are the columns that draw numbers, of tables of some schemas.
func drawing(ctx context.Context, db pg.Querier, schemas []string) ([]draw, error) {
	rows, err := db.Query(ctx, drawsSQL, schemas)
	if err != nil {
		return nil, fmt.Errorf("list the columns that draw numbers: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (draw, error) {
		var d draw
		err := row.Scan(&d.sequence, &d.sequenceName.Schema, &d.sequenceName.Name, &d.table, &d.tableName.Schema, &d.tableName.Name, &d.column)
		return d, err
	})
	if err != nil {
		return nil, fmt.Errorf("list the columns that draw numbers: %w", err)
	}
	return all, nil
}

// drawnByReplay are the sequences, by oid, from which defaults of the shadow's columns draw
// for rows that are replayed. In one database such a sequence may be production's own.
func drawnByReplay(ctx context.Context, db pg.Querier, plan *plans.Plan) ([]uint32, error) {
	_, shadow := plan.SchemaNames()
	rows, err := db.Query(ctx, defaultsSQL, shadow)
	if err != nil {
		return nil, fmt.Errorf("list the defaults that draw numbers: %w", err)
	}
	var all []uint32
	var oid uint32
	var table pg.Name
	var column string
	_, err = pgx.ForEachRow(rows, []any{&oid, &table.Schema, &table.Name, &column}, func() error {
		if plan.DefaultFills(table, column) {
			all = append(all, oid)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the defaults that draw numbers: %w", err)
	}
	return all, nil
}

// lookForDraws finds the columns of the side that becomes production again, by a rollback
// or by a cutover after one, whose numbers were drawn elsewhere while the other side was: from an
// identity's sequence, say, where there is a free one here, which has not moved with
// them. At the first cutover the migrations have the word, and there is nothing but what is noted
// for later: which sequences the columns draw from.
func (a *attempt) lookForDraws(ctx context.Context) error {
	if !a.plan.Backwards() && !a.plan.Reversible() {
		return nil
	}
	production, shadow := a.plan.SchemaNames()
	var err error
	if a.landing, err = drawing(ctx, a.shadow.observer, shadow); err != nil || !a.returns() {
		return err
	}
	from, err := drawing(ctx, a.observer, production)
	if err != nil {
		return err
	}
	for _, d := range a.landing {
		if !d.inStep(a.plan, from) {
			a.drawn = append(a.drawn, d)
			a.feeders = append(a.feeders, d.feeders...)
		}
	}
	a.facts.sequences, err = continuing(ctx, a.observer, a.plan, a.feeders)
	return err
}

// returns: the side that becomes production was it before.
func (a *attempt) returns() bool { return a.plan.Backwards() || a.c.Upgrade.Again }

// inStep: the values come from a column that draws from the same sequence, or from one
// that this goes on for, or from the column's own default. Where they do not, what that
// column draws from is noted.
func (d *draw) inStep(plan *plans.Plan, from []draw) bool {
	if plan.FillsItself(d.tableName, d.column) {
		return true
	}
	table, columns, carried := plan.CarriedFrom(d.tableName, []string{d.column})
	for _, f := range from {
		if !carried || f.tableName != table || f.column != columns[0] {
			continue
		}
		if !plan.Remote && f.sequence == d.sequence ||
			slices.ContainsFunc(plan.Sequences, func(s plans.Sequence) bool { return s.Production == f.sequenceName && s.Shadow == d.sequenceName }) {
			return true
		}
		d.feeders = append(d.feeders, f.sequence)
	}
	return false
}

// catchUp is the end of a swap there and back: sequences whose columns got their numbers
// from elsewhere, see [attempt.lookForDraws], go on behind these. One that begins anew hands
// out numbers that are in use of its own accord. p is in the swap's transaction, after everything
// else that it does.
func (a *attempt) catchUp(ctx context.Context, p *pair) error {
	if len(a.drawn) == 0 {
		return nil
	}
	fed, err := a.fed(ctx)
	if err != nil {
		return err
	}
	var oids []uint32
	for _, d := range a.drawn {
		oids = append(oids, d.sequence)
	}
	was, err := countersOf(ctx, p.locker, oids)
	if err != nil {
		return err
	}
	var asked []draw
	own := maps.Clone(was)
	for _, d := range a.drawn {
		s, there := own[d.sequence]
		if !there || s.Cycle || a.unmoved(d, fed) {
			continue
		}
		if at, follows := d.follows(s, fed); follows {
			own[d.sequence] = s.raised(at.Last, at.Called)
		} else {
			asked = append(asked, d)
		}
	}
	if err := behindValues(ctx, p.locker, asked, own); err != nil {
		return err
	}
	script, err := a.raise(ctx, p.locker, was, own)
	if err != nil {
		return err
	}
	return a.play(ctx, p, []stage{{"sequences catch up", script}})
}

// raise are the statements that put sequences where they go on, and notes that.
func (a *attempt) raise(ctx context.Context, db pg.Querier, was, own map[uint32]counter) ([]string, error) {
	var script []string
	for _, oid := range slices.Sorted(maps.Keys(own)) {
		s := own[oid]
		if s == was[oid] {
			continue
		}
		var name string
		if err := db.QueryRow(ctx, `SELECT $1::oid::regclass::text`, oid).Scan(&name); err != nil {
			return nil, fmt.Errorf("name a sequence: %w", err)
		}
		script = append(script, s.stand(name, "")...)
		a.raised = append(a.raised, s.placed())
	}
	return script, nil
}

// fed are the sequences of the other side that fed the columns meanwhile, as they stood
// when the fence had been put up, and behind what those draw from them who wait for it.
func (a *attempt) fed(ctx context.Context) (map[uint32]counter, error) {
	all, err := countersOf(ctx, a.locker, a.feeders)
	if err != nil {
		return nil, err
	}
	for _, s := range a.sequences { // these are closed by now
		if _, feeds := all[s.old.OID]; feeds {
			all[s.old.OID] = s.old
		}
	}
	for oid, s := range all {
		left := succession{old: s}
		if err := a.locker.QueryRow(ctx, "SELECT "+waiting, oid).Scan(&left.waiting); err != nil {
			return nil, fmt.Errorf("look who waits for a sequence: %w", err)
		}
		if n := left.reserved(); n > 0 {
			s.Last, s.Called = s.after(n)
			all[oid] = s
		}
	}
	return all, nil
}

// unmoved: nobody has drawn from what feeds the column since the swap before this one.
func (a *attempt) unmoved(d draw, fed map[uint32]counter) bool {
	for _, oid := range d.feeders {
		placed, now := a.closed.placedAt(oid), fed[oid]
		if placed == nil || now.Last != placed.Last || now.Called != placed.Called {
			return false
		}
	}
	return len(d.feeders) > 0
}

// follows is where the one sequence that fed the column stands, if this one can go on
// from there: its numbers are in use, or on their way to a row. What clients wrote without it
// makes no sequence jump.
func (d draw) follows(s counter, fed map[uint32]counter) (counter, bool) {
	if len(d.feeders) != 1 {
		return counter{}, false
	}
	f, there := fed[d.feeders[0]]
	first, end := s.ends()
	return f, there && !f.Cycle && (f.Increment > 0) == (s.Increment > 0) && !s.beyond(first, f.Last) && s.beyond(end, f.Last)
}

// raised is s at a standing, unless it is there or beyond.
func (s counter) raised(last int64, called bool) counter {
	if s.next(last, called).Cmp(s.next(s.Last, s.Called)) > 0 {
		s.Last, s.Called = last, called
	}
	return s
}

// behindValues puts sequences behind the values of columns that draw from them, in their
// own direction. A value at the end of a sequence is none that it led to, and would end it.
func behindValues(ctx context.Context, db pg.Querier, columns []draw, own map[uint32]counter) error {
	var selects []string
	for _, d := range columns {
		s, text := own[d.sequence], "SELECT %d::oid, (SELECT max(%[2]s)::numeric FROM %[3]s WHERE %[2]s >= %[4]s AND %[2]s < %[5]s)"
		if s.Increment < 0 {
			text = "SELECT %d::oid, (SELECT min(%[2]s)::numeric FROM %[3]s WHERE %[2]s <= %[4]s AND %[2]s > %[5]s)"
		}
		var table string
		if err := db.QueryRow(ctx, `SELECT $1::oid::regclass::text`, d.table).Scan(&table); err != nil {
			return fmt.Errorf("name a table: %w", err)
		}
		first, end := s.ends()
		selects = append(selects, fmt.Sprintf(text, d.sequence, pg.Ident(d.column), table, bigint(first), bigint(end)))
	}
	if len(selects) == 0 {
		return nil
	}
	rows, err := db.Query(ctx, `SELECT oid, pg_catalog.trunc(value)::bigint FROM (`+strings.Join(selects, "\nUNION ALL ")+`) v (oid, value) WHERE value IS NOT NULL`)
	if err != nil {
		return fmt.Errorf("look how far the numbers of columns are: %w", err)
	}
	var oid uint32
	var value int64
	_, err = pgx.ForEachRow(rows, []any{&oid, &value}, func() error {
		own[oid] = own[oid].raised(value, true)
		return nil
	})
	if err != nil {
		return fmt.Errorf("look how far the numbers of columns are: %w", err)
	}
	return nil
}
