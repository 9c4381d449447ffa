package planner

import (
	"cmp"
	"context"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/conditions"
)

// checkConditions asks what must not be there whatever the migrations do. Code of
// others ends the plan: reading a structure computes the constant parts of its
// expressions, so that scratch would run it.
func (m *survey) checkConditions(ctx context.Context) error {
	found, err := m.askConditions(ctx, conditions.Beginning)
	if err != nil {
		return err
	}
	for _, f := range found {
		if f.Condition.Code == "foreign-code" {
			return errBlocked
		}
	}
	return nil
}

// askConditions makes findings of what the list of conditions finds. What is
// gone before long does not stand against a run that begins now.
func (m *survey) askConditions(ctx context.Context, moment conditions.Moment) ([]conditions.Found, error) {
	found, err := conditions.Ask(ctx, m.db, m.plan.SwapsOn(), moment, m.restsOn())
	if err != nil {
		return nil, err
	}
	for _, f := range found {
		if f.Condition.Weight == conditions.Against {
			m.blocker(f.Condition.Code, f.Object, f.Message, f.Fix)
		} else {
			m.warning(f.Condition.Code, f.Object, f.Message, f.Fix)
		}
	}
	return found, nil
}

// checkShadowConditions asks the shadow's own database what must not be there.
func (m *site) checkShadowConditions(ctx context.Context) error {
	found, err := conditions.Ask(ctx, m.side.db, conditions.Shadow, conditions.Beginning, m.plan.RestsOnShadow())
	for _, f := range found {
		m.blocker(f.Condition.Code, f.Object, "in the shadow's database: "+f.Message, f.Fix)
	}
	return err
}

// restsOn is what the conditions are asked about while the version table is only
// known by name.
func (m *survey) restsOn() conditions.Scope {
	scope := m.plan.Rests()
	scope.Version = cmp.Or(m.file.Migrations.Table, versionTableName)
	if q, err := pg.ParseName(scope.Version); err == nil {
		scope.Version, scope.Near = q.Name, append(scope.Near, q.Schema)
	}
	return scope
}
