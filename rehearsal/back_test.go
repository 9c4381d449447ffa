package rehearsal_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgumbra/pgumbra/rehearsal"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// seeding puts rows into a table that has some, which waits for the swap: the old side keeps
// what it has of them, and a rollback loses the others.
var seeding = map[string]string{
	"1_shop.up.sql": `CREATE SCHEMA app;
		CREATE TABLE app.kinds (code text PRIMARY KEY, label text NOT NULL);
		CREATE TABLE app.orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, kind text NOT NULL REFERENCES app.kinds);
		INSERT INTO app.kinds VALUES ('one', 'One'), ('two', 'Two');`,
	"2_seed.up.sql": `INSERT INTO app.kinds VALUES ('three', 'Three'), ('one', 'One') ON CONFLICT DO NOTHING;`,
}

// The gate require-rollback is that of an operator who types pgumbra rollback: what it refuses
// without --accept-loss fails, and is named, unless the baseline accepts it.
func TestRollbackThatLosesIsNoRollback(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	accepted := filepath.Join(t.TempDir(), "accepted.yaml")
	must(t, os.WriteFile(accepted, []byte("accepted: [{code: reverse-written-behind, object: app.kinds, why: it is a list of kinds}]\n"), 0o600))
	baseline, err := rehearsal.ReadBaseline(accepted)
	must(t, err)
	for name, b := range testcontainers.SomeOf(t, map[string]*rehearsal.Baseline{"none accepted": nil, "accepted": baseline}, 1) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := rehearseThese(t, seeding, "", "", rehearsal.Options{Gates: rehearsal.Gates{RequireRollback: true, Baseline: b}})
			must(t, err)
			if r.Rollback == nil || r.Rollback.Refused == "" || len(r.Rollback.Losses) != 1 {
				t.Fatalf("the rollback was not refused without --accept-loss, or names other losses: %+v; %+v", r.Rollback, r.Gates)
			}
			lost := r.Rollback.Losses[0]
			failed := strings.Join(failedGates(r), ", ")
			if lost.Object != "app.kinds" || lost.Accepted != (b != nil) || (failed == "require-rollback") != (b == nil) || b != nil && failed != "" {
				t.Errorf("lost %+v; failed: %q of %+v", lost, failed, r.Gates)
			}
			for _, g := range r.Gates {
				if g.Name == "require-rollback" && (!strings.Contains(g.Message, "app.kinds") || !strings.Contains(g.Message, "--accept-loss")) {
					t.Errorf("%+v", g)
				}
			}
		})
	}
}
