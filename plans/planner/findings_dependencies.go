package planner

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/conditions"
)

// lookForDependencies finds what outside the schemas that move knows their
// objects by oid: after the swap it would go on using the old ones, silently.
func (m *draft) lookForDependencies(ctx context.Context) error {
	m.structureFreeze()
	if _, err := m.askConditions(ctx, conditions.Planning); err != nil {
		return err
	}
	return m.changedFunctions(ctx)
}

// structureFreeze says what a run keeps people from.
func (m *task) structureFreeze() {
	m.info("structure-freeze", strings.Join(m.file.Production.Schemas, ", "),
		"from capturing to the cutover the structure of captured tables must not change: journals hold their row types, and a change stops the run or makes it copy a table again",
		"hold back other deployments of migrations until finish")
}

// changedFunctions: a function that an index, a CHECK or a generated column of
// the shadow calls runs before the swap, when the names in its text still mean
// production's objects.
func (m *draft) changedFunctions(ctx context.Context) error {
	rows, err := m.scratch.db.Query(ctx, `SELECT DISTINCT d.refobjid, pg_describe_object(d.classid, d.objid, 0)
		FROM pg_depend d
		LEFT JOIN pg_attrdef a ON d.classid = 'pg_attrdef'::regclass AND a.oid = d.objid
		LEFT JOIN pg_attribute g ON g.attrelid = a.adrelid AND g.attnum = a.adnum
		WHERE d.refclassid = 'pg_proc'::regclass AND d.refobjid >= 16384
			AND (d.classid = 'pg_class'::regclass AND EXISTS (SELECT FROM pg_index i WHERE i.indexrelid = d.objid)
				OR d.classid = 'pg_constraint'::regclass
				OR g.attgenerated <> '' OR a.oid IS NOT NULL)`)
	if err != nil {
		return fmt.Errorf("read which functions indexes and constraints call: %w", err)
	}
	for _, d := range m.tables {
		for num, e := range d.feed.Columns {
			c, _ := d.after.Column(num)
			for _, oid := range e.Functions {
				if f := function(m.after, oid); f != nil && m.moving(f.Name.Schema) {
					m.classifyFunction(f, "the transform of "+d.after.Name.String()+"."+c.Name)
				}
			}
		}
	}
	var oid uint32
	var user string
	_, err = pgx.ForEachRow(rows, []any{&oid, &user}, func() error {
		if f := function(m.after, oid); f != nil && m.moving(f.Name.Schema) {
			m.classifyFunction(f, user)
		}
		return nil
	})
	return err
}

func function(c *catalog.Catalog, oid uint32) *catalog.Function {
	for _, f := range c.Functions {
		if f.OID == oid {
			return f
		}
	}
	return nil
}

func (m *draft) classifyFunction(f *catalog.Function, user string) {
	seen := []uint32{f.OID}
	for queue := []*catalog.Function{f}; len(queue) > 0; queue = queue[1:] {
		for _, called := range m.calledBy(queue[0]) {
			if slices.Contains(seen, called.OID) {
				continue
			}
			seen = append(seen, called.OID)
			queue = append(queue, called)
			if before := function(m.before, called.OID); before == nil || before.Definition != called.Definition || before.Name != called.Name {
				m.opaque("function-changed", f.Name.String()+f.Arguments, m.naming(f.Name.Name),
					fmt.Sprintf("%s calls this function while the shadow is built, and its text calls %s, which the migrations change: until the swap that name leads to production's", user, called.Name),
					"change the function in a later upgrade")
			}
		}
	}
}

// calledBy lists functions of the moving schemas that a text body seems to call.
func (m *draft) calledBy(f *catalog.Function) []*catalog.Function {
	if f.Language == "internal" || f.Language == "c" {
		return nil
	}
	words := token.FindAllString(f.Body, -1)
	var all []*catalog.Function
	for _, g := range m.after.Functions {
		if g.OID != f.OID && m.moving(g.Name.Schema) && slices.ContainsFunc(words, func(w string) bool {
			return strings.EqualFold(strings.Trim(w, `"`), g.Name.Name)
		}) {
			all = append(all, g)
		}
	}
	return all
}
