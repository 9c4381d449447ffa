package transforms

import (
	pgq "github.com/pganalyze/pg_query_go/v6"

	"github.com/pgumbra/pgumbra/plans/syntax"
	"github.com/pgumbra/pgumbra/plans/syntax/ast"
)

// alter follows ALTER TABLE … ALTER COLUMN … TYPE … USING. All expressions of
// one statement read the rows as they were before it. Everything else that
// ALTER TABLE does shows in the marks.
func (s *step) alter(a *pgq.AlterTableStmt) {
	oid, ok := s.before.Tables[ast.TableName(a.GetRelation())]
	if !ok {
		return // IF EXISTS
	}
	type change struct {
		t   *table
		num int16
		v   *value
	}
	var changes []change
	for _, t := range s.family(s.before, oid, a.GetRelation().GetInh()) {
		if t.source == 0 {
			continue
		}
		for _, n := range a.GetCmds() {
			cmd := n.GetAlterTableCmd()
			using := cmd.GetDef().GetColumnDef().GetRawDefault()
			if cmd.GetSubtype() != pgq.AlterTableType_AT_AlterColumnType || using == nil {
				continue
			}
			if c, v := s.using(t, a.GetRelation(), cmd.GetName(), using); v != nil {
				changes = append(changes, change{t, c.Num, v})
			}
		}
	}
	for _, c := range changes {
		c.t.columns[c.num] = c.v
	}
}

func (s *step) using(t *table, r *pgq.RangeVar, name string, using *pgq.Node) (*syntax.Column, *value) {
	scope := s.scope(t, r)
	c := scope.rel.Column(name)
	if c == nil {
		return nil, nil
	}
	typ := c.Type
	if rel := s.after.Relation(t.oid); rel != nil {
		if later := rel.ColumnNum(c.Num); later != nil {
			typ = later.Type
		}
	}
	v := s.evaluated(scope, c, using)
	if v.tainted == nil && !v.volatile && isPlainCast(v, t.columns[c.Num]) {
		v.origin = Lineage
	} else {
		v.origin = Using
	}
	if v = s.labelled(v, typ); v.tainted == nil {
		v.typ = typ
	}
	return c, v
}

// isPlainCast: USING c::type says no more than the assignment does.
func isPlainCast(v, old *value) bool {
	cast := v.node.GetTypeCast()
	return cast != nil && old != nil && old.node != nil && !old.cast && old.node.GetColumnRef() != nil && ast.Same(cast.GetArg(), old.node)
}
