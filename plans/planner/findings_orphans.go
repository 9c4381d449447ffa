package planner

import (
	"context"
	"fmt"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/transforms"
)

// lookForOrphans asks production whether the migrations' DELETEs take rows away
// that others refer to: in place they fail. ACCESS SHARE on both tables, for
// [lookAtValues] at the most; what could not be answered in that time the run
// finds when it checks the foreign keys.
func (m *draft) lookForOrphans(ctx context.Context) error {
	for _, o := range m.orphans {
		row, err := m.orphan(ctx, o)
		if err != nil {
			return err
		}
		if row == "" {
			continue
		}
		m.find(plans.Finding{Level: plans.Blocker, Code: "constraint-violated", Object: o.ChildName, Where: o.Where,
			Message: fmt.Sprintf("the DELETE takes rows of %s away that %s still refers to by the foreign key %s: the row with %s = %s, say. In place it fails (SQLSTATE 23503)",
				o.ParentName, o.ChildName, o.Constraint, o.Column, row),
			Fix: "delete or change the rows that refer to them before it, in a migration or in production"})
	}
	return nil
}

// orphan is the text of one row's reference; empty: there is none, or the
// question cannot be asked in production.
func (m *survey) orphan(ctx context.Context, o transforms.Orphans) (row string, err error) {
	parent, child := m.before.ByOID(o.Parent), m.before.ByOID(o.Child)
	if parent == nil || child == nil {
		return "", nil
	}
	row, _, err = m.askRows(ctx, lookAtValues, orphanSQL(o, parent, child))
	return row, err
}

func orphanSQL(o transforms.Orphans, parent, child *catalog.Table) string {
	var on, keys []string
	for i := range o.ChildColumns {
		on = append(on, fmt.Sprintf("c.k%d = p.k%[1]d", i+1))
		keys = append(keys, fmt.Sprintf("c.k%d", i+1))
	}
	return fmt.Sprintf("SELECT pg_catalog.concat_ws(', ', %s) FROM (%s) AS c JOIN (%s) AS p ON %s LIMIT 1", strings.Join(keys, ", "),
		keysOf(child, o.ChildColumns, o.ChildRows), keysOf(parent, o.ParentColumns, o.ParentRows), strings.Join(on, " AND "))
}

func keysOf(t *catalog.Table, columns []string, rows string) string {
	var list []string
	for i, c := range columns {
		list = append(list, fmt.Sprintf("(%s) AS k%d", c, i+1))
	}
	only := "ONLY "
	if t.Kind == "p" {
		only = ""
	}
	return "SELECT " + strings.Join(list, ", ") + " FROM " + only + t.Name.Quoted() + " AS " + pg.Ident(t.Name.Name) + " WHERE (" + rows + ")"
}
