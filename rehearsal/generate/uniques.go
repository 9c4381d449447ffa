package generate

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/plans/catalog"
)

// uniqueExpressions are the expressions that unique indexes are over, by index.
func uniqueExpressions(ctx context.Context, conn *pgx.Conn) (map[uint32]string, error) {
	rows, err := conn.Query(ctx, `SELECT i.indexrelid, string_agg(pg_get_indexdef(i.indexrelid, o.pos + 1, true), ' ' ORDER BY o.pos)
		FROM pg_index i CROSS JOIN LATERAL generate_series(0, i.indnkeyatts - 1) o(pos) WHERE i.indisunique AND i.indkey[o.pos] = 0 GROUP BY 1`)
	if err != nil {
		return nil, fmt.Errorf("read the expressions of unique indexes: %w", err)
	}
	all := map[uint32]string{}
	var index uint32
	var text string
	_, err = pgx.ForEachRow(rows, []any{&index, &text}, func() error { all[index] = text; return nil })
	return all, err
}

// readExpressions marks a column of each unique index over expressions, as lower(mail):
// of distinct values most expressions are distinct.
func (t *Table) readExpressions(look *catalog.Catalog, expressions map[uint32]string) {
	for _, i := range look.IndexesOf(t.oid) {
		text, ok := expressions[i.OID]
		members := slices.DeleteFunc(slices.Clone(t.Columns), func(c *Column) bool { return !ok || !mentions(c, text) })
		if len(members) > 0 && !slices.ContainsFunc(members, func(c *Column) bool { return c.distinct }) {
			members[len(members)-1].distinct = true
		}
	}
}
