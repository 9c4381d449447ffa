package planner

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// A cast that loses is found by what it loses: production's rows go there and back in a
// query, all of them where the time is enough, page range by page range as
// [draft.probeConversions] reads them. The sample has told of some already; the row that
// loses may be the one that it lacks.
const (
	lossesTime = 5 * time.Second // all tables together
	leastLook  = 10 * time.Millisecond
)

// returningColumn is a column of the old table whose values may not come back as they are.
type returningColumn struct {
	column *plans.Column
	lost   int64  // rows
	key    string // of one of them
	// greatest is the number that is furthest from nought, as far as that was asked.
	greatest *int64
}

// probeLosses asks production. ACCESS SHARE on the tables, for lossesTime in all;
// production only is read.
func (m *draft) probeLosses(ctx context.Context) error {
	if !m.asksRows() || !m.plan.Reversible() {
		return nil
	}
	until := time.Now().Add(lossesTime)
	for c := range m.converted() {
		columns := mayLose(c.table)
		if len(columns) == 0 {
			continue
		}
		if err := c.lookHowFar(ctx, columns, until); err != nil {
			return err
		}
		made, err := c.columnsMade(ctx)
		if err != nil {
			return err
		}
		columns = slices.DeleteFunc(columns, func(r *returningColumn) bool { return c.survives(r, made) && c.tellSpared(r, "") })
		if err := c.countLosses(ctx, columns, until); err != nil {
			return err
		}
	}
	return nil
}

// mayLose are the columns of which the types, the sample or nobody but the plan file's
// author says whether they come back.
func mayLose(t *plans.Table) (all []*returningColumn) {
	for i := range t.Reverse {
		if c := &t.Reverse[i]; c.Expression != "" && !c.Generated && !c.Kept && (c.Loss != "" || c.Origin == plans.FromPlan) {
			all = append(all, &returningColumn{column: c})
		}
	}
	return all
}

// survives: each value of production's is one of the new type too, and is assigned back.
func (c *converting) survives(r *returningColumn, made []conversion) bool {
	name := plainReference(r.column.Expression)
	return c.values[name] != "" && !strings.Contains(r.column.Expression, "::") &&
		!slices.ContainsFunc(made, func(v conversion) bool { return slices.Contains(v.columns, name) })
}

// countLosses brings back what rows have, until the time is up, and tells.
func (c *converting) countLosses(ctx context.Context, columns []*returningColumn, until time.Time) error {
	columns, err := c.understood(ctx, columns)
	if err != nil || len(columns) == 0 {
		return err
	}
	ranges, err := c.ranges(ctx)
	if err != nil {
		return err
	}
	var seen int
	var rows int64
	for i := range ranges {
		limit := min(time.Until(until), rangeTime)
		if limit < leastLook {
			break
		}
		n, failed, err := c.bringBackRange(ctx, limit, columns, &ranges[spread(i, len(ranges))])
		if err != nil {
			return err
		}
		if failed == nil {
			seen++
			rows += n
		}
	}
	for _, r := range columns {
		c.tellLosses(r, rows, seen == len(ranges))
	}
	return nil
}

// differs is the condition under which a column's value does not come back, was being
// what production has. A number of a key is found however it is spelt.
func (c *converting) differs(column *plans.Column, was string) string {
	value := fmt.Sprintf("CAST((%s\n) AS %s)", column.Expression, column.Type)
	if c.plan.Sources[c.table.Source].Keyed(column.Shadow) && plans.SpeltAnyhow(column.Type) {
		return value + " OPERATOR(pg_catalog.<>) " + was
	}
	return "pg_catalog.record_image_ne(ROW(" + value + "), ROW(" + was + "))"
}

// understood leaves out what production cannot be asked, for want of a type or function.
func (c *converting) understood(ctx context.Context, columns []*returningColumn) (all []*returningColumn, err error) {
	for _, r := range columns {
		_, failed, err := c.bringBackRange(ctx, probeTime, []*returningColumn{r}, nil)
		if err != nil {
			return nil, err
		}
		if failed == nil {
			all = append(all, r)
		}
	}
	return all, nil
}

// bringBackRange sends the rows of a range there and back, and adds to each column how
// many come back otherwise. Returns how many rows there are. Nil range: no row.
func (c *converting) bringBackRange(ctx context.Context, limit time.Duration, columns []*returningColumn, r *pageRange) (rows int64, failed *pgconn.PgError, err error) {
	var count, first, was []string
	for i, r := range columns {
		name := fmt.Sprintf("pgumbra_was_%d", i)
		was = append(was, pg.Ident(c.table.Production.Name)+"."+pg.Ident(r.column.Shadow)+" AS "+name)
		differs := c.differs(r.column, name)
		count = append(count, "pg_catalog.count(*) FILTER (WHERE "+differs+")")
		first = append(first, "coalesce(pg_catalog.min(pgumbra_key) FILTER (WHERE "+differs+"), '')")
	}
	var made []string
	for name := range c.values {
		made = append(made, name)
	}
	slices.Sort(made)
	query := "SELECT pg_catalog.count(*), ARRAY[" + strings.Join(count, ", ") + "]::int8[], ARRAY[" + strings.Join(first, ", ") + "]::text[] FROM (" +
		c.rowsIn(made, r, was...) + ") AS " + pg.Ident(c.table.Final.Name)
	var lost []int64
	var keys []string
	if err := c.read(ctx, limit, query, &failed, &rows, &lost, &keys); err != nil || failed != nil {
		return 0, failed, err
	}
	for i, r := range columns {
		r.lost += lost[i]
		if r.key == "" {
			r.key = keys[i]
		}
	}
	return rows, nil, nil
}

// tellLosses makes of the finding by types, or by the sample, one by the rows.
func (c *converting) tellLosses(r *returningColumn, rows int64, all bool) {
	of := human.Plural(int(rows), "row")
	if r.lost == 0 {
		if all && rows > 0 {
			c.tellSpared(r, " ("+of+")")
		}
		return
	}
	if len(c.table.Reverse) == 0 { // another column of its key has told
		return
	}
	if !all {
		of += " that were looked at"
	}
	example := ", in the row with " + r.key + ", say"
	if c.plan.Sources[c.table.Source].Keyed(r.column.Shadow) {
		c.loseKey(c.table, r.column, human.Count(r.lost)+" of "+of, example)
		return
	}
	c.noteLoss(c.table, r.column.Shadow, func(column *plans.Column) {
		column.Loss, column.Held = fmt.Sprintf("%s of %s of production held when this was planned", human.Count(r.lost), of), true
	})
	told := comesBackOtherwise(human.Count(r.lost), of, r.column, example)
	switch f := c.toldOf(r); {
	case f == nil:
		c.find(plans.Finding{Level: c.lossLevel(), Code: "reverse-lossy", Object: c.object(r), Message: told, Fix: fixOfLossy(c.table)})
	case f.Sampled:
		f.Message = told
	default:
		f.Message += "; " + told
	}
}

func (c *converting) object(r *returningColumn) string {
	return c.table.Production.String() + "." + r.column.Shadow
}

// toldOf is what was said of a column by its types, or by the sample; nil: nothing.
func (c *converting) toldOf(r *returningColumn) *plans.Finding {
	i := slices.IndexFunc(c.plan.Findings, func(f plans.Finding) bool { return f.Code == "reverse-lossy" && f.Object == c.object(r) })
	if i < 0 {
		return nil
	}
	return &c.plan.Findings[i]
}

// tellSpared says of a column that may lose that no row of today does. Where the
// upgraded table has no value that the old one cannot take, there is no more to it.
func (c *converting) tellSpared(r *returningColumn, rows string) bool {
	f := c.toldOf(r)
	if f == nil || f.Sampled {
		return true
	}
	f.Message = "Each row of today comes back as it is" + rows + ". Values that " + r.column.Loss
	switch {
	case r.greatest != nil:
		c.tellHowFar(f, r)
	case !c.draftOf.onTheWayThere[r.column.Shadow]:
		f.Message += ", if some are written after the cutover, do not: the old column is " + human.OneLine(r.column.Type)
	case c.plan.Sources[c.table.Source].Keyed(r.column.Shadow):
		f.Message += ", if some are written before the cutover, would come back otherwise, and the column is of the key: the old side would not find their rows again"
	default:
		f.Message += ", if some are written before the cutover, would come back otherwise"
		f.Level = plans.Info
		c.noteLoss(c.table, r.column.Shadow, func(column *plans.Column) { column.Spared = true })
	}
	return true
}

// lastOf is the last number of each type that a wider one takes the place of.
var lastOf = map[string]int64{"smallint": math.MaxInt16, "integer": math.MaxInt32}

// lookHowFar asks for the greatest number of columns that became wider ones, for probeTime
// each at the most: a key that is near its end is upgraded because it will go past it.
func (c *converting) lookHowFar(ctx context.Context, columns []*returningColumn, until time.Time) error {
	for _, r := range columns {
		limit := min(time.Until(until), probeTime)
		if lastOf[r.column.Type] == 0 || r.column.Loss != "are beyond the range of "+r.column.Type || plainReference(r.column.Expression) == "" || limit < leastLook {
			continue
		}
		column := pg.Ident(r.column.Shadow) + "::bigint"
		query := "SELECT coalesce(greatest(max(" + column + "), -min(" + column + ")), 0) FROM " + c.table.Production.Quoted()
		var failed *pgconn.PgError
		var greatest int64
		if err := c.read(ctx, limit, query, &failed, &greatest); err != nil {
			return err
		}
		if failed == nil {
			r.greatest = &greatest
		}
	}
	return nil
}

// tellHowFar: numbers that the old type cannot hold are to come, if they come at all. While
// there is half of its range yet, that is to be known and nothing to be done.
func (c *converting) tellHowFar(f *plans.Finding, r *returningColumn) {
	last := lastOf[r.column.Type]
	f.Message += fmt.Sprintf(", if some are written after the cutover, do not: the old column is %s, whose last is %s, and the greatest of today is %s. pgumbra status names such rows as soon as they are written",
		r.column.Type, human.Count(last), human.Count(*r.greatest))
	if f.Level == plans.Warning && *r.greatest <= last/2 {
		f.Level = plans.Info
	}
}

// noteLoss notes what rows have told of a column, also of the way back that goes on
// behind the fence.
func (m *wayBack) noteLoss(t *plans.Table, column string, note func(*plans.Column)) {
	ways := [][]plans.Column{t.Reverse}
	if a := m.plan.AfterFence(t); a != nil {
		ways = append(ways, a.Reverse)
	}
	for _, way := range ways {
		for i := range way {
			if c := &way[i]; c.Shadow == column && c.Expression != "" && !c.Kept {
				note(c)
			}
		}
	}
}

// loseKey says of a table that rows of it are not found again by the key that comes
// back, so that replaying them would put a second row beside production's. None of
// the table goes back then.
func (m *wayBack) loseKey(t *plans.Table, column *plans.Column, rows, example string) {
	object := t.Production.String() + "." + column.Shadow
	m.plan.Findings = slices.DeleteFunc(m.plan.Findings, func(f plans.Finding) bool {
		return slices.Contains([]string{"reverse-lossy", "reverse-constraint"}, f.Code) && (f.Object == t.Production.String() || slices.ContainsFunc(t.Reverse, func(c plans.Column) bool {
			return f.Object == t.Production.String()+"."+c.Shadow
		}))
	})
	m.find(plans.Finding{Level: m.lossLevel(), Code: "not-reversible", Object: object,
		Message: fmt.Sprintf("on %s, the key that comes back by the expression %s is not production's%s: these rows are not found again there. So no row of the table goes back, and what is written to it after the cutover is lost in a rollback",
			rows, column.Meaning(), example),
		Fix: "write an expression that gives production's value exactly under tables: " + t.Production.String() + " reverse: {" + column.Shadow + ": …}, or nothing if there is no need to go back"})
	why := "the key " + column.Shadow + " does not come back as production has it"
	t.Reverse, t.Unfit, t.Refuses = nil, "", ""
	if a := m.plan.AfterFence(t); a != nil {
		a.Reverse, a.Why = nil, why
	}
}
