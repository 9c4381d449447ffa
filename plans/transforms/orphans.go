package transforms

import (
	"slices"

	pgq "github.com/pganalyze/pg_query_go/v6"

	"github.com/pgumbra/pgumbra/plans/syntax"
	"github.com/pgumbra/pgumbra/plans/syntax/ast"
)

// Orphans is a question to production's rows: whether a DELETE takes rows away
// that others refer to, by a foreign key that forbids it. In place the migration
// fails then. Names are those of production, expressions are over its rows.
type Orphans struct {
	Where      string // file and line of the DELETE
	Constraint string
	// Parent and Child are tables by their oid in scratch before the migrations.
	Parent, Child                 uint32
	ParentColumns, ChildColumns   []string
	ParentRows, ChildRows         string // which rows are taken away; which are there to refer to them
	ChildName, ParentName, Column string // for people, as the migration knows them
}

// question is one of [Orphans] that is not asked yet: what refers to the rows that
// go is known only once all that goes with them has gone.
type question struct {
	Orphans
	child   *table
	columns []int16 // the child's
}

// orphans are the foreign keys that a DELETE is checked by. What cannot be
// written as a question is left to the run, which checks foreign keys too.
func (s *step) orphans(t *table, rel *syntax.Relation, which condition) []question {
	var all []question
	for _, ref := range rel.References {
		child := s.tables[ref.Table]
		if ref.OnDelete != "a" && ref.OnDelete != "r" || child == nil || child.source == 0 || child.last == nil {
			continue
		}
		q := question{child: child, columns: ref.Columns, Orphans: Orphans{Where: where(s.fact), Constraint: ref.Name, Parent: t.source, Child: child.source,
			ChildName: child.last.Schema + "." + child.last.Name, ParentName: rel.Schema + "." + rel.Name}}
		if c := child.last.ColumnNum(ref.Columns[0]); c != nil {
			q.Column = c.Name
		}
		var columns, rows bool
		q.ParentColumns, columns = s.texts(t, ref.RefColumns)
		q.ParentRows, rows = s.conditionText(append(append([]*pgq.Node{}, t.where...), which.node))
		if columns && rows {
			all = append(all, q)
		}
	}
	return all
}

// ask notes a question, once what goes has gone.
func (s *step) ask(q question) {
	if q.child.source != q.Child {
		return // its rows have all gone
	}
	var columns, rows bool
	q.ChildColumns, columns = s.texts(q.child, q.columns)
	q.ChildRows, rows = s.conditionText(slices.Clone(q.child.where))
	if columns && rows {
		s.questions = append(s.questions, q.Orphans)
	}
}

func (s *step) texts(t *table, columns []int16) (out []string, ok bool) {
	for _, num := range columns {
		v := t.columns[num]
		if v == nil || v.tainted != nil || v.volatile || v.generated {
			return nil, false
		}
		node, r := s.embed(v)
		if r != nil {
			return nil, false
		}
		text, r := s.render(node)
		if r != nil {
			return nil, false
		}
		out = append(out, text)
	}
	return out, len(out) > 0
}

func (s *step) conditionText(all []*pgq.Node) (string, bool) {
	if len(all) == 0 {
		return "true", true
	}
	text, r := s.render(ast.Clone(ast.And(all)))
	return text, r == nil
}
