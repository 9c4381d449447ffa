package upgrade_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

// Journals end at their limit with nobody leading, which status says; a run
// that goes on finds it and stops, no cutover is made over the gap, and abort
// leaves nothing.
func TestJournalsEndAtTheirLimitWithoutLeader(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	w := build(t, history{
		structure:  `CREATE SCHEMA shop; CREATE TABLE shop.a (id bigserial PRIMARY KEY, v text); INSERT INTO shop.a (v) SELECT n FROM generate_series(1, 100) n;`,
		migrations: []string{"ALTER TABLE shop.a ADD COLUMN w int;"},
		planFile:   "capture: {max_journal: 2MB}\n",
	})
	w.run(ctx, upgrade.Options{Until: control.Following})
	s, err := upgrade.ReadStatus(ctx, w.file())
	must(t, err)
	if !s.Ready || s.Journal.Guard != "triggers" || s.Journal.Limit != 2<<20 || s.Journal.Bytes > 1<<20 {
		t.Errorf("status before: %+v", s)
	}
	for range 20 {
		exec(t, w.production, "INSERT INTO shop.a (v) SELECT repeat('x', 300) FROM generate_series(1, 900)")
	}
	s, err = upgrade.ReadStatus(ctx, w.file())
	must(t, err)
	if s.Ready || s.Journal.Bytes > 2<<20*9/8 || s.Journal.Closed == "" || !strings.Contains(strings.Join(s.Blockers, " "), "max_journal") {
		t.Errorf("status at the limit: %+v", s)
	}
	if err := upgrade.Run(ctx, w.file(), upgrade.Options{Cutover: true, Log: w.log}); !errors.Is(err, upgrade.ErrStopped) {
		t.Errorf("run: %v, want %v", err, upgrade.ErrStopped)
	}
	_, err = upgrade.Abort(ctx, w.file(), upgrade.Purge, w.log)
	must(t, err)
	exec(t, w.production, "INSERT INTO shop.a (v) SELECT 'after'")
	var left int
	must(t, one(w.production, "SELECT count(*)::int FROM pg_proc WHERE pronamespace = to_regnamespace('pgumbra')", &left))
	if left != 0 {
		t.Errorf("%d functions are left", left)
	}
}
