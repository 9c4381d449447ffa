package upgrade_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

// The zoo again, with the shadow in another database.
func TestZooInAnotherDatabaseEqualsMigrationInPlace(t *testing.T) {
	t.Parallel()
	for name, schemas := range testcontainers.SomeOf(t, zoo, 3) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := limited(t, 2*time.Minute)
			h := zooRemote(t, name, schemas)
			w := build(t, h)
			w.run(ctx, upgrade.Options{Cutover: true})
			must(t, upgrade.Finish(ctx, w.file(), cutover.KeepOld, upgrade.Purge, w.log))
			w.upgraded(ctx)
			w.sequencesGoOn(ctx)
		})
	}
}

// zooRemote is a history of the zoo with its shadow in another database, which
// values that name tables and types of the user's cannot be copied to.
func zooRemote(t *testing.T, name string, schemas []string) history {
	t.Helper()
	h := zooHistory(t, name, schemas)
	h.remote = testcontainers.Database(t)
	if name == "values" {
		h.structure += "\nUPDATE vals.all_kinds SET cls = 'pg_class', ty = 'integer' WHERE cls IS NOT NULL;"
	}
	return h
}

func TestAbortLeavesBothDatabasesAsTheyWere(t *testing.T) {
	t.Parallel()
	for name, schemas := range testcontainers.SomeOf(t, zoo, 3) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := limited(t, 2*time.Minute)
			h := zooRemote(t, name, schemas)
			w := build(t, h)
			production, shadow := dump(t, w.production), dump(t, h.remote)
			w.run(ctx, upgrade.Options{Until: control.Following})
			_, err := upgrade.Abort(ctx, w.file(), upgrade.Purge, w.log)
			must(t, err)
			if diff := cmp.Diff(production, dump(t, w.production)); diff != "" {
				t.Errorf("production after abort (-before +after):\n%s", diff)
			}
			if diff := cmp.Diff(shadow, dump(t, h.remote)); diff != "" {
				t.Errorf("the shadow's database after abort (-before +after):\n%s", diff)
			}
		})
	}
}

// Without a watch the cutover is the end, and the new production bears nothing
// of the run.
func TestWithoutAWatchNothingIsLeftOnTheShadow(t *testing.T) {
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	w := build(t, history{
		structure:  "CREATE SCHEMA shop; CREATE TABLE shop.a (id int PRIMARY KEY, v text); INSERT INTO shop.a SELECT n, n FROM generate_series(1, 100) n;",
		migrations: []string{"ALTER TABLE shop.a ADD COLUMN w int NOT NULL DEFAULT 7;"},
		planFile:   "watch: {enabled: false}\n",
		remote:     testcontainers.Database(t),
	})
	w.run(ctx, upgrade.Options{Cutover: true})
	var left bool
	must(t, one(w.served, `SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname LIKE 'pgumbra%')`, &left))
	if left {
		t.Error("the shadow's database still has schemas of ours")
	}
	w.upgraded(ctx)
}
