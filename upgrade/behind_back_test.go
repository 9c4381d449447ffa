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

// A window of which the end is not understood: tables that it leaves alone, renames,
// fills anew, divides a column of, writes, drops and makes.
var behindAndBack = history{
	structure: `CREATE SCHEMA shop;
		CREATE TABLE shop.alone (id serial PRIMARY KEY, v text);
		CREATE TABLE shop.renamed (code int PRIMARY KEY, was text, gone text DEFAULT 'kept', n numeric(6,2));
		CREATE TABLE shop.people (id serial PRIMARY KEY, name text NOT NULL);
		CREATE TABLE shop.written (id int PRIMARY KEY, v int);
		CREATE TABLE shop.dropped (id int PRIMARY KEY);
		CREATE SEQUENCE shop.counter MINVALUE -5 MAXVALUE 99 CYCLE; SELECT nextval('shop.counter') FROM generate_series(1, 3);
		INSERT INTO shop.alone (v) SELECT 'a' || n FROM generate_series(1, 300) n;
		INSERT INTO shop.renamed SELECT n, 'r' || n, 'g' || n, n FROM generate_series(1, 300) n;
		INSERT INTO shop.people (name) SELECT 'First' || n || ' Last' || n FROM generate_series(1, 300) n;
		INSERT INTO shop.written SELECT n, n FROM generate_series(1, 300) n; INSERT INTO shop.dropped VALUES (1);`,
	migrations: []string{
		`ALTER TABLE shop.alone ADD COLUMN more int NOT NULL DEFAULT 1; ALTER TABLE shop.renamed ALTER COLUMN n TYPE numeric(8,2);`,
		`UPDATE shop.written SET v = v + (SELECT count(to_jsonb(w)) FROM shop.written w) WHERE id <= 10;
		ALTER TABLE shop.renamed RENAME COLUMN code TO number; ALTER TABLE shop.renamed RENAME COLUMN was TO "Is now"; ALTER TABLE shop.renamed DROP COLUMN gone;
		ALTER TABLE shop.renamed RENAME TO other; ALTER TABLE shop.other ADD COLUMN size int; ALTER TABLE shop.other DISABLE TRIGGER USER;
		UPDATE shop.other o SET size = length(p.name) FROM shop.people p WHERE p.id = o.number; ALTER TABLE shop.other ENABLE TRIGGER USER;`,
		`ALTER TABLE shop.people ADD COLUMN first text, ADD COLUMN last text;
		DO $$ BEGIN UPDATE shop.people SET first = split_part(name, ' ', 1), last = split_part(name, ' ', 2); END $$;
		ALTER TABLE shop.people DROP COLUMN name;
		DROP TABLE shop.dropped; DROP SEQUENCE shop.counter; CREATE TABLE shop.made (id int PRIMARY KEY);`,
	},
	planFile: "cutover: {max_stall: 10s, lock_timeout: 500ms}\ntables:\n  shop.people:\n    reverse: {name: \"first || ' ' || last\"}\n",
}

// What migrations behind the fence make of tables goes back as far as the structure
// tells, by their names of before; what these tables would lose is said before, and has
// to be accepted.
func TestRollbackFromMigrationsBehindTheFence(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	hereAndThere(t, behindAndBack, behindAndBackAgain)
}

func behindAndBackAgain(t *testing.T, h history) {
	t.Helper()
	ctx := limited(t, 3*time.Minute)
	w := build(t, h)
	before := schemaDump(t, w.production)
	w.run(ctx, upgrade.Options{Cutover: true})
	exec(t, w.served, `INSERT INTO shop.alone (v, more) VALUES ('new', 5); UPDATE shop.alone SET v = 'changed' WHERE id = 7; DELETE FROM shop.alone WHERE id = 8;
		INSERT INTO shop.other (number, "Is now", n, size) VALUES (900, 'new', 9.5, 1); UPDATE shop.other SET "Is now" = 'changed' WHERE number = 7; UPDATE shop.other SET number = 901 WHERE number = 9; DELETE FROM shop.other WHERE number = 8;
		INSERT INTO shop.people (first, last) VALUES ('Ann', 'Lee'); UPDATE shop.people SET last = 'Roe' WHERE id = 7;
		UPDATE shop.written SET v = -1 WHERE id = 20; UPDATE shop.written SET v = v + 1 WHERE id = 2; INSERT INTO shop.made VALUES (1);`)
	leader := w.leads(ctx)
	w.keptCurrent(ctx)
	refused := new(upgrade.NoWayBack)
	if err := upgrade.Rollback(ctx, w.file(), upgrade.Options{Log: w.log}); !errors.As(err, &refused) || !strings.Contains(refused.Why, "shop.dropped") {
		t.Fatalf("a table that the migrations dropped is not named: %v", err)
	}
	must(t, upgrade.Rollback(ctx, w.file(), upgrade.Options{As: control.RollbackAs{AcceptLoss: true}, Log: w.log}))
	must(t, leader.Wait())
	w.structureIs(before)
	for query, want := range map[string]string{
		`SELECT string_agg(concat_ws(',', id, v), ' ' ORDER BY id) FROM shop.alone WHERE id IN (1, 7, 8, 301)`:                                "1,a1 7,changed 301,new",
		`SELECT string_agg(concat_ws(',', code, was, gone, n), ' ' ORDER BY code) FROM shop.renamed WHERE code IN (1, 7, 8, 9) OR code > 300`: "1,r1,g1,1.00 7,changed,g7,7.00 900,new,kept,9.50 901,r9,kept,9.00",
		`SELECT string_agg(concat_ws(',', id, name), ' ' ORDER BY id) FROM shop.people WHERE id IN (1, 7, 301)`:                               "1,First1 Last1 7,First7 Roe 301,Ann Lee",
		`SELECT string_agg(concat_ws(',', id, v), ' ' ORDER BY id) FROM shop.written WHERE id IN (1, 2, 20, 30)`:                              "1,1 2,303 20,-1 30,30",
		`SELECT nextval('shop.counter')::text`: "-2",
		`SELECT count(*) || ' ' || (SELECT count(*) FROM shop.renamed) || ' ' || (SELECT count(*) FROM shop.dropped) FROM shop.alone`: "300 300 1",
	} {
		if got := text(t, w.production, query); got != want {
			t.Errorf("%s: %s, not %s", query, got, want)
		}
	}
	must(t, upgrade.Finish(ctx, w.file(), cutover.DropOld, upgrade.Purge, w.log))
}
