package planner

import (
	"fmt"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/planner/estimate"
)

// pickSQL chooses places in a table of many rows: a sample out of pieces spread
// over its pages; of these pieces the rows with each column's extremes and one
// with NULL; and the two ends of each index.
func (d *drawing) pickSQL(t *drawn, leads []string) string {
	table := t.table.Name.Quoted()
	starts := estimate.Pieces(t.blocks)
	each := (drawWider*d.limit + len(starts) - 1) / len(starts)
	columns := t.table.Columns[:min(len(t.table.Columns), drawColumns)]
	var names []string
	for _, c := range columns {
		names = append(names, ", "+pg.Ident(c.Name))
	}
	var region []string
	for _, first := range starts {
		region = append(region, fmt.Sprintf("(SELECT ctid AS pgumbra_tid%s FROM ONLY %s WHERE ctid >= '(%d,0)' AND ctid < '(%d,0)' LIMIT %d)",
			strings.Join(names, ""), table, first, first+estimate.PiecePages, each))
	}
	picked := []string{fmt.Sprintf("(SELECT pgumbra_tid FROM (SELECT pgumbra_tid, row_number() OVER () AS r, count(*) OVER () AS c FROM region) AS n WHERE c <= %[1]d OR r %% (c / %[1]d) = 0 LIMIT %[1]d)", d.limit)}
	for _, c := range columns {
		name := pg.Ident(c.Name)
		if !c.NotNull {
			picked = append(picked, "(SELECT pgumbra_tid FROM region WHERE "+name+" IS NULL LIMIT 1)")
		}
		by := d.measure(c.TypeOID, name)
		for _, way := range []string{"", " DESC"} {
			picked = append(picked, "(SELECT pgumbra_tid FROM region WHERE "+name+" IS NOT NULL ORDER BY "+by+way+" LIMIT 1)")
		}
	}
	for _, lead := range leads {
		name := pg.Ident(lead)
		picked = append(picked, "(SELECT ctid FROM ONLY "+table+" WHERE "+name+" IS NULL LIMIT 1)")
		for _, way := range []string{"", " DESC"} {
			picked = append(picked, "(SELECT ctid FROM ONLY "+table+" WHERE "+name+" IS NOT NULL ORDER BY "+name+way+" LIMIT 1)")
		}
	}
	return "WITH region AS MATERIALIZED (" + strings.Join(region, " UNION ALL ") + "), picked (tid) AS (" + strings.Join(picked, " UNION ALL ") +
		") SELECT ctid::text, " + storedSize(t.table, "") + " FROM ONLY " + table + " WHERE ctid = ANY (ARRAY(SELECT tid FROM picked))"
}

// measure is what a column's values are ordered by: themselves where they are
// numbers, times or labels; otherwise their length, which decides whether they fit.
func (d *drawing) measure(typ uint32, column string) string {
	switch d.sorts[typ] {
	case "N", "D", "T", "E", "B":
		return column
	case "S":
		return "octet_length(" + column + "::text)"
	}
	return "pg_column_size(" + column + ")"
}
