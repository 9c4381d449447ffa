package planner

import (
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/pgdump"
)

// PostgreSQL puts the columns that a table inherits first, but only when it is
// made: a column that its parent gets later comes last. pg_dump writes INHERITS,
// so that its text gives another order, in which an INSERT without a column list
// puts values into the wrong columns. Here such tables are made as they came
// about: without the late columns, which are then added one by one.

// orderColumns rewrites the entries of families whose columns would come in
// another order than c has them. Names of those that cannot be made as they are
// come back: their text is as pg_dump wrote it.
func orderColumns(entries []pgdump.Entry, c *catalog.Catalog) (ordered []pgdump.Entry, given []pg.Name) {
	for _, f := range families(entries, c) {
		if !slices.ContainsFunc(f, func(h *inheritedTable) bool { return h.misplaced() || len(h.links) > 0 }) {
			continue
		}
		if moved, ok := gather(entries, f); ok && schedule(parentsFirst(f)) {
			entries = moved(f)
			continue
		}
		for _, h := range f {
			if h.misplaced() {
				given = append(given, pg.Name{Schema: h.entry.Schema, Name: h.entry.Name})
			}
		}
	}
	return entries, given
}

// otherOrder warns of tables whose columns come in another order.
func (m *task) otherOrder(tables []pg.Name) {
	for _, t := range tables {
		for _, s := range m.plan.Schemas {
			if s.Shadow == t.Schema {
				t.Schema = s.Production
			}
		}
		m.warning("column-order", t.String(), "its columns come in another order than in place: those that it inherits first",
			"name the columns in every INSERT, and select none by *")
	}
}

// families are the tables that INHERITS ties together, in the dump's order:
// parents come before their children.
func families(entries []pgdump.Entry, c *catalog.Catalog) [][]*inheritedTable {
	known := map[uint32]*inheritedTable{}
	root := map[*inheritedTable]*inheritedTable{}
	var all []*inheritedTable
	for _, e := range entries {
		t := c.ByOID(e.OID)
		if e.Tag != "TABLE" || t == nil || t.Kind != "r" || t.PartitionOf != 0 {
			continue
		}
		h := newInheritedTable(e, t)
		if h == nil {
			continue
		}
		known[e.OID], root[h] = h, h
		all = append(all, h)
		for _, oid := range t.Parents {
			parent := known[oid]
			if parent == nil {
				h.parents = nil
				break
			}
			h.parents = append(h.parents, parent)
		}
		parents := h.parents
		h.detach(t)
		for _, parent := range h.parents {
			parent.children = append(parent.children, h)
		}
		for _, parent := range parents {
			for from, to := root[parent], root[h]; from != to; to = from { // one family from now on
				for member, r := range root {
					if r == to {
						root[member] = from
					}
				}
			}
		}
	}
	var found [][]*inheritedTable
	at := map[*inheritedTable]int{}
	for _, h := range all {
		i, there := at[root[h]]
		if !there {
			i, at[root[h]] = len(found), len(found)
			found = append(found, nil)
		}
		found[i] = append(found[i], h)
	}
	return slices.DeleteFunc(found, func(f []*inheritedTable) bool { return len(f) < 2 })
}

// before are a parent's columns that it had when h was tied to it.
func (h *inheritedTable) before(child *inheritedTable) []string {
	n := 0
	for n < len(h.want) && child.own[h.want[n]] != "" {
		n++
	}
	return h.want[:n]
}

// tie makes h a child of its parents: its columns and CHECKs are all there.
func (h *inheritedTable) tie(family []*inheritedTable) bool {
	for _, p := range h.later {
		n := len(p.before(h))
		if !p.advance(family, n) || p.have != n {
			return false
		}
		if slices.ContainsFunc(p.present(), func(c string) bool { return !slices.Contains(h.present(), c) }) {
			return false
		}
	}
	for _, p := range h.later {
		p.children = append(p.children, h)
	}
	for _, check := range h.checks {
		h.after = append(h.after, "ALTER TABLE "+h.name+" ADD "+check+";")
	}
	h.parents, h.later, h.checks = h.later, nil, nil
	h.after = append(h.after, h.links...)
	return true
}

// inherited are the columns that its parents have, as INHERITS merges them: the
// first n of each, as many as there are.
func (h *inheritedTable) inherited(of func(*inheritedTable) []string) []string {
	var all []string
	for _, p := range h.parents {
		for _, c := range of(p) {
			if !slices.Contains(all, c) {
				all = append(all, c)
			}
		}
	}
	return all
}

// written is the order that pg_dump's text gives.
func (h *inheritedTable) written() []string {
	all := h.inherited((*inheritedTable).written)
	for _, c := range h.want {
		if _, own := h.own[c]; own && !slices.Contains(all, c) {
			all = append(all, c)
		}
	}
	return all
}

func (h *inheritedTable) misplaced() bool { return !slices.Equal(h.written(), h.want) }

func (h *inheritedTable) present() []string { return h.want[:h.have] }

// schedule makes one table after the other with no more columns than the next
// one can do with, and adds the others as late as they came. False: no order of
// statements gives the true one.
func schedule(family []*inheritedTable) bool {
	for _, h := range family {
		if slices.ContainsFunc(slices.Concat(h.parents, h.later), func(p *inheritedTable) bool { return !p.made }) {
			return false
		}
		for _, p := range h.parents {
			if !p.advance(family, h.leading(p)) {
				return false
			}
		}
		merged := h.inherited((*inheritedTable).present)
		if len(merged) > len(h.want) || !slices.Equal(merged, h.want[:len(merged)]) {
			return false
		}
		h.have, h.made = len(merged), true
		for h.have < h.room() && h.defines(h.want[h.have]) {
			h.have++
		}
		h.create()
		if len(h.later) > 0 && !h.tie(family) {
			return false
		}
	}
	for _, h := range family {
		if !h.advance(family, len(h.want)) {
			return false
		}
	}
	return true
}

// parentsFirst puts a family in the order in which its tables were made, as far
// as it shows: who began with fewer of the forebears' columns is older.
func parentsFirst(family []*inheritedTable) []*inheritedTable {
	began := func(h *inheritedTable) (n int) {
		for _, p := range slices.Concat(h.parents, h.later) {
			first := p.want[:h.leading(p)]
			if len(h.later) > 0 {
				first = p.before(h)
			}
			for _, f := range p.forebears() {
				for _, c := range f.want {
					if slices.Contains(first, c) {
						n++
					}
				}
			}
		}
		return n
	}
	slices.SortStableFunc(family, func(a, b *inheritedTable) int { return began(a) - began(b) })
	return family
}

// forebears are the tables at the top that h inherits from; itself, if it is one.
func (h *inheritedTable) forebears() []*inheritedTable {
	all := slices.Concat(h.parents, h.later)
	if len(all) == 0 {
		return []*inheritedTable{h}
	}
	var top []*inheritedTable
	for _, p := range all {
		for _, f := range p.forebears() {
			if !slices.Contains(top, f) {
				top = append(top, f)
			}
		}
	}
	return top
}

// leading is how many of a parent's columns are the first of h's.
func (h *inheritedTable) leading(p *inheritedTable) int {
	n := 0
	for _, c := range h.want {
		if n == len(p.want) || p.want[n] != c {
			if !slices.ContainsFunc(h.parents, func(q *inheritedTable) bool { return q != p && slices.Contains(q.want, c) }) {
				break
			}
			continue
		}
		n++
	}
	return n
}

// room is how many columns a table may have before its children are made.
func (h *inheritedTable) room() int {
	n := len(h.want)
	for _, child := range h.children {
		n = min(n, child.leading(h))
	}
	return n
}

// defines: the column is not one of the parents'.
func (h *inheritedTable) defines(column string) bool {
	_, own := h.own[column]
	return own && !slices.ContainsFunc(h.parents, func(p *inheritedTable) bool { return slices.Contains(p.want, column) })
}

// advance adds columns until h has n of its own.
func (h *inheritedTable) advance(family []*inheritedTable, n int) bool {
	for h.have < n {
		column := h.want[h.have]
		from := h
		for !from.defines(column) {
			i := slices.IndexFunc(from.parents, func(p *inheritedTable) bool { return slices.Contains(p.want, column) })
			if i < 0 {
				return false
			}
			from = from.parents[i]
		}
		if !from.add(column, family) {
			return false
		}
	}
	return true
}

// add is ALTER TABLE … ADD COLUMN, which reaches all children there are. What a
// child has to get before it is added first.
func (h *inheritedTable) add(column string, family []*inheritedTable) bool {
	if h.adding {
		return false
	}
	h.adding = true
	defer func() { h.adding = false }()
	for _, d := range h.descendants() {
		at := slices.Index(d.want, column)
		if at < d.have || !d.advance(family, at) {
			return false
		}
	}
	last := family[0]
	for _, m := range family {
		if m.made {
			last = m
		}
	}
	last.after = append(last.after, "ALTER TABLE "+h.name+" ADD COLUMN "+h.own[column]+";")
	for _, d := range h.descendants() {
		d.have++
	}
	return true
}

// descendants are the tables there are that get what h gets, itself first.
func (h *inheritedTable) descendants() []*inheritedTable {
	all := []*inheritedTable{h}
	for i := 0; i < len(all); i++ {
		for _, c := range all[i].children {
			if c.made && !slices.Contains(all, c) {
				all = append(all, c)
			}
		}
	}
	return all
}

// gather says whether a family's entries can stand where its first one does:
// none of the others may need what lies between. moved puts them there.
func gather(entries []pgdump.Entry, family []*inheritedTable) (moved func([]*inheritedTable) []pgdump.Entry, ok bool) {
	member := map[int]bool{}
	for _, h := range family {
		member[h.entry.TOC] = true
	}
	first := slices.IndexFunc(entries, func(e pgdump.Entry) bool { return member[e.TOC] })
	later := map[int]bool{}
	for _, e := range entries[first:] {
		later[e.TOC] = !member[e.TOC]
	}
	for _, h := range family {
		if slices.ContainsFunc(h.entry.Deps, func(d int) bool { return later[d] }) {
			return nil, false
		}
	}
	return func(family []*inheritedTable) []pgdump.Entry {
		all := slices.Clone(entries[:first])
		for _, h := range family {
			h.entry.SQL += "\n" + strings.Join(h.after, "\n")
			all = append(all, h.entry)
		}
		last := &all[len(all)-1]
		for _, h := range family {
			for _, check := range h.checks {
				last.SQL += "\nALTER TABLE " + h.name + " ADD " + check + ";"
			}
		}
		return append(all, slices.DeleteFunc(slices.Clone(entries[first:]), func(e pgdump.Entry) bool { return member[e.TOC] })...)
	}, true
}
