package generate

import (
	"maps"
	"slices"
	"strings"
)

// firstOfCycle is the table to begin with where each one left waits for another: one of a
// cycle that waits for nothing outside of it, and best one whose foreign keys there can be
// NULL for a while. Begun elsewhere, as with a table that only leads to the cycle, rows
// would be made before their parents, and many would find none of the same values.
func firstOfCycle(left map[*Table]bool) *Table {
	ahead := map[*Table]map[*Table]bool{}
	for t := range left {
		ahead[t] = t.aheadIn(left)
	}
	var first *Table
	for _, t := range slices.SortedFunc(maps.Keys(left), func(a, b *Table) int { return strings.Compare(a.Name.Quoted(), b.Name.Quoted()) }) {
		if !closed(t, ahead) {
			continue
		}
		if !slices.ContainsFunc(t.foreign, func(r *reference) bool { return r.waitsIn(left, t) && t.needs(r) }) {
			return t
		}
		if first == nil {
			first = t
		}
	}
	return first
}

// waitsIn: the foreign key's parent has no rows yet.
func (r *reference) waitsIn(left map[*Table]bool, t *Table) bool {
	return !r.late && r.to != t && left[r.to]
}

// aheadIn are the tables left that a table waits for, and those that they wait for.
func (t *Table) aheadIn(left map[*Table]bool) map[*Table]bool {
	seen := map[*Table]bool{}
	for todo := []*Table{t}; len(todo) > 0; todo = todo[1:] {
		for _, r := range todo[0].foreign {
			if r.waitsIn(left, todo[0]) && !seen[r.to] {
				seen[r.to] = true
				todo = append(todo, r.to)
			}
		}
	}
	return seen
}

// closed: all that a table waits for waits for it, too.
func closed(t *Table, ahead map[*Table]map[*Table]bool) bool {
	for other := range ahead[t] {
		if !ahead[other][t] {
			return false
		}
	}
	return true
}
