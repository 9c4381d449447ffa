package shadow

import (
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// pageRange is a range of ctids as SQL text, first inclusive to last exclusive:
// constants, or the numbers of parameters.
type pageRange struct{ first, last string }

// byPages leaves the range to parameters.
var byPages = &pageRange{"$1", "$2"}

// condition restricts a statement to the range. A condition of just this form is
// a TID range scan, PostgreSQL 14 and newer.
func (r *pageRange) condition(alias string) string {
	return alias + ".ctid >= " + r.first + "::pg_catalog.tid AND " + alias + ".ctid < " + r.last + "::pg_catalog.tid"
}

// literal is the range with its constants quoted, for statements that take no
// parameters.
func (r *pageRange) literal() *pageRange {
	if r == nil {
		return nil
	}
	return &pageRange{pg.Literal(r.first), pg.Literal(r.last)}
}

// selection is what is read in production for a shadow table.
type selection struct {
	columns    []plans.Column // as written
	from       string
	conditions []string
}

// rowsOf selects rows of one production table, pages nil for all of it. The table
// goes by its base name, a leaf by that of its root: transforms may qualify
// columns with it. ONLY, since each leaf and each inheritance child has its own
// turn.
func rowsOf(run *plans.Plan, t *plans.Table, member pg.Name, pages *pageRange) selection {
	alias := pg.Ident(run.Sources[t.Source].Name.Name)
	s := selection{columns: written(t), from: "ONLY " + member.Quoted() + " AS " + alias}
	if pages != nil {
		s.conditions = append(s.conditions, pages.condition(alias))
	}
	if t.Where != "" {
		s.conditions = append(s.conditions, "("+t.Where+"\n)")
	}
	return s
}

// derived selects the rows of a derived table by its query.
func derived(t *plans.Table) selection {
	return selection{columns: written(t), from: "(\n" + t.From + "\n) AS q"}
}

// copySQL is the statement that copies rows of one production table into a shadow
// in the same database.
//
// Values are cast by assignment, as ALTER COLUMN TYPE would: an explicit cast
// would silently cut a text that is too long.
func copySQL(run *plans.Plan, t *plans.Table, member pg.Name, pages *pageRange) string {
	return insertSQL(t, rowsOf(run, t, member, pages))
}

// written are the columns that the copy writes: not those that PostgreSQL
// generates, nor those whose values the shadow's own default makes.
func written(t *plans.Table) []plans.Column {
	var columns []plans.Column
	for _, c := range t.Columns {
		if c.Expression != "" && !c.Generated {
			columns = append(columns, c)
		}
	}
	return columns
}

func insertSQL(t *plans.Table, rows selection) string {
	var b strings.Builder
	b.WriteString("INSERT INTO " + t.Shadow.Quoted())
	identity := slices.ContainsFunc(rows.columns, func(c plans.Column) bool { return c.Identity })
	if len(rows.columns) > 0 { // a table may have no columns, and rows all the same
		b.WriteString(" (" + pg.Idents(names(rows.columns)) + ")")
	}
	if identity {
		b.WriteString(" OVERRIDING SYSTEM VALUE")
	}
	b.WriteString("\n" + selectSQL(expressions(rows.columns), rows))
	return b.String()
}

func names(columns []plans.Column) []string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Shadow
	}
	return names
}

func expressions(columns []plans.Column) []string {
	expressions := make([]string, len(columns))
	for i, c := range columns {
		expressions[i] = c.Expression
	}
	return expressions
}

// selectSQL puts expressions and conditions on lines of their own: a text of the
// user's may end in a comment.
func selectSQL(expressions []string, rows selection) string {
	var b strings.Builder
	b.WriteString("SELECT " + strings.Join(expressions, "\n     , "))
	b.WriteString("\nFROM " + rows.from)
	if len(rows.conditions) > 0 {
		b.WriteString("\nWHERE " + strings.Join(rows.conditions, "\n  AND "))
	}
	return b.String()
}
