package planner

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
)

// derived checks a from: query: its columns, and that each table it reads is
// one whose changes are watched.
func (v *validator) derived(ctx context.Context, t *plans.Table) error {
	given, err := v.given(ctx, t.From)
	if err != nil {
		if pg.State(err) == "" {
			return err
		}
		v.invalid(t, "", t.From, err)
		return nil
	}
	v.ownColumns(t, given)
	if err := v.fills(ctx, t, t.From); err != nil {
		v.invalid(t, "", t.From, err)
		return nil
	}
	return v.watched(ctx, t, given)
}

// given are the columns of a query, as the server reads it.
func (v *validator) given(ctx context.Context, query string) (names []string, err error) {
	d, err := v.db.PgConn().Prepare(ctx, "", "SELECT * FROM ("+query+") AS pgumbra_from", nil)
	if err != nil {
		return nil, err
	}
	for _, f := range d.Fields {
		names = append(names, f.Name)
	}
	return names, nil
}

// fills: the server takes a query's columns for those of a table.
func (v *validator) fills(ctx context.Context, t *plans.Table, query string) error {
	names, values := writtenColumns(t)
	return v.prepare(ctx, "INSERT INTO "+t.Shadow.Quoted()+" ("+pg.Idents(names)+") OVERRIDING SYSTEM VALUE SELECT "+
		strings.Join(values, ", ")+" FROM ("+query+") AS pgumbra_from")
}

// ownColumns: what the query does not give is made by the table's defaults; a
// column that the table has not is a mistake.
func (v *validator) ownColumns(t *plans.Table, given []string) {
	for i := range t.Columns {
		c := &t.Columns[i]
		if c.Generated || slices.Contains(given, c.Shadow) {
			continue
		}
		c.Expression, c.Volatile, c.Origin = "", true, plans.FromDefault
		if slices.ContainsFunc(t.Key, func(k plans.Pair) bool { return k.Shadow == c.Shadow }) {
			v.find(plans.Finding{Level: plans.Blocker, Code: "transform-invalid", Object: v.object(t, c.Shadow), Where: v.where(t, ""),
				Message: "the query of from: does not give this column of the derived table's key", Fix: "select it"})
		}
	}
	for _, g := range given {
		if !slices.ContainsFunc(t.Columns, func(c plans.Column) bool { return c.Shadow == g && !c.Generated }) {
			v.find(plans.Finding{Level: plans.Blocker, Code: "transform-invalid", Object: v.object(t, g), Where: v.where(t, ""),
				Message: "the query of from: gives a column that the table does not have", Fix: "leave it out, or give it the right name: AS column"})
		}
	}
}

func (v *validator) watched(ctx context.Context, t *plans.Table, given []string) error {
	found, err := v.analyse(ctx, "SELECT "+pg.Ident(given[0])+" FROM ("+t.From+") AS pgumbra_from")
	if err != nil || found == nil {
		return err
	}
	for _, n := range found.relations {
		own := v.before.ByName(n)
		if own != nil && slices.ContainsFunc(t.Watches, func(w plans.Watch) bool { return v.watches(w, own) }) {
			continue
		}
		v.find(plans.Finding{Level: plans.Blocker, Code: "transform-reads-tables", Object: t.Final.String(), Where: v.where(t, ""),
			Message: fmt.Sprintf("the query of from: reads %s, which key: does not name: a change there would not reach this table", n),
			Fix:     "name it under key: with the columns through which its changes reach the derived rows"})
	}
	v.unsteady(t.Final.String(), v.where(t, ""), found)
	return nil
}

func (v *validator) watches(w plans.Watch, t *catalog.Table) bool {
	return v.before.Root(t).Name == v.plan.Sources[w.Source].Name
}
