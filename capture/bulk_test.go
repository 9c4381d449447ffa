package capture

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// A key that is spelt differently is another one to the journal. Where the type
// allows it the trigger compares by the operator, which is cheaper; each key is
// changed to an equal one where there is such, and to another one.
func TestKeyChangesAreSeenWhateverTheType(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	const (
		operator = "IS NOT TRUE"
		image    = "record_image_ne"
	)
	for _, c := range []struct{ typ, how, old, spelt, other string }{
		{"int", operator, "1", "", "2"},
		{"bigint", operator, "1", "", "2"},
		{"uuid", operator, "'00000000-0000-0000-0000-000000000001'", "", "'00000000-0000-0000-0000-000000000002'"},
		{"date", operator, "'2026-01-01'", "", "'infinity'"},
		{"timestamptz", operator, "'2026-01-01'", "", "'-infinity'"},
		{"text", operator, "'Bob'", "'BOB'", "'bob '"},
		{`varchar(9) COLLATE "C"`, operator, "'Bob'", "'BOB'", "'bob '"},
		{"mood", operator, "'low'", "", "'high'"},
		{"posint", operator, "1", "", "2"},
		{"ci", image, "'Bob'", "'BOB'", "'Eve'"},
		{"text COLLATE nocase", image, "'Bob'", "'BOB'", "'Eve'"},
		{"citext", image, "'Bob'", "'BOB'", "'Eve'"},
		{"numeric", image, "1.0", "1.00", "2"},
		{"float8", image, "0", "'-0'", "1"},
		{"interval", image, "'24:00'", "'1 day'", "'2 days'"},
		{"jsonb", image, "'1.0'", "'1.00'", "'2'"},
		{"bpchar", image, "'a'", "'a '", "'b'"},
		{"int[]", image, "'{1}'", "'[0:0]={1}'", "'{2}'"},
	} {
		t.Run(c.typ, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, `CREATE EXTENSION citext; CREATE TYPE mood AS ENUM ('low', 'high'); CREATE DOMAIN posint AS int CHECK (VALUE > 0);
				CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false); CREATE DOMAIN ci AS text COLLATE nocase;
				CREATE TABLE k (a int, k `+c.typ+`, v int, PRIMARY KEY (a, k)); INSERT INTO k VALUES (1, `+c.old+`, 1)`, plans.Source{Name: named("public", "k")})
			f.install()
			if got := f.one(`SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname ~ '^!pgumbra_[0-9]+_key$'`); strings.Count(got, operator) < 1 ||
				strings.Contains(got, image) != (c.how == image) {
				t.Errorf("trigger %s", got)
			}
			w := f.follow(0)
			for _, to := range []string{c.old, c.spelt, c.other} {
				if to == "" {
					continue
				}
				w.exec(`UPDATE k SET v = v + 1, k = ` + to)
				want := 2
				if to == c.old {
					want = 1
				}
				if ops := w.ops(); strings.Count(ops, "(1,") != want {
					t.Errorf("to %s: journal %s", to, ops)
				}
				if d := w.step(); d != "" {
					t.Errorf("to %s: %s", to, d)
				}
			}
		})
	}
}

// A trigger of the user's changes the key behind an UPDATE that does not name it.
func TestKeyChangesOfTriggersAreSeen(t *testing.T) {
	t.Parallel()
	f := newFixture(t, orders+`CREATE FUNCTION shop.shift() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.id := -NEW.id; RETURN NEW; END $$;
		CREATE TRIGGER t BEFORE UPDATE ON shop.orders FOR EACH ROW EXECUTE FUNCTION shop.shift()`, plans.Source{Name: named("shop", "orders")})
	f.install()
	w := f.follow(0)
	w.exec(`UPDATE shop.orders SET total = 0 WHERE id = 3`)
	if got := w.ops(); got != "d(3) u(-3)" {
		t.Errorf("journal %s", got)
	}
	w.through([]string{`UPDATE shop.orders SET note = 'x'`, `UPDATE shop.orders SET id = id + 1 WHERE id = -7`})
}

// Of a bulk statement most rows are journalled without image and number.
func TestJournalTellsBulkStatements(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	const many = imagesAtOnce + 500
	scripts := []string{
		fmt.Sprintf(`INSERT INTO shop.orders (id, total) SELECT i, i FROM generate_series(101, %d) i`, 100+many),
		`UPDATE shop.orders SET total = total + 1`,
		`UPDATE shop.orders SET id = id + 10000`,
		`BEGIN; UPDATE shop.orders SET note = 'a'; UPDATE shop.orders SET note = 'b' WHERE id % 2 = 0; DELETE FROM shop.orders WHERE id % 5 = 0; COMMIT`,
		`UPDATE shop.orders SET note = 'c'; UPDATE shop.orders SET note = 'd' WHERE id % 3 = 0; DELETE FROM shop.orders WHERE id % 7 = 0`,
		fmt.Sprintf(`INSERT INTO shop.orders (id, total) SELECT i, 0 FROM generate_series(10101, %d) i ON CONFLICT (id) DO UPDATE SET note = 'e'`, 10100+many),
		`DELETE FROM shop.orders`,
		fmt.Sprintf(`INSERT INTO shop.orders (id) SELECT generate_series(1, %d)`, imagesAtOnce),
		fmt.Sprintf(`BEGIN; UPDATE shop.orders SET total = 2; TRUNCATE shop.orders; INSERT INTO shop.orders (id) SELECT generate_series(1, %d); COMMIT`, many),
	}
	for _, s := range []plans.Source{
		{Record: plans.RecordRow}, {Record: plans.RecordKey}, {Record: plans.RecordRow, Tracked: []string{"total", "note"}},
	} {
		t.Run(fmt.Sprint(s.Record, s.Tracked), func(t *testing.T) {
			t.Parallel()
			s.Name = named("shop", "orders")
			f := newFixture(t, orders, s)
			f.install()
			f.follow(0).through(scripts)
		})
	}
}

func TestBulkStatementsLeaveImagesOut(t *testing.T) {
	t.Parallel()
	f := newFixture(t, orders, plans.Source{Name: named("shop", "orders"), Tracked: []string{"total"}})
	f.install()
	f.exec(fmt.Sprintf(`INSERT INTO shop.orders (id, total) SELECT i, i FROM generate_series(101, %d) i`, 100+imagesAtOnce+7))
	j := JournalOf(f.run, f.source(0)).Name().Quoted()
	got := f.one(`SELECT concat_ws(' ', count(*), count(img), count(DISTINCT seq), count(DISTINCT k_0), count(t_0), count(DISTINCT xid),
		max(seq) FILTER (WHERE img IS DISTINCT FROM NULL) < min(seq) FILTER (WHERE img IS NOT DISTINCT FROM NULL)) FROM ` + j)
	if want := fmt.Sprintf("%[1]d %[2]d %[3]d %[1]d %[1]d 1 t", imagesAtOnce+7, imagesAtOnce, imagesAtOnce+1); got != want {
		t.Errorf("entries %s, want %s", got, want)
	}
}

// What others read by its image or its number alone has both, however many.
func TestBulkStatementsKeepWhatCannotBeReadAgain(t *testing.T) {
	t.Parallel()
	reverse := &target{Journal: Journal{Run: 1, Direction: ToOld, Record: plans.RecordRow, Keys: []string{"id"}}}
	keyless := &target{Journal: Journal{Run: 1, Direction: ToShadow, Record: plans.RecordImage}}
	inherited := &target{Journal: Journal{Run: 1, Direction: ToShadow, Kind: plans.Inherited, Record: plans.RecordRow, Keys: []string{"id"}}}
	forward := &target{Journal: Journal{Run: 1, Direction: ToShadow, Record: plans.RecordRow, Keys: []string{"id"}}}
	active := pg.Name{Schema: "pgumbra", Name: "journal_1_0_a"}
	for _, c := range []struct {
		t       *target
		what    string
		without bool
	}{
		{forward, fnInsert, true}, {forward, fnUpdate, true}, {forward, fnDelete, false},
		{reverse, fnInsert, false}, {reverse, fnUpdate, false}, {keyless, fnUpdate, false}, {inherited, fnUpdate, false},
	} {
		if body := c.t.body(c.what, active); strings.Contains(body, "own.seq :=") != c.without {
			t.Errorf("%s %s: %s", c.t.Direction, c.what, body)
		}
	}
}
