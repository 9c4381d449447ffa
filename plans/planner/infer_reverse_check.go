package planner

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgerrcode"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/reverse"
)

// reversed checks the way back: each expression must be one that can be assigned
// to the old column. The plan file's are written as of after the swap, so they are
// read with the shadow's schemas before the true ones.
func (v *validator) reversed(ctx context.Context, t *plans.Table) error {
	if !v.plan.Settings.Watch.Enabled {
		return nil
	}
	var inferred, written []*plans.Column
	for i := range t.Reverse {
		switch c := &t.Reverse[i]; {
		case c.Expression == "":
		case c.Origin == plans.FromPlan:
			written = append(written, c)
		default:
			inferred = append(inferred, c)
		}
	}
	if err := v.returnAll(ctx, t, inferred); err != nil || len(written) == 0 {
		return err
	}
	db, err := v.open(ctx, v.pathAfterSwap())
	if err != nil {
		return err
	}
	defer func() { _ = db.Close(context.WithoutCancel(ctx)) }()
	after := &validator{draft: v.draft, db: db}
	for _, c := range written {
		if err := after.returns(ctx, t, c); err != nil {
			return err
		}
	}
	return nil
}

// returnAll checks columns all at once: a table may have more than a thousand. Half
// by half where the server refuses one of them.
func (v *validator) returnAll(ctx context.Context, t *plans.Table, columns []*plans.Column) error {
	switch len(columns) {
	case 0:
		return nil
	case 1:
		return v.returns(ctx, t, columns[0])
	}
	var names, values []string
	for _, c := range columns {
		names, values = append(names, c.Shadow), append(values, c.Expression)
	}
	if err := v.prepare(ctx, returnText(t, names, values)); err == nil || pg.State(err) == "" {
		return err
	}
	half := len(columns) / 2
	if err := v.returnAll(ctx, t, columns[:half]); err != nil {
		return err
	}
	return v.returnAll(ctx, t, columns[half:])
}

// pathAfterSwap is production's search_path with what its names will lead to first.
func (v *validator) pathAfterSwap() string {
	path := v.plan.SearchPath
	for _, s := range v.plan.Schemas {
		path = pg.Ident(s.Shadow) + ", " + path
	}
	return path
}

// returns finds the cast by which an expression can be assigned to the old column.
func (v *validator) returns(ctx context.Context, t *plans.Table, c *plans.Column) error {
	refused := v.prepare(ctx, returnText(t, []string{c.Shadow}, []string{c.Expression}))
	if state := pg.State(refused); state == pgerrcode.DatatypeMismatch || state == pgerrcode.CannotCoerce {
		for _, cast := range []string{"::text", "::" + reverse.WithoutModifiers(c.Type), "::text::" + reverse.WithoutModifiers(c.Type)} {
			value := c.Expression
			if plainReference(value) == "" {
				value = "(" + value + ")"
			}
			if v.prepare(ctx, returnText(t, []string{c.Shadow}, []string{value + cast})) == nil {
				c.Expression, refused = value+cast, nil
				break
			}
		}
	}
	switch {
	case refused == nil:
		return v.classifyReturn(ctx, t, c)
	case pg.State(refused) == "":
		return refused
	}
	v.find(plans.Finding{Level: plans.Blocker, Code: "transform-invalid", Object: t.Production.String() + "." + c.Shadow, Where: v.reverseLine(t, c.Shadow),
		Message: fmt.Sprintf("the server refuses the reverse expression %s: %s (SQLSTATE %s)", c.Meaning(), serverMessage(refused), pg.State(refused)),
		Fix:     "correct it under tables: " + t.Production.String() + " reverse:"})
	return nil
}

// returnText assigns expressions over the shadow's row to old columns, in the old
// table as it stands beside the shadow in scratch.
func returnText(t *plans.Table, names, values []string) string {
	return "INSERT INTO " + t.Production.Quoted() + " (" + pg.Idents(names) + ") OVERRIDING SYSTEM VALUE SELECT " + strings.Join(values, ", ") + shadowText(t)
}

func shadowText(t *plans.Table) string {
	return " FROM ONLY " + t.Shadow.Quoted() + " AS " + pg.Ident(t.Final.Name)
}

// classifyReturn looks into an expression of the plan file as judge does. A value that
// is made for new rows alone may be another one each time: it is kept.
func (v *validator) classifyReturn(ctx context.Context, t *plans.Table, c *plans.Column) error {
	if c.Origin != plans.FromPlan || constant.MatchString(c.Expression) {
		return nil
	}
	found, err := v.analyse(ctx, "SELECT ("+c.Expression+")"+shadowText(t))
	if err != nil || found == nil {
		return err
	}
	object, where := t.Production.String()+"."+c.Shadow, v.reverseLine(t, c.Shadow)
	others := slices.DeleteFunc(found.relations, func(n pg.Name) bool { return n == t.Shadow && !found.repeated })
	if len(others) > 0 {
		v.find(plans.Finding{Level: plans.Blocker, Code: "transform-reads-tables", Object: object, Where: where,
			Message: fmt.Sprintf("the reverse expression reads %s: a change there would not reach this row", others[0]),
			Fix:     "write one over the upgraded row alone, or leave it out"})
	}
	if !c.Kept {
		v.unsteady(object, where, found)
	}
	return nil
}

// reverseLine is the line of the plan file that a reverse expression stands on.
func (m *wayBack) reverseLine(t *plans.Table, column string) string {
	i := slices.IndexFunc(m.tables, func(d *tableDraft) bool { return d.plan.Final == t.Final })
	if i < 0 {
		return ""
	}
	if e, ok := m.tables[i].rules.Reverse[column]; ok {
		return m.file.WhereLine(e.Line)
	}
	return ""
}

// lossLevel of what a column loses: as the plan file wants it.
func (m *wayBack) lossLevel() plans.Level {
	if m.plan.Settings.Watch.RequireReverse {
		return plans.Blocker
	}
	return plans.Warning
}
