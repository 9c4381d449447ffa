package upgrade_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

// A table that is divided in two, and two that become one.
var divided = history{
	structure: `CREATE SCHEMA shop;
		CREATE TABLE shop.people (id int PRIMARY KEY, name text NOT NULL, street text, city text, legacy int DEFAULT 7);
		CREATE TABLE shop.cats (id int PRIMARY KEY, name text NOT NULL, lives smallint CHECK (lives < 100));
		CREATE TABLE shop.dogs (id int PRIMARY KEY, name text NOT NULL, tricks text);
		INSERT INTO shop.people SELECT n, 'p' || n, CASE WHEN n % 3 > 0 THEN 's' || n END, CASE WHEN n % 3 > 0 THEN 'c' || n % 5 END, n FROM generate_series(1, 300) n;
		INSERT INTO shop.cats SELECT n, 'cat' || n, n % 9 FROM generate_series(1, 100) n; INSERT INTO shop.dogs SELECT n, 'dog' || n, 't' || n FROM generate_series(1, 100) n;`,
	migrations: []string{
		`CREATE TABLE shop.addresses (person int PRIMARY KEY, street text NOT NULL, town text);
		INSERT INTO shop.addresses SELECT id, street, city FROM shop.people WHERE street IS NOT NULL;
		ALTER TABLE shop.people DROP COLUMN street, DROP COLUMN city, DROP COLUMN legacy;`,
		`CREATE TABLE shop.pets (kind text, id int, name text NOT NULL, lives bigint, tricks text, PRIMARY KEY (kind, id));
		INSERT INTO shop.pets SELECT 'cat', id, name, lives, NULL FROM shop.cats UNION ALL SELECT 'dog', id, name, NULL, tricks FROM shop.dogs;
		DROP TABLE shop.cats; DROP TABLE shop.dogs;`,
	},
	planFile: `cutover: {max_stall: 5s, lock_timeout: 500ms}
tables:
  shop.people:
    reverse:
      from: SELECT p.id, p.name, a.street, a.town AS city FROM shop.people p LEFT JOIN shop.addresses a ON a.person = p.id
      key: {shop.people: {id: id}, shop.addresses: {person: id}}
  shop.pets:
    from: SELECT 'cat' AS kind, id, name, lives::bigint, NULL::text AS tricks FROM shop.cats UNION ALL SELECT 'dog', id, name, NULL, tricks FROM shop.dogs
    key: {shop.cats: {id: id}, shop.dogs: {id: id}}
  shop.cats: {reverse: {from: "SELECT id, name, lives FROM shop.pets WHERE kind = 'cat'", key: {shop.pets: {id: id}}}}
  shop.dogs: {reverse: {from: "SELECT id, name, tricks FROM shop.pets WHERE kind = 'dog'", key: {shop.pets: {id: id}}}}
`,
}

// Rows that were divided, or put together, go back by the plan file's queries: every
// write is there, in one database and from another, and a second time.
func TestDividedAndMergedTablesGoBackByQueries(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	hereAndThere(t, divided, dividedAndBack)
}

func dividedAndBack(t *testing.T, h history) {
	t.Helper()
	ctx := limited(t, 3*time.Minute)
	w := build(t, h)
	before := schemaDump(t, w.production)
	w.run(ctx, upgrade.Options{Cutover: true})
	exec(t, w.served, `INSERT INTO shop.people VALUES (900, 'new'), (901, 'newer'); INSERT INTO shop.addresses VALUES (901, 'new street', 'x');
		UPDATE shop.people SET name = 'changed' WHERE id = 7; UPDATE shop.addresses SET street = 'changed' WHERE person = 7; DELETE FROM shop.addresses WHERE person = 8;
		UPDATE shop.addresses SET person = 9 WHERE person = 10; DELETE FROM shop.addresses WHERE person = 11; DELETE FROM shop.people WHERE id = 11;
		UPDATE shop.pets SET name = 'changed' WHERE id = 7; UPDATE shop.pets SET kind = 'cat', id = 500 WHERE kind = 'dog' AND id = 9; DELETE FROM shop.pets WHERE kind = 'cat' AND id = 8; INSERT INTO shop.pets VALUES ('dog', 800, 'new', NULL, 'sits');`)
	leader := w.leads(ctx)
	w.keptCurrent(ctx)
	verdicts, err := upgrade.Verify(ctx, w.file(), w.log)
	must(t, err)
	if len(verdicts) != 3 || !upgrade.AllEqual(verdicts) {
		t.Errorf("verify: %+v", verdicts)
	}
	w.refusesCats(ctx)
	exec(t, w.served, "UPDATE shop.people SET name = 'last' WHERE id = 1; UPDATE shop.addresses SET town = 'last' WHERE person = 2")
	must(t, upgrade.Rollback(ctx, w.file(), upgrade.Options{As: control.RollbackAs{Follow: true}, Log: w.log}))
	w.dividedIsBack(before)
	exec(t, w.production, "UPDATE shop.people SET name = 'again', street = 'again' WHERE id = 20; UPDATE shop.cats SET lives = 1 WHERE id = 20")
	must(t, upgrade.Cutover(ctx, w.file(), upgrade.Options{Log: w.log}))
	if got := text(t, w.served, "SELECT p.name || a.street || (SELECT lives FROM shop.pets WHERE kind = 'cat' AND id = 20) FROM shop.people p JOIN shop.addresses a ON person = p.id WHERE p.id = 20"); got != "againagain1" {
		t.Errorf("after the second cutover: %s", got)
	}
	must(t, upgrade.Rollback(ctx, w.file(), upgrade.Options{Log: w.log}))
	must(t, leader.Wait())
	w.dividedIsBack(before)
	must(t, upgrade.Finish(ctx, w.file(), cutover.DropOld, upgrade.Purge, w.log))
}

// refusesCats: a row that the old table cannot hold is named, stops its table and the
// rollback, and nobody else, until it is mended.
func (w *world) refusesCats(ctx context.Context) {
	t := w.t
	t.Helper()
	for lives, says := range map[int]string{70000: "id=30, column lives", 500: "(30, cat30, 500)"} {
		exec(t, w.served, fmt.Sprintf("UPDATE shop.pets SET lives = CASE id WHEN 30 THEN %d ELSE lives END WHERE kind = 'cat' AND id < 50; UPDATE shop.people SET name = 'goes on %[1]d' WHERE id = 40", lives))
		var s *upgrade.Status
		polled(ctx, t, func() (met bool) {
			var err error
			s, err = upgrade.ReadStatus(ctx, w.file())
			must(t, err)
			return len(s.Refused) == 1 && strings.Contains(s.Refused[0].Why, says)
		})
		if r := s.Refused[0]; r.Table != "shop.cats" || r.Flow != "waits" {
			t.Errorf("refused: %+v", r)
		}
		await(ctx, t, w.production, fmt.Sprintf("SELECT name = 'goes on %d' FROM %s.people WHERE id = 40", lives, w.oldSchema()))
	}
	if err := upgrade.Rollback(ctx, w.file(), upgrade.Options{Log: w.log}); !errors.Is(err, upgrade.ErrNotNow) || !strings.Contains(err.Error(), "shop.cats") {
		t.Error("the rollback:", err)
	}
	exec(t, w.served, "UPDATE shop.pets SET lives = 7 WHERE id = 30")
	w.keptCurrent(ctx)
}

// oldSchema is where the old tables are during the watch.
func (w *world) oldSchema() string {
	if w.served != w.production {
		return "shop"
	}
	return "pgumbra_up_old_shop"
}

// dividedIsBack compares the old tables with what clients wrote to the new ones.
func (w *world) dividedIsBack(before string) {
	w.t.Helper()
	w.structureIs(before)
	for query, want := range map[string]string{
		`SELECT string_agg(concat_ws(',', id, name, street, city, legacy), ' ' ORDER BY id) FROM shop.people WHERE id IN (1, 2, 7, 8, 9, 10, 11) OR id > 300`: "1,last,s1,c1,1 2,p2,s2,last,2 7,changed,changed,c2,7 8,p8,8 9,p9,s10,c0,9 10,p10,10 900,new,7 901,newer,new street,x,7",
		`SELECT string_agg(concat_ws(',', id, name, lives), ' ' ORDER BY id) FROM shop.cats WHERE id BETWEEN 7 AND 9 OR id > 100`:                             "7,changed,7 9,cat9,0 500,dog9",
		`SELECT string_agg(concat_ws(',', id, name, tricks), ' ' ORDER BY id) FROM shop.dogs WHERE id BETWEEN 7 AND 9 OR id > 100`:                            "7,changed,t7 8,dog8,t8 800,new,sits",
		`SELECT count(*) || ' ' || (SELECT count(*) FROM shop.cats) || ' ' || (SELECT count(*) FROM shop.dogs) FROM shop.people`:                              "301 100 100",
	} {
		if got := text(w.t, w.production, query); got != want {
			w.t.Errorf("%s: %s, not %s", query, got, want)
		}
	}
}
