package plans

import (
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
	read := p.readBack(t)
	for i := range t.Columns {
		switch c := &t.Columns[i]; {
		case c.Generated || t.keyed(c.Shadow) || read[c.Shadow]:
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

// readBack are the names in what old columns are made of: in the table's way back, and in
// queries that give old rows.
func (p *Plan) readBack(t *Table) map[string]bool {
	read := map[string]bool{}
	in := func(sql string) {
		for _, name := range reverse.Words(sql) {
			read[name] = true
		}
	}
	for _, c := range t.Reverse {
		in(c.Expression)
		in(c.Means)
	}
	for i := range p.Sources {
		if back := p.Sources[i].Back; back != nil {
			in(back.From)
			for _, c := range back.Columns {
				in(c.Expression)
			}
		}
	}
	return read
}
