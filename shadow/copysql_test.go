package shadow

import (
	"testing"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

func TestCopySQLText(t *testing.T) {
	t.Parallel()
	plan := &plans.Plan{Sources: []plans.Source{{Name: pg.Name{Schema: "shop", Name: "orders"}}}}
	shadow := pg.Name{Schema: "s", Name: `odd "name"`}
	leaf := pg.Name{Schema: "shop", Name: "orders_2024"}
	for name, c := range map[string]struct {
		table  plans.Table
		ranged *pageRange
		want   string
	}{
		"pages of a leaf go by the root's name": {
			table: plans.Table{Shadow: shadow, Where: "NOT deleted -- why", Columns: []plans.Column{
				{Shadow: "id", Expression: "orders.id", Identity: true},
				{Shadow: "Total", Expression: "(total * 100)::bigint -- cents"},
				{Shadow: "twice", Generated: true, Expression: "x"},
				{Shadow: "token", Volatile: true},
			}},
			ranged: byPages,
			want: `INSERT INTO "s"."odd ""name""" ("id", "Total") OVERRIDING SYSTEM VALUE
SELECT orders.id
     , (total * 100)::bigint -- cents
FROM ONLY "shop"."orders_2024" AS "orders"
WHERE "orders".ctid >= $1::pg_catalog.tid AND "orders".ctid < $2::pg_catalog.tid
  AND (NOT deleted -- why
)`,
		},
		"identity that the shadow makes itself is not overridden": {
			table: plans.Table{Shadow: shadow, Columns: []plans.Column{
				{Shadow: "id", Identity: true, Volatile: true}, {Shadow: "a", Expression: "a"}}},
			want: `INSERT INTO "s"."odd ""name""" ("a")
SELECT a
FROM ONLY "shop"."orders_2024" AS "orders"`,
		},
		"rows without columns": {
			table: plans.Table{Shadow: shadow},
			want: `INSERT INTO "s"."odd ""name"""
SELECT 
FROM ONLY "shop"."orders_2024" AS "orders"`,
		},
	} {
		if got := copySQL(plan, &c.table, leaf, c.ranged); got != c.want {
			t.Errorf("%s:\n%s\nwant:\n%s", name, got, c.want)
		}
	}
}

func TestDeriveSQLText(t *testing.T) {
	t.Parallel()
	table := &plans.Table{Shadow: pg.Name{Schema: "s", Name: "d"}, From: "SELECT 1 AS a -- one",
		Columns: []plans.Column{{Shadow: "a", Expression: `"a"`}}}
	want := "INSERT INTO \"s\".\"d\" (\"a\")\nSELECT \"a\"\nFROM (\nSELECT 1 AS a -- one\n) AS q"
	if got := insertSQL(table, derived(table)); got != want {
		t.Errorf("%s\nwant:\n%s", got, want)
	}
}
