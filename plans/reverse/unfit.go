package reverse

import (
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// Row is how a row of an upgraded table becomes one of the old table.
type Row struct {
	New string // the upgraded table's own name, by which expressions may qualify its columns
	Old string // the old table's
	// Columns of the old table that the new row gives; what the old side keeps, or
	// makes by itself, is left out.
	Columns []Column
	Checks  []Check // of the old table, that new rows may break
}

// Column is one of the old table.
type Column struct {
	Name       string
	Type       string // SQL text
	Expression string // over the new row, cast by assignment
	// Value is what the conversion is asked of, over the new row: the expression
	// before it is cast. Empty: the expression.
	Value      string
	Conversion Conversion
	NotNull    bool // here, and not in the new table
	// Back compares: what the way there makes of the old value must be the new one.
	// nil: it need not be asked.
	Back *Back
}

// Back is a column of the new row and what filled it.
type Back struct {
	Column     string
	Type       string
	Expression string // over the old row
}

// Check is a CHECK constraint.
type Check struct {
	Name       string
	Expression string   // over the old row
	Reads      []string // old columns
}

// own begins names of ours inside the expression.
const own = "pgumbra_"

// Unfit is an SQL expression over the new row, which must be known by the name New:
// why the old table cannot hold it, or not as it is; NULL where it can. Empty:
// each row fits, as far as types tell. It takes no lock and reads no table. An
// expression of the user's that fails on the row fails it.
//
// What the server would refuse is asked first, in a CASE, so that no conversion
// is tried on a value that it would fail on.
func (r Row) Unfit() string {
	var refused []string
	for _, c := range r.Columns {
		refused = append(refused, c.refusals()...)
	}
	inner := r.compared()
	switch {
	case len(refused) == 0:
		return inner
	case inner == "":
		return "CASE " + strings.Join(refused, " ") + " END"
	}
	return "CASE " + strings.Join(refused, " ") + " ELSE " + inner + " END"
}

// Refused is [Row.Unfit] of what the old table would refuse; what it would only alter
// is let pass.
func (r Row) Refused() string {
	r.Columns = slices.Clone(r.Columns)
	for i := range r.Columns {
		r.Columns[i].Back = nil
	}
	return r.Unfit()
}

func (c Column) refusals() (all []string) {
	value := c.Value
	if value == "" {
		value = c.Expression
	}
	if c.Conversion.Refused != "" {
		all = append(all, "WHEN "+c.Conversion.Refuses("("+value+")")+" THEN "+pg.Literal(c.Name+": "+c.Type+" cannot hold the value"))
	}
	if c.NotNull {
		all = append(all, "WHEN ("+value+") IS NULL THEN "+pg.Literal(c.Name+": NULL"))
	}
	return all
}

// compared makes the old row, and asks what it breaks and what would not come back.
func (r Row) compared() string {
	var tests, values []string
	needed := map[string]bool{}
	for _, k := range r.Checks {
		tests = append(tests, "WHEN ("+k.Expression+") IS FALSE THEN "+pg.Literal("it breaks CHECK "+k.Name))
		for _, name := range k.Reads {
			needed[name] = true
		}
	}
	for _, c := range r.Columns {
		if c.Back == nil {
			continue
		}
		name := own + pg.Unquoted(c.Back.Column)
		tests = append(tests, "WHEN "+c.Back.differs(pg.Ident(name))+" THEN "+pg.Literal(c.Name+": "+c.Type+" does not hold the value as it is"))
		if value := r.qualified(c.Back.Column) + " AS " + pg.Ident(name); !slices.Contains(values, value) {
			values = append(values, value)
		}
		for _, read := range r.read(c.Back.Expression) {
			needed[read] = true
		}
	}
	if len(tests) == 0 {
		return ""
	}
	from := "(SELECT " + strings.Join(r.old(needed), ", ") + ") AS " + pg.Ident(r.Old)
	if len(values) > 0 {
		from += ", (SELECT " + strings.Join(values, ", ") + ") AS " + own + "new"
	}
	return "(SELECT CASE " + strings.Join(tests, " ") + " END FROM " + from + ")"
}

// old are the columns of the old row that are asked about.
func (r Row) old(needed map[string]bool) (all []string) {
	for _, c := range r.Columns {
		if needed[c.Name] {
			all = append(all, c.cast()+" AS "+pg.Ident(c.Name))
		}
	}
	return all
}

// cast is the value as the old column holds it. An explicit cast cuts a text that
// an assignment refuses: that was asked before. Types of the user's are left to
// the expression: they may have another name, and cost a conversion, by then.
func (c Column) cast() string {
	if strings.Contains(c.Type, ".") {
		return c.Expression
	}
	return "(" + c.Expression + ")::" + c.Type
}

// qualified is a new column where the old table may have the same name.
func (r Row) qualified(column string) string { return pg.Ident(r.New) + "." + column }

func (r Row) read(expression string) (all []string) {
	for _, c := range r.Columns {
		if slices.Contains(Words(expression), c.Name) {
			all = append(all, c.Name)
		}
	}
	return all
}

// comparable are types whose values have an equality of their own that says more
// than their text.
func (b *Back) differs(value string) string {
	t := parse(b.Type)
	if !t.array && (t.whole() || t.float() || t.name == "numeric" || t.time() || t.name == "boolean") {
		return "(" + b.Expression + ")::" + b.Type + " IS DISTINCT FROM " + value
	}
	expression := "(" + b.Expression + ")"
	if !strings.Contains(b.Type, ".") && !t.text() {
		expression += "::" + b.Type
	}
	return expression + `::text COLLATE "C" IS DISTINCT FROM ` + value + `::text COLLATE "C"`
}
