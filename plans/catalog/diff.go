package catalog

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// Change is one difference of structure between two moments of one database.
type Change struct {
	Act    Act    `json:"act"`
	Kind   string `json:"kind"`   // table, column, index, constraint, view, …
	Object string `json:"object"` // its name now; of what is gone its last one
	Was    string `json:"was"`    // what it was: a name, a type, a definition; empty: nothing to say
	Is     string `json:"is"`
	// Table is the relation that the object belongs to, by the name that it had
	// before; empty where it belongs to none.
	Table string `json:"table"`
}

// Act is what happened to an object.
type Act string

// The acts.
const (
	Added   Act = "added"
	Dropped Act = "dropped"
	Renamed Act = "renamed"
	Altered Act = "altered"
)

// String is the change on one line: ~ shop.orders.id integer → bigint.
func (c Change) String() string {
	signs := map[Act]string{Added: "+", Dropped: "-", Renamed: "→", Altered: "~"}
	text := signs[c.Act] + " " + c.Kind + " "
	switch {
	case c.Act == Renamed:
		return text + c.Was + " → " + c.Object
	case c.Was != "" && c.Is != "":
		return text + c.Object + " " + c.Was + " → " + c.Is
	case c.Is != "":
		return text + c.Object + " " + c.Is
	}
	return text + c.Object
}

// Diff says what became of the structure of some schemas. Objects are the same
// by oid, columns by number, so that a rename is one and what was made anew
// under an old name is not. What belongs to a table that came or went, or to a
// partition, is not listed by itself.
func Diff(before, after *Catalog, schemas []string) []Change {
	d := differ{before: before, after: after, in: func(n pg.Name) bool { return slices.Contains(schemas, n.Schema) }}
	d.relations()
	d.indexes()
	d.constraints()
	d.attached()
	d.sequences()
	d.types()
	d.functions()
	d.extensions()
	return d.remade()
}

// remade joins what was dropped and made again under its name: with the same
// definition nothing has happened to it. PostgreSQL itself makes the indexes and
// constraints anew of a column whose type changes.
func (d *differ) remade() []Change {
	type name struct{ kind, object string }
	gone := map[name]Change{}
	for _, c := range d.changes {
		if c.Act == Dropped {
			gone[name{c.Kind, c.Object}] = c
		}
	}
	again := map[name]bool{}
	var all []Change
	for _, c := range d.changes {
		was, there := gone[name{c.Kind, c.Object}]
		if c.Act != Added || !there {
			all = append(all, c)
			continue
		}
		again[name{c.Kind, c.Object}] = true
		switch {
		case was.Was != c.Is:
			all = append(all, Change{Act: Altered, Kind: c.Kind, Object: c.Object, Was: was.Was, Is: c.Is, Table: was.Table})
		case c.Kind == "table" || c.Kind == "column":
			all = append(all, Change{Act: Altered, Kind: c.Kind, Object: c.Object, Is: "made anew", Table: was.Table})
		case d.defined[defined{Dropped, c.Kind, c.Object}] != d.defined[defined{Added, c.Kind, c.Object}]:
			all = append(all, Change{Act: Altered, Kind: c.Kind, Object: c.Object, Is: otherDefinition, Table: was.Table})
		}
	}
	return slices.DeleteFunc(all, func(c Change) bool { return c.Act == Dropped && again[name{c.Kind, c.Object}] })
}

type differ struct {
	before, after *Catalog
	in            func(pg.Name) bool
	changes       []Change
	// defined is what came and went by its definition, where that is too long to tell.
	defined map[defined]string
}

type defined struct {
	act          Act
	kind, object string
}

const otherDefinition = "another definition"

// define notes what an object that came or went is, for what is made again.
func (d *differ) define(act Act, kind, object, definition string) {
	if d.defined == nil {
		d.defined = map[defined]string{}
	}
	d.defined[defined{act, kind, object}] = definition
}

func (d *differ) note(act Act, kind, object, was, is, table string) {
	d.changes = append(d.changes, Change{Act: act, Kind: kind, Object: object, Was: was, Is: is, Table: table})
}

// pair is an object at both moments; nil: it was not there.
type pair[T any] struct{ was, is *T }

// either is the object as it is now, or as it was last.
func (p pair[T]) either() *T {
	if p.is != nil {
		return p.is
	}
	return p.was
}

// pairs joins two lists by identity: what is there now in its order, then what
// is gone.
func pairs[T any, ID comparable](before, after []*T, id func(*T) ID) []pair[T] {
	old := map[ID]*T{}
	for _, o := range before {
		old[id(o)] = o
	}
	var all []pair[T]
	seen := map[ID]bool{}
	for _, o := range after {
		all, seen[id(o)] = append(all, pair[T]{was: old[id(o)], is: o}), true
	}
	for _, o := range before {
		if !seen[id(o)] {
			all = append(all, pair[T]{was: o})
		}
	}
	return all
}

func kindOf(t *Table) string {
	switch {
	case t.IsPartition():
		return "partition"
	case t.Kind == "v":
		return "view"
	case t.Kind == "m":
		return "materialized view"
	case t.Kind == "f":
		return "foreign table"
	}
	return "table"
}

func (d *differ) relations() {
	for _, p := range pairs(d.before.Tables, d.after.Tables, func(t *Table) uint32 { return t.OID }) {
		if !ofExtension(p) {
			d.relation(p)
		}
	}
}

func ofExtension(p pair[Table]) bool {
	return p.was != nil && p.was.Extension || p.is != nil && p.is.Extension
}

func (d *differ) relation(p pair[Table]) {
	switch {
	case p.was == nil && d.in(p.is.Name):
		d.note(Added, kindOf(p.is), p.is.Name.String(), "", made(p.is), "")
		d.define(Added, kindOf(p.is), p.is.Name.String(), p.is.Definition)
	case p.is == nil && d.in(p.was.Name):
		d.note(Dropped, kindOf(p.was), p.was.Name.String(), made(p.was), "", p.was.Name.String())
		d.define(Dropped, kindOf(p.was), p.was.Name.String(), p.was.Definition)
	case p.was != nil && p.is != nil && (d.in(p.was.Name) || d.in(p.is.Name)):
		d.kept(p)
	}
}

func made(t *Table) string {
	if !t.HoldsRows() || t.IsPartition() {
		return ""
	}
	if len(t.Columns) == 1 {
		return "(1 column)"
	}
	return fmt.Sprintf("(%d columns)", len(t.Columns))
}

func (d *differ) kept(p pair[Table]) {
	name := p.was.Name.String()
	if p.was.Name != p.is.Name {
		d.note(Renamed, kindOf(p.is), p.is.Name.String(), name, "", name)
	}
	switch {
	case p.was.PartitionOf != p.is.PartitionOf:
		d.note(Altered, kindOf(p.is), p.is.Name.String(), memberOf(d.before, p.was), memberOf(d.after, p.is), name)
	case p.is.IsPartition(): // its columns are its parent's
		return
	}
	if p.is.RowSecurity != p.was.RowSecurity {
		d.note(Altered, "row security", p.is.Name.String(), onOff(p.was.RowSecurity), onOff(p.is.RowSecurity), name)
	}
	if !p.is.HoldsRows() {
		if p.was.Definition != p.is.Definition {
			d.note(Altered, kindOf(p.is), p.is.Name.String(), "", otherDefinition, name)
		}
		return
	}
	d.columns(p)
}

func memberOf(c *Catalog, t *Table) string {
	if root := c.ByOID(t.PartitionOf); root != nil {
		return "partition of " + root.Name.String()
	}
	return "a table of its own"
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func (d *differ) columns(p pair[Table]) {
	of := func(t *Table) []*Column {
		var all []*Column
		for i := range t.Columns {
			all = append(all, &t.Columns[i])
		}
		return all
	}
	table := p.was.Name.String()
	for _, c := range pairs(of(p.was), of(p.is), func(c *Column) int16 { return c.Num }) {
		switch {
		case c.was == nil:
			d.note(Added, "column", p.is.Name.String()+"."+c.is.Name, "", described(c.is), table)
		case c.is == nil:
			d.note(Dropped, "column", table+"."+c.was.Name, described(c.was), "", table)
		default:
			d.column(p, c)
		}
	}
}

// described is a column's type with what a client that inserts has to know.
func described(c *Column) string {
	text := c.Type
	if c.NotNull {
		text += " NOT NULL"
	}
	switch {
	case c.Identity != "":
		text += " GENERATED AS IDENTITY"
	case c.Generated != "":
		text += " GENERATED"
	case c.Default != "":
		text += " DEFAULT " + shortened(c.Default)
	}
	return text
}

func (d *differ) column(p pair[Table], c pair[Column]) {
	table, name := p.was.Name.String(), p.is.Name.String()+"."+c.is.Name
	if c.was.Name != c.is.Name {
		d.note(Renamed, "column", name, table+"."+c.was.Name, "", table)
	}
	if c.was.Type != c.is.Type {
		d.note(Altered, "column", name, c.was.Type, c.is.Type, table)
	}
	if c.was.NotNull != c.is.NotNull {
		d.note(Altered, "column", name, nullable(c.was), nullable(c.is), table)
	}
	if was, is := given(c.was), given(c.is); was != is && c.was.Type == c.is.Type {
		d.note(Altered, "column", name, was, is, table)
	}
}

func nullable(c *Column) string {
	if c.NotNull {
		return "NOT NULL"
	}
	return "NULL"
}

// given is where a column's value comes from that an INSERT leaves out.
func given(c *Column) string {
	switch {
	case c.Identity != "":
		return "identity"
	case c.Generated != "":
		return "generated"
	case c.Default != "":
		return "default " + shortened(c.Default)
	}
	return "no default"
}

func shortened(sql string) string { return cut(sql, 60) }

// cut puts SQL on a line of at most so many signs.
func cut(sql string, limit int) string {
	sql = strings.Join(strings.Fields(sql), " ")
	if runes := []rune(sql); len(runes) > limit {
		return string(runes[:limit]) + "…"
	}
	return sql
}
