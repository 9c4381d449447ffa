package rehearsal_test

import (
	"context"
	"errors"
	"fmt"
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

// TestCases walks testdata/cases: what each folder expects is what happens. The
// format is in the README there.
func TestCases(t *testing.T) {
	t.Parallel()
	folders, err := filepath.Glob(filepath.Join(casesFolder, "*", "expect.yaml"))
	must(t, err)
	if len(folders) == 0 {
		t.Fatalf("no cases in %s", casesFolder)
	}
	type run struct {
		dir   string
		where place
	}
	var all []run
	for _, file := range folders {
		dir := filepath.Dir(file)
		for _, where := range readCase(t, dir).places() {
			all = append(all, run{dir, where})
		}
	}
	for _, r := range testcontainers.Some(t, all, 24) {
		t.Run(filepath.Base(r.dir)+r.where.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			c := readCase(t, r.dir)
			c.where = r.where
			f := c.build(ctx)
			switch c.expect.Result {
			case "equal":
				f.upgrade(ctx)
				f.compare(ctx)
			case "blocker":
				f.refused(ctx)
			}
		})
	}
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

// upgrade takes production through a whole run, its clients at work while the
// run follows.
func (f *fixture) upgrade(ctx context.Context) {
	f.t.Helper()
	if len(f.expect.Findings)+len(f.expect.Without) > 0 { // a run makes a plan of its own
		f.found(f.plan(ctx))
	}
	f.run(ctx, upgrade.Options{Until: control.Following})
	f.script(ctx, f.production, "traffic.sql")
	verdicts, err := upgrade.Verify(ctx, f.file(), f.log)
	must(f.t, err)
	if !upgrade.AllEqual(verdicts) {
		f.t.Errorf("verify: %+v", verdicts)
	}
	f.run(ctx, upgrade.Options{Cutover: true})
	must(f.t, upgrade.Finish(ctx, f.file(), cutover.DropOld, upgrade.Purge, f.log))
	f.script(ctx, f.served, "by-hand.sql")
}

func (f *fixture) run(ctx context.Context, o upgrade.Options) {
	f.t.Helper()
	o.Log = f.log
	err := upgrade.Run(ctx, f.file(), o)
	var blocked *upgrade.Blocked
	if errors.As(err, &blocked) {
		f.t.Logf("findings: %+v", blocked.Plan.Findings)
	}
	must(f.t, err)
}

// compare holds production against its twin, migrated in place after the same
// traffic.
func (f *fixture) compare(ctx context.Context) {
	f.t.Helper()
	f.script(ctx, f.twin, "traffic.sql")
	inPlace := rehearsal.MigrateInPlace
	if f.file().Migrations.MultiStatement {
		inPlace = rehearsal.MigrateEachInPlace
	}
	must(f.t, inPlace(ctx, f.as(f.twin, f.setup.InPlaceRole), f.migrations, f.versionTable))
	if f.served != f.production {
		f.dropWhatStays(ctx)
	}
	found, err := f.oracle.Compare(ctx, f.twin, f.served, f.expect.LeaveOut...)
	must(f.t, err)
	for _, d := range found.Differences {
		f.t.Errorf("%s %s: %+v", d.Kind, d.Name(), d)
	}
	compare(f, "what clients see", func(dsn string) (string, error) { return f.psql(ctx, dsn, "after.sql") })
}

// dropWhatStays takes from the twin what does not move to another database.
func (f *fixture) dropWhatStays(ctx context.Context) {
	f.t.Helper()
	execute(ctx, f.t, f.twin, fmt.Sprintf(`DO $$ DECLARE s name; BEGIN
		FOR s IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema|public$)' AND nspname <> ALL ('{%s}') LOOP
			EXECUTE format('DROP SCHEMA %%I CASCADE', s); END LOOP; END $$`, strings.Join(f.oracle.Schemas, ",")))
}

func compare[T any](f *fixture, what string, read func(dsn string) (T, error)) {
	f.t.Helper()
	want, err := read(f.twin)
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
	must(f.t, one(ctx, f.production, `SELECT coalesce(array_agg(name), '{}') FROM (
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

func TestMain(m *testing.M) { testcontainers.Run(m) }
