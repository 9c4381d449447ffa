package shadow

import (
	"slices"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/pgdump"
)

const notValid = " NOT VALID"

// foreignKey is a foreign key of the shadow as its entry tells.
type foreignKey struct {
	entry      *plans.Entry
	table      pg.Name // under the shadow's schema
	references pg.Name
	name       string
	definition string // FOREIGN KEY …, without NOT VALID
	valid      bool   // in the end; one that was NOT VALID stays so
	// leaves hold the rows of a partitioned referencing table; empty for others.
	leaves []pg.Name
}

// foreignKeys reads the plan's foreign keys. One that is written otherwise is
// left as it is, and not among them.
func foreignKeys(plan *plans.Plan) []foreignKey {
	tree := partitions(plan)
	var keys []foreignKey
	for _, e := range entriesOf(plan, inStage(plans.StageSwap)) {
		if e.Tag != "FK CONSTRAINT" {
			continue
		}
		k, ok := pgdump.ParseForeignKey(e.SQL)
		if !ok {
			continue
		}
		keys = append(keys, foreignKey{entry: e, table: k.Table, references: k.References, name: k.Name,
			definition: k.Definition, valid: !k.NotValid, leaves: tree.leaves(k.Table)})
	}
	return keys
}

// on is the statement that adds the key to a table, NOT VALID: it takes SHARE
// ROW EXCLUSIVE on both tables and reads none.
func (k foreignKey) on(table pg.Name) string {
	return "ALTER TABLE ONLY " + table.Quoted() + "\n    ADD CONSTRAINT " + pg.Ident(k.name) + " " + k.definition + notValid + ";"
}

// comment is the text of a COMMENT ON the key, as a constant; "" if there is none.
func (k foreignKey) comment(plan *plans.Plan) (text string, entry *plans.Entry) {
	for i := range plan.Entries {
		e := &plan.Entries[i]
		if e.Tag != "COMMENT" {
			continue
		}
		if c, ok := pgdump.ParseConstraintComment(e.SQL); ok && c.Name == k.name && c.Table == k.table {
			return c.Text, e
		}
	}
	return "", nil
}

// partitionTree is who is attached to whom in the shadow.
type partitionTree struct {
	children    map[pg.Name][]pg.Name
	partitioned map[pg.Name]bool
}

func partitions(plan *plans.Plan) partitionTree {
	tree := partitionTree{children: map[pg.Name][]pg.Name{}, partitioned: map[pg.Name]bool{}}
	for i := range plan.Entries {
		e := &plan.Entries[i]
		switch e.Tag {
		case "TABLE ATTACH":
			if parent, child, ok := pgdump.ParseAttach(e.SQL); ok {
				tree.children[parent] = append(tree.children[parent], child)
			}
		case "TABLE":
			if table, ok := pgdump.ParseTable(e.SQL); ok && table.Partitioned {
				tree.partitioned[e.Name] = true
			}
		}
	}
	return tree
}

// leaves of a partitioned table, at whatever depth, that hold rows.
func (p partitionTree) leaves(table pg.Name) []pg.Name {
	var found []pg.Name
	for _, child := range p.children[table] {
		if p.partitioned[child] || len(p.children[child]) > 0 {
			found = append(found, p.leaves(child)...)
		} else {
			found = append(found, child)
		}
	}
	return found
}

// final is the name that a table of the shadow has after the swap.
func final(plan *plans.Plan, n pg.Name) pg.Name {
	i := slices.IndexFunc(plan.Schemas, func(s plans.Schema) bool { return s.Shadow == n.Schema })
	if i < 0 {
		return n
	}
	return pg.Name{Schema: plan.Schemas[i].Production, Name: n.Name}
}
