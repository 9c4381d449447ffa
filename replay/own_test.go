package replay

import (
	"testing"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/plans"
)

// ofOwnRows are tables whose filter has kept rows from production that the twin still
// has: 9 and 19 of cust, of which the twin has a column of its own, and of log.
func ofOwnRows(record plans.Record, key ...string) func(w *world, p *plans.Plan) {
	return func(w *world, p *plans.Plan) {
		t := w.add(p, w.source("cust", record, key...), "id bigint = id", "what text = what", "kept volatile")
		t.Own, t.Final = "id % 10 <> 9", w.name("cust")
	}
}

const keptRows = "INSERT INTO twin.cust VALUES (9, 'old', 9), (19, 'old', 19)"

const custRows = "SELECT format('%s %s %s', id, what, kept) FROM twin.cust ORDER BY id, what, kept"

// A client's rows replace those that the filter kept, and are proved as any row is;
// rows that nobody uses again stay.
func TestRowsThatAFilterKeptAreTakenByClients(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, `CREATE TABLE cust (id int PRIMARY KEY, what text); CREATE TABLE twin.cust (id bigint PRIMARY KEY, what text, kept int);
			INSERT INTO cust VALUES (1, 'one'), (2, 'two'), (3, 'three')`, ofOwnRows(plans.RecordRow, "id"))
		w.r.RangeRows = 2
		w.exec(keptRows)
		w.equal()
		w.exec("INSERT INTO shop.cust VALUES (9, 'new'); UPDATE shop.cust SET id = 29 WHERE id = 2")
		w.verified(0) // before it is replayed
		w.equal()
		w.want(custRows, "1 one \n3 three \n9 new 9\n19 old 19\n29 two ")
		w.exec("UPDATE shop.cust SET what = 'newer' WHERE id = 9; DELETE FROM shop.cust WHERE id = 29")
		w.verified(0)
		w.equal()
		w.exec("DELETE FROM shop.cust WHERE id = 9; INSERT INTO shop.cust VALUES (39, 'x')")
		w.equal()
		w.want(custRows, "1 one \n3 three \n19 old 19\n39 x ")
		w.exec("UPDATE twin.cust SET what = 'wrong' WHERE id = 39")
		w.differs(0, "id=39")
		w.exec("UPDATE twin.cust SET what = 'x' WHERE id = 39; TRUNCATE shop.cust; INSERT INTO shop.cust VALUES (39, 'y'), (4, 'four')")
		w.equal()
		w.want(custRows, "4 four \n19 old 19\n39 y ")
	})
}

// Rows without a key: those that the filter keeps are counted as often as production has
// them.
func TestRowsThatAFilterKeptWithoutAKey(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, `CREATE TABLE cust (id int, what text); CREATE TABLE twin.cust (id bigint, what text, kept int);
			INSERT INTO cust VALUES (1, 'one'), (2, 'two')`, ofOwnRows(plans.RecordImage))
		w.exec(keptRows)
		w.equal()
		w.exec("INSERT INTO shop.cust VALUES (9, 'new'), (9, 'new'), (19, 'old'); UPDATE shop.cust SET id = 29 WHERE id = 2")
		w.verified(0)
		w.equal()
		w.want(custRows, "1 one \n9 new \n9 new \n9 old 9\n19 old 19\n19 old \n29 two ")
		w.provedAgain(0)
		w.exec("DELETE FROM twin.cust WHERE id = 29")
		w.differs(0, "1 in production, 0 in the shadow")
		w.exec("INSERT INTO twin.cust VALUES (29, 'two'); DELETE FROM shop.cust WHERE id = 9")
		w.equal()
		w.want(custRows, "1 one \n9 old 9\n19 old 19\n19 old \n29 two ")
		w.exec("TRUNCATE shop.cust; INSERT INTO shop.cust VALUES (29, 'two'), (4, 'four')")
		w.equal()
		w.want("SELECT format('%s %s', id, what) FROM twin.cust ORDER BY id", "4 four\n9 old\n19 old\n19 old\n29 two")
	})
}

// provedAgain compares a table without a key once more, as a prover does whose proof
// grows old.
func (w *world) provedAgain(n int) {
	w.t.Helper()
	f, err := w.r.applier(w.ctx, w.table(n))
	w.must(err)
	p, err := control.ProofOf(w.ctx, w.sides.Shadow, w.run, n)
	w.must(err)
	w.must(w.r.again(w.ctx, f, p.Pass))
	now, err := control.ProofOf(w.ctx, w.sides.Shadow, w.run, n)
	w.must(err)
	if found := w.r.Found(); len(found) > 0 || !now.Complete {
		w.t.Errorf("found %+v; proved: %+v", found, now)
	}
}

func (w *world) differs(n int, key string) {
	w.t.Helper()
	verdict, err := w.r.Verify(w.ctx, w.table(n))
	w.must(err)
	if verdict.Equal || len(verdict.Differences) != 1 || verdict.Differences[0].Key != key {
		w.t.Errorf("found %+v, want one difference, %s", verdict, key)
	}
}
