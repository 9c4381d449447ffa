package upgrade_test

import (
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

// The upgraded table is partitioned, and its key begins with another column than
// production's: rows are found by an index that only the run knows.
func TestKeyThatNoIndexServesHasOneWhileTheRunFollows(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	const changes = `UPDATE shop.events SET note = 'late' WHERE id % 7 = 0; DELETE FROM shop.events WHERE id % 11 = 0; UPDATE shop.events SET day = day + 20 WHERE id % 13 = 0;
		INSERT INTO shop.events SELECT n, '2024-02-01', 'new' FROM generate_series(3001, 3100) n;`
	for name, there := range map[string]func(*testing.T) string{
		"in place":         func(*testing.T) string { return "" },
		"another database": func(t *testing.T) string { return testcontainers.Database(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := limited(t, 3*time.Minute)
			w := build(t, history{
				structure: `CREATE SCHEMA shop; CREATE TABLE shop.events (id int PRIMARY KEY, day date NOT NULL, note text);
					INSERT INTO shop.events SELECT n, '2024-01-01'::date + n % 40, 'old' FROM generate_series(1, 3000) n;`,
				migrations: []string{`ALTER TABLE shop.events RENAME TO old_events; ALTER INDEX shop.events_pkey RENAME TO old_events_pkey;
					CREATE TABLE shop.events (id bigint, day date, note text, PRIMARY KEY (day, id)) PARTITION BY RANGE (day);
					CREATE TABLE shop.events_1 PARTITION OF shop.events FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
					CREATE TABLE shop.events_2 PARTITION OF shop.events FOR VALUES FROM ('2024-02-01') TO ('2025-01-01');
					INSERT INTO shop.events SELECT id, day, note FROM shop.old_events; DROP TABLE shop.old_events;`},
				remote: there(t),
			})
			const stands = `SELECT count(*) FROM pg_index WHERE indisvalid AND indexrelid::regclass::text ~ 'pgumbra_key|events_[12]_id_idx'`
			w.run(ctx, upgrade.Options{Until: control.Copying})
			exec(t, w.production, changes)
			w.run(ctx, upgrade.Options{Until: control.Following})
			var indexes int
			must(t, one(w.served, stands, &indexes))
			if indexes != 3 { // of the root and two partitions
				t.Errorf("%d indexes on the key while the run follows", indexes)
			}
			exec(t, w.production, "UPDATE shop.events SET note = note || '!' WHERE id < 100")
			unseen := "ALTER TABLE shop.events DISABLE TRIGGER ALL; UPDATE shop.events SET note = note || '?' WHERE id > 2900; ALTER TABLE shop.events ENABLE TRIGGER ALL;"
			exec(t, w.production, "SET session_replication_role = replica;"+unseen) // copied again, index and all
			w.run(ctx, upgrade.Options{Cutover: true})
			await(ctx, t, w.production, "SELECT count(*) = 1 FROM pgumbra.event WHERE kind = 'recopy'")
			must(t, one(w.served, stands, &indexes))
			if indexes != 0 {
				t.Errorf("%d indexes of the run are left after the cutover", indexes)
			}
			must(t, upgrade.Rollback(ctx, w.file(), upgrade.Options{As: control.RollbackAs{Follow: true}, Log: w.log}))
			must(t, upgrade.Cutover(ctx, w.file(), upgrade.Options{Log: w.log}))
			must(t, upgrade.Finish(ctx, w.file(), cutover.DropOld, upgrade.Purge, w.log))
			exec(t, w.oracleDSN, changes+"UPDATE shop.events SET note = note || '!' WHERE id < 100;"+unseen)
			w.upgraded(ctx)
		})
	}
}
