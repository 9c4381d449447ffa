package cutover

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// checkSequences asks whether the sequences are there from which those of the shadow go on. Clients
// may have dropped or renamed one, as no lock and no plan of the watch keeps them from it.
func (c *Cutover) checkSequences(ctx context.Context, db pg.Querier) ([]Blocker, error) {
	return c.sequencesGone(ctx, db, func(s plans.Sequence) pg.Name { return s.Production })
}

// checkSuccessors asks the same of the shadow's own.
func (c *Cutover) checkSuccessors(ctx context.Context, db pg.Querier) ([]Blocker, error) {
	return c.sequencesGone(ctx, db, func(s plans.Sequence) pg.Name { return s.Shadow })
}

func (c *Cutover) sequencesGone(ctx context.Context, db pg.Querier, name func(plans.Sequence) pg.Name) ([]Blocker, error) {
	var quoted []string
	for _, s := range c.Upgrade.Plan.Sequences {
		if !s.Production.IsZero() {
			quoted = append(quoted, name(s).Quoted())
		}
	}
	rows, err := db.Query(ctx, `SELECT n FROM pg_catalog.unnest($1::text[]) n
		WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_sequence WHERE seqrelid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(n))`, quoted)
	if err != nil {
		return nil, fmt.Errorf("look for the sequences: %w", err)
	}
	gone, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look for the sequences: %w", err)
	}
	if len(gone) == 0 {
		return nil, nil
	}
	return []Blocker{sequenceGone("sequence "+strings.Join(gone, ", ")+" is gone, and its numbers go on on the other side", gone[0])}, nil
}

func sequenceGone(message, name string) Blocker {
	return Blocker{Code: "sequence-gone", Message: message, Lasting: true,
		Fix: "give it its name back, or make it again with the next number: CREATE SEQUENCE " + name + " START ..."}
}

// checkTurned asks whether a sequence counts the other way since the last swap.
func (c *Cutover) checkTurned(ctx context.Context, db pg.Querier) ([]Blocker, error) {
	t, err := c.readTaken(ctx, db)
	if errors.Is(err, errNothingTaken) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return t.turned(ctx, db)
}

// turned are the sequences whose increment has another sign than when the swap put them where
// they were. How far they had come before clients turned them nobody can tell, so that numbers
// that they handed out would come again on the other side, which counts as it did.
func (t taken) turned(ctx context.Context, db pg.Querier) (found []Blocker, err error) {
	if len(t.Placed) == 0 { // the first swap, within its stall
		return nil, nil
	}
	rows, err := db.Query(ctx, `SELECT seqrelid::regclass::text, p.increment, seqincrement
		FROM ROWS FROM (pg_catalog.unnest($1::oid[]), pg_catalog.unnest($2::bigint[])) p (oid, increment)
		JOIN pg_catalog.pg_sequence ON seqrelid OPERATOR(pg_catalog.=) p.oid
		WHERE pg_catalog.sign(p.increment) OPERATOR(pg_catalog.=) - pg_catalog.sign(seqincrement) ORDER BY 1`, t.increments()...)
	if err != nil {
		return nil, fmt.Errorf("look how the sequences count: %w", err)
	}
	var name string
	var was, now int64
	_, err = pgx.ForEachRow(rows, []any{&name, &was, &now}, func() error {
		found = append(found, Blocker{Code: "sequence-turned", Lasting: true,
			Message: fmt.Sprintf("sequence %s counts by %d since the last swap, by %d before, and how far it had come is not known", name, now, was),
			Fix:     fmt.Sprintf("turn it again and set it behind its numbers: ALTER SEQUENCE %s INCREMENT %d; SELECT setval(%s, ...)", name, was, pg.Literal(name))})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look how the sequences count: %w", err)
	}
	return found, nil
}

func (t taken) increments() []any {
	var oids []uint32
	var steps []int64
	for _, p := range t.Placed {
		oids, steps = append(oids, p.OID), append(steps, p.Increment)
	}
	return []any{oids, steps}
}
