package catalog

import (
	"fmt"
	"maps"
	"slices"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// standing is a table that was there at both moments, and no partition: what
// else belongs to a table is told with it.
func (d *differ) standing(oid uint32) (name string, ok bool) {
	was, is := d.before.ByOID(oid), d.after.ByOID(oid)
	if was == nil || is == nil || is.IsPartition() || !d.in(was.Name) && !d.in(is.Name) {
		return "", false
	}
	return was.Name.String(), true
}

func (d *differ) indexes() {
	for _, p := range pairs(d.before.Indexes, d.after.Indexes, func(i *Index) uint32 { return i.OID }) {
		i := p.either()
		table, ok := d.standing(i.Table)
		if !ok || i.Constraint != 0 || i.Parent != 0 {
			continue
		}
		kind := "index"
		if i.Unique {
			kind = "unique index"
		}
		switch {
		case p.was == nil:
			d.note(Added, kind, i.Name.String(), "", "", table)
			d.define(Added, kind, i.Name.String(), shape(i))
		case p.is == nil:
			d.note(Dropped, kind, i.Name.String(), "", "", table)
			d.define(Dropped, kind, i.Name.String(), shape(i))
		case p.was.Name != p.is.Name:
			d.note(Renamed, kind, i.Name.String(), p.was.Name.String(), "", table)
		}
	}
}

// shape is what an index is over, as far as the catalog is read. The columns' types have
// no part in it: PostgreSQL makes an index anew where one of them changes.
func shape(i *Index) string { return fmt.Sprint(i.Columns(), i.Partial) }

var constraintKinds = map[string]string{"p": "primary key", "u": "unique constraint", "f": "foreign key", "c": "check", "x": "exclusion constraint"}

func (d *differ) constraints() {
	for _, p := range pairs(d.before.Constraints, d.after.Constraints, func(k *Constraint) uint32 { return k.OID }) {
		k := p.either()
		table, ok := d.standing(k.Table)
		kind := constraintKinds[k.Kind]
		if !ok || kind == "" || k.Parent != 0 {
			continue
		}
		name := d.nameOf(k.Table) + "." + k.Name
		switch {
		case p.was == nil:
			d.note(Added, kind, name, "", shortened(k.Definition), table)
		case p.is == nil:
			d.note(Dropped, kind, name, shortened(k.Definition), "", table)
		case p.was.Name != p.is.Name:
			d.note(Renamed, kind, name, table+"."+p.was.Name, "", table)
		case p.was.Validated != p.is.Validated:
			d.note(Altered, kind, name, "not validated", "validated", table)
		}
	}
}

// wholeTrigger are signs that show a trigger as it is, as a rule.
const wholeTrigger = 160

// attached are triggers, policies and rules.
func (d *differ) attached() {
	for _, p := range pairs(d.before.Attached, d.after.Attached, func(a *Attached) uint32 { return a.OID }) {
		a := p.either()
		table, ok := d.standing(a.Table)
		if !ok {
			continue
		}
		name := d.nameOf(a.Table) + "." + a.Name
		switch {
		case p.was == nil:
			d.note(Added, a.Kind, name, "", cut(a.Definition, wholeTrigger), table)
		case p.is == nil:
			d.note(Dropped, a.Kind, name, cut(a.Definition, wholeTrigger), "", table)
		case p.was.Name != p.is.Name:
			d.note(Renamed, a.Kind, name, table+"."+p.was.Name, "", table)
		case p.was.Fingerprint != p.is.Fingerprint:
			d.note(Altered, a.Kind, name, cut(p.was.Definition, wholeTrigger), cut(p.is.Definition, wholeTrigger), table)
		}
	}
}

// nameOf a table that stands: the one that it has now.
func (d *differ) nameOf(table uint32) string { return d.after.ByOID(table).Name.String() }

func (d *differ) sequences() {
	for _, p := range pairs(d.before.Sequences, d.after.Sequences, func(s *Sequence) uint32 { return s.OID }) {
		s := p.either()
		if !d.in(s.Name) || s.Extension || s.Table != 0 { // an owned one comes with its column
			continue
		}
		named(d, p, "sequence", func(s *Sequence) (string, string) { return s.Name.String(), s.Definition })
	}
}

func (d *differ) types() {
	renewed := d.renewedEnums()
	for _, p := range pairs(d.before.Types, d.after.Types, func(t *Type) uint32 { return t.OID }) {
		t := p.either()
		if !d.in(t.Name) || t.Extension || t.Kind == "m" { // a range's own multirange
			continue
		}
		if p.was != nil && p.is != nil && t.Kind == "e" {
			d.labels(p)
			continue
		}
		if old := renewed[t.Name]; old.was != nil {
			if t == old.is {
				d.newLabels(old)
			}
			continue
		}
		named(d, p, typeKinds[t.Kind], func(t *Type) (string, string) { return t.Name.String(), t.Definition })
	}
}

var typeKinds = map[string]string{"b": "type", "c": "composite type", "d": "domain", "e": "enum", "r": "range type"}

func (d *differ) labels(p pair[Type]) {
	if p.was.Name != p.is.Name {
		d.note(Renamed, "enum", p.is.Name.String(), p.was.Name.String(), "", "")
	}
	for _, oid := range sortedKeys(p.is.Labels) {
		was, known := p.was.Labels[oid]
		switch is := p.is.Labels[oid]; {
		case !known:
			d.note(Added, "enum label", p.is.Name.String()+"."+is, "", "", "")
		case was != is:
			d.note(Renamed, "enum label", p.is.Name.String()+"."+is, p.was.Name.String()+"."+was, "", "")
		}
	}
}

// renewedEnums are those that were dropped, or renamed out of the way, and made again
// under their names: what people do to take a label away.
func (d *differ) renewedEnums() map[pg.Name]pair[Type] {
	all := map[pg.Name]pair[Type]{}
	for _, p := range pairs(d.before.Types, d.after.Types, func(t *Type) uint32 { return t.OID }) {
		if t := p.either(); t.Kind == "e" && (p.was == nil || p.is == nil) {
			both := all[t.Name]
			if p.was != nil {
				both.was = p.was
			} else {
				both.is = p.is
			}
			all[t.Name] = both
		}
	}
	maps.DeleteFunc(all, func(_ pg.Name, p pair[Type]) bool { return p.was == nil || p.is == nil })
	return all
}

// newLabels tells by their names which labels a renewed enum has besides, and which no
// longer.
func (d *differ) newLabels(p pair[Type]) {
	has := func(t *Type, label string) bool { return slices.Contains(slices.Collect(maps.Values(t.Labels)), label) }
	name, told := p.is.Name.String(), len(d.changes)
	for _, oid := range sortedKeys(p.is.Labels) {
		if label := p.is.Labels[oid]; !has(p.was, label) {
			d.note(Added, "enum label", name+"."+label, "", "", "")
		}
	}
	for _, oid := range sortedKeys(p.was.Labels) {
		if label := p.was.Labels[oid]; !has(p.is, label) {
			d.note(Dropped, "enum label", name+"."+label, "", "", "")
		}
	}
	if len(d.changes) == told && p.was.Definition != p.is.Definition {
		d.note(Altered, "enum", name, "", "another order of its labels", "")
	}
}

func sortedKeys(labels map[uint32]string) []uint32 {
	var all []uint32
	for oid := range labels {
		all = append(all, oid)
	}
	slices.Sort(all)
	return all
}

func (d *differ) functions() {
	for _, p := range pairs(d.before.Functions, d.after.Functions, func(f *Function) uint32 { return f.OID }) {
		f := p.either()
		if !d.in(f.Name) || f.Extension {
			continue
		}
		kind := "function"
		if f.Kind == "p" {
			kind = "procedure"
		}
		named(d, p, kind, func(f *Function) (string, string) { return f.Name.String() + f.Arguments, f.Definition })
	}
}

// named compares objects that are a name and a definition.
func named[T any](d *differ, p pair[T], kind string, of func(*T) (name, definition string)) {
	switch {
	case p.was == nil:
		name, definition := of(p.is)
		d.note(Added, kind, name, "", "", "")
		d.define(Added, kind, name, definition)
	case p.is == nil:
		name, definition := of(p.was)
		d.note(Dropped, kind, name, "", "", "")
		d.define(Dropped, kind, name, definition)
	default:
		was, before := of(p.was)
		is, after := of(p.is)
		if was != is {
			d.note(Renamed, kind, is, was, "", "")
		}
		if before != after {
			d.note(Altered, kind, is, "", otherDefinition, "")
		}
	}
}

func (d *differ) extensions() {
	version := func(c *Catalog, name string) string {
		for _, e := range c.Extensions {
			if e.Name == name {
				return e.Version
			}
		}
		return ""
	}
	for _, e := range d.after.Extensions {
		switch was := version(d.before, e.Name); {
		case was == "":
			d.note(Added, "extension", e.Name, "", "", "")
		case was != e.Version:
			d.note(Altered, "extension", e.Name, was, e.Version, "")
		}
	}
	for _, e := range d.before.Extensions {
		if version(d.after, e.Name) == "" {
			d.note(Dropped, "extension", e.Name, "", "", "")
		}
	}
}
