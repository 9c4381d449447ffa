// Package planner says what an upgrade will do before anything is done: it reads
// the migrations and production's catalogs, runs the migrations in a scratch
// database, infers what each column of the shadow comes from, and reports steps,
// locks, estimates and findings.
//
// It only reads production. What it makes is the scratch database, in which the
// migrations are tried, and it drops that again.
//
// Order of calls: [planfile.Load], then [Make]. A run stores the plan and never
// makes it again; while it follows, [Drift] compares production with it.
package planner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/migrations"
	"github.com/pgumbra/pgumbra/plans/pgdump"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/plans/syntax"
)

// errBlocked: a blocker was found that leaves nothing to look at behind it. The
// plan with its findings is the answer.
var errBlocked = errors.New("blocked")

// maker makes one plan. Each step of [Make] fills what the next ones read.
type maker struct {
	file       *planfile.File
	log        *slog.Logger
	plan       *plans.Plan
	migrations *migrations.Folder
	cut        cut

	db         *pgx.Conn       // production, search_path pg_catalog
	session    catalog.Session // what a session of production.dsn has by itself
	production *catalog.Catalog
	version    standing
	pgDump     pgdump.Program
	side       *shadowSide // nil: the shadow is built in production's database

	scratch  *scratch
	sampled  bool             // it holds rows of production's
	failedBy error            // for which the migrations failed there
	before   *catalog.Catalog // scratch as production is
	after    *catalog.Catalog // scratch after the migrations, true names
	final    *catalog.Catalog // scratch under the shadow's names
	trace    trace
	watcher  watcher
	orphans  []syntax.Orphans
	tables   []*tableDraft
	sources  map[uint32]*sourceDraft // by oid in before
	shared   map[uint32]bool         // types and sequences by oid in scratch

	dumped     []pgdump.Entry       // production's structure, as pg_dump tells it
	dump       []pgdump.Entry       // the same, columns in their true order
	stored     map[int]pgdump.Entry // of the shadow's structure what is in a tablespace of its own, by number
	rows       map[uint32]leftRows
	typeEquals map[uint32]string // equality by type, in scratch
}

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

// makeOnce makes the plan that has the migrations from a cut on run behind the
// fence.
func makeOnce(ctx context.Context, f *planfile.File, log *slog.Logger, at cut) (*maker, error) {
	m := &maker{file: f, log: log, cut: at, plan: newPlan(f), sources: map[uint32]*sourceDraft{}, shared: map[uint32]bool{}, stored: map[int]pgdump.Entry{}}
	if f.Migrations.Path != "" {
		var err error
		if m.migrations, err = migrations.Read(f.Migrations.Path); err != nil {
			return nil, err
		}
		m.plan.Findings = append(m.plan.Findings, m.migrations.Warnings...)
	}
	if err := m.connect(ctx); err != nil {
		return nil, err
	}
	defer func() { _ = m.db.Close(context.WithoutCancel(ctx)) }()
	if err := m.connectShadow(ctx); err != nil {
		return nil, err
	}
	defer m.side.close(ctx)
	err := m.blockedByEncoding(m.steps(ctx))
	if err != nil && !errors.Is(err, errBlocked) {
		return nil, err
	}
	m.plan.Conclude()
	return m, nil
}

func newPlan(f *planfile.File) *plans.Plan {
	return &plans.Plan{
		Format: plans.Format,
		Run:    f.Name, Build: plans.Direct, Settings: f.Settings,
		StartedAt: time.Now().UTC().Format(time.RFC3339Nano),
		Findings:  []plans.Finding{}, Sources: []plans.Source{}, Tables: []plans.Table{}, Shared: []plans.Shared{}, Sequences: []plans.Sequence{},
		Entries: []plans.Entry{}, Matviews: []pg.Name{}, NewFKs: []plans.ForeignKey{}, Steps: []plans.Step{},
	}
}

// steps is the whole way to a plan, on one screen.
func (m *maker) steps(ctx context.Context) error {
	for _, step := range []struct {
		act string
		do  func(context.Context) error
	}{
		{"look at production", m.lookAtProduction},
		{"make the scratch database", m.makeScratch},
	} {
		m.log.Debug("plan", "step", step.act)
		if err := step.do(ctx); err != nil {
			return stepError(step.act, err)
		}
	}
	defer m.scratch.drop(ctx, m.log)
	for _, step := range []struct {
		act string
		do  func(context.Context) error
	}{
		{"run the migrations in scratch", m.migrate},
		{"add the labels of enums", m.hoist},
		{"give scratch back to its owners", m.release},
		{"read what the migrations made", m.readAfter},
		{"say what changes", m.tellChanges},
		{"find what stays shared", m.findShared},
		{"infer where rows come from", m.inferTables},
		{"give scratch the shadow's names", m.rename},
		{"read the shadow's structure", m.readStructure},
		{"remember production's structure", m.rememberStructure},
		{"write the mapping", m.writeMapping},
		{"check the transforms", m.validate},
		{"look for what depends on production", m.lookForDependencies},
		{"look at what the shadow's database lacks", m.judgeApart},
		{"look for rows that others refer to", m.lookForOrphans},
		{"look for objects that rows name", m.objectsInRows},
		{"try the structure on the shadow", m.tryOnShadow},
		{"give transforms their settings", m.settle},
		{"prove it on rows", m.proveOnRows},
		{"ask production of new constraints", m.probeConstraints},
		{"estimate", m.estimateAll},
		{"say what runs behind the fence", m.behindTold},
	} {
		m.log.Debug("plan", "step", step.act)
		started := time.Now()
		if err := step.do(ctx); err != nil {
			return stepError(step.act, err)
		}
		m.log.Debug("plan", "done", step.act, "seconds", time.Since(started).Seconds())
	}
	return nil
}

func stepError(act string, err error) error {
	if errors.Is(err, errBlocked) {
		return err
	}
	return fmt.Errorf("%s: %w", act, err)
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
	if !p.Elsewhere {
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

func (m *maker) find(f plans.Finding) { m.plan.Findings = append(m.plan.Findings, f) }

func (m *maker) blocker(code, object, message, fix string) {
	m.find(plans.Finding{Level: plans.Blocker, Code: code, Object: object, Message: message, Fix: fix})
}

// naming is where the last statement stands that names all of some words.
func (m *maker) naming(names ...string) string { return syntax.Naming(m.trace.places, names...) }

// opaque is a blocker on what a build before the fence cannot give, and the
// migrations themselves would if they ran behind it.
func (m *maker) opaque(code, object, where, message, fix string) {
	m.find(plans.Finding{Level: plans.Blocker, Code: code, Object: object, Where: where, Message: message, Fix: fix, Opaque: true})
}

func (m *maker) warning(code, object, message, fix string) {
	m.find(plans.Finding{Level: plans.Warning, Code: code, Object: object, Message: message, Fix: fix})
}

func (m *maker) info(code, object, message, fix string) {
	m.find(plans.Finding{Level: plans.Info, Code: code, Object: object, Message: message, Fix: fix})
}

// moving reports whether a schema is one of those that move.
func (m *maker) moving(schema string) bool {
	return slices.Contains(m.file.Production.Schemas, schema)
}

// shadowName is an object's name while the shadow is built.
func (m *maker) shadowName(n pg.Name) pg.Name {
	if s, ok := m.plan.SchemaFor(n.Schema); ok {
		return pg.Name{Schema: s.Shadow, Name: n.Name}
	}
	return n
}
