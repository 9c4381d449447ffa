package replay

import (
	"testing"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/testcontainers"
)

const orders = `CREATE TABLE orders (id int PRIMARY KEY, customer text); CREATE TABLE lines (id int PRIMARY KEY, order_id int, amount int);
	INSERT INTO orders VALUES (1, 'a'), (2, 'b'), (3, 'c'); INSERT INTO lines VALUES (1, 1, 10), (2, 1, 20), (3, 2, 30), (4, NULL, 5);
	CREATE TABLE twin.totals (order_id bigint PRIMARY KEY, customer text, total bigint, nr int GENERATED ALWAYS AS IDENTITY);`

func defineTotals(w *world, p *plans.Plan) {
	p.Sources = append(p.Sources, w.source("orders", plans.RecordRow, "id"), w.source("lines", plans.RecordKey, "id"))
	p.Sources[1].Tracked = []string{"order_id"}
	p.Tables = append(p.Tables, plans.Table{
		Shadow: pg.Name{Schema: "twin", Name: "totals"}, Feed: plans.Derived, Kind: plans.Plain, Source: -1,
		Columns: transforms([]string{"order_id bigint = order_id", "customer text = customer", "total bigint = total", "nr int = volatile"}),
		Key:     []plans.Pair{{Shadow: "order_id", Expression: "order_id", Type: "bigint", Equals: "OPERATOR(pg_catalog.=)"}},
		From: `SELECT o.id AS order_id, o.customer, sum(l.amount) AS total FROM orders o LEFT JOIN lines l ON l.order_id = o.id
			GROUP BY o.id, o.customer -- whole`,
		Watches: []plans.Watch{
			{Source: 0, Columns: []plans.WatchPair{{Column: "id", Shadow: "order_id"}}},
			{Source: 1, Columns: []plans.WatchPair{{Column: "order_id", Shadow: "order_id"}}},
		},
	})
}

const totals = `SELECT concat_ws(' ', order_id, customer, total) FROM twin.totals ORDER BY order_id`

func TestBatchDerivedRefreshesBothOrdersOfMovedLine(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, orders, defineTotals)
		w.want(totals, "1 a 30\n2 b 30\n3 c")
		numbers := w.text(`SELECT nr::text FROM twin.totals WHERE order_id < 3 ORDER BY order_id`)
		w.exec(`UPDATE shop.lines SET order_id = 2 WHERE id = 2`)
		w.batch(0)
		w.want(totals, "1 a 10\n2 b 50\n3 c")
		w.exec(`UPDATE shop.orders SET customer = 'A' WHERE id = 1; INSERT INTO shop.orders VALUES (4, 'd'); INSERT INTO shop.lines VALUES (9, 4, 1);
		DELETE FROM shop.orders WHERE id = 3; UPDATE shop.lines SET order_id = NULL WHERE id = 3; UPDATE shop.lines SET order_id = 1 WHERE id = 4`)
		w.equal()
		w.want(totals, "1 A 15\n2 b 20\n4 d 1")
		w.want(`SELECT nr::text FROM twin.totals WHERE order_id < 3 ORDER BY order_id`, numbers)
	})
}

func TestBatchDerivedManyValues(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, orders+`INSERT INTO orders SELECT i, 'o' FROM generate_series(10, 500) i`, defineTotals)
		w.exec(`INSERT INTO shop.lines SELECT i, i, i FROM generate_series(10, 500) i; UPDATE shop.orders SET customer = 'p' WHERE id > 200`)
		w.equal()
		w.want(`SELECT sum(total)::text FROM twin.totals`, "125265")
	})
}

func TestBatchDerivedTruncate(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, orders, defineTotals)
		w.exec(`TRUNCATE shop.lines; INSERT INTO shop.lines VALUES (1, 3, 3)`)
		w.equal()
		w.want(totals, "1 a\n2 b\n3 c 3")
	})
}

func TestBatchDerivedReachesRowsByNull(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, `CREATE TABLE lines (id int PRIMARY KEY, team text, n int); INSERT INTO lines VALUES (1, NULL, 1), (2, 'x', 2);
		CREATE TABLE twin.teams (team text, n bigint)`, func(w *world, p *plans.Plan) {
			s := w.source("lines", plans.RecordRow, "id")
			s.Tracked = []string{"team"}
			p.Sources = append(p.Sources, s)
			p.Tables = append(p.Tables, plans.Table{
				Shadow: pg.Name{Schema: "twin", Name: "teams"}, Feed: plans.Derived, Kind: plans.Plain, Source: -1,
				Columns: transforms([]string{"team text = team", "n bigint = n"}),
				From:    "SELECT team, sum(n) AS n FROM lines GROUP BY team",
				Watches: []plans.Watch{{Source: 0, Columns: []plans.WatchPair{{Column: "team", Shadow: "team"}}}},
			})
		})
		w.exec(`UPDATE shop.lines SET team = 'x'; INSERT INTO shop.lines VALUES (3, NULL, 7), (4, NULL, 8), (5, 'y', 1)`)
		w.equal()
		w.want(`SELECT concat_ws(' ', team, n) FROM twin.teams ORDER BY 1`, "15\nx 3\ny 1")
	})
}

func TestFrozenSourceIsOnlyVerified(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, itemsStructure(`INSERT INTO items VALUES (1, 'a', 1)`), func(w *world, p *plans.Plan) {
			items(w, p)
			p.Sources[0].Frozen = true
		})
		w.equal()
		w.want(itemRows, "1 a 100")
	})
}
