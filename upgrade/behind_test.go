package upgrade_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/rehearsal"
	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

// opaqueStructure is production of a case whose migrations cannot be told from rows that
// scratch has not.
func opaqueStructure(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(casesFolder, "opaque-migrations")
	return read(t, filepath.Join(dir, "production.sql")) + read(t, filepath.Join(dir, "rows.sql"))
}

func TestMigrationThatFailsOnRowsIsFoundBeforeTheFence(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	w := build(t, history{structure: opaqueStructure(t), migrations: []string{
		"ALTER TABLE shop.orders ADD COLUMN a int;",
		"-- two of the same\nSELECT 1;\nCREATE UNIQUE INDEX twice ON shop.orders (customer_id);",
	}, planFile: "build: behind_fence\n"})
	before := dump(t, w.production)
	err := upgrade.Run(ctx, w.file(), upgrade.Options{Until: control.Following, Log: w.log})
	var failed *upgrade.MigrationFailed
	if !errors.As(err, &failed) || failed.Trial.Where != "3_step.up.sql:3" || !strings.Contains(err.Error(), "23505") {
		t.Fatalf("%v", err)
	}
	s, err := upgrade.ReadStatus(ctx, w.file())
	must(t, err)
	if s.Ready || s.Trial == nil || s.Trial.Failed == "" {
		t.Errorf("%+v", s)
	}
	_, err = upgrade.Abort(ctx, w.file(), upgrade.Purge, w.log)
	must(t, err)
	if after := dump(t, w.production); after != before {
		t.Error("production is not as it was")
	}
}

func TestMigrationsThatTakeLongerThanTheStallAreNotBegun(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	w := build(t, history{structure: opaqueStructure(t), migrations: []string{"SELECT pg_sleep(0.3); UPDATE shop.orders SET total = 1"},
		planFile: "build: behind_fence\ncutover: {max_stall: 200ms, attempts: 1}\n"})
	w.run(ctx, upgrade.Options{Until: control.Following})
	s, err := upgrade.ReadStatus(ctx, w.file())
	must(t, err)
	if s.Ready || s.Trial == nil || len(s.Trial.Files) != 1 || s.Trial.TotalMS < 300 {
		t.Errorf("%+v", s)
	}
	if err := upgrade.Run(ctx, w.file(), upgrade.Options{Cutover: true, Once: true, Log: w.log}); !errors.Is(err, upgrade.ErrNotNow) {
		t.Error(err)
	}
}

// Clients go on while migrations run behind the fence: readers and writers at
// READ COMMITTED see no error, and what was acknowledged is there.
func TestMigrationsBehindTheFenceUnderTrafficLoseNothing(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, 3*time.Minute)
	h := trafficHistory(t)
	h.planFile = strings.Replace(h.planFile, "max_stall: 3s", "max_stall: 20s", 1) + "build: behind_fence\n" // a busy machine takes its time
	w := build(t, h)
	f := newFleet(t, w)
	f.start(ctx)
	w.run(ctx, upgrade.Options{Cutover: true})
	f.more(200)
	f.stop()
	must(t, upgrade.Finish(ctx, w.file(), cutover.DropOld, upgrade.Purge, w.log))
	must(t, rehearsal.MigrateInPlace(ctx, w.oracleDSN, w.folder, ""))
	w.sameStructure(ctx)
	f.balanced(ctx)
}
