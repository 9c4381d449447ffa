package transforms

import (
	"maps"
	"regexp"
	"slices"

	pgq "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"

	"github.com/pgumbra/pgumbra/plans/syntax"
	"github.com/pgumbra/pgumbra/plans/syntax/ast"
)

// alters: further columns that hold one value, or none, are fine.
func (t *toCome) alters(s *pgq.AlterTableStmt) string {
	name := s.GetRelation().GetRelname()
	if t.read[name] || t.written[name] {
		for _, c := range s.GetCmds() {
			column := c.GetAlterTableCmd().GetDef().GetColumnDef().GetColname()
			if !addsPlainColumn(c.GetAlterTableCmd()) || t.bare[column] || t.lost[name][column] || len(t.added[name]) > 0 {
				return "it alters " + name
			}
		}
		return t.leads(&pgq.Node{Node: &pgq.Node_AlterTableStmt{AlterTableStmt: s}})
	}
	why := t.leads(&pgq.Node{Node: &pgq.Node_AlterTableStmt{AlterTableStmt: s}})
	for _, c := range s.GetCmds() {
		if t.led[name] && !addsPlainColumn(c.GetAlterTableCmd()) && c.GetAlterTableCmd().GetSubtype() != pgq.AlterTableType_AT_AddConstraint {
			why = "it alters " + name + ", which new foreign keys lead to"
		}
	}
	for _, c := range s.GetCmds() {
		ast.Visit(c, func(m proto.Message) bool {
			if _, key := m.(*pgq.Constraint); key {
				return false // a foreign key that leads there
			}
			if r, ok := m.(*pgq.RangeVar); ok && (t.written[r.GetRelname()] || t.read[r.GetRelname()]) {
				why = "it names " + r.GetRelname()
			}
			return true
		})
	}
	return why
}

// leads: a foreign key needs a unique index that is not there yet, or does to rows what did not
// happen where it stands behind the change of a key; or a table is made like one that is not yet
// what it will be.
func (t *toCome) leads(n *pgq.Node) (why string) {
	ast.Visit(n, func(m proto.Message) bool {
		switch m := m.(type) {
		case *pgq.Constraint:
			if name := m.GetPktable().GetRelname(); t.unique[name] || actsOnRows(m, t.changed[name]) {
				why = "its foreign key leads to " + name
			}
		case *pgq.TableLikeClause:
			if name := m.GetRelation().GetRelname(); t.shaped[name] {
				why = "it is like " + name
			}
		}
		return true
	})
	return why
}

// actsOnRows: such a change of what a foreign key leads to changes rows that refer to it.
func actsOnRows(k *pgq.Constraint, changed map[string]bool) bool {
	active := func(action string) bool { return slices.Contains([]string{"c", "n", "d"}, action) }
	keys := ast.Strings(k.GetPkAttrs())
	rekeyed := slices.ContainsFunc(slices.Collect(maps.Keys(changed)), func(column string) bool {
		return column != "" && (len(keys) == 0 || slices.Contains(keys, column))
	})
	return active(k.GetFkDelAction()) && changed[""] || active(k.GetFkUpdAction()) && rekeyed
}

// addsPlainColumn: ADD COLUMN of a value that any row would have got, NULL or a literal. One
// that refers to another table holds NULL.
func addsPlainColumn(c *pgq.AlterTableCmd) bool {
	if c.GetSubtype() != pgq.AlterTableType_AT_AddColumn {
		return false
	}
	filled, refers := false, false
	for _, n := range c.GetDef().GetColumnDef().GetConstraints() {
		switch k := n.GetConstraint(); k.GetContype() {
		case pgq.ConstrType_CONSTR_NULL, pgq.ConstrType_CONSTR_NOTNULL:
		case pgq.ConstrType_CONSTR_FOREIGN:
			refers = true
		case pgq.ConstrType_CONSTR_DEFAULT:
			if ast.Uncast(k.GetRawExpr()).GetAConst() == nil {
				return false
			}
			filled = true
		default:
			return false
		}
	}
	return !isSerial(c.GetDef().GetColumnDef()) && (!filled || !refers)
}

var (
	dropsIndex = regexp.MustCompile(`(?i)^\s*drop\s+index\b`)
	makesIndex = regexp.MustCompile(`(?i)\bcreate\s+(unique\s+)?index\b`)
)

// takesIndex is what DROP INDEX has to do with rows that come in the swap. Its text does not
// name the table: a unique index decided about them where they stand, and will be gone then.
func (in *inference) takesIndex(t toCome, sql string) string {
	tree, r := in.parse(sql)
	if r != nil || len(tree.GetStmts()) != 1 {
		return r.why("it cannot be read")
	}
	drop := tree.GetStmts()[0].GetStmt().GetDropStmt()
	if drop == nil || drop.GetBehavior() == pgq.DropBehavior_DROP_CASCADE {
		return "it drops what depends on an index"
	}
	for _, n := range drop.GetObjects() {
		name := ast.Last(ast.Strings(n.GetList().GetItems()))
		if t.made[name] {
			return "it names " + name
		}
		tables, known := in.uniqueOn(name)
		if !known {
			return "which table " + name + " belongs to is not known"
		}
		if i := slices.IndexFunc(tables, func(table string) bool { return t.written[table] }); i >= 0 {
			return "it drops a unique index of " + tables[i]
		}
	}
	return ""
}

// uniqueOn are the tables that an index of this name makes rows of unique, at any time; not
// known: nothing that could be read makes one.
func (in *inference) uniqueOn(name string) (tables []string, known bool) {
	for _, i := range slices.Concat(in.before.Indexes, in.after.Indexes) {
		if i.Name.Name != name {
			continue
		}
		known = true
		for _, t := range in.tablesNamed(i.Table) {
			if i.Unique {
				tables = append(tables, t.Name)
			}
		}
	}
	for _, p := range in.o.Statements {
		if i := in.indexMade(p); i.GetIdxname() == name {
			known = true
			if i.GetUnique() {
				tables = append(tables, i.GetRelation().GetRelname())
			}
		}
	}
	return tables, known
}

// indexMade is the index that a statement makes; nil: none.
func (in *inference) indexMade(p syntax.Place) *pgq.IndexStmt {
	if !makesIndex.MatchString(p.SQL) {
		return nil
	}
	tree, r := in.parse(p.SQL)
	if r != nil || len(tree.GetStmts()) != 1 {
		return nil
	}
	return tree.GetStmts()[0].GetStmt().GetIndexStmt()
}

// indexesUntil are the names of the indexes that a table may have where a statement stands.
func (in *inference) indexesUntil(table *syntax.Relation, until syntax.Place) (names []string) {
	for _, i := range in.before.Indexes {
		if i.Table == table.OID {
			names = append(names, i.Name.Name)
		}
	}
	for _, p := range in.o.Statements {
		if p == until {
			break
		}
		if i := in.indexMade(p); i.GetRelation().GetRelname() == table.Name {
			names = append(names, i.GetIdxname())
		}
	}
	return names
}
