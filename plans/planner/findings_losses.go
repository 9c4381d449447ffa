package planner

import (
	"context"
	"fmt"
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
		made, err := c.columnsMade(ctx)
		if err != nil {
			return err
		}
		columns = slices.DeleteFunc(columns, func(r *returningColumn) bool { return c.survives(r, made) })
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
		differs := fmt.Sprintf("pg_catalog.record_image_ne(ROW(CAST((%s\n) AS %s)), ROW(%s))", r.column.Expression, r.column.Type, name)
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
	object := c.table.Production.String() + "." + r.column.Shadow
	i := slices.IndexFunc(c.plan.Findings, func(f plans.Finding) bool { return f.Code == "reverse-lossy" && f.Object == object })
	if r.lost == 0 {
		if i >= 0 && all && rows > 0 && !c.plan.Findings[i].Sampled {
			c.plan.Findings[i].Message += ". Each row of today comes back as it is (" + human.Plural(int(rows), "row") + ")"
		}
		return
	}
	of := human.Plural(int(rows), "row")
	r.column.Loss = fmt.Sprintf("%s of %s of production held when this was planned", human.Count(r.lost), of)
	if !all {
		of += " that were looked at"
	}
	told := comesBackOtherwise(human.Count(r.lost), of, r.column, ", in the row with "+r.key+", say")
	switch {
	case i < 0:
		c.find(plans.Finding{Level: c.lossLevel(), Code: "reverse-lossy", Object: object, Message: told, Fix: fixOfLossy(c.table)})
	case c.plan.Findings[i].Sampled:
		c.plan.Findings[i].Message = told
	default:
		c.plan.Findings[i].Message += "; " + told
	}
}
