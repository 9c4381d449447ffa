package plans

import (
	"context"

	"github.com/pgumbra/pgumbra/plans/conditions"
)

// checkConditions asks what must not be there whatever the migrations do.
func (m *maker) checkConditions(ctx context.Context) error {
	return m.askConditions(ctx, conditions.Beginning)
}

// askConditions makes findings of what the list of conditions finds. What is
// gone before long does not stand against a run that begins now.
func (m *maker) askConditions(ctx context.Context, moment conditions.Moment) error {
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

// SwapsOn is production's side in the list of conditions.
func (p *Plan) SwapsOn() conditions.Side {
	if p.Elsewhere {
		return conditions.Remote
	}
	return conditions.Local
}

// Rests is what the conditions of this plan's swap are asked about.
func (p *Plan) Rests() conditions.Scope {
	var s conditions.Scope
	for _, schema := range p.Schemas {
		s.Schemas = append(s.Schemas, schema.Production)
	}
	for _, shared := range p.Shared {
		s.Shared = append(s.Shared, shared.Name.Quoted())
	}
	for _, f := range p.Findings {
		if f.Code == "event-trigger" {
			s.Told = append(s.Told, f.Object)
		}
	}
	return s
}

// RestsOnShadow is what those of the shadow's own database are asked about: its
// tables stand there under other names until the swap.
func (p *Plan) RestsOnShadow() conditions.Scope {
	var s conditions.Scope
	for _, schema := range p.Schemas {
		s.Schemas = append(s.Schemas, schema.Shadow)
	}
	return s
}
