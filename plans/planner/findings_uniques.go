package planner

import (
	"context"
	"slices"
	"strings"

	"github.com/jackc/pgerrcode"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
)

// uniquesComputed asks of unique indexes over expressions, or over some of the rows. What
// names types or functions that only the shadow has is not understood by production:
// then the sample alone was looked at, which is said.
func (m *draft) uniquesComputed(ctx context.Context, d *tableDraft, t *plans.Table) (all []probe) {
	for _, i := range m.after.IndexesOf(d.after.OID) {
		if i.Unique && (i.Partial || i.Expression) && !i.Exclusion && !m.wasUniqueComputed(d, i) {
			object := t.Final.String() + "." + i.Name.Name
			all = append(all, newProbe(object, t.Production, []string{t.Final.Name, i.Name.Name}, pgerrcode.UniqueViolation, m.duplicates(ctx, t, i)))
		}
	}
	return all
}

// wasUniqueComputed: production has the index, and nothing of the table's values changes.
func (m *lineage) wasUniqueComputed(d *tableDraft, i *catalog.Index) bool {
	var nums []int16
	for _, c := range d.after.Columns {
		nums = append(nums, c.Num)
	}
	return m.asItWas(i.Table, nums) && slices.ContainsFunc(m.before.IndexesOf(i.Table), func(b *catalog.Index) bool { return b.OID == i.OID && b.Unique && b.Valid })
}

// duplicates is the query of [twins] by the index; empty: production cannot be asked.
func (m *draft) duplicates(ctx context.Context, t *plans.Table, i *catalog.Index) string {
	var keys []string
	var some string
	err := m.scratch.db.QueryRow(ctx, `SELECT array_agg(pg_catalog.pg_get_indexdef(i.indexrelid, k, true) ORDER BY k), coalesce(pg_catalog.pg_get_expr(i.indpred, i.indrelid, true), 'true')
		FROM pg_catalog.pg_index i, pg_catalog.generate_series(1, i.indnkeyatts) k WHERE i.indexrelid = $1 GROUP BY i.indexrelid, i.indpred, i.indrelid`, i.OID).Scan(&keys, &some)
	if err != nil {
		return ""
	}
	said := strings.Join(keys, " ") + " " + some
	var names, given []string
	for _, c := range t.Columns {
		if strings.Contains(said, c.Shadow) {
			names = append(names, c.Shadow)
		}
	}
	rows, ok := m.rowsOf(t, names)
	if !ok {
		return ""
	}
	for _, k := range keys {
		given = append(given, "("+k+") IS NOT NULL")
	}
	return twins(rows, pg.Ident(t.Final.Name), "("+some+") AND "+strings.Join(given, " AND "), "("+strings.Join(keys, "), (")+")")
}
