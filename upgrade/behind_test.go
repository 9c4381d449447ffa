package upgrade_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/rehearsal"
	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

const opaqueStructure = `CREATE SCHEMA shop;
	CREATE TYPE shop.state AS ENUM ('new', 'paid');
	CREATE TABLE shop.customers (id serial PRIMARY KEY, name text NOT NULL, total numeric);
	CREATE TABLE shop.orders (id serial PRIMARY KEY, customer_id int NOT NULL REFERENCES shop.customers, state shop.state NOT NULL DEFAULT 'new', total numeric(10,2));
	CREATE TABLE shop.notes (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer_id int REFERENCES shop.customers ON DELETE CASCADE, note text);
	CREATE TABLE shop.checked (id int PRIMARY KEY, peer int, CONSTRAINT peer FOREIGN KEY (peer) REFERENCES shop.checked DEFERRABLE INITIALLY DEFERRED);
	INSERT INTO shop.customers (name) SELECT 'A' || n FROM generate_series(1, 200) n;
	INSERT INTO shop.orders (customer_id, total) SELECT 1 + n % 200, n / 3.0 FROM generate_series(1, 2000) n;
	INSERT INTO shop.notes (customer_id, note) SELECT n, 'note ' || n FROM generate_series(1, 200) n;
	INSERT INTO shop.checked SELECT n, n FROM generate_series(1, 10) n;`

// opaqueMigrations hold what cannot be told from rows that scratch has not.
var opaqueMigrations = []string{
	"ALTER TABLE shop.orders ADD COLUMN currency text NOT NULL DEFAULT 'EUR';",
	"UPDATE shop.customers c SET total = s.sum FROM (SELECT customer_id, sum(total) FROM shop.orders GROUP BY 1) s WHERE s.customer_id = c.id;",
	`BEGIN;
	SET LOCAL search_path = shop;
	DO $$ DECLARE r record; BEGIN FOR r IN SELECT id FROM customers WHERE id % 7 = 0 ORDER BY id LOOP INSERT INTO notes (customer_id, note) VALUES (r.id, 'seventh'); END LOOP;
		IF EXISTS (SELECT FROM orders WHERE total > 600) THEN ALTER TABLE orders ADD COLUMN large boolean; ELSE ALTER TABLE orders ADD COLUMN small boolean; END IF; END $$;
	COMMIT;`,
	"ALTER TYPE shop.state ADD VALUE 'sent' BEFORE 'paid';",
	"UPDATE shop.orders SET state = 'sent' WHERE id IN (SELECT max(id) FROM shop.orders GROUP BY customer_id);",
	"CREATE INDEX CONCURRENTLY orders_state ON shop.orders (state);",
	"CREATE TEMP TABLE keep AS SELECT id FROM shop.customers WHERE id % 10 = 0;",
	"DELETE FROM shop.customers c USING keep k WHERE k.id = c.id AND NOT EXISTS (SELECT FROM shop.orders o WHERE o.customer_id = c.id);\nDROP TABLE keep;",
	"UPDATE shop.checked SET id = id + 100; UPDATE shop.checked SET peer = peer + 100;",
	"ALTER TABLE shop.checked ADD COLUMN more int NOT NULL DEFAULT 3;\nSELECT setval('shop.orders_id_seq', (SELECT max(id) + 1000 FROM shop.orders));",
	"DROP TYPE IF EXISTS shop.mood; CREATE TYPE shop.mood AS ENUM ('a'); ALTER TYPE shop.mood ADD VALUE 'b';\nCREATE VIEW shop.sums AS SELECT customer_id, sum(total) FROM shop.orders GROUP BY 1;",
	"SET TIME ZONE 'Asia/Tokyo';",
	"ALTER TABLE shop.notes ADD COLUMN at timestamptz; UPDATE shop.notes SET at = timestamp '2026-01-01 00:00' + id * interval '1 minute';",
}

func TestMigrationsBehindTheFenceEqualMigrationInPlace(t *testing.T) {
	t.Parallel()
	for name, file := range map[string]string{"auto": "", "all": "build: behind_fence\n"} {
		h := history{structure: opaqueStructure, migrations: opaqueMigrations, planFile: file + "cutover: {max_stall: 30s}\n"}
		t.Run(name, func(t *testing.T) { t.Parallel(); behindTheFence(t, h) })
		t.Run(name+", another database", func(t *testing.T) {
			t.Parallel()
			remote := h
			remote.remote = testcontainers.Database(t)
			behindTheFence(t, remote)
		})
	}
}

// behindTheFence goes through a whole run, and compares.
func behindTheFence(t *testing.T, h history) {
	t.Helper()
	ctx := limited(t, 2*time.Minute)
	w := build(t, h)
	w.run(ctx, upgrade.Options{Cutover: true})
	must(t, upgrade.Finish(ctx, w.file(), cutover.DropOld, upgrade.Purge, w.log))
	w.upgraded(ctx)
	w.sequencesGoOn(ctx)
}

func TestZooBehindTheFenceEqualsMigrationInPlace(t *testing.T) {
	t.Parallel()
	for name, schemas := range testcontainers.SomeOf(t, zoo, 3) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := zooHistory(t, name, schemas)
			h.planFile = "build: behind_fence\ncutover: {max_stall: 30s}\n"
			behindTheFence(t, h)
		})
		if !slices.Contains([]string{"values", "trees", "programs", "constraints"}, name) {
			continue // time
		}
		t.Run(name+", another database", func(t *testing.T) {
			t.Parallel()
			h := zooRemote(t, name, schemas)
			h.planFile = "build: behind_fence\ncutover: {max_stall: 30s}\n"
			behindTheFence(t, h)
		})
	}
}

func TestMigrationThatFailsOnRowsIsFoundBeforeTheFence(t *testing.T) {
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	w := build(t, history{structure: opaqueStructure, migrations: []string{
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
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	w := build(t, history{structure: opaqueStructure, migrations: []string{"SELECT pg_sleep(0.3); UPDATE shop.orders SET total = 1"},
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
