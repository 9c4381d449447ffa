package replay

import (
	"fmt"
	"slices"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// applyKeyed brings the touched keys of a table to production's state.
func (f *applier) applyKeyed(s scope) []statement {
	todo := f.note(s)
	switch {
	case f.upserts():
		return append(todo, f.deleteGone(s), f.upsert(s))
	case f.keeps():
		return append(todo, f.keep(s), f.deleteTouched(s), f.insertKept(s), f.insertNew(s), f.forget())
	}
	return append(todo, f.deleteTouched(s), f.insert(s))
}

// upserts reports whether rows are written over those of their keys. Where keys are
// respelt none is: nothing tells that the one of before is gone.
func (f *applier) upserts() bool { return f.t.Upsert && !f.respelt }

// deleteGone deletes the keys that production does not have any more, or that
// the filter leaves out now.
func (f *applier) deleteGone(s scope) statement {
	return statement{"delete the rows that are gone", fmt.Sprintf("%s DELETE FROM %s AS s USING %s WHERE %s",
		f.withGone(s), f.shadow(), f.shadowKeys(f.own+"_gone"), f.unnoted(f.sameShadowKey("s", f.own+"_g"))), s.args()}
}

// withGone begins a statement like touched, and names those that are gone.
func (f *applier) withGone(s scope) string {
	if f.onShadow {
		return ""
	}
	return fmt.Sprintf("%s, %s_gone AS (%s)", f.touched(s), f.own, f.gone(s))
}

func (f *applier) gone(s scope) string {
	keys := list(len(f.src.Key), func(i int) string { return f.own + "_t." + f.k(i) })
	again := fmt.Sprintf("SELECT %s FROM %s_t WHERE ", keys, f.own)
	absent := fmt.Sprintf("NOT EXISTS (SELECT FROM %s AS %s WHERE %s)",
		f.production(), f.alias(), f.and(f.sameKey(f.alias(), f.own+"_t")))
	if f.rereads(s) {
		return again + absent
	}
	filtered := ""
	if f.t.Where != "" {
		filtered = fmt.Sprintf(" OR NOT EXISTS (SELECT FROM pg_catalog.unnest(ARRAY[%[1]s_j.img]) AS %[2]s WHERE (%[3]s\n))",
			f.own, f.alias(), f.t.Where)
	}
	return fmt.Sprintf("SELECT %[2]s FROM %[1]s_t JOIN %[3]s AS %[1]s_j ON %[7]s"+
		" WHERE NOT %[1]s_t.again AND (%[1]s_j.op = 'd'%[4]s) UNION ALL %[5]s%[1]s_t.again AND %[6]s",
		f.own, keys, f.journal.Name().Quoted(), filtered, again, absent, f.isLast(f.own+"_j"))
}

// upsert writes the rows that are there, key columns included: an equal key
// may now be spelt differently. Volatile columns of rows that were there stay.
func (f *applier) upsert(s scope) statement {
	columns := names(f.written())
	pairs := f.pairs()
	return statement{"upsert", fmt.Sprintf("%s %s ON CONFLICT (%s) DO UPDATE SET %s", f.touched(s), f.inserting(f.fresh(), f.current(s), ""),
		list(len(pairs), func(i int) string { return pg.Ident(pairs[i].Shadow) }),
		list(len(columns), func(i int) string {
			c := pg.Ident(columns[i])
			return c + " = EXCLUDED." + c
		})), s.args()}
}

// inserting is INSERT … SELECT of transforms over a row set; their values are
// cast by assignment, as in the copy.
func (f *applier) inserting(columns []plans.Column, from, condition string) string {
	into := f.t.Shadow.Quoted()
	if len(columns) > 0 { // a table may have no columns, and rows all the same
		into += " (" + pg.Idents(names(columns)) + ")"
	}
	return fmt.Sprintf("INSERT INTO %s OVERRIDING SYSTEM VALUE SELECT %s\nFROM %s%s", into, values(columns), from, where(f.and(condition)))
}

// deleteTouched deletes every touched key, so that rows may swap values of
// other unique columns.
func (f *applier) deleteTouched(s scope) statement {
	return statement{"delete the touched rows", fmt.Sprintf("%s DELETE FROM %s AS s USING %s WHERE %s",
		f.touched(s), f.shadow(), f.touchedShadowKeys(), f.unnoted(f.sameShadowKey("s", f.own+"_g"))), s.args()}
}

func (f *applier) insert(s scope) statement {
	return statement{"insert", f.touched(s) + " " + f.inserting(f.written(), f.current(s), ""), s.args()}
}

// keep notes the volatile values of the touched rows before they are deleted.
func (f *applier) keep(s scope) statement {
	return statement{"keep volatile values", fmt.Sprintf("%s %s %s JOIN %s ON %s", f.createKept(), f.touched(s), f.selectKept(),
		f.touchedShadowKeys(), f.sameShadowKey("s", f.own+"_g")), s.args()}
}

// keeps reports whether values of the shadow's own outlive the rows that hold
// them: there are some, and a key to find them by.
func (f *applier) keeps() bool { return len(f.volatile()) > 0 && len(f.pairs()) > 0 }

func (f *applier) kept() string { return "pg_temp." + f.own + "_kept" }

func (f *applier) createKept() string {
	return fmt.Sprintf("CREATE TEMPORARY TABLE %s_kept ON COMMIT DROP AS", f.own)
}

func (f *applier) forget() statement {
	return statement{"forget volatile values", "DROP TABLE " + f.kept(), nil}
}

func (f *applier) selectKept() string {
	pairs, volatile := f.pairs(), f.volatile()
	return fmt.Sprintf("SELECT %s, %s FROM %s AS s",
		list(len(pairs), func(i int) string { return "s." + pg.Ident(pairs[i].Shadow) + " AS " + f.k(i) }),
		list(len(volatile), func(i int) string { return "s." + pg.Ident(volatile[i].Shadow) + " AS " + f.v(i) }),
		f.shadow())
}

// isKept compares the key of the row in sight with the kept ones.
func (f *applier) isKept() string {
	pairs := f.pairs()
	return both(len(pairs), func(i int) string {
		return fmt.Sprintf("%s_kept.%s %s %s", f.own, f.k(i), pairs[i].Equals, f.keyValue(i))
	})
}

// insertKept inserts the rows whose volatile values were kept; insertNew the
// others, for which the shadow makes them.
func (f *applier) insertKept(s scope) statement {
	return statement{"insert", f.touched(s) + " " + f.insertingKept(f.current(s)), s.args()}
}

func (f *applier) insertNew(s scope) statement {
	return statement{"insert", f.touched(s) + " " + f.inserting(f.fresh(), f.current(s), f.notKept()), s.args()}
}

func (f *applier) insertingKept(from string) string {
	volatile := f.volatile()
	columns := append(f.written(), volatile...)
	for i := range volatile {
		columns[len(columns)-len(volatile)+i].Expression = f.own + "_kept." + f.v(i)
	}
	return f.inserting(columns, fmt.Sprintf("%s JOIN %s ON %s", from, f.kept(), f.isKept()), "")
}

func (f *applier) notKept() string {
	return fmt.Sprintf("NOT EXISTS (SELECT FROM %s WHERE %s)", f.kept(), f.isKept())
}

// deleteAbsent deletes what production does not have any more, whole table
// against whole table: after the TRUNCATE of one partition.
func (f *applier) deleteAbsent() statement {
	return statement{"delete the rows of a truncated partition", fmt.Sprintf(
		"DELETE FROM %s AS s WHERE %s", f.shadow(), f.ofOwn(
			fmt.Sprintf("NOT EXISTS (SELECT FROM %s WHERE %s)", f.keysWithin(group{}), f.sameShadowKey("s", f.own+"_g")))), nil}
}

// keysWithin are the shadow's keys of production's rows of a group. It stands after
// FROM.
func (f *applier) keysWithin(g group) string {
	if f.onShadow {
		return f.receivedSet("keys", f.keyTypes(f.k)) + " AS " + f.own + "_g"
	}
	return fmt.Sprintf("(%s) AS %s_g", f.selectKeys(g), f.own)
}

func (f *applier) selectKeys(g group) string {
	return fmt.Sprintf("SELECT %s FROM %s%s",
		list(len(f.pairs()), func(i int) string { return f.keyValue(i) + " AS " + f.k(i) }), f.whole(), where(f.and(f.withinIfRanged(g))))
}

// rebuild makes the table anew from production at the transaction's snapshot:
// after a TRUNCATE, when entries say nothing about order within a transaction
// that needs no trust in the order of triggers. It deletes rather than
// truncates: readers of the shadow keep what their snapshot shows.
func (f *applier) rebuild() []statement {
	const fill = "fill the table again"
	empty := []statement{{"empty the table", fmt.Sprintf("DELETE FROM %s AS s%s", f.shadow(), where(f.ofOwn(""))), nil}}
	if f.t.Own != "" {
		empty = append(empty, statement{"delete the rows that are taken", fmt.Sprintf("DELETE FROM %s AS s WHERE %s", f.shadow(), f.unnoted(f.isTaken(group{}))), nil})
	}
	if !f.keeps() {
		return slices.Concat(f.noteAll(), empty, f.fill(fill))
	}
	keep := statement{"keep volatile values", f.createKept() + " " + f.selectKept(), nil}
	return append(slices.Concat(f.noteAll(), []statement{keep}, empty, f.fill(fill)), f.forget())
}

// fill inserts all of production's rows, or all that were staged.
func (f *applier) fill(what string) []statement {
	if !f.keeps() {
		return []statement{{what, f.inserting(f.fresh(), f.whole(), ""), nil}}
	}
	return []statement{
		{what, f.insertingKept(f.whole()), nil},
		{what, f.inserting(f.fresh(), f.whole(), f.notKept()), nil},
	}
}
