package plans

import (
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/plans/reverse"
)

// LeftBehind tells, a line each, what clients may write to the new side and the old one
// has no place for: tables whose rows do not go back, columns that no old column is made
// of. A rollback leaves it on the new side, and what a line says becomes of it where
// that is followed again.
func (p *Plan) LeftBehind() (all []string) {
	final := p.afterFence()
	for i := range final.Tables {
		t := &final.Tables[i]
		switch name := t.Final.String(); {
		case t.Feed == Version:
		case t.Feed == Skipped || t.Feed == Carried:
			all = append(all, name+": its rows do not go back; a rollback leaves what is written to it on the new side, and --follow keeps it there")
		case !p.ComesForth(&p.Tables[i]):
			all = append(all, name+": its rows do not go back; what is written to it is lost in a rollback, with --follow too, which makes them anew of production's")
		default:
			all = append(all, p.columnsLeftBehind(&p.Tables[i], name)...)
		}
	}
	return all
}

// columnsLeftBehind are those of a table whose rows go back.
func (p *Plan) columnsLeftBehind(t *Table, name string) (all []string) {
	var kept, anew []string
	for i := range t.Columns {
		switch c := &t.Columns[i]; {
		case c.Generated || p.goesBack(t, c.Shadow):
		case c.Volatile || p.ownAfterSwap(t, c):
			kept = append(kept, c.Shadow)
		default:
			anew = append(anew, c.Shadow)
		}
	}
	if len(kept) > 0 {
		all = append(all, name+": no old column holds "+strings.Join(kept, ", ")+"; a rollback leaves what is written there on the new side, and --follow keeps it")
	}
	if len(anew) > 0 {
		all = append(all, name+": no old column is made of "+strings.Join(anew, ", ")+"; what is written there is lost in a rollback, with --follow too, which makes it anew of the old row")
	}
	return all
}

// goesBack: some old column is made of this one, in the table's way back or in a query
// that gives old rows.
func (p *Plan) goesBack(t *Table, column string) bool {
	reads := func(sql string) bool { return slices.Contains(reverse.Words(sql), column) }
	if t.keyed(column) || slices.ContainsFunc(t.Reverse, func(c Column) bool { return reads(c.Expression) || reads(c.Means) }) {
		return true
	}
	return slices.ContainsFunc(p.Sources, func(s Source) bool {
		return s.Back != nil && (reads(s.Back.From) || slices.ContainsFunc(s.Back.Columns, func(c Column) bool { return reads(c.Expression) }))
	})
}
