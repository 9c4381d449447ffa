package generate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/catalog"
)

// Ask is something that a later migration asks of rows, beyond what the catalog asks
// now. One of the fields after Columns is set.
type Ask struct {
	Table   pg.Name
	Columns []string

	NotNull  bool
	Distinct bool
	// Type is what a cast makes of the values, with its modifier; Labels are those of
	// an enum that is not there yet.
	Type   uint32
	Typmod int32
	Labels []string
	// Check is a condition, by the constraint's name.
	Check, Constraint string
	// To is a table that has the values in its RefColumns.
	To         pg.Name
	RefColumns []string
}

// String says it to people.
func (a Ask) String() string {
	what := a.Table.String() + " (" + strings.Join(a.Columns, ", ") + ")"
	switch {
	case a.NotNull:
		return what + " has no NULL"
	case a.Distinct:
		return what + " is distinct"
	case a.To.Name != "":
		return what + " refers to " + a.To.String()
	case a.Check != "":
		return what + " satisfies " + a.Check
	}
	return what + " can be cast"
}

// heed takes what is asked of a table's own columns into its model.
func (t *Table) heed(from *catalog.Table, asks []Ask) {
	for i, a := range asks {
		if a.Table != t.Name {
			continue
		}
		var columns []*Column
		var numbers []int16
		for _, name := range a.Columns {
			if c := t.Column(name); c != nil {
				own, _ := from.ColumnNamed(name)
				columns, numbers = append(columns, c), append(numbers, own.Num)
			}
		}
		if len(columns) < len(a.Columns) || len(columns) == 0 {
			continue
		}
		last := columns[len(columns)-1]
		switch {
		case a.NotNull:
			last.NotNull = true
		case a.Distinct: // see heedDistinct
		case a.Check != "":
			t.checks = append(t.checks, check{cmp.Or(a.Constraint, "asked"), numbers, a.Check})
		case a.Type != 0, len(a.Labels) > 0:
			last.castTo = &asks[i]
		}
	}
}

// heedDistinct takes keys that are asked for into the model: one of their columns is
// distinct, or where foreign keys decide them, or few values are possible, each parent
// has one row at most.
func (t *Table) heedDistinct(all types, asks []Ask) {
	for _, a := range asks {
		if a.Table != t.Name || !a.Distinct {
			continue
		}
		var free, bound []*Column
		for _, name := range a.Columns {
			switch c := t.Column(name); {
			case c == nil || t.references(name):
			case all.many(c.typeOID) && c.castTo == nil && !slices.ContainsFunc(t.checks, func(k check) bool { return mentions(c, k.condition) }):
				free = append(free, c)
			default:
				bound = append(bound, c)
			}
		}
		of := slices.IndexFunc(t.foreign, func(r *reference) bool {
			return !slices.ContainsFunc(r.columns, func(c string) bool { return !slices.Contains(a.Columns, c) })
		})
		switch {
		case slices.ContainsFunc(slices.Concat(free, bound), func(c *Column) bool { return c.distinct }):
		case len(free) > 0:
			free[len(free)-1].distinct = true
		case of >= 0:
			t.foreign[of].distinct, t.foreign[of].alone = true, true
		case len(bound) > 0:
			bound[len(bound)-1].distinct = true
		}
	}
}

// many: a type has enough values for each row to have its own.
func (all types) many(oid uint32) bool {
	t, _, _ := all.base(oid, -1)
	return t != nil && t.Kind != "e" && t.Bare != "bool" && t.Bare != "char"
}

// heedForeign takes foreign keys that are asked for into the model.
func (t *Table) heedForeign(look *catalog.Catalog, asks []Ask, byOID map[uint32]*Table) {
	from := look.ByOID(t.oid)
	for i, a := range asks {
		if a.Table != t.Name || a.To.Name == "" {
			continue
		}
		target := look.ByName(a.To)
		if target == nil || byOID[target.OID] == nil {
			continue
		}
		r := &reference{name: fmt.Sprintf("asked_%d", i), to: byOID[target.OID], columns: a.Columns, refColumns: a.RefColumns}
		if slices.ContainsFunc(t.foreign, func(o *reference) bool { return o.to == r.to && slices.Equal(o.columns, r.columns) }) {
			continue
		}
		var numbers []int16
		for _, name := range a.Columns {
			own, _ := from.ColumnNamed(name)
			numbers = append(numbers, own.Num)
		}
		r.distinct = t.sole(look, numbers)
		r.to.Parent = true
		t.foreign = append(t.foreign, r)
	}
}

// castable are ways to make values that a later cast takes, instead of any that the
// column could have.
func (all types) castable(c *Column, d draw) []string {
	if len(c.castTo.Labels) > 0 {
		return []string{oneOf(c.castTo.Labels, c.baseName, d)}
	}
	d.column = "" // no empty ones
	target := all[c.castTo.Type]
	if target == nil {
		return nil
	}
	var tries []string
	for _, v := range all.value(c.castTo.Type, c.castTo.Typmod, d) {
		tries = append(tries, fmt.Sprintf("((%s)::%s)::text::%s", v, target.Name, c.baseName))
	}
	return tries
}
