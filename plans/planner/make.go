// Package planner says what an upgrade will do before anything is done: it reads
// the migrations and production's catalogs, runs the migrations in a scratch
// database, infers what each column of the shadow comes from, and reports steps,
// locks, estimates and findings.
//
// It only reads production. What it makes is the scratch database, in which the
// migrations are tried, with a role or two that they run as there, and it drops that again.
//
// Order of calls: [planfile.Load], then [Make], and [Lead] where clients are led to
// another database. A run stores the plan and never makes it again; while it follows,
// [Drift] compares production with it.
//
// It is one package, and the largest, since a plan is made in stages, each of which holds
// all that those before it have found (pipeline.go), and checks, way back and steps are
// methods of these. In a package of its own a stage would have to export all of that to
// the next. What asks little of them stands apart: package estimate, and the following of
// statements, package transforms.
package planner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/plans/transforms"
)

// errBlocked: a blocker was found that leaves nothing to look at behind it. The
// plan with its findings is the answer.
var errBlocked = errors.New("blocked")

// Make makes the plan: it looks at production, runs the migrations in a scratch
// database made from production's structure, and infers where each row and
// column of the shadow comes from. It changes nothing in production; pg_dump
// takes ACCESS SHARE locks on its tables for some seconds. The scratch database
// is dropped again whatever happens.
//
// What stands against a run comes as findings of level [plans.Blocker], all that can
// be found. Errors are a [*plans.FileError] for the migrations folder, or that
// production or scratch cannot be reached.
func Make(ctx context.Context, f *planfile.File, log *slog.Logger) (*plans.Plan, error) {
	return makeWithCut(ctx, f, log)
}

// Clients is who leads clients to the shadow's database.
type Clients interface {
	// Inspect looks whether the way can be gone. It changes nothing.
	Inspect(ctx context.Context) ([]plans.Finding, error)
	// Steps are what will be typed, in order.
	Steps() []string
}

// Lead adds what leading the clients takes, and what stands against it. It does
// nothing where they stay in their database.
func Lead(ctx context.Context, p *plans.Plan, clients Clients) error {
	if !p.Remote {
		return nil
	}
	found, err := clients.Inspect(ctx)
	if err != nil {
		return fmt.Errorf("look how clients are led: %w", err)
	}
	if commands := clients.Steps(); len(commands) > 0 {
		setTraffic(p, commands)
	}
	p.AddFindings(found...)
	return nil
}

func (m *task) find(f plans.Finding) { m.plan.Findings = append(m.plan.Findings, f) }

func (m *task) blocker(code, object, message, fix string) {
	m.find(plans.Finding{Level: plans.Blocker, Code: code, Object: object, Message: message, Fix: fix})
}

// naming is where the last statement stands that names all of some words.
func (t *trace) naming(names ...string) string { return transforms.Naming(t.places, names...) }

// namingOf is naming with the first of several lists of words, the nearest first, that some
// statement has.
func (t *trace) namingOf(clues ...[]string) string {
	for _, names := range clues {
		if where := t.naming(names...); where != "" {
			return where
		}
	}
	return ""
}

// opaque is a blocker on what a build before the fence cannot give, and the
// migrations themselves would if they ran behind it.
func (m *task) opaque(code, object, where, message, fix string) {
	m.find(plans.Finding{Level: plans.Blocker, Code: code, Object: object, Where: where, Message: message, Fix: fix, Opaque: true})
}

func (m *task) warning(code, object, message, fix string) {
	m.find(plans.Finding{Level: plans.Warning, Code: code, Object: object, Message: message, Fix: fix})
}

func (m *task) info(code, object, message, fix string) {
	m.find(plans.Finding{Level: plans.Info, Code: code, Object: object, Message: message, Fix: fix})
}

// moving reports whether a schema is one of those that move.
func (m *task) moving(schema string) bool {
	return slices.Contains(m.file.Production.Schemas, schema)
}

// shadowName is an object's name while the shadow is built.
func (m *task) shadowName(n pg.Name) pg.Name {
	if s, ok := m.plan.SchemaFor(n.Schema); ok {
		return pg.Name{Schema: s.Shadow, Name: n.Name}
	}
	return n
}
