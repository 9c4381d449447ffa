package cutover

import (
	"context"
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
