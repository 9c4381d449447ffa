package planner

import (
	"context"

	"github.com/pgumbra/pgumbra/plans/conditions"
)

// checkConditions asks what must not be there whatever the migrations do.
func (m *survey) checkConditions(ctx context.Context) error {
	return m.askConditions(ctx, conditions.Beginning)
}

// askConditions makes findings of what the list of conditions finds. What is
// gone before long does not stand against a run that begins now.
func (m *survey) askConditions(ctx context.Context, moment conditions.Moment) error {
	found, err := conditions.Ask(ctx, m.db, m.plan.SwapsOn(), moment, m.plan.Rests())
	if err != nil {
		return err
	}
	for _, f := range found {
		if f.Condition.Weight == conditions.Against {
			m.blocker(f.Condition.Code, f.Object, f.Message, f.Fix)
		} else {
			m.warning(f.Condition.Code, f.Object, f.Message, f.Fix)
		}
	}
	return nil
}
