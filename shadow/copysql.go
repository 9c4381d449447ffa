package shadow

import (
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// pages restricts a statement of copySQL's to a range of ctids, $1 inclusive to
// $2 exclusive. A condition of just this form is a TID range scan, PostgreSQL
// 14 and newer.
const pages = `%s.ctid >= $1::pg_catalog.tid AND %s.ctid < $2::pg_catalog.tid`

// copySQL is the statement that copies rows of one production table into the
// shadow. The production table goes by its base name, a leaf by that of its
// root: transforms may qualify columns with it. ONLY, since each leaf and each
// inheritance child has its own turn.
//
// Values are cast by assignment, as ALTER COLUMN TYPE would: an explicit cast
// would silently cut a text that is too long.
func copySQL(run *plans.Plan, t *plans.Table, member pg.Name, ranged rangeUse) string {
	alias := pg.Ident(run.Sources[t.Source].Name.Name)
	from := "ONLY " + member.Quoted() + " AS " + alias
	var conditions []string
	if ranged == byPages {
		conditions = append(conditions, strings.ReplaceAll(pages, "%s", alias))
	}
	if t.Where != "" {
		conditions = append(conditions, "("+t.Where+"\n)")
	}
	return insertSQL(t, written(t), from, conditions)
}

// rangeUse is whether a statement reads a range of pages or a whole table.
type rangeUse int

const (
	wholeTable rangeUse = iota
	byPages
)

// deriveSQL is the statement that fills a derived table from its query.
func deriveSQL(t *plans.Table) string {
	return insertSQL(t, written(t), "(\n"+t.From+"\n) AS q", nil)
}

// written are the columns that the copy writes: not those that PostgreSQL
// generates, nor those whose values the shadow's own default makes.
func written(t *plans.Table) []plans.Column {
	var columns []plans.Column
	for _, c := range t.Columns {
		if c.Expression != "" && !c.Generated && !c.Volatile {
			columns = append(columns, c)
		}
	}
	return columns
}

// insertSQL puts expressions and conditions on lines of their own: a text of the
// user's may end in a comment.
func insertSQL(t *plans.Table, columns []plans.Column, from string, conditions []string) string {
	var b strings.Builder
	b.WriteString("INSERT INTO " + t.Shadow.Quoted())
	names, expressions := make([]string, len(columns)), make([]string, len(columns))
	identity := false
	for i, c := range columns {
		names[i], expressions[i] = c.Shadow, c.Expression
		identity = identity || c.Identity
	}
	if len(names) > 0 { // a table may have no columns, and rows all the same
		b.WriteString(" (" + pg.Idents(names) + ")")
	}
	if identity {
		b.WriteString(" OVERRIDING SYSTEM VALUE")
	}
	b.WriteString("\nSELECT " + strings.Join(expressions, "\n     , "))
	b.WriteString("\nFROM " + from)
	if len(conditions) > 0 {
		b.WriteString("\nWHERE " + strings.Join(conditions, "\n  AND "))
	}
	return b.String()
}
