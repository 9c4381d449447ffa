package transforms

import (
	"slices"

	pgq "github.com/pganalyze/pg_query_go/v6"

	"github.com/pgumbra/pgumbra/plans/syntax"
	"github.com/pgumbra/pgumbra/plans/syntax/ast"
)

// inserted follows INSERT: rows that the migrations make up stay in scratch and
// are carried; INSERT … SELECT from one table feeds a new one.
func (s *step) inserted(n *pgq.InsertStmt) *reason {
	oid, ok := s.before.Tables[ast.TableName(n.GetRelation())]
	t, rel := s.tables[oid], s.before.Relation(oid)
	if !ok || t == nil || rel == nil {
		return unsupported("which table it writes is not known")
	}
	if s.selectsNothing(n.GetSelectStmt().GetSelectStmt()) {
		return nil
	}
	if t.live() {
		return unsupported("it inserts rows into a table of production, beside those that are there")
	}
	if !s.readsLive([]*table{t}) {
		t.carried = true
		return s.carries(rel)
	}
	queries, r := queriesOf(n.GetWithClause())
	switch {
	case r != nil:
		return r
	case n.GetOnConflictClause() != nil:
		return unsupported("it has an ON CONFLICT clause")
	case t.carried:
		return unsupported("the table holds rows that the migrations inserted before")
	case rel.Rules:
		return unsupported("the table has rules, which rewrite it")
	}
	source, values, r := s.selected(n.GetSelectStmt().GetSelectStmt(), queries)
	if r != nil {
		return r
	}
	columns, r := insertColumns(rel, n.GetCols())
	if r != nil {
		return r
	}
	if len(values) > len(columns) {
		return unsupported("it selects more columns than it inserts")
	}
	byNum := map[int16]*value{}
	for i, v := range values {
		byNum[columns[i].Num] = v
	}
	s.feed(t, rel, source, byNum, n.GetOverride() == pgq.OverridingKind_OVERRIDING_USER_VALUE)
	s.fires(t, rel, triggerInsert, nil, nil)
	return nil
}

func insertColumns(rel *syntax.Relation, list []*pgq.Node) ([]syntax.Column, *reason) {
	if len(list) == 0 {
		return rel.Columns, nil
	}
	var out []syntax.Column
	for _, n := range list {
		c := rel.Column(n.GetResTarget().GetName())
		if c == nil || len(n.GetResTarget().GetIndirection()) > 0 {
			return nil, unsupported("it writes a part of column %s", n.GetResTarget().GetName())
		}
		out = append(out, *c)
	}
	return out, nil
}

// source of a SELECT: the one table that it reads.
type source struct {
	table     *table
	where     []*pgq.Node
	functions []uint32
	under     under
}

// selected are the values of a SELECT that gives a row for each row of one table
// at the most: alone, or joined with others of which at most one fits.
func (s *step) selected(q *pgq.SelectStmt, queries []query) (source, []*value, *reason) {
	own, r := queriesOf(q.GetWithClause())
	if r != nil {
		return source{}, nil, r
	}
	queries = append(slices.Clone(queries), own...)
	out, values, r := s.selectedFrom(q, queries)
	if r == nil {
		return out, values, nil
	}
	if plain := s.inlined(q, queries); plain != nil {
		if out, values, why := s.selectedFrom(plain, queries); why == nil {
			return out, values, nil
		}
	}
	return source{}, nil, r
}

// selectedFrom is the same of a SELECT whose WITH queries are known.
func (s *step) selectedFrom(q *pgq.SelectStmt, queries []query) (source, []*value, *reason) {
	q = s.byKey(q, queries)
	if r := plainSelect(q); r != nil {
		return source{}, nil, r
	}
	f, r := flatten(q.GetFromClause())
	if r != nil {
		return source{}, nil, r
	}
	for i, leaf := range f.inner {
		scope, why := s.rowOf(leaf, queries)
		if why == nil {
			var out source
			var values []*value
			if out, values, why = s.selectedBy(scope, f.without(i), q); why == nil {
				return out, values, nil
			}
		}
		if r == nil || i == 0 {
			r = why
		}
	}
	return source{}, nil, r
}

// rowOf is the scope of a table as the one whose rows are selected.
func (s *step) rowOf(leaf *pgq.Node, queries []query) (*scope, *reason) {
	from := leaf.GetRangeVar()
	if from == nil || from.GetSchemaname() == "" && slices.ContainsFunc(queries, func(q query) bool { return q.name == from.GetRelname() }) {
		return nil, ofOthers("it reads a query")
	}
	t := s.tables[s.before.Tables[ast.TableName(from)]]
	switch {
	case t == nil || s.before.Relation(t.oid) == nil:
		return nil, unsupported("it reads something else than a table")
	case len(from.GetAlias().GetColnames()) > 0:
		return nil, unsupported("it renames the table's columns")
	case !from.GetInh() && s.before.Relation(t.oid).Kind == "p":
		return nil, unsupported("it reads ONLY the root of a partition tree")
	case t.source == 0:
		return nil, unsupported("it reads one partition, or rows that the migrations inserted")
	case t.carried:
		return nil, unsupported("it reads a table that holds both production's rows and others")
	case from.GetInh() && s.before.Relation(t.oid).Kind == "r" && len(s.family(s.before, t.oid, true)) > 1:
		return nil, unsupported("it reads a table and those that inherit from it")
	case t.tainted != nil:
		return nil, &reason{text: "it reads rows that cannot be inferred themselves", tainted: t.tainted}
	}
	scope := s.scope(t, from)
	scope.queries = queries
	return scope, nil
}

// selectedBy are the values and conditions of a SELECT over a scope's rows.
func (s *step) selectedBy(scope *scope, others joins, q *pgq.SelectStmt) (source, []*value, *reason) {
	t := scope.tab
	where, r := scope.join(others, q.GetWhereClause())
	if r != nil {
		return source{}, nil, r
	}
	values, r := s.selectedValues(scope, q.GetTargetList())
	if r != nil {
		return source{}, nil, r
	}
	out := source{table: t, where: t.where, functions: t.functions, under: t.under}
	if where == nil {
		return out, values, nil
	}
	which, r := scope.condition(where)
	if r != nil {
		return source{}, nil, r
	}
	if truth(which.node) != isTrue {
		if out.under, r = which.under.with(t.under); r != nil {
			return source{}, nil, r
		}
		out.where = append(append([]*pgq.Node{}, t.where...), which.node)
		out.functions = join(t.functions, scope.functions)
	}
	return out, values, nil
}

func plainSelect(q *pgq.SelectStmt) *reason {
	switch {
	case q == nil:
		return unsupported("it is no plain SELECT")
	case q.GetOp() != pgq.SetOperation_SETOP_NONE:
		return unsupported("it is a UNION of several")
	case q.GetDistinctClause() != nil:
		return unsupported("it has DISTINCT")
	case q.GetGroupClause() != nil || q.GetHavingClause() != nil:
		return unsupported("it has GROUP BY")
	case q.GetWindowClause() != nil:
		return unsupported("it has window functions")
	case q.GetLimitCount() != nil || q.GetLimitOffset() != nil:
		return unsupported("it has LIMIT")
	case len(q.GetFromClause()) == 0:
		return unsupported("it reads no table")
	}
	return nil
}

func (s *step) selectedValues(scope *scope, list []*pgq.Node) ([]*value, *reason) {
	var out []*value
	for _, n := range list {
		e := n.GetResTarget().GetVal()
		if isStar(scope, e) {
			for i := range scope.rel.Columns {
				out = append(out, s.copied(scope, &scope.rel.Columns[i]))
			}
			continue
		}
		if ref := e.GetColumnRef(); ref != nil {
			if ref.GetFields()[len(ref.GetFields())-1].GetAStar() != nil {
				return nil, ofOthers("it selects all columns of what it joins")
			}
			path := ast.Strings(ref.GetFields())
			if c := scope.rel.Column(ast.Last(path)); c != nil && scope.names(path[:len(path)-1]) && !scope.ofLevel(path) {
				out = append(out, s.copied(scope, c))
				continue
			}
		}
		inner := scope.apart()
		v, r := inner.backfilled(inner.assignedExpr(e))
		switch {
		case r == nil:
			out = append(out, v)
		case r.volatile:
			out = append(out, &value{origin: Backfill, volatile: true, made: e, where: where(s.fact)})
		case r.rows:
			return nil, r
		default:
			out = append(out, taintValue(syntax.Type{}, s.taintFor(r, where(s.fact), verb(s.node))))
		}
	}
	return out, nil
}

func isStar(scope *scope, e *pgq.Node) bool {
	fields := e.GetColumnRef().GetFields()
	if len(fields) == 0 || fields[len(fields)-1].GetAStar() == nil || len(fields) == 1 && scope.joins() {
		return false
	}
	return scope.names(ast.Strings(fields[:len(fields)-1]))
}

// copied is a column's value as another column takes it over.
func (s *step) copied(scope *scope, c *syntax.Column) *value {
	v := scope.tab.columns[c.Num]
	if v == nil || v.tainted != nil || v.volatile {
		r := &reason{text: "it reads " + c.Name + ", whose values are new in each run"}
		if v != nil && v.tainted != nil {
			r.tainted = v.tainted
		}
		return taintValue(c.Type, s.taintFor(r, where(s.fact), verb(s.node)))
	}
	inner := scope.apart()
	computed, r := inner.backfilled(inner.column(c))
	switch {
	case r != nil:
		return taintValue(c.Type, s.taintFor(r, where(s.fact), verb(s.node)))
	case v.generated:
		return computed
	}
	copied := *v
	return &copied
}

// feed gives a new table its rows: the source's.
func (s *step) feed(t *table, rel *syntax.Relation, from source, values map[int16]*value, overrideUser bool) {
	t.source, t.where, t.functions, t.under = from.table.source, from.where, from.functions, from.under
	t.columns = map[int16]*value{}
	for i := range rel.Columns {
		c := &rel.Columns[i]
		v := values[c.Num]
		if v == nil || c.Generated != "" || overrideUser && c.Identity != "" {
			v = s.columnDefault(c)
		}
		t.columns[c.Num] = s.labelled(s.assign(v, c.Type, underOf(s.before)), c.Type)
	}
}

// assign is a selected value in a column of some type: one that was copied from
// a column passes through that one's type.
func (in *inference) assign(v *value, typ syntax.Type, now under) *value {
	if v.typ.Name != "" && !sameType(v.typ, typ) && v.node != nil {
		u, r := v.under.with(now)
		if r != nil {
			return taintValue(typ, in.taintFor(r, "", "the value"))
		}
		v.under = u
		node, r := in.embed(v)
		if r != nil {
			return taintValue(typ, in.taintFor(r, "", "the value"))
		}
		v.node, v.cast = node, true
	}
	v.typ = typ
	return v
}

// create follows CREATE TABLE … AS and SELECT INTO.
func (s *step) create(q *pgq.SelectStmt, into *pgq.IntoClause) *reason {
	oid, ok := s.after.Tables[ast.TableName(into.GetRel())]
	rel := s.after.Relation(oid)
	if !ok || rel == nil {
		return unsupported("which table it makes is not known")
	}
	if s.before.Tables[ast.TableName(into.GetRel())] == oid {
		return nil // IF NOT EXISTS: it was there
	}
	t := &table{oid: oid, last: rel, columns: map[int16]*value{}}
	s.tables[oid] = t
	if !s.readsLive([]*table{t}) {
		t.carried = true
		return s.carries(rel)
	}
	source, values, r := s.selected(q, nil)
	if r != nil {
		return r
	}
	if len(values) != len(rel.Columns) {
		return unsupported("its columns cannot be told apart")
	}
	byNum := map[int16]*value{}
	for i, v := range values {
		byNum[rel.Columns[i].Num] = v
	}
	s.feed(t, rel, source, byNum, false)
	return nil
}
