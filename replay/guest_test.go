package replay

import (
	"context"
	"fmt"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// busy has two clients write to items, one key of them in all of their
// transactions, and a leader follow, until the returned function is called.
func (w *world) busy(tables ...int) (stop func()) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.ctx)
	var g errgroup.Group
	for c := range 2 {
		g.Go(func() error {
			for n := 0; ctx.Err() == nil; n++ {
				if _, err := w.pool.Exec(w.ctx, `UPDATE shop.items SET price = price + 1 FROM pg_sleep(0.002) WHERE id IN (1, $1)`, 2+(c*977+n*31)%3000); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for _, n := range tables {
		leader := w.replayer()
		g.Go(func() error {
			for ctx.Err() == nil {
				if _, err := leader.Batch(w.ctx, w.table(n)); err != nil {
					return fmt.Errorf("the leader: %w", err)
				}
			}
			return nil
		})
	}
	return func() {
		w.t.Helper()
		cancel()
		w.must(g.Wait())
	}
}

func TestVerifyBesideALeaderDisturbsNeither(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, itemsStructure(`INSERT INTO items SELECT i, 'n' || i, i FROM generate_series(1, 3000) i`), items)
		stop := w.busy(0)
		for range 3 {
			guest := w.replayer()
			verdict, err := guest.Verify(w.ctx, w.table(0))
			w.must(err)
			if !verdict.Equal || verdict.Rows != 3000 {
				t.Errorf("verdict %+v", verdict)
			}
		}
		stop()
		w.equal()
	})
}

// A key that every transaction touches is pending whenever one looks.
func TestVerifyBesideALeaderFindsWhatDiffers(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, itemsStructure(`INSERT INTO items SELECT i, 'n' || i, i FROM generate_series(1, 3000) i`), items)
		w.exec(`DELETE FROM twin.items WHERE id = 2999`)
		stop := w.busy(0)
		verdict, err := w.replayer().Verify(w.ctx, w.table(0))
		w.must(err)
		stop()
		if verdict.Equal || len(verdict.Differences) != 1 || verdict.Differences[0].Key != "id=2999" {
			t.Errorf("verdict %+v", verdict)
		}
	})
}

// Values that are equal, or whose hashes are, and yet not the same.
func TestVerifyTellsApartWhatHashesAlike(t *testing.T) {
	t.Parallel()
	cases := []struct{ sqlType, first, other string }{
		{"numeric", "1.0", "1.00"},
		{"numeric(10,3)", "1.5", "1.501"},
		{"double precision", "0", "-0"},
		{"real", "0", "-0"},
		{"bigint", "1", "4294967296"}, // eight bytes are folded into four
		{"bigint", "0", "-1"},
		{"timestamptz", "2000-01-01 00:00:00.000001+00", "2000-01-01 01:11:34.967296+00"},
		{"timestamp", "2000-01-01 00:00:00.000001", "2000-01-01 01:11:34.967296"},
		{"time", "00:00:00.000001", "01:11:34.967296"},
		{"interval", "1 day", "24:00:00"},
		{"text COLLATE shop.ci", "Bob", "BOB"},
		{"varchar(9) COLLATE shop.ci", "Bob", "BOB"},
		{"char(9) COLLATE shop.ci", "Bob", "BOB"},
		{"numeric[]", "{1.0}", "{1.00}"},
		{"numrange", "[1.0,2)", "[1.00,2)"},
		{"json", `{"a": 1}`, `{"a":1}`},
		{"jsonb", "1.0", "1.00"},
		{"shop.pair", "(1.0,a)", "(1.00,a)"},
		{"shop.money", "1.0", "1.00"},
		{"shop.big", "1", "4294967296"},
		{"shop.mood", "ok", "sad"},
		{"bytea", `\x00`, `\x0000`},
		{"uuid", "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000100"},
		{"bit(4)", "0101", "1010"},
		{"inet", "10.0.0.1/24", "10.0.0.1/25"},
		{"shop.secret", "(1)", "(2)"}, // whose cast to text tells nothing
		{"text", "", "NULL"},
	}
	structure := `CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
		CREATE TYPE pair AS (a numeric, b text); CREATE DOMAIN money AS numeric; CREATE DOMAIN big AS bigint; CREATE TYPE mood AS ENUM ('ok', 'sad');
		CREATE TYPE secret AS (a int); CREATE FUNCTION hidden(secret) RETURNS text LANGUAGE sql AS $$SELECT 'hidden'$$; CREATE CAST (secret AS text) WITH FUNCTION hidden(secret);
		CREATE TABLE a (id int PRIMARY KEY`
	for i, c := range cases {
		structure += fmt.Sprintf(", v%d %s DEFAULT '%s'", i, c.sqlType, c.first)
	}
	w := local(t, structure+`); CREATE TABLE twin.a (LIKE a INCLUDING ALL); INSERT INTO a SELECT generate_series(1, 9)`, func(w *world, p *plans.Plan) {
		source := w.source("a", plans.RecordRow, "id")
		a := w.add(p, source, "id int = id")
		for _, c := range source.Columns[1:] {
			a.Columns = append(a.Columns, plans.Column{Shadow: c.Name, Type: c.Type, Expression: c.Name})
		}
	})
	w.verified(0)
	for i, c := range cases {
		column := w.table(0).Columns[i+1]
		set := fmt.Sprintf(`UPDATE twin.a SET %s = nullif($1::text, 'NULL')::%s WHERE id = 5`, column.Shadow, column.Type)
		_, err := w.pool.Exec(w.ctx, set, c.other)
		w.must(err)
		verdict, err := w.r.Verify(w.ctx, w.table(0))
		w.must(err)
		if verdict.Equal || len(verdict.Differences) != 1 || verdict.Differences[0].Key != "id=5" {
			t.Errorf("%s: %s and %s: %+v", c.sqlType, c.first, c.other, verdict)
		}
		_, err = w.pool.Exec(w.ctx, set, c.first)
		w.must(err)
	}
	w.verified(0)
}

// What columns are hashed to is combined by XOR, and added up over rows.
func TestVerifyFindsValuesThatRowsSwapped(t *testing.T) {
	t.Parallel()
	for name, key := range map[string][]string{"one key column": {"id"}, "two": {"id", "line"}, "text": {"code"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := local(t, `CREATE TABLE a (id int, line int, code text, v int, u int, UNIQUE (id, line), UNIQUE (code));
				CREATE TABLE twin.a (LIKE a INCLUDING ALL);
				INSERT INTO a SELECT 1, i, 'c' || i, i, i + 100 FROM generate_series(1, 20) i`, func(w *world, p *plans.Plan) {
				if name == "one key column" {
					w.exec(`UPDATE shop.a SET id = line`)
				}
				w.add(p, w.source("a", plans.RecordRow, key...), "id int = id", "line int = line", "code text = code", "v int = v", "u int = u")
			})
			w.verified(0)
			for damage, rows := range map[string]int{"UPDATE twin.a SET v = 7 - line WHERE line IN (3, 4)": 2, "UPDATE twin.a SET v = u, u = v WHERE line = 3": 1,
				"UPDATE twin.a SET v = NULL WHERE line = 3": 1} {
				w.exec(damage)
				verdict, err := w.r.Verify(w.ctx, w.table(0))
				w.must(err)
				if verdict.Equal || len(verdict.Differences) != rows {
					t.Errorf("%s: verdict %+v", damage, verdict)
				}
				w.exec(`UPDATE twin.a SET v = line, u = line + 100`)
			}
		})
	}
}
