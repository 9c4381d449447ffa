package cutover

import (
	"context"
	_ "embed" // the query
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

//go:embed sql/draws.sql
var drawsSQL string

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

// lookForDraws finds the columns of the side that becomes production again whose
// numbers were drawn elsewhere while the other side was: from an identity's sequence, say,
// where there is a free one here, which has not moved with them. At a cutover the
// migrations have the word.
func (a *attempt) lookForDraws(ctx context.Context) error {
	if !a.plan.Backwards() {
		return nil
	}
	production, shadow := a.plan.SchemaNames()
	from, err := drawing(ctx, a.observer, production)
	if err != nil {
		return err
	}
	all, err := drawing(ctx, a.shadow.observer, shadow)
	for _, d := range all {
		if !d.inStep(a.plan, from) {
			a.drawn = append(a.drawn, d)
		}
	}
	return err
}

// inStep: the values come from a column that draws from the same sequence, or from one
// that this goes on for. Where they do not, what that column draws from is noted.
func (d *draw) inStep(plan *plans.Plan, from []draw) bool {
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

// unmoved: nobody has drawn from what feeds the column since the swap before this one.
func (a *attempt) unmoved(ctx context.Context, d draw) (bool, error) {
	for _, oid := range d.feeders {
		placed := a.closed.placedAt(oid)
		if placed == nil {
			return false, nil
		}
		now, err := standingOf(ctx, a.locker, oid)
		if err != nil || now != *placed {
			return false, err
		}
	}
	return len(d.feeders) > 0, nil
}

// raise are the statements that put each sequence behind the numbers of the columns
// that draw from it, where these came without it; and notes where it stands then. One
// that begins anew hands out numbers that are in use of its own accord. db is in the swap's
// transaction, after everything else.
func (a *attempt) raise(ctx context.Context, db pg.Querier) ([]string, error) {
	var selects []string
	for _, d := range a.drawn {
		if unmoved, err := a.unmoved(ctx, d); err != nil {
			return nil, err
		} else if unmoved {
			continue
		}
		var sequence, table string
		if err := db.QueryRow(ctx, `SELECT $1::oid::regclass::text, $2::oid::regclass::text`, d.sequence, d.table).Scan(&sequence, &table); err != nil {
			return nil, fmt.Errorf("name a sequence and its table: %w", err)
		}
		selects = append(selects, fmt.Sprintf(`SELECT %d::oid, %s::text, s.last_value, s.is_called, d.seqincrement, CASE
				WHEN d.seqincrement > 0 THEN least(floor(v.high), d.seqmax) ELSE greatest(ceil(v.low), d.seqmin) END
			FROM %[5]s s JOIN pg_catalog.pg_sequence d ON d.seqrelid = %[1]d
			CROSS JOIN (SELECT (SELECT max(%[3]s)::numeric FROM %[4]s), (SELECT min(%[3]s)::numeric FROM %[4]s)) v (high, low)
			WHERE NOT d.seqcycle AND v.high IS NOT NULL`,
			d.sequence, pg.Literal(sequence), pg.Ident(d.column), table, sequence))
	}
	if len(selects) == 0 {
		return nil, nil
	}
	rows, err := db.Query(ctx, `SELECT oid, name, CASE WHEN increment > 0 THEN max(number) ELSE min(number) END::bigint
		FROM (`+strings.Join(selects, "\nUNION ALL ")+`) n (oid, name, last, called, increment, number)
		WHERE pg_catalog.sign(increment::numeric) * (number - last) >= CASE WHEN called THEN 1 ELSE 0 END
		GROUP BY oid, name, increment ORDER BY oid`)
	if err != nil {
		return nil, fmt.Errorf("look how far the numbers of columns are: %w", err)
	}
	var script []string
	var name string
	at := placement{Called: true}
	_, err = pgx.ForEachRow(rows, []any{&at.OID, &name, &at.Last}, func() error {
		script = append(script, "ALTER SEQUENCE "+name+" RESTART",
			fmt.Sprintf("SELECT pg_catalog.setval(%s::pg_catalog.regclass, %d, true)", pg.Literal(name), at.Last))
		a.raised = append(a.raised, at)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look how far the numbers of columns are: %w", err)
	}
	return script, nil
}
