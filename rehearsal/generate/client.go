package generate

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// Foreign is a foreign key as a client needs it.
type Foreign struct {
	To         *Table
	Columns    []string
	RefColumns []string
	Needed     bool // it cannot be NULL
	// Alone: a later migration asks that no parent has two rows. Nothing holds that yet but
	// whoever leads no other row there.
	Alone bool
}

// Foreign lists the foreign keys of a table, the widest first.
func (t *Table) Foreign() []Foreign {
	var all []Foreign
	for _, r := range t.foreign {
		all = append(all, Foreign{r.to, r.columns, r.refColumns, t.needs(r), r.alone})
	}
	return all
}

// Insert is a statement that makes one row, from its number $1 and the values of
// the columns that foreign keys decide, as text in the order returned: $2, $3, …
// Columns that draw from a sequence are left to it. A row that a CHECK refuses is
// not inserted.
func (m *Model) Insert(t *Table) (sql string, decided []string) {
	values := map[string]string{}
	var columns []*Column
	for _, c := range t.Columns {
		if c.Sequence && !t.references(c.Name) {
			continue
		}
		columns = append(columns, c)
		if t.references(c.Name) && !c.rule {
			decided = append(decided, c.Name)
			values[c.Name] = fmt.Sprintf("$%d::text::%s", len(decided)+1, c.baseName)
		}
	}
	if len(columns) == 0 {
		return fmt.Sprintf("INSERT INTO %s SELECT FROM (SELECT $1::bigint) s", t.Name.Quoted()), nil
	}
	return t.insert("(SELECT $1::bigint AS n) g", values, columns, m), decided
}

// Update is a statement that gives a column of one row another value, made from
// the number $1; the row is found by its key, as text from $2 on. Empty: the
// column's values cannot be made so.
func (m *Model) Update(t *Table, c *Column) string {
	if c.sql == "" || c.Always || t.references(c.Name) || len(t.Key) == 0 {
		return ""
	}
	quoted := pg.Ident(c.Name)
	return fmt.Sprintf("UPDATE %s t SET %s = s.%[2]s FROM (SELECT %[3]s AS %[2]s FROM (SELECT $1::bigint AS n) g) s WHERE %[4]s",
		t.Name.Quoted(), quoted, m.expression(t, c, nil), t.byKey("t.", 2))
}

// Adopt is a statement that leads one row to another parent, whose key comes as
// text from $1 on; the row's own key follows.
func (t *Table) Adopt(f Foreign) string {
	if len(t.Key) == 0 {
		return ""
	}
	var set []string
	for i, name := range f.Columns {
		set = append(set, fmt.Sprintf("%s = $%d::text::%s", pg.Ident(name), i+1, t.Column(name).baseName))
	}
	return fmt.Sprintf("UPDATE %s SET %s WHERE %s", t.Name.Quoted(), strings.Join(set, ", "), t.byKey("", len(set)+1))
}

// Delete and Select find one row by its key, as text from $1 on.
func (t *Table) Delete() string {
	if len(t.Key) == 0 {
		return ""
	}
	return fmt.Sprintf("DELETE FROM %s WHERE %s", t.Name.Quoted(), t.byKey("", 1))
}

// Select reads what [Table.Delete] deletes.
func (t *Table) Select() string {
	if len(t.Key) == 0 {
		return t.First()
	}
	return fmt.Sprintf("SELECT count(*) FROM %s WHERE %s", t.Name.Quoted(), t.byKey("", 1))
}

// First reads any rows.
func (t *Table) First() string {
	return fmt.Sprintf("SELECT count(*) FROM (SELECT FROM %s LIMIT 10) s", t.Name.Quoted())
}

func (t *Table) byKey(alias string, first int) string {
	var parts []string
	for i, k := range t.Key {
		parts = append(parts, fmt.Sprintf("%s%s = $%d::text::%s", alias, pg.Ident(k), first+i, t.Column(k).baseName))
	}
	return strings.Join(parts, " AND ")
}

// Sample reads some columns of at most limit rows as text, always the same ones of
// the same rows.
func (t *Table) Sample(ctx context.Context, db pg.Querier, columns []string, limit int) ([][]*string, error) {
	var list []string
	for _, c := range columns {
		list = append(list, pg.Ident(c)+"::text")
	}
	rows, err := db.Query(ctx, fmt.Sprintf("SELECT ARRAY[%s] FROM %s ORDER BY %s LIMIT %d", strings.Join(list, ", "), t.Name.Quoted(), strings.Join(list, ", "), limit))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[[]*string])
}

// OID is the table's; after a swap its name leads to another one.
func (t *Table) OID() uint32 { return t.oid }
