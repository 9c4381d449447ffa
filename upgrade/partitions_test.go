package upgrade_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

const partitioned = `CREATE SCHEMA shop; CREATE TABLE shop.a (id int PRIMARY KEY, v int); INSERT INTO shop.a VALUES (1, 1);
	CREATE TABLE shop.log (id int NOT NULL, day int NOT NULL, what text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day); CREATE INDEX ON shop.log (what);
	CREATE TABLE shop.log_1 PARTITION OF shop.log FOR VALUES FROM (0) TO (100); CREATE TABLE shop.log_2 PARTITION OF shop.log FOR VALUES FROM (100) TO (200);
	INSERT INTO shop.log SELECT n, n % 200, 'x' FROM generate_series(1, 2000) n;
	DO $$ BEGIN CREATE ROLE partition_reader; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;`

// Partitions are made, filled, detached and dropped while the run follows: they
// join and leave it, no row is lost or comes back, and the cutover is made with
// them.
func TestPartitionsJoinAndLeaveTheRun(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	ctx, cancel := context.WithCancel(limited(t, 3*time.Minute))
	defer cancel()
	w := build(t, history{structure: partitioned, migrations: []string{"ALTER TABLE shop.log ADD COLUMN more int DEFAULT 7;"}})
	w.run(ctx, upgrade.Options{Until: control.Following})
	leading, stop := context.WithCancel(ctx)
	var group errgroup.Group
	group.Go(func() error {
		defer stop() // whoever waits for what it does need not
		return upgrade.Run(leading, w.file(), upgrade.Options{Log: w.log})
	})
	exec(t, w.production, `CREATE TABLE shop.log_3 PARTITION OF shop.log FOR VALUES FROM (200) TO (300);
		INSERT INTO shop.log SELECT n, 200 + n % 100, 'three' FROM generate_series(1, 500) n; GRANT SELECT ON shop.log_3 TO partition_reader`)
	exec(t, w.production, `CREATE TABLE shop.log_4 (what text, day int NOT NULL, id int NOT NULL, PRIMARY KEY (id, day)); INSERT INTO shop.log_4 SELECT 'four', 300, n FROM generate_series(1, 300) n`)
	exec(t, w.production, `ALTER TABLE shop.log ATTACH PARTITION shop.log_4 FOR VALUES FROM (300) TO (400)`)
	exec(t, w.production, `UPDATE shop.log_4 SET what = 'direct' WHERE id < 10; UPDATE shop.log SET day = 250, id = id + 5000 WHERE day = 300 AND id BETWEEN 20 AND 30`)
	exec(t, w.production, `ALTER TABLE shop.log DETACH PARTITION shop.log_1 CONCURRENTLY`)
	exec(t, w.production, `DROP TABLE shop.log_1`)
	polled(ctx, t, func() bool {
		if leading.Err() != nil {
			t.Fatal(group.Wait())
		}
		s, err := upgrade.ReadStatus(ctx, w.file())
		must(t, err)
		var here bool
		must(t, one(w.production, `SELECT to_regclass('pgumbra_up_shop.log_3') IS NOT NULL AND to_regclass('pgumbra_up_shop.log_4') IS NOT NULL AND to_regclass('pgumbra_up_shop.log_1') IS NULL`, &here))
		return here && s.Phase != nil && *s.Phase == control.Following && s.Journal.Pending == 0
	})
	stop()
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	var before string
	const content = `SELECT concat_ws(' ', count(*), sum(id), sum(day), sum(hashtext(what)::bigint)) FROM shop.log`
	must(t, one(w.production, content, &before))
	w.run(ctx, upgrade.Options{Cutover: true})
	var after, parts, reads string
	must(t, one(w.production, content, &after))
	must(t, one(w.production, `SELECT string_agg(relid::text, ' ' ORDER BY relid::text) FROM pg_partition_tree('shop.log') WHERE isleaf`, &parts))
	must(t, one(w.production, `SELECT has_table_privilege('partition_reader', 'shop.log_3', 'SELECT')::text || (SELECT count(*) FROM pg_index WHERE indrelid = 'shop.log_4'::regclass)`, &reads))
	if after != before || parts != "shop.log_2 shop.log_3 shop.log_4" || reads != "true2" {
		t.Errorf("before %s\nafter  %s\n%s, %s", before, after, parts, reads)
	}
}

// What makes and drops partitions does it in one transaction: the next batch has rows of
// one that the shadow does not have, and those to be taken away from one that is gone.
func TestPartitionsThatComeAndGoAtOnceEndNoRun(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	ctx, cancel := context.WithCancel(limited(t, 2*time.Minute))
	defer cancel()
	w := build(t, history{structure: partitioned, migrations: []string{"ALTER TABLE shop.log ADD COLUMN more int DEFAULT 7;"}})
	w.run(ctx, upgrade.Options{Until: control.Following})
	leading, stop := context.WithCancel(ctx)
	var group errgroup.Group
	group.Go(func() error {
		defer stop()
		return upgrade.Run(leading, w.file(), upgrade.Options{Log: w.log})
	})
	polled(ctx, t, func() bool {
		s, err := upgrade.ReadStatus(ctx, w.file())
		must(t, err)
		return s.Leader != nil && s.Ready
	})
	for gone := 1; gone <= 3; gone++ {
		came := gone + 2
		exec(t, w.production, fmt.Sprintf(`BEGIN; CREATE TABLE shop.log_%[1]d PARTITION OF shop.log FOR VALUES FROM (%[1]d00) TO (%[1]d99); INSERT INTO shop.log SELECT n, %[1]d00, 'new' FROM generate_series(1, 50) n;
			ALTER TABLE shop.log DETACH PARTITION shop.log_%[2]d; DROP TABLE shop.log_%[2]d; COMMIT`, came, gone))
		polled(ctx, t, func() bool {
			if leading.Err() != nil {
				t.Fatal(group.Wait())
			}
			var here bool
			must(t, one(w.production, fmt.Sprintf(`SELECT to_regclass('pgumbra_up_shop.log_%d') IS NOT NULL AND to_regclass('pgumbra_up_shop.log_%d') IS NULL`, came, gone), &here))
			return here
		})
	}
	stop()
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	w.run(ctx, upgrade.Options{Cutover: true})
	if got := text(t, w.production, `SELECT concat_ws(' ', count(*), min(day), max(day)) FROM shop.log`); got != "100 400 500" {
		t.Errorf("rows after the cutover: %s", got)
	}
}

// Where nobody could tell of them at once the table is copied again; a partition
// that is detached and stays stands against the cutover until it is gone.
func TestPartitionsWithoutEventTriggerAreCopiedAgain(t *testing.T) {
	testcontainers.InTurn(t, 3)
	t.Parallel()
	ctx := limited(t, 3*time.Minute)
	w := build(t, history{structure: partitioned, migrations: []string{"ALTER TABLE shop.log ADD COLUMN more int DEFAULT 7;"}})
	w.run(ctx, upgrade.Options{Until: control.Following})
	exec(t, w.production, `DO $$ DECLARE n text; BEGIN FOR n IN SELECT evtname FROM pg_event_trigger LOOP EXECUTE format('DROP EVENT TRIGGER %I', n); END LOOP; END $$`)
	exec(t, w.production, `CREATE TABLE shop.log_3 PARTITION OF shop.log FOR VALUES FROM (200) TO (300); INSERT INTO shop.log_3 VALUES (1, 200, 'unseen')`)
	exec(t, w.production, `ALTER TABLE shop.log DETACH PARTITION shop.log_1`)
	err := upgrade.Run(ctx, w.file(), upgrade.Options{Cutover: true, Once: true, Log: w.log})
	if !errors.Is(err, upgrade.ErrNotNow) || !strings.Contains(err.Error(), "log_1") {
		t.Fatalf("cutover: %v", err)
	}
	exec(t, w.production, `DROP TABLE shop.log_1`)
	w.run(ctx, upgrade.Options{Cutover: true})
	var got string
	must(t, one(w.production, `SELECT concat_ws(' ', count(*), count(*) FILTER (WHERE what = 'unseen'), to_regclass('shop.log_1')) FROM shop.log`, &got))
	if got != "1001 1" {
		t.Errorf("rows %s", got)
	}
}
