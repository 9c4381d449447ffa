package capture

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/plans"
)

// Room is given back beneath clients that write: those under way end well, the
// journal of an open transaction stays until it is over, and nobody fails.
func TestJournalsAreFreedBeneathClients(t *testing.T) {
	t.Parallel()
	f := newFixture(t, orders+`CREATE TABLE shop.other (id int PRIMARY KEY)`,
		plans.Source{Name: named("shop", "orders")}, plans.Source{Name: named("shop", "other")})
	f.install()
	open, err := pgx.Connect(f.ctx, f.dsn)
	f.must(err)
	defer func() { _ = open.Close(f.ctx) }()
	_, err = open.Exec(f.ctx, `BEGIN; UPDATE shop.orders SET total = 1 WHERE id = 1`)
	f.must(err)
	var clients errgroup.Group
	for range 3 {
		clients.Go(func() error {
			return f.try(`DO $$ BEGIN FOR i IN 1..200 LOOP INSERT INTO shop.other VALUES (i) ON CONFLICT DO NOTHING; PERFORM pg_sleep(0.002); END LOOP; END $$`)
		})
	}
	f.must(Free(f.ctx, f.pool, f.run, quiet()))
	const journals = `SELECT string_agg(relname, ' ') FROM pg_class WHERE relname ~ '^journal_[0-9]+_[0-9]+$'`
	if got := f.one(journals); got != JournalOf(f.run, f.source(0)).Name().Name {
		t.Errorf("journals %s", got)
	}
	_, err = open.Exec(f.ctx, `UPDATE shop.orders SET total = 2 WHERE id = 2; COMMIT`)
	f.must(err)
	f.exec(`DELETE FROM shop.other; UPDATE shop.orders SET total = 3`)
	f.must(clients.Wait())
	f.must(Free(f.ctx, f.pool, f.run, quiet()))
	if got := f.one(journals); got != "NULL" {
		t.Errorf("journals %s", got)
	}
	f.must(Remove(f.ctx, f.pool, f.run))
	f.exec(`UPDATE shop.orders SET total = 4`)
	if left := f.one(`SELECT count(*) FROM pg_proc WHERE pronamespace = 'pgumbra'::regnamespace AND proname !~ '^ours_'`); left != "0" {
		t.Errorf("%s functions are left", left)
	}
}
