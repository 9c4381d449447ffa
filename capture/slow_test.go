package capture

import (
	"errors"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/plans"
)

// TestInstallGivesWayWhereItsOwnStatementsAreSlow: an event trigger of the user's
// makes each trigger take seconds, behind a lock that writers wait for. Making them
// is given up; taking them off again is not, however long it takes.
func TestInstallGivesWayWhereItsOwnStatementsAreSlow(t *testing.T) {
	t.Parallel()
	f := newFixture(t, orders+`CREATE FUNCTION shop.slow() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.9); END'`,
		plans.Source{Name: named("shop", "orders")})
	f.exec(`CREATE EVENT TRIGGER slow_shop ON ddl_command_start WHEN TAG IN ('CREATE TRIGGER', 'DROP TRIGGER') EXECUTE FUNCTION shop.slow()`)
	done := make(chan error, 1)
	go func() { done <- Install(f.ctx, f.pool, f.run, quiet()) }()
	var longest time.Duration
	for writing := true; writing; {
		began := time.Now()
		f.exec(`UPDATE shop.orders SET note = note WHERE id = 1`)
		longest = max(longest, time.Since(began))
		select {
		case err := <-done:
			writing = false
			if !errors.Is(err, ErrSlow) {
				t.Errorf("Install under a slow event trigger: %v", err)
			}
		case <-time.After(20 * time.Millisecond):
		}
	}
	if longest > 4*installWait { // a session of its own for each write, too
		t.Errorf("a writer waited %s", longest)
	}
	if left := f.one(`SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal`); left != "0" {
		t.Errorf("%s triggers are left", left)
	}
	f.exec(`ALTER EVENT TRIGGER slow_shop DISABLE`)
	f.install()
	f.exec(`ALTER EVENT TRIGGER slow_shop ENABLE`)
	f.must(Remove(f.ctx, f.pool, f.run))
	if left := f.one(`SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal`); left != "0" {
		t.Errorf("%s triggers are left", left)
	}
	f.exec(`DROP EVENT TRIGGER slow_shop`)
}
