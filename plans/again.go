package plans

import (
	"slices"

	"github.com/pgumbra/pgumbra/plans/reverse"
)

// FollowAgain makes of the plan that of a run that was rolled back and whose shadow,
// which was production meanwhile, is followed again. What clients wrote into columns
// that the migrations add is the shadow's own by now: rows that are there keep it,
// as the old side keeps columns that the new one does not hold, and new ones get
// what the plan says. Rows that no key tells apart cannot keep anything.
func (p *Plan) FollowAgain() {
	for i := range p.Tables {
		t := &p.Tables[i]
		if t.Feed != Copied || len(t.Key) == 0 {
			continue
		}
		for j := range t.Columns {
			if c := &t.Columns[j]; p.ownAfterSwap(t, c) {
				c.Volatile = true
			}
		}
	}
}

// ownAfterSwap: a column that the migrations add, and fill with the same for each row, is
// the shadow's own once clients have written to it. What they make of the old row is not:
// it changes when that does.
func (p *Plan) ownAfterSwap(t *Table, c *Column) bool {
	if t.Feed != Copied || len(t.Key) == 0 || c.Generated || c.Looks || t.keyed(c.Shadow) {
		return false
	}
	return c.Origin == FromDefault || c.Expression != "" && !p.readsOld(t, c)
}

// readsOld: the expression may read a column of the old row; in doubt it does.
func (p *Plan) readsOld(t *Table, c *Column) bool {
	words := append(reverse.Words(c.Expression), reverse.Words(c.Means)...)
	s := &p.Sources[t.Source]
	return slices.ContainsFunc(words, func(w string) bool {
		return w == s.Name.Name || slices.ContainsFunc(s.Columns, func(k SourceColumn) bool { return k.Name == w })
	})
}

func (t *Table) keyed(column string) bool {
	for _, k := range t.Key {
		if k.Shadow == column {
			return true
		}
	}
	return false
}

// ComesForth reports whether a table of the shadow equals what production makes of
// it after a rollback: its rows went back, all of them, so that there is nothing to
// copy when it is followed again. Rows that were derived or divided did not.
func (p *Plan) ComesForth(t *Table) bool {
	if t.Feed != Copied {
		return t.Feed != Derived
	}
	s := &p.Sources[t.Source]
	return s.Back != nil || p.feederOf(s) == t
}
