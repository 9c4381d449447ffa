package planner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/migrations"
	"github.com/pgumbra/pgumbra/plans/pgdump"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/plans/syntax"
	"github.com/pgumbra/pgumbra/plans/transforms"
)

// A plan is made in stages. Each has a type, which holds what the stages before it
// have found out and adds its own, so that a method cannot reach what a later stage finds.
// That does not say when it is found: the stages of a draft exist from its first step on
// ([newDraft]), and some of their fields are filled by steps that ask a server (final,
// shared, typeEquals). The order of [site.pipeline] is what holds there.
//
//	task ──→ survey ──→ site ──→ trial ─────────────────────────────────────────────┐
//	            │ catalogs                                                          ├──→ draft ──→ plan
//	            └─────→ lineage ──→ mapping ──→ keying ──→ wayBack ──→ afterFence ──→ losses ┘
//
// survey, site and trial look at servers. What begins with lineage works on what was
// read: it has no connection, and is a function of the catalogs. A draft has both: it
// holds what was inferred against the servers once more.
//
// Where a plan meets a statement that cannot be followed, it is made once more, with the
// migrations from there on behind the fence: see [makeWithCut].

// task is what is asked for, and the plan with the findings so far.
type task struct {
	file        *planfile.File
	log         *slog.Logger
	migrations  *migrations.Folder // nil: none
	cut         cut
	deferrable  []syntax.Place          // that might run in the swap by themselves
	whyWaits    map[syntax.Place]string // why some of them are not understood
	sees        *syntax.Notice          // what may fail once some of these do; nil: nothing
	failedState string                  // the SQLSTATE by which a migration failed in scratch; empty: none did
	plan        *plans.Plan
	pulse       *pulse // what is said of the work; nil: nothing
}

// catalogs are what was read, in this order.
type catalogs struct {
	production *catalog.Catalog
	version    standing
	before     *catalog.Catalog // scratch as production is
	trace                       // what the migrations did there
	behind     *behindTrial     // what those behind the fence make of it; nil: there are none, or nothing is watched
	after      *catalog.Catalog // scratch after the others, true names
	rows       map[uint32]leftRows
}

// survey looks at production.
type survey struct {
	*task
	*catalogs
	db      *pgx.Conn       // production, search_path pg_catalog
	session catalog.Session // what a session of production.dsn has by itself
	pgDump  pgdump.Program
}

// site looks at the database that the shadow is built in.
type site struct {
	*survey
	side *shadowSide // nil: production's own
}

// trial runs the migrations in scratch.
type trial struct {
	*site
	scratch  *scratch
	dumped   []pgdump.Entry // production's structure, as pg_dump tells it
	dump     []pgdump.Entry // the same, columns in their true order
	watcher  watcher
	client   clientSession
	sampled  bool  // scratch holds rows of production's
	failedBy error // for which the migrations failed there
}

// lineage is where each table of the shadow comes from.
type lineage struct {
	*task
	*catalogs
	shared  map[uint32]bool // types and sequences by oid in scratch
	tables  []*tableDraft
	orphans []transforms.Orphans
}

// mapping is how each row and column comes over.
type mapping struct {
	*lineage
	final      *catalog.Catalog        // scratch under the shadow's names; by readStructure
	typeEquals map[uint32]string       // equality by type; by readTypeEquals
	sources    map[uint32]*sourceDraft // by oid in before
}

// keying is what a row is known by, in production and in each table that it feeds.
type keying struct{ *mapping }

// wayBack is how rows go back after the swap: the mapping read the other way round.
type wayBack struct{ *keying }

// afterFence is what of it goes on behind migrations that run behind the fence.
type afterFence struct {
	*wayBack
	statements []behindStatement // as far as they were asked for
}

// losses are what a rollback would lose.
type losses struct{ *afterFence }

// draft is a plan that is held against the servers.
type draft struct {
	*task
	*catalogs
	*trial
	*losses
	stored map[int]pgdump.Entry // of the shadow's structure what is in a tablespace of its own, by number
}

// step is a part of a stage.
type step struct {
	act string
	do  func(context.Context) error
}

// pipeline is the whole way to a plan, on one screen.
func (m *site) pipeline(ctx context.Context) error {
	err := m.run(ctx,
		step{"look at production", m.lookAtProduction},
		step{"look at the shadow's database", m.lookAtShadow},
		step{"remember what production's database has of its own", m.rememberBelongings},
		step{"look at production's version", m.lookAtVersion})
	if err != nil {
		return err
	}
	t := &trial{site: m}
	if err := m.run(ctx, step{"make the scratch database", t.makeScratch}); err != nil {
		return err
	}
	defer t.scratch.drop(ctx, m.log)
	d := newDraft(t)
	return m.run(ctx,
		step{"run the migrations in scratch", t.migrate},
		step{"add the labels of enums", t.hoist},
		step{"run in scratch what runs behind the fence", t.tryBehind},
		step{"give scratch back to its owners", t.release},
		step{"read what the migrations made", t.readAfter},
		step{"say what changes", t.tellChanges},
		step{"find what stays shared", d.findShared},
		step{"infer where rows come from", pure(d.inferTables)},
		step{"give scratch the shadow's names", d.rename},
		step{"read the shadow's structure", d.readStructure},
		step{"remember production's structure", t.rememberStructure},
		step{"read the equality of types", d.readTypeEquals},
		step{"map the tables", pure(d.mapTables)},
		step{"choose keys", pure(d.chooseKeys)},
		step{"infer the way back", pure(d.inferReverse)},
		step{"write the tables", pure(d.fillTables)},
		step{"take the way back from queries", pure(d.backQueries)},
		step{"write what belongs to the tables", pure(d.fillBelongings)},
		step{"look for numbers that production hands out, too", d.numbersTwice},
		step{"hold foreign keys against what runs in the swap", pure(d.filledBefore)},
		step{"check the transforms", d.validate},
		step{"look for what depends on production", d.lookForDependencies},
		step{"look at what the shadow's database lacks", d.classifyRemote},
		step{"look for rows that others refer to", d.lookForOrphans},
		step{"look for objects that rows name", d.objectsInRows},
		step{"try the structure on the shadow", d.tryOnShadow},
		step{"give transforms their settings", d.settle},
		step{"say what goes back from behind the fence", pure(d.goOnBehind)},
		step{"ask production whether rows that fit are alike", d.askWhetherAlike},
		step{"prove it on rows", d.proveOnRows},
		step{"say what going back would lose", pure(d.tellReverse)},
		step{"ask production of new constraints", d.probeConstraints},
		step{"compute of production's rows what the migrations do", d.probeConversions},
		step{"bring production's rows back", d.probeLosses},
		step{"estimate", d.estimateAll},
		step{"say what runs behind the fence", d.behindTold},
	)
}

// newDraft begins what is inferred from a trial.
func newDraft(m *trial) *draft {
	l := &lineage{task: m.task, catalogs: m.catalogs, shared: map[uint32]bool{}}
	back := &wayBack{&keying{&mapping{lineage: l, sources: map[uint32]*sourceDraft{}}}}
	return &draft{task: m.task, catalogs: m.catalogs, trial: m, stored: map[int]pgdump.Entry{}, losses: &losses{&afterFence{wayBack: back}}}
}

// pure is a step that asks no server.
func pure(do func() error) func(context.Context) error {
	return func(context.Context) error { return do() }
}

// run goes through steps until one fails, or finds what leaves nothing to look at
// behind it.
func (m *task) run(ctx context.Context, steps ...step) error {
	for _, s := range steps {
		m.log.Debug("plan", "step", s.act)
		m.pulse.at(s.act)
		started := time.Now()
		if err := s.do(ctx); errors.Is(err, errBlocked) {
			return err
		} else if err != nil {
			return fmt.Errorf("%s: %w", s.act, err)
		}
		m.log.Debug("plan", "done", s.act, "seconds", time.Since(started).Seconds())
	}
	return nil
}

// makeOnce makes the plan that has the migrations from a cut on run behind the
// fence.
func makeOnce(ctx context.Context, f *planfile.File, log *slog.Logger, at cut) (*task, error) {
	t := &task{file: f, log: log, cut: at, plan: newPlan(f)}
	if f.Migrations.Path != "" {
		var err error
		if t.migrations, err = migrations.Read(f.Migrations.Path); err != nil {
			return nil, err
		}
		t.plan.Findings = append(t.plan.Findings, t.migrations.Warnings...)
	}
	t.pulse = &pulse{step: "connect to production"}
	if err := t.pulse.during(log, func() error { return t.look(ctx) }); err != nil {
		return nil, err
	}
	t.plan.Conclude()
	return t, nil
}

// look goes the whole way on sessions of its own.
func (m *task) look(ctx context.Context) error {
	s := &site{survey: &survey{task: m, catalogs: &catalogs{}}}
	if err := s.connect(ctx); err != nil {
		return err
	}
	defer func() { _ = s.db.Close(context.WithoutCancel(ctx)) }()
	if err := s.connectShadow(ctx); err != nil {
		return err
	}
	defer s.side.close(ctx)
	if err := s.blockedByEncoding(s.pipeline(ctx)); err != nil && !errors.Is(err, errBlocked) {
		return err
	}
	return nil
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
