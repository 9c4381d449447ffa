package upgrade_test

import (
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

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
