package replay

import (
	"fmt"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
)

// Of a table without a key a row that the old side cannot hold as it is, rounded, say,
// goes back so, and is noted by its content: once, however many of its like there are.
// When one is deleted or changed the new table is asked whether another is left. What
// the old side refuses stops the table.

// notesContent reports whether the table has rows noted by their content.
func (f *applier) notesContent() bool { return f.kind() == keyless && f.t.Unfit != "" }

// noteContent renews what is noted of the rows that entries hold.
func (f *applier) noteContent(s scope) []statement {
	switch {
	case !f.notesContent():
		return nil
	case f.onShadow:
		return f.noteStaged()
	}
	with := f.withMisfits(s)
	return []statement{
		{forgetUnfit, control.ForgetUnfit(f.run, f.t.N, with, f.own+"_x", "ARRAY["+f.own+"_x.content]"), s.args()},
		{noteUnfit, with + " " + f.noting(f.leftMisfits()), s.args()},
	}
}

// contentSets is what noteContent needs to know.
func (f *applier) contentSets(s scope) []set {
	if !f.notesContent() {
		return nil
	}
	return []set{{unfitSet, unfitTypes(), fmt.Sprintf("%s SELECT ARRAY[%s_x.content] AS key, NULL AS why, NULL AS left_out FROM %[2]s_x UNION ALL %s",
		f.withMisfits(s.inlined()), f.own, f.leftMisfits().selecting())}}
}

// withMisfits begins a statement with the rows that entries hold and that do not fit,
// and whether one of them was deleted.
func (f *applier) withMisfits(s scope) string {
	return fmt.Sprintf("WITH %[1]s_x AS (SELECT content, why, bool_or(op = 'd') AS gone FROM"+
		" (SELECT %[2]s AS content, %[1]s_u.why, j.op FROM %[3]s AS j CROSS JOIN LATERAL pg_catalog.unnest(ARRAY[j.img]) AS %[4]s CROSS JOIN LATERAL (SELECT %[5]s\n AS why) AS %[1]s_u"+
		" WHERE %[6]s AND j.op IN ('i', 'u', 'd') AND %[1]s_u.why IS NOT NULL) AS %[1]s_i GROUP BY content, why)",
		f.own, f.content(), f.journal.Name().Quoted(), f.alias(), f.t.Unfit, unread("j", s))
}

// leftMisfits are those of them that the table holds. It stands after withMisfits.
func (f *applier) leftMisfits() misfits {
	x := f.own + "_x"
	return misfits{"ARRAY[" + x + ".content]", x + ".why", "false", fmt.Sprintf("%s WHERE NOT %[1]s.gone OR EXISTS (SELECT FROM %s AS %s WHERE %s = %[1]s.content)",
		x, f.production(), f.alias(), f.content())}
}

// contentMisfits are all rows of the table that do not fit.
func (f *applier) contentMisfits() misfits {
	x := f.own + "_x"
	return misfits{"ARRAY[" + x + ".content]", x + ".why", "false", fmt.Sprintf("(SELECT DISTINCT %s AS content, %s_u.why FROM %s AS %s CROSS JOIN LATERAL (SELECT %s\n AS why) AS %[2]s_u WHERE %[2]s_u.why IS NOT NULL) AS %[6]s",
		f.content(), f.own, f.production(), f.alias(), f.t.Unfit, x)}
}

// content is the row in sight as it is noted. Notes have an index, which takes no long
// values.
func (f *applier) content() string {
	row := fmt.Sprintf("ROW(%s)::text", list(len(f.src.Columns), func(i int) string { return f.alias() + "." + pg.Ident(f.src.Columns[i].Name) }))
	return fmt.Sprintf("(CASE WHEN pg_catalog.length(%s) <= 500 THEN %[1]s ELSE pg_catalog.left(%[1]s, 450) || '... ' || pg_catalog.md5(%[1]s) END COLLATE \"C\")", row)
}
