package replay

import (
	"fmt"
	"testing"

	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/testcontainers"
)

func TestBatchNondeterministicCollationKeepsNewSpelling(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		for _, upsert := range []bool{true, false} {
			w := newWorld(t, `CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
			CREATE TABLE users (name text COLLATE ci PRIMARY KEY, n int);
			CREATE TABLE twin.users (name text COLLATE shop.ci PRIMARY KEY, n bigint);
			INSERT INTO users VALUES ('Bob', 1), ('Eve', 2), ('Ann', 3)`,
				func(w *world, p *plans.Plan) {
					w.add(p, w.source("users", plans.RecordRow, "name"), "name text = name", "n bigint = n").Upsert = upsert
				})
			w.exec(`UPDATE shop.users SET name = 'BOB' WHERE name = 'bob'; UPDATE shop.users SET n = 20 WHERE name = 'EVE'; DELETE FROM shop.users WHERE name = 'aNN'`)
			w.exec(`INSERT INTO shop.users VALUES ('ANN', 4)`)
			w.batch(0)
			w.want(`SELECT name || n FROM twin.users ORDER BY 1`, "ANN4\nBOB1\nEve20")
			if rows := w.verified(0).Rows; rows != 3 {
				t.Errorf("verified %d rows", rows)
			}
		}
	})
}

func TestBatchKeyInAnotherCollation(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, `CREATE TABLE users (name text COLLATE "C" PRIMARY KEY, n int);
		CREATE TABLE twin.users (name varchar(40) COLLATE "und-x-icu" PRIMARY KEY, n bigint);
		INSERT INTO users VALUES ('a', 1), ('B', 2)`,
			func(w *world, p *plans.Plan) {
				w.add(p, w.source("users", plans.RecordRow, "name"), "name varchar(40) = name", "n bigint = n")
			})
		w.exec(`DELETE FROM shop.users WHERE name = 'a'; UPDATE shop.users SET n = 3; INSERT INTO shop.users VALUES ('c', 4)`)
		w.equal()
		w.want(`SELECT name || n FROM twin.users ORDER BY 1`, "B3\nc4")
	})
}

func TestBatchNumericKeyKeepsScale(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, `CREATE TABLE rates (k numeric PRIMARY KEY, v text); CREATE TABLE twin.rates (k numeric PRIMARY KEY, v text);
		INSERT INTO rates VALUES (1.0, 'a'), (2, 'b'), ('NaN', 'n')`,
			func(w *world, p *plans.Plan) {
				w.add(p, w.source("rates", plans.RecordRow, "k"), "k numeric = k", "v text = v")
			})
		w.exec(`UPDATE shop.rates SET k = 1.00 WHERE k = 1; UPDATE shop.rates SET v = 'N' WHERE k = 'NaN'; DELETE FROM shop.rates WHERE k = 2`)
		w.exec(`INSERT INTO shop.rates VALUES (2.000, 'c')`)
		w.equal()
		w.want(`SELECT k || v FROM twin.rates ORDER BY 1`, "1.00a\n2.000c\nNaNN")
	})
}

func TestBatchCompositeKeyOfAnyTypes(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, `CREATE TYPE mood AS ENUM ('low', 'high'); CREATE DOMAIN code AS text NOT NULL;
		CREATE TABLE m (at timestamptz, u uuid, c code, mood mood, seq int, img text, j text, PRIMARY KEY (at, u, c, mood));
		CREATE TABLE twin.m (seq bigint, at timestamptz, u uuid, c shop.code, mood shop.mood, img text, j text, PRIMARY KEY (at, u, c, mood));
		INSERT INTO m SELECT '2026-01-01 00:00:00.000001+00'::timestamptz + i * interval '1 hour', md5(i::text)::uuid, 'c' || i, 'low', i, 'x', NULL FROM generate_series(1, 50) i`,
			func(w *world, p *plans.Plan) {
				w.add(p, w.source("m", plans.RecordRow, "at", "u", "c", "mood"),
					"seq bigint = seq", "at timestamptz = at", "u uuid = m.u", "c shop.code = c", "mood shop.mood = mood", "img text = img", "j text = j")
			})
		w.exec(`UPDATE shop.m SET mood = 'high' WHERE seq % 5 = 0; UPDATE shop.m SET at = '-infinity' WHERE seq = 7; DELETE FROM shop.m WHERE seq > 40;
		UPDATE shop.m SET img = '', j = E'{"a": "b, \\"c"}' WHERE seq < 4; UPDATE shop.m SET c = 'odd, "key"' WHERE seq = 3`)
		w.equal()
		const rows = `SELECT ROW(seq, at, u, c, mood, img, j)::text FROM %s.m ORDER BY seq`
		w.want(fmt.Sprintf(rows, "twin"), w.text(fmt.Sprintf(rows, "shop")))
		w.want(`SELECT count(*)::text FROM twin.m`, "40")
	})
}

func TestBatchTransformsMayUseTheRowItself(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, itemsStructure(`CREATE FUNCTION label(items) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT $1.name || '/' || $1.price $$;
		INSERT INTO items VALUES (1, 'a', 1)`), func(w *world, p *plans.Plan) {
			w.add(p, w.source("items", plans.RecordRow, "id"), "id bigint = id", "title text = label(items)", "cents bigint = price -- a comment")
			p.Tables[0].Where = "price IS NOT NULL -- another"
		})
		w.exec(`UPDATE shop.items SET price = 2; INSERT INTO shop.items VALUES (2, 'b', 3); BEGIN; UPDATE shop.items SET price = 5 WHERE id = 2; UPDATE shop.items SET price = 4 WHERE id = 2; COMMIT`)
		w.equal()
		w.want(itemRows, "1 a/2 2\n2 b/4 4")
	})
}

func TestBatchCastsLiteralsByAssignment(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, `CREATE TYPE twin.state AS ENUM ('new', 'old'); CREATE TABLE a (id int PRIMARY KEY, v text);
		CREATE TABLE twin.a (id int PRIMARY KEY, v varchar(3), state twin.state, gone int);`,
			func(w *world, p *plans.Plan) {
				w.add(p, w.source("a", plans.RecordRow, "id"), "id int = id", "v varchar(3) = v", "state twin.state = 'new'", "gone int = NULL")
			})
		w.exec(`INSERT INTO shop.a VALUES (1, 'abc')`)
		w.equal()
		w.want(`SELECT id || v || state FROM twin.a`, "1abcnew")
		w.exec(`INSERT INTO shop.a VALUES (2, 'abcd')`)
		if _, err := w.r.Batch(w.ctx, w.table(0)); err == nil {
			t.Error("a value that is too long was cut silently")
		}
	})
}

func TestBatchReadsRowsFromBeforeAddColumn(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, `CREATE TABLE a (id int PRIMARY KEY, gone int, v text); INSERT INTO a VALUES (1, 0, 'x'), (2, 0, 'y');
		ALTER TABLE a ADD COLUMN d int DEFAULT 7, DROP COLUMN gone; CREATE TABLE twin.a (id int PRIMARY KEY, v text, d int)`,
			func(w *world, p *plans.Plan) {
				s := w.source("a", plans.RecordKey, "id")
				w.add(p, s, "id int = id", "v text = v", "d int = d")
			})
		w.exec(`UPDATE shop.a SET v = v || '!'; DELETE FROM twin.a`)
		w.batch(0)
		w.want(`SELECT id || v || d FROM twin.a ORDER BY 1`, "1x!7\n2y!7")
	})
}

func TestBatchKeepsVolatileValues(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		for _, upsert := range []bool{true, false} {
			w := newWorld(t, `CREATE TABLE a (id int PRIMARY KEY, v text UNIQUE); INSERT INTO a VALUES (1, 'a'), (2, 'b'), (3, 'c');
			CREATE TABLE twin.a (id int PRIMARY KEY, v text UNIQUE, token uuid DEFAULT gen_random_uuid(), nr int GENERATED ALWAYS AS IDENTITY)`,
				func(w *world, p *plans.Plan) {
					columns := []string{"id int = id", "v text = v", "token uuid = volatile"}
					if !upsert {
						columns = append(columns, "nr int = volatile")
					}
					w.add(p, w.source("a", plans.RecordRow, "id"), columns...).Upsert = upsert
				})
			before := w.text(`SELECT id || token::text || CASE WHEN $1 THEN 0 ELSE nr END FROM twin.a WHERE id < 3 ORDER BY id`, upsert)
			w.exec(`UPDATE shop.a SET v = v || '!'; DELETE FROM shop.a WHERE id = 3; INSERT INTO shop.a VALUES (4, 'd')`)
			w.batch(0)
			w.exec(`UPDATE shop.a SET v = v || '?'`)
			w.equal()
			if after := w.text(`SELECT id || token::text || CASE WHEN $1 THEN 0 ELSE nr END FROM twin.a WHERE id < 3 ORDER BY id`, upsert); after != before {
				t.Errorf("upsert %v: %s became %s", upsert, before, after)
			}
			w.want(`SELECT id || v FROM twin.a WHERE token IS NOT NULL AND nr IS NOT NULL ORDER BY 1`, "1a!?\n2b!?\n4d?")
		}
	})
}
