package planner

import (
	"context"
	_ "embed" // the query
	"fmt"

	"github.com/jackc/pgx/v5"
)

//go:embed findings_numbers.sql
var numbersSQL string

// numbersTwice: rows that come to the shadow are numbered by a column's default. Where that
// draws from a sequence that production has, and the shadow has a copy of it, production's clients
// get the same numbers meanwhile. One that stays shared is one sequence for both.
func (m *draft) numbersTwice(ctx context.Context) error {
	rows, err := m.scratch.db.Query(ctx, numbersSQL)
	if err != nil {
		return err
	}
	var sequence, table uint32
	var column string
	_, err = pgx.ForEachRow(rows, []any{&sequence, &table, &column}, func() error {
		before, after, t := sequenceByOID(m.before, sequence), sequenceByOID(m.after, sequence), m.final.ByOID(table)
		if before == nil || after == nil || t == nil || m.shared[sequence] || !m.moving(after.Name.Schema) || !m.plan.DefaultFills(t.Name, column) {
			return nil
		}
		m.opaque("numbers-twice", m.after.ByOID(table).Name.String()+"."+column, m.namingOf([]string{t.Name.Name, column, after.Name.Name}, []string{t.Name.Name, column}),
			fmt.Sprintf("rows get their numbers from the shadow's copy of sequence %s before the cutover, and production hands out the same numbers meanwhile", before.Name),
			"nothing with build: auto, where the statement runs behind the fence; otherwise let the column draw from a sequence of its own")
		return nil
	})
	return err
}
