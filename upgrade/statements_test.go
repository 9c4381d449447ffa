package upgrade_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/jackc/pgx/v5"
)

// step is one thing that a client does inside a transaction.
type step func(ctx context.Context, tx pgx.Tx) error

// sql is a statement with integers for its parameters. Without any, pgx sends
// it by the simple protocol whatever the client's mode.
func sql(text string, args ...any) step {
	return func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, text, args...)
		return err
	}
}

// steps are several in a row.
func steps(all ...step) step {
	return func(ctx context.Context, tx pgx.Tx) error {
		for _, s := range all {
			if err := s(ctx, tx); err != nil {
				return err
			}
		}
		return nil
	}
}

// undone is rolled back to a savepoint.
func undone(s step) step {
	return func(ctx context.Context, tx pgx.Tx) error {
		inner, err := tx.Begin(ctx)
		if err != nil {
			return err
		}
		err = s(ctx, inner)
		if state(err) == "40001" || state(err) == "40P01" {
			return err
		}
		return inner.Rollback(ctx)
	}
}

// copyIn sends rows by COPY.
func copyIn(target string, rows ...string) step {
	return func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Conn().PgConn().CopyFrom(ctx, strings.NewReader(strings.Join(rows, "\n")+"\n"), "COPY "+target+" FROM STDIN")
		return err
	}
}

// randomStep is one of all kinds of changes there are. Each table's keys are
// few, so that clients meet. merge: the server has MERGE.
func randomStep(r *rand.Rand, merge bool) step {
	families := []func(*rand.Rand) step{itemStep, itemStep, itemStep, familyStep, uniqueStep, partitionStep, inheritedStep, plainStep}
	if merge {
		families = append(families, mergeStep)
	}
	return families[r.IntN(len(families))](r)
}

func itemStep(r *rand.Rand) step {
	n, m := 7*(1+r.IntN(2100)), r.IntN(1000)
	return []step{
		sql(`INSERT INTO shop.item (id, name, price) VALUES ($1::int, 'n' || $2::int, $2::int) ON CONFLICT (id) DO UPDATE SET price = excluded.price, stock = item.stock + 1`, n, m),
		sql(`INSERT INTO shop.item (id, name, price) SELECT x, 'm' || x, x * 3 FROM generate_series($1::int, $1::int + 5) x ON CONFLICT DO NOTHING`, n),
		sql(`UPDATE shop.item SET price = price + $2::int WHERE id BETWEEN $1::int AND $1::int + 3`, n, m),
		sql(`UPDATE shop.item SET id = id + 1000000 - 2000000 * (id / 1000000) WHERE id % 1000000 = $1::int`, n),
		steps(sql(`DELETE FROM shop.item WHERE id = $1::int`, n), sql(`INSERT INTO shop.item (id, name, price) VALUES ($1::int, 'again ' || $2::int, $2::int)`, n, m)),
		undone(steps(sql(`DELETE FROM shop.item WHERE id < $1::int`, n/100), sql(`UPDATE shop.item SET name = 'r' || $2::int WHERE id = $1::int`, n, m))),
		sql(`UPDATE shop.item SET price = -1 WHERE id = $1::int`, n), // the trigger says no
		sql(`WITH gone AS (DELETE FROM shop.item WHERE id = $1::int RETURNING id, price), noted AS (INSERT INTO shop.log (what, n) SELECT 'gone', price FROM gone)
			INSERT INTO shop.item (id, name, price) SELECT id + 90000, 'moved ' || id, price FROM gone`, n),
		copyIn("shop.item (id, name, price)", fmt.Sprintf("%d\tcopy %d\t%d", 30000+n, n, m), fmt.Sprintf("%d\tcopied %d\t%d", 60000+n, n, m+1)),
		sql(`WITH a AS (UPDATE shop.item SET stock = stock + 1 WHERE id = $1::int RETURNING id) UPDATE shop.item SET stock = stock + 2 WHERE id IN (SELECT id + 1 FROM a)`, n),
		steps(sql(`SELECT id FROM shop.item WHERE id BETWEEN $1::int AND $1::int + 2 ORDER BY id FOR UPDATE`, n), sql(`SELECT pg_sleep(0.03)`), sql(`UPDATE shop.item SET stock = stock + 1 WHERE id = $1::int`, n)),
	}[r.IntN(11)]
}

func mergeStep(r *rand.Rand) step {
	n, m := 7*(1+r.IntN(2100)), r.IntN(1000)
	return sql(`MERGE INTO shop.item i USING (SELECT x AS id, $2::int AS price FROM generate_series($1::int, $1::int + 4) x) s ON i.id = s.id
		WHEN MATCHED AND i.price % 3 = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET price = s.price
		WHEN NOT MATCHED THEN INSERT (id, name, price) VALUES (s.id, 'merged ' || s.id, s.price)`, n, m)
}

func familyStep(r *rand.Rand) step {
	n, m := 1+r.IntN(220), r.IntN(1000)
	return []step{
		sql(`DELETE FROM shop.parent WHERE id = $1::int`, n),
		sql(`INSERT INTO shop.parent (id, v) VALUES ($1::int, $2::int) ON CONFLICT (id) DO UPDATE SET v = excluded.v`, n, m),
		sql(`UPDATE shop.parent SET id = id + 1000 - 2000 * (id / 1000)  WHERE id % 1000 = $1::int`, n),
		sql(`INSERT INTO shop.child (id, parent, v) SELECT $2::int, max(id), $1::int FROM shop.parent ON CONFLICT (id) DO UPDATE SET parent = excluded.parent`, n, m),
		sql(`DELETE FROM shop.child WHERE v % 50 = $1::int % 50`, n),
		sql(`INSERT INTO shop.grandchild (child, no) SELECT max(id), $1::int * 1000 + $2::int FROM shop.child ON CONFLICT DO NOTHING`, n, m),
		steps(sql(`DELETE FROM shop.parent WHERE id = $1::int`, n), sql(`INSERT INTO shop.parent (id, v) VALUES ($1::int, 7)`, n)),
	}[r.IntN(7)]
}

func uniqueStep(r *rand.Rand) step {
	n, m := 1+r.IntN(290), 1+r.IntN(290)
	return []step{
		sql(`UPDATE shop.rank SET place = CASE place WHEN $1::int THEN $2::int ELSE $1::int END WHERE place IN ($1::int, $2::int)`, n, m),
		steps(sql(`UPDATE shop.rank SET seat = NULL WHERE id = $1::int`, n), sql(`UPDATE shop.rank SET seat = $1::int WHERE id = $2::int AND seat IS NULL`, n+1000, n)),
		steps(sql(`UPDATE shop.rank SET seat = -id WHERE id IN ($1::int, $1::int + 1)`, n), sql(`UPDATE shop.rank SET seat = $1::int * 2 - id + 2001 WHERE id IN ($1::int, $1::int + 1)`, n)),
		steps(sql(`UPDATE shop.late SET id = id + 1 WHERE id BETWEEN $1::int AND $1::int + 5`, n), sql(`DELETE FROM shop.late WHERE id = $1::int + 6 AND v = $1::int + 6`, n), sql(`INSERT INTO shop.late (id, v) VALUES ($1::int, $2::int)`, n, m)),
		steps(sql(`INSERT INTO shop.late (id, v) VALUES ($1::int, 0)`, n), sql(`DELETE FROM shop.late WHERE id = $1::int AND v <> 0`, n)),
		sql(`UPDATE shop.person SET name = CASE WHEN $2::int % 2 = 0 THEN upper(name) ELSE lower(name) END, v = v + 1 WHERE name = 'person ' || $1::int`, n, m),
		steps(sql(`DELETE FROM shop.person WHERE name = 'PERSON ' || $1::int`, n), sql(`INSERT INTO shop.person (name, v) VALUES ('pErson ' || $1::int, $2::int)`, n, m)),
		steps(sql(`UPDATE shop.booking SET during = int4range(-$1::int, -$1::int + 1) WHERE id = $1::int`, n), sql(`UPDATE shop.booking SET during = int4range($1::int * 10, $1::int * 10 + $2::int % 6 + 1) WHERE id = $1::int`, n, m)),
	}[r.IntN(8)]
}

func partitionStep(r *rand.Rand) step {
	n, m := 1+r.IntN(610), r.IntN(1000)
	return []step{
		sql(`INSERT INTO shop.part (region, id, v) VALUES (CASE WHEN $2::int % 2 = 0 THEN 'eu' ELSE 'asia' END, $1::int, $2::int) ON CONFLICT (region, id) DO UPDATE SET v = excluded.v`, n, m),
		sql(`UPDATE shop.part SET region = CASE region WHEN 'eu' THEN 'us' ELSE 'eu' END WHERE id = $1::int`, n),
		sql(`UPDATE shop.part_eu SET id = (id + 500) % 1000 WHERE id = $1::int`, n), // a middle level; may move to another leaf
		sql(`DELETE FROM shop.part_eu WHERE v % 40 = $1::int % 40`, n),
		sql(`UPDATE shop.part_eu_low SET v = v + 1 WHERE id < $1::int`, n/10),
		sql(`INSERT INTO shop.part_eu (region, id, v) VALUES ('eu', $1::int, $2::int) ON CONFLICT DO NOTHING`, n, m),
		copyIn("shop.part_rest (region, id, v)", fmt.Sprintf("af%d\t%d\t%d", r.IntN(1_000_000), n, m)),
	}[r.IntN(7)]
}

func inheritedStep(r *rand.Rand) step {
	n, m := 1+r.IntN(510), r.IntN(1000)
	return []step{
		sql(`UPDATE shop.thing SET v = v + 1 WHERE id = $1::int`, n),
		sql(`UPDATE shop.thing SET id = id + 5000 - 10000 * (id / 5000) WHERE id % 5000 = $1::int`, n),
		sql(`DELETE FROM shop.car WHERE id = $1::int`, n),
		sql(`DELETE FROM ONLY shop.thing WHERE id = $1::int`, n),
		sql(`INSERT INTO shop.truck (id, v, wheels, load) VALUES ($1::int, $2::int, 8, 1) ON CONFLICT (id) DO UPDATE SET load = truck.load + 1`, n, m),
		sql(`UPDATE shop.truck SET load = $2::int WHERE id = $1::int`, n, m),
	}[r.IntN(6)]
}

func plainStep(r *rand.Rand) step {
	n, m := 1+r.IntN(420), r.IntN(1000)
	return []step{
		sql(`INSERT INTO shop.log (what, n) SELECT 'w' || x % 2, $1::int % 4 FROM generate_series(1, 3) x`, n),
		sql(`UPDATE shop.log SET n = n + 1 WHERE ctid IN (SELECT ctid FROM shop.log WHERE n < 5 LIMIT 2 OFFSET $1::int)`, n),
		sql(`DELETE FROM shop.log WHERE ctid IN (SELECT ctid FROM shop.log WHERE n = $1::int % 5 LIMIT 3)`, n),
		copyIn("shop.log (what, n)", "copied\t1", "copied\t1", `\N`+"\t2"),
		sql(`UPDATE shop.wide SET doc = jsonb_build_object('m', $2::int) WHERE id % 10 = $1::int % 10`, n, m), // body stays toasted
		sql(`UPDATE shop.wide SET body = repeat(md5($2::int::text), $2::int) WHERE id = $1::int`, n, m),
		steps(sql(`DELETE FROM shop.wide WHERE id = $1::int`, n), sql(`INSERT INTO shop.wide (id, body) VALUES ($1::int, repeat('y', $2::int * 10))`, n, m)),
	}[r.IntN(7)]
}

// coarse statements take a whole table; one client alone runs them.
func coarse(r *rand.Rand) []string {
	table := []string{"item", "log", "child", "rank", "late", "wide", "part_eu_low", "part_rest", "car", "person"}[r.IntN(10)]
	return [][]string{
		{"VACUUM FULL shop." + table}, {"VACUUM shop." + table}, {"ANALYZE shop." + table}, {"CLUSTER shop.rank USING rank_pkey"},
		{"TRUNCATE shop.log"}, {"TRUNCATE shop.part_eu_low"}, {"TRUNCATE shop.part_eu"}, {"TRUNCATE shop.wide"}, {"TRUNCATE shop.parent CASCADE"}, {"TRUNCATE ONLY shop.thing"},
		{"BEGIN", "TRUNCATE shop.person", "INSERT INTO shop.person (name, v) VALUES ('Person 1', 1), ('b', 2)", "COMMIT"},
		{"BEGIN", "TRUNCATE shop.late", "ROLLBACK"},
		{"REINDEX TABLE shop." + table},
	}[r.IntN(13)]
}

// unseen changes a table behind the triggers' back: it must be copied again.
var unseen = []string{"ALTER TABLE shop.wide DISABLE TRIGGER ALL", "UPDATE shop.wide SET body = 'unseen' WHERE id < 20",
	"DELETE FROM shop.wide WHERE id = 77", "ALTER TABLE shop.wide ENABLE TRIGGER ALL"}
