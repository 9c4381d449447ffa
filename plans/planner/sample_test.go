package planner

import (
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/internal/sampleplan"
)

// samplePlan is an upgrade of a small shop with one of everything.
func samplePlan() *plans.Plan {
	p := sampleplan.New()
	p.Steps = steps(p)
	return p
}
