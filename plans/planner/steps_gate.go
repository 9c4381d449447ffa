package planner

import (
	"fmt"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// closeStep keeps everybody else off the shadow until the swap.
func closeStep(p *plans.Plan) plans.Step {
	var all []string
	for _, s := range p.Schemas {
		all = append(all, fmt.Sprintf("ALTER SCHEMA %s OWNER TO CURRENT_USER", pg.Ident(s.Shadow)),
			fmt.Sprintf("REVOKE ALL ON SCHEMA %s FROM … -- all others", pg.Ident(s.Shadow)))
	}
	for _, e := range p.Entries {
		if e.Tag == "ROW SECURITY" {
			all = append(all, statementText(e.SQL))
		}
	}
	all = append(all, SlotWriteBlock)
	return plans.Step{Phase: "building", Title: "Keep everybody else off the shadow: its schemas are ours until the swap, and its tables refuse all writes but pgumbra's",
		Lock: noLock, Waits: shadowOnly, SQL: all}
}

// openSQL, in the swap, gives the shadow to its owners and users.
func openSQL(p *plans.Plan) []string {
	var all []string
	for _, s := range p.Schemas {
		all = append(all, fmt.Sprintf("-- schema %s: the owner and the privileges of production's, as the migrations leave them", s.Shadow))
	}
	return append(all, SlotOpen)
}
