package upgrade_test

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/rehearsal"
	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

const casesFolder = "../testdata/cases"

// way is one of those that a case is gone through.
type way struct {
	name, suffix string // behind the case's name, and behind that of its databases
	remote       bool   // the shadow is a database of its own
	behind       bool   // all migrations run behind the fence
	pair         *pair  // whose servers production and the shadow are on; nil: one, the shared
	through      func(*fixture, context.Context)
}

func (w way) servers(t *testing.T) (production, shadow *testcontainers.Server) {
	if w.pair != nil {
		return w.pair.production, w.pair.shadow
	}
	return testcontainers.Shared(t), testcontainers.Shared(t)
}

// ways are all that a case is gone through: where the shadow is, and there, undone on
// the way, or back again.
func (c folder) ways() (all []way) {
	for _, w := range c.places() {
		if c.expect.Result == "blocker" {
			w.through = (*fixture).refused
			all = append(all, w)
			continue
		}
		all = append(all, w.by("", "", (*fixture).there))
		if c.setup.Shadow == "both" {
			all = append(all, w.by(", undone", "_undone", (*fixture).undone))
		}
		if c.setup.Shadow == "both" && c.expect.Back != "none" {
			all = append(all, w.by(", and back", "_back", (*fixture).back))
		}
		if c.setup.Build == "both" {
			w.behind = true
			all = append(all, w.by(", behind the fence", "_behind", (*fixture).there))
		}
	}
	return all
}

func (c folder) places() []way {
	here, there := way{}, way{name: ", another database", suffix: "_far", remote: true}
	switch c.setup.Shadow {
	case "both":
		return []way{here, there}
	case "database":
		return []way{there}
	}
	return []way{here}
}

func (w way) by(name, suffix string, through func(*fixture, context.Context)) way {
	w.name, w.suffix, w.through = w.name+name, w.suffix+suffix, through
	return w
}

// TestCases walks testdata/cases: what each folder expects is what happens, on each of
// its ways. The format is in the README there.
func TestCases(t *testing.T) {
	t.Parallel()
	type run struct {
		folder
		way
	}
	var all []run
	for _, c := range cases(t) {
		for _, w := range c.ways() {
			all = append(all, run{c, w})
		}
	}
	for _, r := range testcontainers.Some(t, all, 4) {
		t.Run(filepath.Base(r.dir)+r.name, func(t *testing.T) {
			t.Parallel()
			ctx := limited(t, 3*time.Minute)
			r.through(r.build(ctx, t, r.way), ctx)
		})
	}
}

func cases(t *testing.T) (all []folder) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(casesFolder, "*", "expect.yaml"))
	must(t, err)
	if len(files) == 0 {
		t.Fatalf("no cases in %s", casesFolder)
	}
	for _, file := range files {
		all = append(all, readCase(t, filepath.Dir(file)))
	}
	return all
}

// TestEachCaseSaysWhatItExpects: a folder without expect.yaml would be passed
// over in silence.
func TestEachCaseSaysWhatItExpects(t *testing.T) {
	t.Parallel()
	all, err := filepath.Glob(filepath.Join(casesFolder, "*", "*.sql"))
	must(t, err)
	for _, file := range all {
		if dir := filepath.Dir(file); !exists(filepath.Join(dir, "expect.yaml")) {
			t.Errorf("%s has no expect.yaml", dir)
		}
	}
}

// there takes production through a whole run, its clients at work while the run
// follows, and holds it against its twin, migrated in place after the same traffic.
func (f *fixture) there(ctx context.Context) {
	f.t.Helper()
	if !f.way.behind && len(f.expect.Findings)+len(f.expect.Without) > 0 { // a run makes a plan of its own
		f.found(f.plan(ctx))
	}
	f.follow(ctx)
	f.run(ctx, upgrade.Options{Cutover: true})
	must(f.t, upgrade.Finish(ctx, f.file(), cutover.DropOld, upgrade.Purge, f.log))
	f.script(ctx, f.served, "by-hand.sql")
	f.migrateTwin(ctx)
	f.same(ctx, f.expect.LeaveOut...)
	f.compare("what clients see", func(dsn string) (string, error) { return f.psql(ctx, dsn, "after.sql") })
}

// follow brings the shadow up to where only the cutover is left, clients having
// written on the way.
func (f *fixture) follow(ctx context.Context) {
	f.t.Helper()
	f.run(ctx, upgrade.Options{Until: control.Following})
	f.script(ctx, f.production, "traffic.sql")
	verdicts, err := upgrade.Verify(ctx, f.file(), f.log)
	must(f.t, err)
	if !upgrade.AllEqual(verdicts) {
		f.t.Errorf("verify: %+v", verdicts)
	}
	f.script(ctx, f.oracleDSN, "traffic.sql")
}

func (f *fixture) migrateTwin(ctx context.Context) {
	f.t.Helper()
	inPlace := rehearsal.MigrateInPlace
	if f.file().Migrations.MultiStatement {
		inPlace = rehearsal.MigrateEachInPlace
	}
	must(f.t, inPlace(ctx, f.as(f.oracleDSN, f.setup.InPlaceRole), f.world.folder, f.versionTable))
	f.leaveWhatMoves()
}

// undone aborts a run that follows: both databases are as they were, to the letter.
func (f *fixture) undone(ctx context.Context) {
	f.t.Helper()
	production, shadow := dump(f.t, f.production), dump(f.t, f.served)
	f.run(ctx, upgrade.Options{Until: control.Following})
	_, err := upgrade.Abort(ctx, f.file(), upgrade.Purge, f.log)
	must(f.t, err)
	f.asBefore(production, shadow)
}

func (f *fixture) compare(what string, read func(dsn string) (string, error)) {
	f.t.Helper()
	want, err := read(f.oracleDSN)
	must(f.t, err)
	got, err := read(f.served)
	must(f.t, err)
	if diff := cmp.Diff(want, got); diff != "" {
		f.t.Errorf("%s (-in place +upgraded):\n%s", what, diff)
	}
}

// refused checks that the dry run names what stands against a run, and leaves
// nothing behind.
func (f *fixture) refused(ctx context.Context) {
	f.t.Helper()
	plan := f.plan(ctx)
	if plan.Runnable {
		f.t.Errorf("the plan says that it can run: %+v", plan.Findings)
	}
	f.found(plan)
	var left []string
	must(f.t, one(f.production, `SELECT coalesce(array_agg(name), '{}') FROM (
		SELECT nspname::text AS name FROM pg_catalog.pg_namespace WHERE nspname LIKE 'pgumbra%'
		UNION ALL SELECT datname::text FROM pg_catalog.pg_database WHERE datname LIKE 'pgumbra%' || current_database() || '%') l`, &left))
	if len(left) > 0 {
		f.t.Errorf("the dry run left %v behind", left)
	}
}

func (f *fixture) plan(ctx context.Context) *plans.Plan {
	f.t.Helper()
	plan, err := upgrade.Plan(ctx, f.file(), f.log)
	must(f.t, err)
	return plan
}

// found checks that the plan holds each finding that the case expects.
func (f *fixture) found(plan *plans.Plan) {
	f.t.Helper()
	for _, want := range f.expect.Findings {
		if !slices.ContainsFunc(plan.Findings, want.matches) {
			f.t.Errorf("no finding %+v among %+v", want, plan.Findings)
		}
	}
	for _, code := range f.expect.Without {
		if slices.ContainsFunc(plan.Findings, func(found plans.Finding) bool { return found.Code == code }) {
			f.t.Errorf("a finding %s among %+v", code, plan.Findings)
		}
	}
}

func (e expected) matches(found plans.Finding) bool {
	return string(found.Level) == e.Level && found.Code == e.Code && (e.Object == "" || found.Object == e.Object) &&
		strings.HasPrefix(found.Where, e.Where) && strings.Contains(found.Message+" "+found.Fix, e.Says)
}
