package upgrade_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/upgrade"
)

// TestExtensionOfTheMigrationsComesAndGoes: one that the migrations create is
// there after the upgrade, and gone after an abort.
func TestExtensionOfTheMigrationsComesAndGoes(t *testing.T) {
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	w := build(t, history{
		structure: `CREATE TABLE public.names (id int PRIMARY KEY, name text); INSERT INTO public.names SELECT n, 'name ' || n FROM generate_series(1, 100) n;`,
		migrations: []string{
			"CREATE EXTENSION pg_trgm;\nCREATE INDEX names_trigrams ON names USING gin (name gin_trgm_ops);",
			"CREATE EXTENSION citext;\nALTER TABLE names ALTER COLUMN name TYPE citext;",
		},
		schemas: []string{"public"},
	})
	before := dump(t, w.production)
	w.run(ctx, upgrade.Options{Until: control.Following})
	_, err := upgrade.Abort(ctx, w.file(), upgrade.Purge, w.log)
	must(t, err)
	if diff := cmp.Diff(before, dump(t, w.production)); diff != "" {
		t.Errorf("after abort (-before +after):\n%s", diff)
	}
	w.run(ctx, upgrade.Options{Cutover: true})
	must(t, upgrade.Finish(ctx, w.file(), cutover.DropOld, upgrade.Purge, w.log))
	w.upgraded(ctx)
}
