package upgrade_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

// labelled has values that functions of a schema make which does not move, but is in
// the search_path: extra.label(), and whatever upper(name) leads to.
var labelled = history{
	structure: `CREATE SCHEMA shop; CREATE SCHEMA extra;
		DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = public, shop, extra', current_database()); END $$;
		CREATE FUNCTION extra.label(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1';
		CREATE TABLE shop.orders (id int PRIMARY KEY, name varchar NOT NULL);
		INSERT INTO shop.orders SELECT n, 'order ' || n FROM generate_series(1, 100) n;`,
	migrations: []string{`ALTER TABLE shop.orders ADD COLUMN label text; ALTER TABLE shop.orders ADD COLUMN loud text;
		UPDATE shop.orders SET label = label(name), loud = upper(name)`},
}

// TestCodeOfOthersThatComesInMidRunIsNotCalled: somebody who may create functions in
// mid-run makes one that fits a call of the run's better. It is not called; the run
// stands still and says why, and goes on once it is gone.
func TestCodeOfOthersThatComesInMidRunIsNotCalled(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, 90*time.Second)
	w := build(t, labelled)
	w.run(ctx, upgrade.Options{Until: control.Following})
	exec(t, w.production, `CREATE TABLE extra.caught (by text); GRANT INSERT ON extra.caught TO PUBLIC;
		DO $$ BEGIN EXECUTE format('CREATE ROLE %I; GRANT USAGE, CREATE ON SCHEMA extra TO %1$I; SET ROLE %1$I', 'stranger ' || current_database()); END $$;
		CREATE FUNCTION extra.upper(varchar) RETURNS text LANGUAGE plpgsql AS 'BEGIN INSERT INTO extra.caught VALUES (current_user); RETURN $1; END';
		RESET ROLE; INSERT INTO shop.orders VALUES (101, 'late')`)
	t.Cleanup(func() {
		exec(t, w.production, `DO $$ BEGIN EXECUTE format('DROP OWNED BY %I; DROP ROLE %1$I', 'stranger ' || current_database()); END $$`)
	})
	leader := w.leads(ctx)
	await(ctx, t, w.production, `SELECT throttled LIKE 'foreign-code extra.upper(character varying)%' FROM pgumbra.leader`)
	w.unready(ctx, "stranger")
	if _, err := upgrade.Verify(ctx, w.file(), w.log); err == nil || !strings.Contains(err.Error(), "foreign-code") {
		t.Errorf("verify: %v", err)
	}
	var caught, replayed int
	must(t, one(w.production, `SELECT (SELECT count(*) FROM extra.caught), (SELECT count(*) FROM pgumbra_up_shop.orders)`, &caught, &replayed))
	if caught > 0 || replayed != 100 {
		t.Errorf("called %d times, %d orders", caught, replayed)
	}
	exec(t, w.production, "DROP FUNCTION extra.upper(varchar)")
	await(ctx, t, w.production, `SELECT throttled = '' AND (SELECT count(*) = 101 FROM pgumbra_up_shop.orders) FROM pgumbra.leader`)
	must(t, upgrade.Cutover(ctx, w.file(), upgrade.Options{Log: w.log}))
	must(t, upgrade.Finish(ctx, w.file(), cutover.DropOld, upgrade.Purge, w.log))
	must(t, leader.Wait())
	exec(t, w.production, `DROP TABLE extra.caught; DO $$ BEGIN EXECUTE format('DROP OWNED BY %I', 'stranger ' || current_database()); END $$`)
	exec(t, w.oracleDSN, "INSERT INTO shop.orders VALUES (101, 'late')")
	w.upgraded(ctx)
}

// TestFunctionThatWasAnotherOneForAWhileTakesTheProofBack: rows that were replayed by
// it, and proved by it, are not what the migrations would make of them.
func TestFunctionThatWasAnotherOneForAWhileTakesTheProofBack(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	ctx := limited(t, 90*time.Second)
	w := build(t, labelled)
	w.run(ctx, upgrade.Options{Until: control.Following})
	exec(t, w.production, `CREATE OR REPLACE FUNCTION extra.label(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT CASE WHEN $1 = 'seven' THEN 'altered' ELSE $1 END $$;
		UPDATE shop.orders SET name = 'seven' WHERE id = 7`)
	w.run(ctx, upgrade.Options{Until: control.Following})
	exec(t, w.production, `CREATE OR REPLACE FUNCTION extra.label(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1'`)
	var different *upgrade.Different
	if err := upgrade.Cutover(ctx, w.file(), upgrade.Options{Log: w.log}); !errors.As(err, &different) {
		t.Fatalf("cutover: %v", err)
	}
	exec(t, w.production, "UPDATE shop.orders SET name = name WHERE id = 7")
	w.run(ctx, upgrade.Options{Cutover: true})
	must(t, upgrade.Finish(ctx, w.file(), cutover.DropOld, upgrade.Purge, w.log))
	exec(t, w.oracleDSN, "UPDATE shop.orders SET name = 'seven' WHERE id = 7")
	w.upgraded(ctx)
}
