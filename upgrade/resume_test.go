package upgrade_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

// An older pgumbra began the run: its control schemas lack what newer versions
// added. Who looks on reads them as they are, who takes the run over brings them
// up to date.
func TestRunOfAnOlderVersionIsResumed(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	const older = `ALTER TABLE pgumbra.run DROP COLUMN switch, DROP COLUMN shadow; UPDATE pgumbra.version SET version = 1`
	for name, there := range map[string]func(*testing.T) string{
		"in place":         func(*testing.T) string { return "" },
		"another database": func(t *testing.T) string { return testcontainers.Database(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := limited(t, 2*time.Minute)
			w := build(t, history{
				structure:  `CREATE SCHEMA shop; CREATE TABLE shop.a (id int PRIMARY KEY, v int); INSERT INTO shop.a SELECT n, n FROM generate_series(1, 100) n;`,
				migrations: []string{"ALTER TABLE shop.a ADD COLUMN w int;"},
				remote:     there(t),
			})
			w.run(ctx, upgrade.Options{Until: control.Copying})
			exec(t, w.production, older)
			if w.served != w.production {
				exec(t, w.served, older)
			}
			status, err := upgrade.ReadStatus(ctx, w.file())
			must(t, err)
			if status.Phase == nil || *status.Phase != control.Following {
				t.Errorf("status of the older version's run: %+v", status)
			}
			exec(t, w.production, "UPDATE shop.a SET v = v + 1")
			w.run(ctx, upgrade.Options{Cutover: true})
			exec(t, w.oracleDSN, "UPDATE shop.a SET v = v + 1")
			must(t, upgrade.Finish(ctx, w.file(), cutover.KeepOld, upgrade.Purge, w.log))
			w.upgraded(ctx)
		})
	}
}

// A script that repeats what it typed, since it could not see whether it ended, gets
// the same again: the phase is complete, and nothing after it is begun.
func TestPhaseThatIsCompleteIsNotLeftByTheSameCommand(t *testing.T) {
	t.Parallel()
	ctx := limited(t, time.Minute)
	w := build(t, history{
		structure:  `CREATE SCHEMA shop; CREATE TABLE shop.a (id int PRIMARY KEY);`,
		migrations: []string{"ALTER TABLE shop.a ADD COLUMN w int;"},
	})
	for _, step := range []struct{ until, now control.Phase }{
		{control.Building, control.Capturing}, {control.Building, control.Capturing},
		{control.Copying, control.Following}, {control.Copying, control.Following}, {control.Building, control.Following},
		{control.Following, control.Following}, {control.Following, control.Following},
	} {
		w.run(ctx, upgrade.Options{Until: step.until})
		status, err := upgrade.ReadStatus(ctx, w.file())
		must(t, err)
		if status.Phase == nil || *status.Phase != step.now {
			t.Fatalf("after run --until %s: %+v", step.until, status)
		}
	}
}

// Who purges wants nothing of a name to be left, also of its runs before this one.
func TestPurgeRemovesEarlierRunsOfTheName(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, time.Minute)
	w := build(t, history{
		structure:  `CREATE SCHEMA shop; CREATE TABLE shop.a (id int PRIMARY KEY);`,
		migrations: []string{"ALTER TABLE shop.a ADD COLUMN w int;"},
	})
	before := dump(t, w.production)
	for _, end := range []upgrade.Leftovers{upgrade.KeepRecord, upgrade.Purge} {
		w.run(ctx, upgrade.Options{Until: control.Capturing})
		_, err := upgrade.Abort(ctx, w.file(), end, w.log)
		must(t, err)
	}
	if diff := cmp.Diff(before, dump(t, w.production)); diff != "" {
		t.Errorf("production (-before +after):\n%s", diff)
	}
}

// What a newer pgumbra recorded may mean something that this one does not know.
func TestRunOfANewerVersionIsLeftAlone(t *testing.T) {
	t.Parallel()
	ctx := limited(t, time.Minute)
	w := build(t, history{
		structure:  `CREATE SCHEMA shop; CREATE TABLE shop.a (id int PRIMARY KEY);`,
		migrations: []string{"ALTER TABLE shop.a ADD COLUMN w int;"},
	})
	w.run(ctx, upgrade.Options{Until: control.Building})
	exec(t, w.production, "UPDATE pgumbra.version SET version = 1000")
	var before, after string
	const record = `SELECT r::text || l::text FROM pgumbra.run r, pgumbra.leader l`
	must(t, one(w.production, record, &before))
	_, aborting := upgrade.Abort(ctx, w.file(), upgrade.KeepRecord, w.log)
	_, looking := upgrade.ReadStatus(ctx, w.file())
	for _, err := range []error{aborting, looking, upgrade.Run(ctx, w.file(), upgrade.Options{Log: w.log}),
		upgrade.Cutover(ctx, w.file(), upgrade.Options{Log: w.log})} {
		if !errors.Is(err, control.ErrNewer) || !strings.Contains(err.Error(), "version 1000") {
			t.Error(err)
		}
	}
	must(t, one(w.production, record, &after))
	if before != after {
		t.Errorf("the record was changed:\n%s\n%s", before, after)
	}
}
