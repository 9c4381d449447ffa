package replay

import (
	"context"
	"fmt"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// Rows of a table without a key are told apart by their content: the text of
// all columns that replay writes. Explicit casts shorten what is too long for
// varchar(n) where assignment refuses it; such a value never gets here, since
// the INSERT of it failed first.

// image is the text of a production row after its transforms.
func (f *applier) image() string {
	columns := f.compared()
	return fmt.Sprintf("(ROW(%s)::text COLLATE \"C\")", list(len(columns), func(i int) string { return typed(columns[i]) }))
}

// typed is a column's value of a production row, as proofs see it.
func typed(c plans.Column) string {
	if c.AsText {
		return fmt.Sprintf("(%s\n)::text", c.Expression)
	}
	return alike(c, fmt.Sprintf("(%s\n)::%s", c.Expression, c.Type))
}

// alike is a value without what makes no difference to the key that it belongs to.
func alike(c plans.Column, value string) string {
	if c.Alike {
		return "pg_catalog.trim_scale(" + value + ")"
	}
	return value
}

// shadowImage is the same text of a shadow row.
func (f *applier) shadowImage(row string) string {
	columns := f.compared()
	return fmt.Sprintf("(ROW(%s)::text COLLATE \"C\")", list(len(columns), func(i int) string { return row + "." + pg.Ident(columns[i].Shadow) }))
}

// applyKeyless adds and removes as many copies of each row as the unread
// entries come to.
func (f *applier) applyKeyless(ctx context.Context, e ends, s scope) error {
	sets := append(f.contentSets(s), f.netSet(s), f.copiesSet(s))
	if err := f.stage(ctx, e, anyWay, sets...); err != nil {
		return err
	}
	w, s := f.writer(e), s.on(e)
	remove := w.removeCopies(s)
	var removed, expected int64
	if err := e.shadow.QueryRow(ctx, remove.sql, remove.args...).Scan(&removed, &expected); err != nil {
		return f.refused(remove, err)
	}
	if removed != expected {
		return &Conflict{Table: f.t.Shadow, Action: remove.what, Statement: remove.sql,
			Message: fmt.Sprintf("%d rows that production deleted, of %d, are not in the shadow", expected-removed, expected)}
	}
	return f.finish(ctx, e, anyWay, append(w.noteContent(s), w.addCopies(s)), sets...)
}

// entryName names one entry of a keyless journal; its number alone does not.
const entryName = `(j.seq::text || ' ' || j.xid::text COLLATE "C")`

// net begins a statement with each row image, how many copies of it there are
// more than before, and one entry that holds it.
func (f *applier) net(s scope) string {
	if f.onShadow {
		return fmt.Sprintf("WITH %s_n AS (TABLE %s)", f.own, f.staged("net"))
	}
	return fmt.Sprintf("WITH %[1]s_i AS (SELECT %[7]s AS entry, j.op, (SELECT %[2]s FROM pg_catalog.unnest(ARRAY[j.img]) AS %[3]s%[4]s) AS image"+
		" FROM %[5]s AS j WHERE %[6]s AND j.op IN ('i', 'u', 'd')),"+
		" %[1]s_n AS (SELECT image, max(entry) AS one, sum(CASE j.op WHEN 'd' THEN -1 ELSE 1 END) AS n FROM %[1]s_i AS j"+
		" WHERE image IS NOT NULL GROUP BY image)",
		f.own, f.image(), f.alias(), where(f.and("")), f.journal.Name().Quoted(), unread("j", s), entryName)
}

// removeCopies answers how many rows it deleted, and how many there should have
// been: fewer means that the shadow was not what its position says.
func (f *applier) removeCopies(s scope) statement {
	return statement{"remove rows without a key", fmt.Sprintf("%[2]s, %[1]s_c AS (SELECT s.tableoid, s.ctid, n.n,"+
		" row_number() OVER (PARTITION BY n.image) AS i FROM %[3]s AS s JOIN %[1]s_n AS n ON n.image = %[4]s WHERE n.n < 0),"+
		" %[1]s_d AS (DELETE FROM %[3]s AS s USING %[1]s_c AS c WHERE s.tableoid = c.tableoid AND s.ctid = c.ctid AND c.i <= -c.n RETURNING 1)"+
		" SELECT (SELECT count(*) FROM %[1]s_d), (SELECT COALESCE(sum(-n), 0)::bigint FROM %[1]s_n WHERE n < 0)",
		f.own, f.net(s), f.shadow(), f.shadowImage("s")), s.args()}
}

func (f *applier) addCopies(s scope) statement {
	return statement{"add rows without a key", f.net(s) + " " + f.inserting(f.fresh(), f.copies(), ""), s.args()}
}

// copies are the rows to add, each as often as it is to be added.
func (f *applier) copies() string {
	if f.onShadow {
		return f.stagedRows()
	}
	return f.unpack(fmt.Sprintf("SELECT j.img AS %[1]s_row FROM %[1]s_n JOIN %[2]s AS j ON %[3]s = %[1]s_n.one"+
		" CROSS JOIN pg_catalog.generate_series(1, %[1]s_n.n::bigint) WHERE %[1]s_n.n > 0", f.own, f.journal.Name().Quoted(), entryName))
}
