package rehearsal

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
)

// explain tells where the shadow's side of a difference comes from: the transform,
// and the migration that touched the object last.
func (d *Difference) explain(plan *plans.Plan) {
	switch d.Kind {
	case ValuesDiffer:
		d.Explanation, d.Where = explainColumn(plan, d), touchedBy(plan, d.Object+"."+d.Column)
	case RowsMissing, RowsExtra:
		d.Explanation, d.Where = explainRows(plan, d), touchedBy(plan, d.Object)
	case SequenceDiffers:
		d.Explanation, d.Where = "the sequence does not stand where the migrations leave it", touchedBy(plan, d.Object)
	default:
		_, name, _ := strings.Cut(d.Object, " ")
		d.Where = touchedBy(plan, lastName(name))
	}
	if d.Where != "" {
		d.Explanation = strings.TrimPrefix(d.Explanation+", last changed by "+d.Where, ", ")
	}
}

// lastName is of "shop.orders orders_pkey" the second part, which pg_dump names
// after its table.
func lastName(name string) string {
	if i := strings.LastIndexByte(name, ' '); i >= 0 {
		return name[i+1:]
	}
	return name
}

func tableOf(plan *plans.Plan, object string) *plans.Table {
	i := slices.IndexFunc(plan.Tables, func(t plans.Table) bool { return t.Final.String() == object })
	if i < 0 {
		return nil
	}
	return &plan.Tables[i]
}

var origins = map[plans.ColumnOrigin]string{
	plans.FromLineage: "production's own column", plans.FromUsing: "a USING of the migrations", plans.FromBackfill: "an UPDATE of the migrations",
	plans.FromDefault: "the default of ADD COLUMN", plans.FromPlan: "the plan file",
}

func explainColumn(plan *plans.Plan, d *Difference) string {
	t := tableOf(plan, d.Object)
	if t == nil {
		return ""
	}
	if t.Feed == plans.Derived {
		return "the table is derived by the plan file: from: " + human.OneLine(t.From)
	}
	i := slices.IndexFunc(t.Columns, func(c plans.Column) bool { return c.Shadow == d.Column })
	if i < 0 {
		return ""
	}
	c := t.Columns[i]
	expression := human.OneLine(c.Meaning())
	if expression == "" {
		return "the shadow's own default makes it"
	}
	origin := origins[c.Origin]
	if c.Origin == plans.FromPlan {
		origin = fmt.Sprintf("the plan file: tables.%s.columns.%s", t.Production, d.Column)
	}
	return fmt.Sprintf("the shadow has %s of %s (from %s)", expression, t.Production, origin)
}

func explainRows(plan *plans.Plan, d *Difference) string {
	t := tableOf(plan, d.Object)
	switch {
	case t == nil:
		return ""
	case t.Feed == plans.Derived:
		return "the table is derived by the plan file: from: " + human.OneLine(t.From)
	case t.Where != "":
		return fmt.Sprintf("of %s come only rows where %s", t.Production, human.OneLine(t.Where))
	case t.Feed == plans.Copied:
		return fmt.Sprintf("the rows are those of %s", t.Production)
	case t.Feed == plans.Carried:
		return "the rows are those that the migrations insert into an empty database"
	}
	return ""
}

// touchedBy is the last migration that changed an object, as the dry run saw it.
func touchedBy(plan *plans.Plan, object string) string {
	for _, f := range slices.Backward(plan.Changes) {
		if slices.ContainsFunc(f.Changes, func(c catalog.Change) bool {
			return c.Object == object || strings.HasSuffix(c.Object, "."+object) || strings.HasSuffix(object, "."+c.Object)
		}) {
			return f.File
		}
	}
	return ""
}
