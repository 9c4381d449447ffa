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
//
// The condition is asked where the new rows are. Apart, what it answers of the batch's
// keys is staged like rows, and noted beside the old ones, where the record is.

// notes reports whether the table has rows noted.
func (f *applier) notes() bool { return len(f.t.Noted) > 0 }

// note renews what is noted of the touched keys. Before anything else of the batch.
func (f *applier) note(s scope) []statement {
	if !f.notes() {
		return nil
	}
	if f.onShadow {
		return f.noteStaged()
	}
	s.everyKey = true
	return []statement{
		{forgetUnfit, control.ForgetUnfit(f.run, f.t.N, f.touched(s), f.touchedNames(), f.touchedKey()), s.args()},
		{noteUnfit, f.touched(s) + " " + f.noting(f.touchedMisfits()), s.args()},
	}
}

// noteStaged notes what was found out on another server.
func (f *applier) noteStaged() []statement {
	staged := f.staged(unfitSet)
	return []statement{
		{forgetUnfit, control.ForgetUnfit(f.run, f.t.N, "", staged+" AS g", "g.key"), nil},
		{noteUnfit, f.noting(stagedMisfits(staged)), nil},
	}
}

// What statements on notes do, for errors.
const (
	forgetUnfit = "forget which rows do not fit"
	noteUnfit   = "note which rows do not fit"
)

// unfitSet is what note and noteAll read on another server: each touched key, and once
// more with the reason if its row does not fit.
const unfitSet = "unfit"

// touchedNames are the touched keys as they may have been noted: in each spelling.
func (f *applier) touchedNames() string {
	if f.respelt {
		return f.own + "_e"
	}
	return f.own + "_t"
}

// touchedKey is one of them as notes have it.
func (f *applier) touchedKey() string {
	return "ARRAY[" + list(len(f.src.Key), func(i int) string { return f.touchedNames() + "." + f.k(i) + "::text" }) + "]"
}

// unfitSets is what note needs to know.
func (f *applier) unfitSets(s scope) []set {
	if !f.notes() {
		return nil
	}
	s.everyKey = true
	return []set{{unfitSet, unfitTypes(), fmt.Sprintf("%s SELECT %s AS key, NULL AS why, NULL AS left_out FROM %s UNION ALL %s",
		f.touched(s.inlined()), f.touchedKey(), f.touchedNames(), f.touchedMisfits().selecting())}}
}

// allUnfitSets is what noteAll needs to know.
func (f *applier) allUnfitSets() []set {
	if !f.notes() && !f.notesContent() {
		return nil
	}
	return []set{{unfitSet, unfitTypes(), f.allMisfits().selecting()}}
}

func unfitTypes() []pg.ColumnType {
	return []pg.ColumnType{builtIn("key", "text[]"), textColumn("why"), builtIn("left_out", "boolean")}
}

// noteAll renews what is noted of the whole table.
func (f *applier) noteAll() []statement {
	if !f.notes() && !f.notesContent() {
		return nil
	}
	return []statement{
		{forgetUnfit, control.ForgetUnfit(f.run, f.t.N, "", "", ""), nil},
		{noteUnfit, f.noting(f.allMisfits()), nil},
	}
}

func (f *applier) allMisfits() misfits {
	switch {
	case f.onShadow:
		return stagedMisfits(f.staged(unfitSet))
	case f.notesContent():
		return f.contentMisfits()
	}
	return f.misfits("")
}

// misfits is a query of rows that do not fit: the parts of what it selects, and what
// stands after FROM.
type misfits struct{ key, why, leftOut, from string }

func (m misfits) selecting() string {
	return fmt.Sprintf("SELECT %s AS key, %s AS why, %s AS left_out FROM %s", m.key, m.why, m.leftOut, m.from)
}

func stagedMisfits(staged string) misfits {
	return misfits{"g.key", "g.why", "g.left_out", staged + " AS g WHERE g.why IS NOT NULL"}
}

func (f *applier) noting(m misfits) string {
	return control.NoteUnfit(f.run, f.t.N, m.key, m.why, m.leftOut, m.from)
}

// touchedMisfits stands after touched.
func (f *applier) touchedMisfits() misfits {
	return f.misfits(fmt.Sprintf(" JOIN %s_t ON %s", f.own, f.sameKey(f.alias(), f.own+"_t")))
}

func (f *applier) misfits(join string) misfits {
	refused := "false"
	if f.t.Refuses != "" {
		refused = "(" + f.t.Refuses + "\n) IS NOT NULL"
	}
	key := list(len(f.src.Key), func(i int) string { return f.alias() + "." + pg.Ident(f.src.Key[i].Name) + "::text" })
	return misfits{"ARRAY[" + key + "]", f.own + "_u.why", refused, fmt.Sprintf("%s AS %s%s CROSS JOIN LATERAL (SELECT %s\n AS why) AS %s_u WHERE %[5]s_u.why IS NOT NULL",
		f.production(), f.alias(), join, f.t.Unfit, f.own)}
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
	for _, refused := range f.refusesKey(key) {
		all.WriteString(" AND (" + refused + ") IS NOT TRUE")
	}
	return all.String()
}

// refusesKey are the conditions by which the shadow's columns cannot hold a key.
func (f *applier) refusesKey(key func(int) string) (all []string) {
	for i, k := range f.src.Key {
		if p, ok := f.pair(k.Name); ok && p.Refused != "" && f.notes() {
			all = append(all, strings.ReplaceAll(p.Refused, "{}", "("+key(i)+")"))
		}
	}
	return all
}
