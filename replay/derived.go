package replay

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// lateralLimit is up to how many touched values the query behind a derived
// table is run once for each: then they reach into its GROUP BY. Above it one
// pass over the sources is cheaper than so many without an index.
const lateralLimit = 100

// reach is what unread entries of one watch come to.
type reach struct {
	values int64
	nulls  bool
}

// reached are the distinct values of a watch, named after it.
func (f *applier) reached(s scope, w int) string {
	if f.onShadow {
		return fmt.Sprintf("%s AS (SELECT * FROM %s AS w)", f.reachedName(w), f.receivedSet(reachedSet(w), f.reachedTypes(w)))
	}
	columns := f.watches[w].columns
	return fmt.Sprintf("%s AS (SELECT DISTINCT %s FROM %s AS j WHERE %s AND j.op <> 't')", f.reachedName(w),
		list(len(columns), func(i int) string {
			c := columns[i]
			expr := "j." + c.entry
			if c.cast != "" {
				expr = fmt.Sprintf("(%s)::%s", expr, c.cast)
			}
			return collate(expr, f.collations[c.shadow]) + " AS " + f.k(i)
		}), f.watches[w].journal.Name().Quoted(), unread("j", s))
}

func (f *applier) reachedName(w int) string { return fmt.Sprintf("%s_w%d", f.own, w) }

func (f *applier) countReached(s scope, w int) statement {
	columns := f.watches[w].columns
	return statement{"count the values that were touched", fmt.Sprintf("WITH %s SELECT count(*), COALESCE(bool_or(%s), false) FROM %s",
		f.reached(s, w), joined(len(columns), " OR ", func(i int) string { return f.k(i) + " IS NULL" }), f.reachedName(w)), s.args()}
}

// matches compares a row of the derived table, or of its query, with the
// touched values. NULL reaches NULL, which no index serves: only where a value
// is NULL.
func (f *applier) matches(w int, rc reach, shadow func(column string) string) string {
	columns := f.watches[w].columns
	return both(len(columns), func(i int) string {
		c := columns[i]
		left, right := shadow(c.shadow), collate(f.reachedName(w)+"."+f.k(i), f.collations[c.shadow])
		equal := fmt.Sprintf("%s %s %s", left, c.equals, right)
		if rc.nulls {
			return fmt.Sprintf("(%s OR %s IS NULL AND %s IS NULL)", equal, left, right)
		}
		return equal
	})
}

func shadowColumn(column string) string { return "s." + pg.Ident(column) }

// queried is a column of the derived table as an expression over its query.
func (f *applier) queried(column string) string {
	c, _ := f.column(column)
	return "(" + c.Expression + "\n)"
}

// deleteReached deletes the rows that the touched values reach.
func (f *applier) deleteReached(s scope, w int, rc reach) statement {
	return statement{"delete the touched rows", fmt.Sprintf("WITH %s DELETE FROM %s AS s USING %s WHERE %s",
		f.reached(s, w), f.shadow(), f.reachedName(w), f.matches(w, rc, shadowColumn)), s.args()}
}

// keepReached notes the volatile values of all rows that will be deleted.
func (f *applier) keepReached(s scope, rcs []reach) statement {
	var ctes, hits []string
	for w := range f.watches {
		ctes = append(ctes, f.reached(s, w))
		hits = append(hits, fmt.Sprintf("EXISTS (SELECT FROM %s WHERE %s)", f.reachedName(w), f.matches(w, rcs[w], shadowColumn)))
	}
	return statement{"keep volatile values", fmt.Sprintf("%s WITH %s %s WHERE %s", f.createKept(),
		strings.Join(ctes, ", "), f.selectKept(), strings.Join(hits, " OR ")), s.args()}
}

// insertReached inserts what the query holds for the touched values of watch
// w, without what an earlier watch inserted.
func (f *applier) insertReached(s scope, w int, rcs []reach) []statement {
	with, condition := f.withReached(s, w, rcs)
	from := f.reachedRows(w, rcs[w])
	if !f.keeps() {
		return []statement{{"insert", with + f.inserting(f.written(), from, condition), s.args()}}
	}
	fresh := f.notKept()
	if condition != "" {
		fresh = condition + " AND " + fresh
	}
	return []statement{
		{"insert", with + f.insertingKept(from) + where(condition), s.args()},
		{"insert", with + f.inserting(f.written(), from, fresh), s.args()},
	}
}

// withReached begins a statement about the rows of watch w, with the condition
// that no earlier watch reaches them too.
func (f *applier) withReached(s scope, w int, rcs []reach) (with, condition string) {
	ctes := []string{f.reached(s, w)}
	for earlier := range w {
		ctes = append(ctes, f.reached(s, earlier))
		condition = strings.TrimPrefix(condition+fmt.Sprintf(" AND NOT EXISTS (SELECT FROM %s WHERE %s)",
			f.reachedName(earlier), f.matches(earlier, rcs[earlier], f.queried)), " AND ")
	}
	return "WITH " + strings.Join(ctes, ", ") + " ", condition
}

// insertsReached are the inserts of all watches.
func (f *applier) insertsReached(s scope, rcs []reach) []statement {
	if !slices.ContainsFunc(rcs, func(rc reach) bool { return rc.values > 0 }) {
		return nil
	}
	if f.onShadow { // all of them were staged in one table
		return f.fill("insert")
	}
	var todo []statement
	for w := range f.watches {
		if rcs[w].values > 0 {
			todo = append(todo, f.insertReached(s, w, rcs)...)
		}
	}
	return todo
}

// reachedRows are the query's rows for the touched values. OFFSET 0 keeps the
// planner from turning the few-values form into a join.
func (f *applier) reachedRows(w int, rc reach) string {
	condition := f.matches(w, rc, f.queried)
	if rc.values <= lateralLimit && !rc.nulls {
		return fmt.Sprintf("%s CROSS JOIN LATERAL (SELECT %[3]s.* FROM %[2]s WHERE %[4]s OFFSET 0) AS %[3]s",
			f.reachedName(w), f.whole(), f.alias(), condition)
	}
	return fmt.Sprintf("(SELECT %[2]s.* FROM %[1]s WHERE EXISTS (SELECT FROM %[3]s WHERE %[4]s)) AS %[2]s",
		f.whole(), f.alias(), f.reachedName(w), condition)
}

// applyDerived refreshes the rows that touched values reach: all of them are
// deleted before any is inserted.
func (f *applier) applyDerived(ctx context.Context, e ends, s scope) error {
	rcs, err := f.reaches(ctx, e, s)
	if err != nil {
		return err
	}
	sets := f.reachedSets(s, rcs)
	if err := f.stage(ctx, e, anyWay, sets...); err != nil {
		return err
	}
	w, s := f.writer(e), s.on(e)
	var todo []statement
	if w.keeps() {
		todo = append(todo, w.keepReached(s, rcs))
	}
	for i := range w.watches {
		todo = append(todo, w.deleteReached(s, i, rcs[i]))
	}
	todo = append(todo, w.insertsReached(s, rcs)...)
	if w.keeps() {
		todo = append(todo, w.forget())
	}
	return f.finish(ctx, e, anyWay, todo, sets...)
}

// reaches are what unread entries come to, by watch.
func (f *applier) reaches(ctx context.Context, e ends, s scope) ([]reach, error) {
	rcs := make([]reach, len(f.watches))
	for i := range f.watches {
		count := f.countReached(s, i)
		if err := e.production.QueryRow(ctx, count.sql, count.args...).Scan(&rcs[i].values, &rcs[i].nulls); err != nil {
			return nil, f.refused(count, err)
		}
	}
	return rcs, nil
}
