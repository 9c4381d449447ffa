package planner

import (
	"context"
	"fmt"

	"github.com/pgumbra/pgumbra/plans/catalog"
)

// alignSequences lets scratch's sequences stand where production's do: pg_dump
// writes none of that into a structure. So a migration that sets one can be told
// by where it stands afterwards, and one that production's position forbids (a
// MAXVALUE below it) fails here as it would there.
func (m *trial) alignSequences(ctx context.Context, s *scratch) error {
	if !m.sampled { // clients draw on: both scratch databases begin where the first did
		if err := m.production.ReadValues(ctx, m.db, m.file.Production.Schemas); err != nil {
			return err
		}
	}
	var schemas, names []string
	var values []int64
	var called []bool
	for _, q := range m.production.Sequences {
		if m.moving(q.Name.Schema) && !q.Extension {
			schemas, names = append(schemas, q.Name.Schema), append(names, q.Name.Name)
			values, called = append(values, q.LastValue), append(called, q.IsCalled)
		}
	}
	_, err := s.db.Exec(ctx, `SELECT setval(c.oid, v.value, v.called)
		FROM unnest($1::text[], $2::text[], $3::bigint[], $4::boolean[]) AS v (nspname, relname, value, called)
		JOIN pg_namespace n USING (nspname) JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = v.relname AND c.relkind = 'S'`,
		schemas, names, values, called)
	if err != nil {
		return fmt.Errorf("set the sequences in scratch: %w", err)
	}
	return nil
}

// positioned: the migrations set a sequence of production's.
func (m *lineage) positioned(s *catalog.Sequence) bool {
	b := sequenceByOID(m.before, s.OID)
	if b == nil {
		return false
	}
	p := m.production.SequenceNamed(b.Name)
	return p != nil && (p.LastValue != s.LastValue || p.IsCalled != s.IsCalled)
}
