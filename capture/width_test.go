package capture

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/testcontainers"
)

const (
	noise = `CREATE FUNCTION noise(n int) RETURNS text LANGUAGE sql AS $$ SELECT string_agg(md5(random()::text), '') FROM generate_series(1, n / 32 + 1) $$;`
	// wide has a column of each way to be long.
	wide = noise + `CREATE SCHEMA s; CREATE TABLE s.wide (id int PRIMARY KEY, n int, label varchar(40), a text, b bytea, j jsonb, l int[], k json);
	INSERT INTO s.wide SELECT i, i, 'l', 'a', 'b', '{}', '{1}', '{}' FROM generate_series(1, 20) i;`
)

// wideDML makes rows wide in each column, changes others of their columns, and
// makes them narrow again.
var wideDML = []string{
	`UPDATE s.wide SET a = noise(9000) WHERE id = 1`,
	`UPDATE s.wide SET b = noise(9000)::bytea WHERE id = 2`,
	`UPDATE s.wide SET j = to_jsonb(noise(9000)) WHERE id = 3`,
	`UPDATE s.wide SET l = array_agg FROM (SELECT array_agg((random() * 1e9)::int) FROM generate_series(1, 4000)) _ WHERE id = 4`,
	`UPDATE s.wide SET k = to_json(noise(9000)) WHERE id = 5`,
	`UPDATE s.wide SET n = n + 1`,
	`INSERT INTO s.wide (id, a) SELECT i, CASE WHEN i % 2 = 0 THEN noise(5000) END FROM generate_series(101, 120) i`,
	`UPDATE s.wide SET id = id + 1000, a = noise(9000) WHERE id < 4`,
	`BEGIN; UPDATE s.wide SET n = 1; UPDATE s.wide SET a = '' WHERE id % 2 = 0; UPDATE s.wide SET n = 2; COMMIT`,
	`INSERT INTO s.wide (id, a) VALUES (6, 'x'), (7, 'y') ON CONFLICT (id) DO UPDATE SET a = noise(8000)`,
	`BEGIN; SAVEPOINT x; UPDATE s.wide SET n = 7 WHERE id = 6; ROLLBACK TO x; UPDATE s.wide SET n = 8 WHERE id = 8; COMMIT`,
	`DELETE FROM s.wide WHERE id IN (5, 6, 104)`,
	`INSERT INTO s.wide (id, a) SELECT i, CASE WHEN i % 9 = 0 THEN noise(5000) ELSE 'narrow' END FROM generate_series(2001, 4500) i`,
	`UPDATE s.wide SET n = 0`,
	`UPDATE s.wide SET a = NULL, b = NULL, j = NULL, l = NULL, k = NULL`,
}

// A row that is wide is recorded by its key, whichever column makes it so, next
// to narrow ones that have their image.
func TestWideRowsAreRecordedByTheirKey(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	for _, s := range []plans.Source{{}, {Record: plans.RecordKey}, {Tracked: []string{"n", "a"}}} {
		t.Run(fmt.Sprint(s.Record, s.Tracked), func(t *testing.T) {
			t.Parallel()
			s.Name = named("s", "wide")
			f := newFixture(t, wide, s)
			f.install()
			w := f.follow(0)
			w.through(wideDML[:5])
			f.exec(`UPDATE s.wide SET n = n + 1`)
			if s.Record == plans.RecordKey {
				w.through(wideDML[5:])
				return
			}
			images := f.one(`SELECT concat_ws(' ', count(*) FILTER (WHERE op = 'u'), count(img) FILTER (WHERE op = 'u')) FROM ` + w.j.Name().Quoted() + ` WHERE xid = (SELECT max(xid) FROM ` + w.j.Name().Quoted() + `)`)
			if want := "20 15"; images != want {
				t.Errorf("entries and images %s, want %s", images, want)
			}
			w.through(wideDML[5:])
		})
	}
}

func TestWideRowsOfPartitionsAreRecordedByTheirKey(t *testing.T) {
	t.Parallel()
	f := newFixture(t, noise+`CREATE SCHEMA s; CREATE TABLE s.wide (id int PRIMARY KEY, n int, a text) PARTITION BY RANGE (id);
		CREATE TABLE s.low PARTITION OF s.wide FOR VALUES FROM (0) TO (100); CREATE TABLE s.high PARTITION OF s.wide FOR VALUES FROM (100) TO (100000);
		INSERT INTO s.wide SELECT i, i, 'a' FROM generate_series(1, 20) i`, plans.Source{Name: named("s", "wide"), Kind: plans.Partitioned})
	f.install()
	f.follow(0).through([]string{
		`UPDATE s.wide SET a = noise(9000) WHERE id < 5`,
		`UPDATE s.wide SET id = id + 200 WHERE id < 9`, // moves rows, wide and narrow
		`UPDATE s.low SET n = 3`,
		`UPDATE s.wide SET n = 4`,
	})
}

// Without a key there is only the image. One that cannot be made ends the
// capture, loudly, and not the client's statement; one that can is made.
func TestRowsWithoutKeyThatCannotBeRecordedEndTheCapture(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	for name, tree := range map[string]string{"plain": "", "partitioned": " PARTITION BY LIST (n); CREATE TABLE s.t0 PARTITION OF s.t DEFAULT"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kind := plans.Plain
			if tree != "" {
				kind = plans.Partitioned
			}
			f := newFixture(t, noise+`CREATE SCHEMA s; CREATE TABLE s.t (n int, a text, b jsonb)`+tree, plans.Source{Name: named("s", "t"), Kind: kind})
			f.install()
			w := f.follow(0)
			w.through([]string{`INSERT INTO s.t VALUES (1, noise(100000), '{}'), (2, 'x', '{}')`, `UPDATE s.t SET n = n + 5`})
			f.must(f.checkSigned(false))
			// As if a row of half a kilobyte could not be made into an image.
			f.exec(`DO $$ DECLARE f record; BEGIN FOR f IN SELECT pg_get_functiondef(oid) AS def FROM pg_proc WHERE pronamespace = 'pgumbra'::regnamespace AND proname ~ '^forward_' LOOP
				EXECUTE replace(replace(f.def, '< 4000000', '< 500'), '< 1000000000', '< 500'); END LOOP; END $$`)
			f.exec(`INSERT INTO s.t VALUES (3, 'x', '{}'); INSERT INTO s.t VALUES (4, noise(1000), '{}')`)
			closed, err := Closed(f.ctx, f.pool, f.run, ToShadow)
			f.must(err)
			if closed == nil || !strings.Contains(closed.Why, "too large") {
				t.Errorf("closed: %v", closed)
			}
			if got := f.one(`SELECT count(*) FROM s.t`); got != "4" {
				t.Errorf("%s rows", got)
			}
		})
	}
}
