package syntax

import (
	"maps"
	"slices"

	pgq "github.com/pganalyze/pg_query_go/v6"

	"github.com/pgumbra/pgumbra/plans/catalog"
)

// level is what a query inside a statement reads: a subquery, or the FROM of an
// UPDATE. Its tables go by names of ours ([ownAlias]) and under production's
// names; what their columns hold by then stands in the expressions.
type level struct {
	outer *level // nil: the row that the statement is about
	// closed: a query in FROM, which sees nothing of what stands around it.
	closed bool
	items  []*item
	tables []*looked
	conds  []*pgq.Node // all must be true
	groups []*pgq.Node // GROUP BY; with DISTINCT, all that is selected
	having []*pgq.Node
	// limited: the query has LIMIT, which its conditions say nothing of.
	limited bool
	order   []*pgq.SortBy // of which the first row counts
}

// looked is a table of a level.
type looked struct {
	alias string
	table *table
	name  string // for people
}

// item is a name of FROM: a table's, or that of a query whose tables are the
// level's own.
type item struct {
	name    string
	path    []string // by which it may be qualified, schema first; only of a table without alias
	rel     *relation
	looked  *looked
	order   []string // of outputs
	outputs map[string]output
}

// output is a column of a query in FROM.
type output struct {
	node       *pgq.Node
	aggregated bool
}

// query is a WITH query, which only those after it see.
type query struct {
	name   string
	tree   *pgq.SelectStmt
	before []query
}

// queriesOf are a statement's WITH queries. None changes data or has another
// value each time, so it does not matter how often it is computed.
func queriesOf(w *pgq.WithClause) ([]query, *reason) {
	if w.GetRecursive() {
		return nil, ofOthers("it has WITH RECURSIVE")
	}
	var all []query
	for _, n := range w.GetCtes() {
		c := n.GetCommonTableExpr()
		tree := c.GetCtequery().GetSelectStmt()
		if tree == nil || len(c.GetAliascolnames()) > 0 || c.GetSearchClause() != nil || c.GetCycleClause() != nil {
			return nil, ofOthers("it has a WITH clause that changes data, or renames columns")
		}
		all = append(all, query{c.GetCtename(), tree, slices.Clone(all)})
	}
	return all, nil
}

// within evaluates something in sight of a level.
func (s *scope) within(l *level, do func(inner *scope) *reason) *reason {
	inner := *s
	inner.level, inner.functions, inner.unders, inner.depth = l, nil, nil, s.depth+1
	r := do(&inner)
	s.functions = joinFunctions(s.functions, inner.functions)
	s.unders = append(s.unders, inner.unders...)
	return r
}

// read lays out a level: FROM with its joins, then WHERE.
func (s *scope) read(l *level, from []*pgq.Node, where *pgq.Node) *reason {
	var conds []*pgq.Node
	for _, n := range from {
		r := s.open(l, n, &conds)
		if r != nil {
			return r
		}
	}
	return s.filter(l, append(conds, conjuncts(where)...))
}

// open adds one entry of FROM to a level; conditions of joins go to conds.
func (s *scope) open(l *level, n *pgq.Node, conds *[]*pgq.Node) *reason {
	switch x := n.GetNode().(type) {
	case *pgq.Node_RangeVar:
		return s.openTable(l, x.RangeVar)
	case *pgq.Node_JoinExpr:
		j := x.JoinExpr
		if j.GetJointype() != pgq.JoinType_JOIN_INNER || j.GetIsNatural() || len(j.GetUsingClause()) > 0 || j.GetAlias() != nil {
			return ofOthers("it has a join that is outer, NATURAL or with USING")
		}
		if r := s.open(l, j.GetLarg(), conds); r != nil {
			return r
		}
		*conds = append(*conds, conjuncts(j.GetQuals())...)
		return s.open(l, j.GetRarg(), conds)
	case *pgq.Node_RangeSubselect:
		if x.RangeSubselect.GetLateral() {
			return ofOthers("it has LATERAL")
		}
		return s.openQuery(l, x.RangeSubselect.GetSubquery().GetSelectStmt(), x.RangeSubselect.GetAlias())
	}
	return ofOthers("it reads something else than tables")
}

func (s *scope) openTable(l *level, v *pgq.RangeVar) *reason {
	if v.GetSchemaname() == "" {
		for i := len(s.queries) - 1; i >= 0; i-- {
			if q := s.queries[i]; q.name == v.GetRelname() {
				inner := *s
				inner.queries = q.before
				alias := v.GetAlias()
				if alias == nil {
					alias = &pgq.Alias{Aliasname: q.name}
				}
				r := inner.openQuery(l, q.tree, alias)
				s.functions, s.unders = inner.functions, inner.unders
				return r
			}
		}
	}
	if len(l.groups) > 0 {
		return ofOthers("it joins a query that groups rows")
	}
	it, r := s.itemOf(v)
	if r != nil {
		return r
	}
	l.items, l.tables = append(l.items, it), append(l.tables, it.looked)
	return nil
}

// itemOf is a table of production's in FROM.
func (s *scope) itemOf(v *pgq.RangeVar) (*item, *reason) {
	rel := s.mark.relation(s.mark.Tables[tableName(v)])
	name := v.GetRelname()
	switch {
	case rel == nil:
		return nil, ofOthers("what %s is cannot be told", name)
	case len(v.GetAlias().GetColnames()) > 0:
		return nil, ofOthers("it renames the columns of %s", name)
	}
	there, r := s.lookable(rel, name, s.in.family(s.mark, rel.OID, v.GetInh()))
	if r != nil {
		return nil, r
	}
	it := &item{name: name, rel: rel, looked: there}
	if alias := v.GetAlias().GetAliasname(); alias != "" {
		it.name = alias
	} else {
		it.path = []string{rel.Schema, rel.Name}
	}
	return it, nil
}

// lookable is a table whose rows may be looked up. family are those whose rows
// its name means.
func (s *scope) lookable(rel *relation, name string, family []*table) (*looked, *reason) {
	t := s.in.tables[rel.OID]
	switch {
	case t == nil || rel.Kind != "r" && rel.Kind != "p":
		return nil, ofOthers("%s is no table", name)
	case rel.Kind == "p" || s.in.before.ByOID(t.source) != nil && s.in.before.ByOID(t.source).Kind == "p":
		return nil, ofOthers("%s is partitioned", name)
	case len(family) > 1:
		return nil, ofOthers("it reads a part of %s, or %[1]s with those that inherit from it", name)
	case t.tainted != nil:
		return nil, &reason{text: "it reads rows of " + name + " that cannot be inferred themselves", others: true, tainted: t.tainted}
	case t.source == 0 || t.carried:
		return nil, ofOthers("%s holds rows that the migrations inserted", name)
	case len(s.in.before.ByOID(t.source).Parents) > 0 || slices.ContainsFunc(s.in.before.Tables, func(c *catalog.Table) bool { return c.PartitionOf == 0 && slices.Contains(c.Parents, t.source) }):
		return nil, ofOthers("%s has parents or children by INHERITS", name)
	}
	s.unders = append(s.unders, t.under)
	s.functions = joinFunctions(s.functions, t.functions)
	return &looked{alias: s.in.ownAlias(), table: t, name: rel.Name}, nil
}

// openQuery adds a query in FROM: its tables and conditions become the level's,
// its columns names for expressions over them.
func (s *scope) openQuery(l *level, q *pgq.SelectStmt, alias *pgq.Alias) *reason {
	if r := lookupSelect(q); r != nil {
		return r
	}
	if len(alias.GetColnames()) > 0 {
		return ofOthers("it renames the columns of a query")
	}
	inner := &level{closed: true}
	it := &item{name: alias.GetAliasname(), outputs: map[string]output{}}
	r := s.within(inner, func(is *scope) *reason {
		if r := is.read(inner, q.GetFromClause(), q.GetWhereClause()); r != nil {
			return r
		}
		return is.outputs(inner, q, it)
	})
	if r != nil {
		return r
	}
	if (len(inner.groups) > 0 && len(l.tables) > 0) || len(l.groups) > 0 {
		return ofOthers("it joins a query that groups rows")
	}
	l.items = append(l.items, it)
	l.tables, l.conds = append(l.tables, inner.tables...), append(l.conds, inner.conds...)
	l.groups, l.having = inner.groups, inner.having
	return nil
}

// lookupSelect refuses queries that are more than rows of tables, filtered and
// grouped.
func lookupSelect(q *pgq.SelectStmt) *reason {
	switch {
	case q == nil || len(q.GetFromClause()) == 0:
		return ofOthers("it is no plain SELECT")
	case q.GetOp() != pgq.SetOperation_SETOP_NONE:
		return ofOthers("it has a UNION of several queries")
	case q.GetWithClause() != nil:
		return ofOthers("it has a WITH clause inside a query")
	case q.GetWindowClause() != nil:
		return ofOthers("it has window functions")
	case q.GetLimitCount() != nil || q.GetLimitOffset() != nil:
		return ofOthers("it has LIMIT")
	case len(q.GetLockingClause()) > 0:
		return ofOthers("it has FOR UPDATE")
	case q.GetGroupDistinct():
		return ofOthers("it has GROUP BY DISTINCT")
	}
	return nil
}

// outputs evaluates what a query in FROM gives, and what it groups by.
func (s *scope) outputs(l *level, q *pgq.SelectStmt, it *item) *reason {
	distinct := len(q.GetDistinctClause()) > 0
	if distinct && (len(q.GetDistinctClause()) > 1 || q.GetDistinctClause()[0].GetNode() != nil) {
		return ofOthers("it has DISTINCT ON")
	}
	s.aggregates = true
	defer func() { s.aggregates = false }()
	grouped := false
	for _, n := range q.GetTargetList() {
		val := n.GetResTarget().GetVal()
		if f := val.GetColumnRef().GetFields(); len(f) > 0 && f[len(f)-1].GetAStar() != nil {
			if r := s.star(l, val.GetColumnRef(), it); r != nil {
				return r
			}
			continue
		}
		s.aggregated = false
		node, r := s.expr(val)
		if r != nil {
			return r
		}
		it.add(outputName(n.GetResTarget()), output{node, s.aggregated})
		grouped = grouped || s.aggregated
	}
	if distinct {
		if grouped || len(q.GetGroupClause()) > 0 {
			return ofOthers("it has DISTINCT over groups")
		}
		for _, name := range it.order {
			l.groups = append(l.groups, clone(it.outputs[name].node))
		}
		return nil
	}
	return s.group(l, q, it, grouped)
}

func (s *scope) group(l *level, q *pgq.SelectStmt, it *item, aggregated bool) *reason {
	for _, n := range q.GetGroupClause() {
		node, r := s.groupNode(n, it)
		if r != nil {
			return r
		}
		l.groups = append(l.groups, node)
	}
	if len(l.groups) == 0 && (aggregated || q.GetHavingClause() != nil) {
		return ofOthers("a query without GROUP BY gives a row even of nothing")
	}
	for _, n := range conjuncts(q.GetHavingClause()) {
		node, r := s.expr(n)
		if r != nil {
			return r
		}
		l.having = append(l.having, node)
	}
	return nil
}

// groupNode is one expression of GROUP BY; a number or a name may mean a column
// of what is selected.
func (s *scope) groupNode(n *pgq.Node, it *item) (*pgq.Node, *reason) {
	if c := n.GetAConst(); c != nil {
		i := int(c.GetIval().GetIval())
		if i < 1 || i > len(it.order) {
			return nil, ofOthers("it groups by something that is no column")
		}
		return clone(it.outputs[it.order[i-1]].node), nil
	}
	if n.GetGroupingSet() != nil {
		return nil, ofOthers("it has GROUPING SETS")
	}
	if fields := parts(n.GetColumnRef().GetFields()); len(fields) == 1 { // a column of FROM, else a name of the list
		if _, found, _ := s.levelColumn(fields); !found {
			if out, ok := it.outputs[fields[0]]; ok && !out.aggregated {
				return clone(out.node), nil
			}
		}
	}
	return s.expr(n)
}

func (it *item) add(name string, o output) {
	if _, twice := it.outputs[name]; twice {
		name += "\x00" // ambiguous: no name leads there
	}
	it.order = append(it.order, name)
	it.outputs[name] = o
}

// outputName is the name that PostgreSQL gives a column of a query, as far as
// it is that of something.
func outputName(t *pgq.ResTarget) string {
	n := uncast(t.GetVal())
	switch {
	case t.GetName() != "":
		return t.GetName()
	case n.GetColumnRef() != nil:
		return last(parts(n.GetColumnRef().GetFields()))
	case n.GetFuncCall() != nil:
		return last(parts(n.GetFuncCall().GetFuncname()))
	}
	return "\x00" + n.String()
}

// star adds all columns of some names of FROM.
func (s *scope) star(l *level, ref *pgq.ColumnRef, it *item) *reason {
	path := parts(ref.GetFields()[:len(ref.GetFields())-1])
	for _, from := range l.items {
		if len(path) > 0 && !from.called(path) {
			continue
		}
		for _, name := range from.columns() {
			node, r := s.itemColumn(from, name)
			if r != nil {
				return r
			}
			it.add(name, output{node, false})
		}
	}
	return nil
}

func (it *item) columns() []string {
	if it.rel == nil {
		return it.order
	}
	var names []string
	for i := range it.rel.Columns {
		names = append(names, it.rel.Columns[i].Name)
	}
	return names
}

// called reports whether a qualification means the item.
func (it *item) called(path []string) bool {
	if len(path) == 1 {
		return path[0] == it.name
	}
	return slices.Equal(path, it.path)
}

// levelColumn finds a column in the queries around an expression, the innermost
// first. Not found: it is one of the row that the statement is about.
func (s *scope) levelColumn(fields []string) (node *pgq.Node, found bool, r *reason) {
	path, name := fields[:len(fields)-1], last(fields)
	for l := s.level; l != nil; l = l.outer {
		var meant []*item
		for _, it := range l.items {
			if len(path) > 0 && it.called(path) || len(path) == 0 && slices.Contains(it.columns(), name) {
				meant = append(meant, it)
			}
		}
		switch {
		case len(meant) > 1:
			return nil, true, ofOthers("which column %s means cannot be told", name)
		case len(meant) == 1 && l != s.level && meant[0].outputs[name].aggregated: // it would be the inner query's
			return nil, true, ofOthers("%s is an aggregate, and a query inside reads it", name)
		case len(meant) == 1:
			node, r := s.itemColumn(meant[0], name)
			return node, true, r
		case l.closed:
			return nil, true, ofOthers("%s is no column of the query", name)
		}
	}
	return s.leftColumn(fields)
}

func (s *scope) itemColumn(it *item, name string) (*pgq.Node, *reason) {
	if it.rel == nil {
		out, ok := it.outputs[name]
		if !ok {
			return nil, ofOthers("%s is no column of %s", name, it.name)
		}
		s.aggregated = s.aggregated || out.aggregated
		return clone(out.node), nil
	}
	c := it.rel.column(name)
	if c == nil {
		return nil, ofOthers("%s is no column of %s", name, it.name)
	}
	if s.in.passing(c.Type) {
		return nil, unsupported("type %s is not there while the shadow is built", c.Type.Name)
	}
	row := &scope{in: s.in, mark: s.mark, rel: it.rel, tab: it.looked.table, depth: s.depth}
	node, r := row.column(c)
	if r != nil {
		r.others = true
		return nil, r
	}
	s.functions = joinFunctions(s.functions, row.functions)
	s.unders = append(s.unders, row.unders...)
	return s.in.moved(node, it.looked), nil
}

// filter adds conditions to a level: first those that say by what its tables are
// found, which those with queries in them build upon.
func (s *scope) filter(l *level, conds []*pgq.Node) *reason {
	for _, t := range l.tables {
		if t.table.where != nil && !t.filtered(l) {
			for _, w := range t.table.where {
				l.conds = append(l.conds, s.in.moved(w, t))
			}
		}
	}
	return s.within(l, func(inner *scope) *reason {
		var later []*pgq.Node
		for _, n := range conds {
			if holdsQuery(n) {
				later = append(later, n)
				continue
			}
			inner.aggregated = false
			node, r := inner.expr(n)
			if r != nil {
				return r
			}
			if inner.aggregated {
				l.having = append(l.having, node)
			} else {
				l.conds = append(l.conds, node)
			}
		}
		if len(later) == 0 {
			return nil
		}
		if inner.link(l) == nil {
			return inner.conditions(l, later)
		}
		comparing := slices.DeleteFunc(slices.Clone(later), func(n *pgq.Node) bool { return !comparesQuery(n) })
		r := inner.conditions(l, comparing)
		if r == nil {
			r = inner.link(l)
		}
		if r != nil {
			return r
		}
		return inner.conditions(l, slices.DeleteFunc(later, comparesQuery))
	})
}

// conditions adds conditions with queries in them to a level.
func (s *scope) conditions(l *level, all []*pgq.Node) *reason {
	for _, n := range all {
		node, r := s.truth(n)
		if r != nil {
			return r
		}
		l.conds = append(l.conds, node)
	}
	return nil
}

// comparesQuery: x = (SELECT …), by which a table may be found that nothing else
// leads to.
func comparesQuery(n *pgq.Node) bool {
	e := n.GetAExpr()
	if e == nil || e.GetKind() != pgq.A_Expr_Kind_AEXPR_OP || !slices.Equal(parts(e.GetName()), []string{"="}) {
		return false
	}
	return e.GetLexpr().GetSubLink().GetSubLinkType() == pgq.SubLinkType_EXPR_SUBLINK || e.GetRexpr().GetSubLink().GetSubLinkType() == pgq.SubLinkType_EXPR_SUBLINK
}

// filtered: a query in FROM brought the table, with its filter.
func (t *looked) filtered(l *level) bool {
	return !slices.ContainsFunc(l.items, func(it *item) bool { return it.looked == t })
}

// conjuncts are the parts of a condition of which all must be true.
func conjuncts(n *pgq.Node) []*pgq.Node {
	if n == nil {
		return nil
	}
	if b := n.GetBoolExpr(); b.GetBoolop() == pgq.BoolExprType_AND_EXPR {
		var all []*pgq.Node
		for _, a := range b.GetArgs() {
			all = append(all, conjuncts(a)...)
		}
		return all
	}
	return []*pgq.Node{n}
}

// selecting is the level's query of one value; nil: whether it gives a row.
func (s *scope) selecting(l *level, value *pgq.Node) (*pgq.Node, *reason) {
	sql := "SELECT EXISTS (SELECT"
	params := map[int32]*pgq.Node{}
	param := func(n *pgq.Node) string {
		params[int32(len(params)+1)] = n
		return paramName(len(params))
	}
	if value != nil {
		sql = "SELECT (SELECT " + param(value)
	}
	for i, t := range l.tables {
		sql += map[bool]string{true: " FROM ", false: ", "}[i == 0] + s.in.fromText(t)
	}
	if len(l.conds) > 0 {
		sql += " WHERE " + param(and(cloneAll(l.conds)))
	}
	for i, g := range l.groups {
		sql += map[bool]string{true: " GROUP BY ", false: ", "}[i == 0] + param(g)
	}
	if len(l.having) > 0 {
		sql += " HAVING " + param(and(cloneAll(l.having)))
	}
	for i, o := range l.order {
		sql += map[bool]string{true: " ORDER BY ", false: ", "}[i == 0] + param(o.GetNode())
	}
	if len(l.order) > 0 {
		sql += " LIMIT 1"
	}
	tree, r := s.in.parse(sql + ")")
	if r != nil {
		return nil, r
	}
	for i, n := range target(tree).GetSubLink().GetSubselect().GetSelectStmt().GetSortClause() {
		n.GetSortBy().SortbyDir, n.GetSortBy().SortbyNulls = l.order[i].GetSortbyDir(), l.order[i].GetSortbyNulls()
	}
	out, err := rewrite(target(tree), func(n *pgq.Node) (*pgq.Node, error) {
		if p := n.GetParamRef(); p != nil {
			return clone(params[p.GetNumber()]), nil
		}
		return nil, nil
	})
	if err != nil {
		return nil, unsupported("%s", err.Error())
	}
	return out, nil
}

func cloneAll(list []*pgq.Node) []*pgq.Node {
	out := make([]*pgq.Node, len(list))
	for i, n := range list {
		out[i] = clone(n)
	}
	return out
}

// known are the tables of the queries around a level.
func (l *level) known() map[string]bool {
	all := map[string]bool{}
	for o := l.outer; o != nil; o = o.outer {
		maps.Copy(all, o.aliases())
	}
	return all
}

func (l *level) aliases() map[string]bool {
	all := map[string]bool{}
	for _, t := range l.tables {
		all[t.alias] = true
	}
	return all
}
