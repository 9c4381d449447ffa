package planner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/transforms"
)

// askWhetherAlike asks production where an expression holds only while the rows that
// fit give one value, of all rows, for conversionsTime in all. Where they do not, or the
// time is not enough, the statement runs behind the fence. ACCESS SHARE on the tables;
// production only is read.
func (m *draft) askWhetherAlike(ctx context.Context) error {
	if !m.asksRows() {
		return nil
	}
	until := time.Now().Add(conversionsTime)
	for _, d := range m.tables {
		t := m.planned(d)
		if t == nil || t.Feed != plans.Copied || m.doubted(t) {
			continue
		}
		var proved []string
		for _, c := range t.Columns {
			if c.Origin == plans.FromPlan || !transforms.OneMustFit(c.Meaning()) {
				continue
			}
			why, err := m.unlike(ctx, time.Until(until), t, c.Meaning())
			if err != nil {
				return err
			}
			object := t.Final.String() + "." + c.Shadow
			if why != "" {
				m.opaque("several-rows-fit", object, m.naming(t.Final.Name, c.Shadow), why, "nothing with build: auto, where the statement runs behind the fence; otherwise a unique index, or an order that holds a unique key")
				continue
			}
			proved = append(proved, c.Shadow)
		}
		if len(proved) > 0 {
			m.info("one-value-fits", t.Final.String(), fmt.Sprintf("several rows of another table may fit for %s. All of production's rows were asked: those that fit give one value. "+
				"If that becomes untrue before the cutover the run ends with SQLSTATE 21000", listed(proved)), "a unique index on the columns that are compared, or migrations.behind_fence_from for the statement's version")
		}
	}
	return nil
}

// unlike says why an expression does not hold for all rows of a table; empty: it does.
func (m *draft) unlike(ctx context.Context, limit time.Duration, t *plans.Table, expression string) (string, error) {
	const unknown = "several rows of what it reads may fit, and whether they give one value could not be asked of production"
	if limit < 10*time.Millisecond {
		return unknown + ": " + human.Duration(conversionsTime) + " were not enough", nil
	}
	if transforms.OneMustFit(t.Where) {
		return unknown, nil
	}
	query := "SELECT count(ROW((" + m.inProduction(expression) + "\n))) FROM " + map[bool]string{true: "ONLY "}[t.Kind != plans.Partitioned] +
		t.Production.Quoted() + " AS " + pg.Ident(t.Production.Name)
	if t.Where != "" {
		query += " WHERE (" + m.inProduction(t.Where) + "\n)"
	}
	var n int64
	err := m.asClient(ctx, limit, func(tx pgx.Tx) error { return tx.QueryRow(ctx, query).Scan(&n) })
	var refused *pgconn.PgError
	switch {
	case err == nil:
		return "", nil
	case !errors.As(err, &refused) || pg.Unreachable(err):
		return "", err
	case refused.Code == pgerrcode.CardinalityViolation:
		return "several rows of what it reads fit, and give other values: which one counts is a matter of order", nil
	case refused.Code == pgerrcode.QueryCanceled:
		return unknown + ": " + human.Duration(conversionsTime) + " were not enough", nil
	case slices.Contains([]string{pgerrcode.UndefinedObject, pgerrcode.UndefinedTable, pgerrcode.UndefinedFunction, pgerrcode.InvalidSchemaName}, refused.Code):
		return unknown + ": " + strings.TrimSpace(refused.Message), nil
	}
	return unknown + " (SQLSTATE " + refused.Code + ")", nil
}

// inProduction is an expression with production's types in place of those that the
// shadow will have: how many values there are does not depend on what they are cast to.
func (m *task) inProduction(expression string) string {
	for _, s := range m.plan.Schemas {
		for _, name := range []string{s.Shadow + ".", pg.Ident(s.Shadow) + "."} {
			expression = strings.ReplaceAll(expression, name, pg.Ident(s.Production)+".")
		}
	}
	return expression
}
