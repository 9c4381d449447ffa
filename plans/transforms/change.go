package transforms

import (
	"slices"

	pgq "github.com/pganalyze/pg_query_go/v6"

	"github.com/pgumbra/pgumbra/plans/syntax"
	"github.com/pgumbra/pgumbra/plans/syntax/ast"
)

// targets are the tables that a statement writes, with production's rows.
// A reason: one of them cannot be followed. Tables that hold no rows of
// production are left out, unless the statement reads production's.
func (s *step) targets(r *pgq.RangeVar) ([]*table, *reason) {
	oid, ok := s.before.Tables[ast.TableName(r)]
	rel := s.before.Relation(oid)
	if !ok || rel == nil {
		return nil, unsupported("which table it writes is not known")
	}
	if rel.Kind == "v" {
		return nil, unsupported("it writes through a view")
	}
	if rel.Kind == "p" && !r.GetInh() {
		return nil, nil // ONLY the root: no row
	}
	var out []*table
	family := s.family(s.before, oid, r.GetInh())
	for _, t := range family {
		switch rel := s.before.Relation(t.oid); {
		case rel.Rules && t.source == 0 && (t.memberOf == 0 || t.emptied):
			return nil, &reason{text: "the table has rules, which rewrite it", live: true}
		case t.source == 0 && t.memberOf != 0 && !t.emptied:
			return nil, unsupported("it writes one partition of production only")
		case t.source == 0:
			if !rel.Empty && rel.Kind != "p" && s.readsLive(family) {
				return nil, unsupported("what the migrations insert is changed by what production holds")
			}
		case rel.Rules:
			return nil, unsupported("the table has rules, which rewrite it")
		default:
			out = append(out, t)
		}
	}
	return out, nil
}

// readsLive reports whether the statement reads production's rows in a table
// beside those that it writes.
func (s *step) readsLive(except []*table) bool {
	var c syntax.Code
	c.Add(s.node)
	s.followCalls(&c, map[uint32]bool{})
	return slices.ContainsFunc(c.Reads, func(r *pgq.RangeVar) bool { return s.isLive(r, except) })
}

func (s *step) scope(t *table, r *pgq.RangeVar) *scope {
	alias := r.GetAlias().GetAliasname()
	rel := s.before.Relation(t.oid)
	if alias == "" && rel.Name != r.GetRelname() { // a child, named by its parent's name
		alias = r.GetRelname()
	}
	return &scope{in: s.inference, mark: s.before, rel: rel, tab: t, alias: alias}
}

// update follows UPDATE: of one table by expressions over its own rows and, where
// [scope.which] tells a row of each, over those of the tables that it is joined with; of
// several, inherited ones, by expressions over their own rows alone.
func (s *step) update(u *pgq.UpdateStmt) *reason {
	queries, r := queriesOf(u.GetWithClause())
	if r != nil {
		return r
	}
	assignments, r := assignmentsOf(u.GetTargetList())
	if r != nil {
		return r
	}
	tables, r := s.targets(u.GetRelation())
	if r != nil {
		return r
	}
	if len(tables) > 1 && (len(u.GetFromClause()) > 0 || holdsQuery(s.node)) {
		return ofOthers("it writes several tables by what others hold")
	}
	for _, t := range tables {
		if r := s.updateTable(t, u, assignments, queries); r != nil {
			return r
		}
	}
	return nil
}

// set is one column = expression; a nil expression is DEFAULT.
type set struct {
	column string
	value  *pgq.Node
}

func assignmentsOf(list []*pgq.Node) ([]set, *reason) {
	var out []set
	for _, n := range list {
		t := n.GetResTarget()
		if len(t.GetIndirection()) > 0 {
			return nil, unsupported("it writes a part of column %s", t.GetName())
		}
		value := t.GetVal()
		if m := value.GetMultiAssignRef(); m != nil {
			var r *reason
			if value, r = oneOf(m.GetSource(), int(m.GetColno())-1); r != nil {
				return nil, r
			}
		}
		if value.GetSetToDefault() != nil {
			value = nil
		}
		out = append(out, set{t.GetName(), value})
	}
	return out, nil
}

// oneOf is one value of a row, or of a subquery that gives one.
func oneOf(row *pgq.Node, i int) (*pgq.Node, *reason) {
	if args := row.GetRowExpr().GetArgs(); i < len(args) {
		return args[i], nil
	}
	list := row.GetSubLink().GetSubselect().GetSelectStmt().GetTargetList()
	if i >= len(list) {
		return nil, ofOthers("it sets several columns from something that is no row")
	}
	one := ast.Clone(row)
	one.GetSubLink().GetSubselect().GetSelectStmt().TargetList = []*pgq.Node{ast.Clone(list[i])}
	one.GetSubLink().SubLinkType = pgq.SubLinkType_EXPR_SUBLINK
	return one, nil
}

func (s *step) updateTable(t *table, u *pgq.UpdateStmt, assignments []set, queries []query) *reason {
	scope := s.scope(t, u.GetRelation())
	scope.queries = queries
	when, r := scope.which(u.GetFromClause(), s.whereNotNull(u, scope.rel, assignments))
	if r != nil {
		return r
	}
	switch truth(when.node) {
	case isTrue:
		when.node = nil
	case isFalse, isNull:
		return nil // no row
	}
	values := map[int16]*value{}
	for _, a := range assignments {
		c := scope.rel.Column(a.column)
		if c == nil {
			return unsupported("%s is not a column of %s", a.column, scope.rel.Name)
		}
		v, r := s.assigned(scope, t, c, a.value, when)
		if r != nil {
			return r
		}
		values[c.Num] = v
	}
	var columns []int16
	for num, v := range values {
		t.columns[num] = v
		columns = append(columns, num)
	}
	s.cascadeUpdate(scope.rel, columns)
	s.fires(t, scope.rel, triggerUpdate, columns, &touched{scope, when})
	return nil
}

// assigned is a column's value after the UPDATE.
func (s *step) assigned(scope *scope, t *table, c *syntax.Column, e *pgq.Node, when condition) (*value, *reason) {
	if c.Generated != "" {
		return t.columns[c.Num], nil // only DEFAULT is allowed, which is what it is
	}
	v := s.labelled(s.evaluated(scope, c, e), c.Type)
	if v.tainted != nil || when.node == nil {
		return v, nil
	}
	old := t.columns[c.Num]
	if v.volatile || old == nil || old.volatile {
		return nil, unsupported("it gives some rows values of %s that are new in each run", c.Name)
	}
	if old.tainted != nil {
		return old, nil
	}
	then, r := s.embed(v)
	if r != nil {
		return nil, r
	}
	otherwise, r := s.embed(old)
	if r == nil && s.passing(c.Type) && !old.cast {
		otherwise, r = s.castTo(otherwise, syntax.Type{Name: "text"})
	}
	if r != nil {
		return nil, r
	}
	u, r := when.under.with(v.under)
	if r == nil {
		u, r = u.with(old.under)
	}
	if r != nil {
		return nil, r
	}
	return &value{node: ast.Case(ast.Clone(when.node), then, otherwise), origin: Backfill, typ: c.Type, cast: true, under: u,
		functions: join(join(scope.functions, v.functions), old.functions)}, nil
}

// evaluated is the value of an assigned expression, nil for the default.
func (s *step) evaluated(scope *scope, c *syntax.Column, e *pgq.Node) *value {
	if e == nil {
		v := s.columnDefault(c)
		v.origin = Backfill
		return v
	}
	inner := scope.apart()
	v, r := inner.backfilled(inner.assignedExpr(e))
	switch {
	case r == nil:
		v.typ = c.Type
		return v
	case r.volatile:
		return &value{origin: Backfill, typ: c.Type, volatile: true, filled: neverNull(e), made: e, where: where(s.fact)}
	}
	return taintValue(c.Type, s.taintFor(r, where(s.fact), verb(s.node)))
}

// apart is a scope of a value's own: the functions and settings that it takes are its alone.
func (s *scope) apart() *scope {
	inner := *s
	inner.functions, inner.unders = nil, nil
	return &inner
}

// backfilled is a value that a statement computes by a node of the scope's.
func (s *scope) backfilled(node *pgq.Node, r *reason) (*value, *reason) {
	if r != nil {
		return nil, r
	}
	u, r := s.computed(node)
	if r != nil {
		return nil, r
	}
	return &value{node: node, origin: Backfill, cast: true, functions: s.functions, under: u}, nil
}

// columnDefault is what a row gets that is inserted without the column.
func (s *step) columnDefault(c *syntax.Column) *value {
	switch {
	case c.Generated != "":
		return &value{typ: c.Type, origin: Default, generated: true}
	case c.Identity != "":
		return &value{typ: c.Type, origin: Default, volatile: true}
	case c.Default != "":
		return s.defaultValue(s.before, c.Default, *c, where(s.fact))
	case c.DomainDefault != "":
		return s.defaultValue(s.before, c.DomainDefault, *c, where(s.fact))
	}
	return nullValue(c.Type, Default)
}

// cascadeUpdate: foreign keys that carry a new key on to other tables.
func (s *step) cascadeUpdate(rel *syntax.Relation, columns []int16) {
	for _, ref := range rel.References {
		for i, num := range ref.RefColumns {
			child := s.tables[ref.Table]
			if child == nil || ref.OnUpdate == "a" || ref.OnUpdate == "r" || !slices.Contains(columns, num) || child.source == 0 {
				continue
			}
			tainted := []int{s.newTaint(where(s.fact), "UPDATE of "+rel.Name+" is carried on to this column by a foreign key (ON UPDATE)")}
			if c := child.columns[ref.Columns[i]]; c != nil {
				child.columns[ref.Columns[i]] = taintValue(c.typ, tainted)
			}
		}
	}
}

// remove follows DELETE: its condition becomes a filter.
func (s *step) remove(d *pgq.DeleteStmt) *reason {
	queries, r := queriesOf(d.GetWithClause())
	if r != nil {
		return r
	}
	tables, r := s.targets(d.GetRelation())
	if r != nil {
		return r
	}
	if len(tables) > 1 && (len(d.GetUsingClause()) > 0 || holdsQuery(s.node)) {
		return ofOthers("it writes several tables by what others hold")
	}
	for _, t := range tables {
		scope := s.scope(t, d.GetRelation())
		scope.queries = queries
		which, r := scope.which(d.GetUsingClause(), d.GetWhereClause())
		if r == nil {
			which.under, r = which.under.with(t.under)
		}
		if r != nil {
			return r
		}
		s.removed(t, scope, which)
	}
	return nil
}

func (s *step) removed(t *table, scope *scope, which condition) {
	if truth(which.node) == isFalse || truth(which.node) == isNull {
		return
	}
	for _, q := range s.take(t, scope, which, map[uint32]bool{}) {
		s.ask(q) // once all of them are gone, as a constraint asks
	}
}

// clear takes all rows away, those of production's partitions too.
func (in *inference) clear(t *table) {
	for _, m := range in.tables {
		m.emptied = m.emptied || m.memberOf == t.oid
	}
	t.emptied = t.emptied || t.live()
	t.source, t.where, t.functions, t.under, t.tainted, t.carried = 0, nil, nil, "", nil, false
	t.columns = map[int16]*value{}
}

// truncate empties tables, with CASCADE those that refer to them.
func (s *step) truncate(n *pgq.TruncateStmt) {
	done := map[uint32]bool{}
	for _, r := range n.GetRelations() {
		tables := s.resolve(r.GetRangeVar())
		if len(tables) == 0 {
			s.taintAlways(s.fact, "which table TRUNCATE empties is not known")
		}
		for _, t := range tables {
			s.truncateTable(t, n.GetBehavior() == pgq.DropBehavior_DROP_CASCADE, done)
		}
	}
}

func (s *step) truncateTable(t *table, cascade bool, done map[uint32]bool) {
	if done[t.oid] {
		return
	}
	done[t.oid] = true
	if root := s.tables[t.memberOf]; root != nil && t.source == 0 && !t.emptied {
		root.tainted = join(root.tainted, []int{s.newTaint(where(s.fact), "TRUNCATE empties one partition only")})
		return
	}
	s.clear(t)
	if !cascade || t.last == nil {
		return
	}
	for _, ref := range t.last.References {
		if child := s.tables[ref.Table]; child != nil {
			s.truncateTable(child, cascade, done)
		}
	}
}
