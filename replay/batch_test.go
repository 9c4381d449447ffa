package replay

import (
	"errors"
	"testing"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/testcontainers"
)

const itemRows = `SELECT format('%s %s %s', id, title, cents) FROM twin.items ORDER BY id`

func TestBatchReplaysInsertUpdateDelete(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, itemsStructure(`INSERT INTO items VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3)`), items)
		w.exec(`INSERT INTO shop.items VALUES (4, 'd', 4); UPDATE shop.items SET name = 'B' WHERE id = 2; DELETE FROM shop.items WHERE id = 3`)
		if got := w.batch(0).Changes; got != 3 {
			t.Errorf("changes: %d", got)
		}
		w.want(itemRows, "1 a 100\n2 B 200\n4 d 400")
		w.verified(0)
	})
}

func TestBatchWithoutNewsIsCheap(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, itemsStructure(""), items)
		w.r.Idle = defaultIdle
		if w.batch(0).Position == "" {
			t.Error("the first batch of a process did not move the position")
		}
		if got := w.batch(0); got != (Result{}) {
			t.Errorf("an idle batch did %+v", got)
		}
		w.exec(`INSERT INTO shop.items VALUES (1, 'a', 1)`)
		if got := w.batch(0).Changes; got != 1 {
			t.Errorf("changes: %d", got)
		}
	})
}

func TestBatchTakesLateCommitters(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, itemsStructure(""), items)
		first, second := w.begin(), w.begin()
		first.exec(`INSERT INTO shop.items VALUES (1, 'early number', 1)`)
		second.exec(`INSERT INTO shop.items VALUES (2, 'late number', 2)`)
		second.commit()
		w.batch(0)
		w.want(itemRows, "2 late number 200")
		first.commit()
		w.batch(0)
		w.want(itemRows, "1 early number 100\n2 late number 200")
		w.verified(0)
	})
}

func TestBatchReadsKeysOfNestedStatementsAgain(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, itemsStructure(`
		CREATE FUNCTION raise() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF NEW.name = 'doomed' THEN DELETE FROM shop.items WHERE id = NEW.id;
			ELSIF NEW.price < 100 THEN UPDATE shop.items SET price = 100 WHERE id = NEW.id; END IF;
			RETURN NULL; END $$;
		CREATE TRIGGER raise AFTER INSERT OR UPDATE ON items FOR EACH ROW EXECUTE FUNCTION raise()`), items)
		w.exec(`INSERT INTO shop.items VALUES (1, 'cheap', 1), (2, 'doomed', 2), (3, 'dear', 300)`)
		w.batch(0)
		w.want(itemRows, "1 cheap 10000\n3 dear 30000")
		w.verified(0)
	})
}

func TestBatchSeveralStatementsOfOneTransaction(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, itemsStructure(`INSERT INTO items VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3)`), items)
		w.exec(`BEGIN; DELETE FROM shop.items WHERE id = 1; INSERT INTO shop.items VALUES (1, 'again', 9);
		UPDATE shop.items SET name = 'x' WHERE id = 2; DELETE FROM shop.items WHERE id = 2;
		INSERT INTO shop.items VALUES (7, 'brief', 7); DELETE FROM shop.items WHERE id = 7; COMMIT;
		BEGIN; SAVEPOINT s; UPDATE shop.items SET name = 'undone'; ROLLBACK TO s; UPDATE shop.items SET price = 5 WHERE id = 3; COMMIT`)
		w.batch(0)
		w.want(itemRows, "1 again 900\n3 c 500")
		w.verified(0)
	})
}

func TestBatchFollowsChangedKeys(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, itemsStructure(`INSERT INTO items SELECT i, 'n' || i, i FROM generate_series(1, 5) i`), items)
		w.exec(`UPDATE shop.items SET id = id + 10 WHERE id < 3; UPDATE shop.items SET id = 3 - id + 20 WHERE id > 12`)
		w.equal()
		w.want(itemRows, w.text(`SELECT format('%s %s %s', id, name, price * 100) FROM shop.items ORDER BY id`))
	})
}

func TestBatchRecordKey(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, itemsStructure(`INSERT INTO items VALUES (1, 'a', 1), (2, 'b', 2)`), func(w *world, p *plans.Plan) {
			items(w, p)
			p.Sources[0].Record = plans.RecordKey
		})
		w.exec(`UPDATE shop.items SET name = 'A' WHERE id = 1; DELETE FROM shop.items WHERE id = 2; INSERT INTO shop.items VALUES (3, 'c', 3)`)
		w.batch(0)
		w.want(itemRows, "1 A 100\n3 c 300")
		w.verified(0)
	})
}

func TestBatchSwapsUniqueValues(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, itemsStructure(`INSERT INTO items VALUES (1, 'a', 1), (2, 'b', 2); ALTER TABLE twin.items ADD UNIQUE (title)`),
			func(w *world, p *plans.Plan) { items(w, p); p.Tables[0].Upsert = false })
		w.exec(`BEGIN; UPDATE shop.items SET name = 'tmp' WHERE id = 1; UPDATE shop.items SET name = 'a' WHERE id = 2; UPDATE shop.items SET name = 'b' WHERE id = 1; COMMIT`)
		w.batch(0)
		w.want(itemRows, "1 b 100\n2 a 200")
		w.verified(0)
	})
}

func TestBatchWhere(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		for _, upsert := range []bool{true, false} {
			w := newWorld(t, itemsStructure(`INSERT INTO items VALUES (1, 'in', 1), (2, 'out', 200), (3, 'in', 3), (4, 'in', 4)`),
				func(w *world, p *plans.Plan) {
					items(w, p)
					p.Tables[0].Where = "price < 100 OR items.name = 'vip'"
					p.Tables[0].Upsert = upsert
				})
			w.want(itemRows, "1 in 100\n3 in 300\n4 in 400")
			w.exec(`UPDATE shop.items SET price = 50 WHERE id = 2; UPDATE shop.items SET price = 500 WHERE id = 1;
			BEGIN; UPDATE shop.items SET price = 7 WHERE id = 3; UPDATE shop.items SET price = 700 WHERE id = 3; COMMIT;
			INSERT INTO shop.items VALUES (5, 'out', 1000), (6, 'vip', 1000)`)
			w.batch(0)
			w.want(itemRows, "2 out 5000\n4 in 400\n6 vip 100000")
			w.verified(0)
		}
	})
}

func TestBatchTruncate(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, itemsStructure(`INSERT INTO items VALUES (1, 'a', 1), (2, 'b', 2)`), items)
		w.exec(`INSERT INTO shop.items VALUES (3, 'c', 3); TRUNCATE shop.items; INSERT INTO shop.items VALUES (2, 'new', 2)`)
		w.batch(0)
		w.want(itemRows, "2 new 200")
		w.exec(`BEGIN; INSERT INTO shop.items VALUES (8, 'h', 8); TRUNCATE shop.items; INSERT INTO shop.items VALUES (9, 'i', 9); COMMIT`)
		w.batch(0)
		w.want(itemRows, "9 i 900")
		w.exec(`BEGIN; TRUNCATE shop.items; ROLLBACK`)
		w.equal()
		w.want(itemRows, "9 i 900")
	})
}

func TestBatchStopsAtConflicts(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, itemsStructure(`INSERT INTO items VALUES (1, 'a', 1); ALTER TABLE twin.items ADD CONSTRAINT one_title UNIQUE (title)`),
			func(w *world, p *plans.Plan) { items(w, p); p.Tables[0].Upsert = false })
		w.exec(`INSERT INTO shop.items VALUES (2, 'a', 1)`)
		_, err := w.r.Batch(w.ctx, w.table(0))
		var conflict *Conflict
		if !errors.Is(err, ErrConflict) || !errors.As(err, &conflict) {
			t.Fatalf("got %v", err)
		}
		if conflict.State != "23505" || conflict.Detail != "Key (title)=(a) already exists." || conflict.Table.String() != "twin.items" {
			t.Errorf("conflict: %+v", conflict)
		}
		w.want(itemRows, "1 a 100")
		w.exec(`DELETE FROM shop.items WHERE id = 1`)
		w.batch(0)
		w.want(itemRows, "2 a 100")
	})
}

func TestBatchOfDeposedLeaderWritesNothing(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, itemsStructure(""), items)
		w.exec(`INSERT INTO shop.items VALUES (1, 'a', 1); UPDATE pgumbra.run SET epoch = epoch + 1`)
		if _, err := w.r.Batch(w.ctx, w.table(0)); !errors.Is(err, control.ErrFencedOff) {
			t.Errorf("got %v", err)
		}
		w.want(itemRows, "")
	})
}

func TestBatchRefusesTablesThatAreNotCopied(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, itemsStructure(""), items)
		w.exec(`UPDATE pgumbra.shadow_table SET state = 'copying'`)
		if _, err := w.r.Batch(w.ctx, w.table(0)); !errors.Is(err, ErrRecopy) {
			t.Errorf("got %v", err)
		}
	})
}
