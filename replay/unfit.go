package replay

import (
	"fmt"
	"strings"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
)

// On the way back a new table may hold rows that the old one cannot: a number beyond
// the old type's range, a row that an old CHECK refuses. The table's filter leaves
// them out. So that nobody takes them for deleted, their keys are noted in the control
// schema in the batch that meets them, and the old rows of these keys are not
// replay's to write, delete or compare, until the new row fits again or is gone. Rows
// that the old table holds otherwise, rounded, say, are noted too, and go back.

// notes reports whether the table has rows noted.
func (f *applier) notes() bool { return len(f.t.Noted) > 0 && !f.onShadow }

// note renews what is noted of the touched keys. Before anything else of the batch.
func (f *applier) note(s scope) []statement {
	if !f.notes() {
		return nil
	}
	s.everyKey = true
	touched, named := f.touched(s), f.own+"_t"
	if f.respelt {
		named = f.own + "_e" // each spelling may have been noted
	}
	keys := list(len(f.src.Key), func(i int) string { return named + "." + f.k(i) + "::text" })
	return []statement{
		{"forget which rows do not fit", control.ForgetUnfit(f.run, f.t.N, touched, named, "ARRAY["+keys+"]"), s.args()},
		{"note which rows do not fit", touched + " " + f.noting(fmt.Sprintf(" JOIN %s_t ON %s", f.own, f.sameKey(f.alias(), f.own+"_t"))), s.args()},
	}
}

// noteAll renews what is noted of the whole table.
func (f *applier) noteAll() []statement {
	if !f.notes() {
		return nil
	}
	return []statement{
		{"forget which rows do not fit", control.ForgetUnfit(f.run, f.t.N, "", "", ""), nil},
		{"note which rows do not fit", f.noting(""), nil},
	}
}

func (f *applier) noting(join string) string {
	refused := "false"
	if f.t.Refuses != "" {
		refused = "(" + f.t.Refuses + "\n) IS NOT NULL"
	}
	key := list(len(f.src.Key), func(i int) string { return f.alias() + "." + pg.Ident(f.src.Key[i].Name) + "::text" })
	return control.NoteUnfit(f.run, f.t.N, "ARRAY["+key+"]", f.own+"_u.why", refused, fmt.Sprintf("%s AS %s%s CROSS JOIN LATERAL (SELECT %s\n AS why) AS %s_u WHERE %[5]s_u.why IS NOT NULL",
		f.production(), f.alias(), join, f.t.Unfit, f.own))
}

// unnoted adds to a condition over the shadow's rows s that they are not left out.
// Where nothing is noted, which is asked once, that costs a row nothing.
func (f *applier) unnoted(condition string) string {
	if !f.notes() {
		return condition
	}
	noted := control.LeftOut(f.run, f.t.N)
	own := fmt.Sprintf("(NOT EXISTS (%s) OR EXISTS (SELECT FROM (SELECT s.*) AS %s WHERE ARRAY[%s] <> ALL (%[1]s)))", noted, pg.Ident(f.t.Final.Name), strings.Join(f.t.Noted, ", "))
	if condition == "" {
		return own
	}
	return condition + " AND " + own
}

// held leaves out keys that the shadow's columns cannot hold: none of them is there,
// and casting one would fail the batch.
func (f *applier) held(s scope, key func(int) string) string {
	if s.everyKey {
		return ""
	}
	var all strings.Builder
	for i, k := range f.src.Key {
		if p, ok := f.pair(k.Name); ok && p.Refused != "" && f.notes() {
			all.WriteString(" AND (" + strings.ReplaceAll(p.Refused, "{}", "("+key(i)+")") + ") IS NOT TRUE")
		}
	}
	return all.String()
}
