package replay

import (
	"errors"
	"fmt"
	"testing"

	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/testcontainers"
)

const withoutKey = `CREATE TABLE log (at int, what text); CREATE TABLE twin.log (what text, at bigint, nr int GENERATED ALWAYS AS (length(what)) STORED);
	INSERT INTO log VALUES (1, 'a'), (1, 'a'), (1, 'a'), (2, NULL), (2, '');`

func defineKeyless(w *world, p *plans.Plan) {
	t := w.add(p, w.source("log", plans.RecordImage), "what text = what", "at bigint = at")
	t.Columns = append(t.Columns, plans.Column{Shadow: "nr", Type: "integer", Generated: true})
}

const logRows = `SELECT format('%s %s %s', at, what IS NULL, what) FROM twin.log ORDER BY 1`

func TestBatchCountsCopiesOfRowsWithoutKey(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, withoutKey, defineKeyless)
		w.exec(`DELETE FROM shop.log WHERE ctid = '(0,1)'; INSERT INTO shop.log VALUES (2, ''), (2, ''), (3, 'c'); DELETE FROM shop.log WHERE what IS NULL;
		BEGIN; UPDATE shop.log SET at = at + 1 WHERE at = 3; INSERT INTO shop.log VALUES (9, 'brief'); DELETE FROM shop.log WHERE at = 9; COMMIT`)
		w.batch(0)
		w.want(logRows, "1 f a\n1 f a\n2 f \n2 f \n2 f \n4 f c")
		if rows := w.verified(0).Rows; rows != 6 {
			t.Errorf("verified %d rows", rows)
		}
	})
}

// The shadow's is without columns as well, or has one that the migrations added.
func TestBatchOfRowsWithoutColumns(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, `CREATE TABLE bare (); CREATE TABLE more (); CREATE TABLE twin.bare (); CREATE TABLE twin.more (n int DEFAULT 4);
			INSERT INTO bare SELECT FROM generate_series(1, 3); INSERT INTO more SELECT FROM bare`,
			func(w *world, p *plans.Plan) {
				w.add(p, w.source("bare", plans.RecordImage))
				w.add(p, w.source("more", plans.RecordImage), "n integer = 4")
			})
		for _, c := range []struct{ change, want string }{
			{`INSERT INTO shop.%[1]s DEFAULT VALUES; INSERT INTO shop.%[1]s SELECT FROM generate_series(1, 4)`, "8"},
			{`DELETE FROM shop.%[1]s WHERE ctid IN (SELECT ctid FROM shop.%[1]s LIMIT 2)`, "6"},
			{`TRUNCATE shop.%[1]s; INSERT INTO shop.%[1]s DEFAULT VALUES`, "1"},
		} {
			for n, table := range []string{"bare", "more"} {
				w.exec(fmt.Sprintf(c.change, table))
				w.batch(n)
				w.want(`SELECT count(*) FROM twin.`+table, c.want)
				w.verified(n)
			}
		}
	})
}

func TestBatchTruncatesTableWithoutKey(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, withoutKey, defineKeyless)
		w.exec(`INSERT INTO shop.log VALUES (5, 'x'); TRUNCATE shop.log; INSERT INTO shop.log VALUES (6, 'y'), (6, 'y')`)
		w.equal()
		w.want(logRows, "6 f y\n6 f y")
	})
}

func TestBatchWithoutKeyWhere(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, withoutKey, func(w *world, p *plans.Plan) { defineKeyless(w, p); p.Tables[0].Where = "at < 2" })
		w.exec(`UPDATE shop.log SET at = 5 WHERE ctid = '(0,2)'; UPDATE shop.log SET at = 0 WHERE what = ''`)
		w.equal()
		w.want(logRows, "0 f \n1 f a\n1 f a")
	})
}

func TestBatchStopsWhenRowToRemoveIsNotThere(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, withoutKey, defineKeyless)
		w.exec(`DELETE FROM twin.log WHERE at = 1; DELETE FROM shop.log WHERE at = 1`)
		if _, err := w.r.Batch(w.ctx, w.table(0)); !errors.Is(err, ErrConflict) {
			t.Errorf("got %v", err)
		}
	})
}

func TestVerifyWithoutKeyShowsCopies(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, withoutKey, defineKeyless)
		w.exec(`DELETE FROM twin.log WHERE ctid = '(0,1)'`)
		verdict, err := w.r.Verify(w.ctx, w.table(0))
		w.must(err)
		if verdict.Equal || len(verdict.Differences) != 1 || verdict.Differences[0].Key != "3 in production, 2 in the shadow" {
			t.Errorf("verdict %+v", verdict)
		}
	})
}
