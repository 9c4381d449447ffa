package transforms

import (
	"maps"
	"slices"

	pgq "github.com/pganalyze/pg_query_go/v6"

	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/syntax"
	"github.com/pgumbra/pgumbra/plans/syntax/ast"
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
	// lefts are what LEFT JOIN adds: one row at the most each, so that no row of the
	// level is more or fewer. Their columns are looked up one by one.
	lefts    []*level
	elements *elements   // instead of tables
	conds    []*pgq.Node // all must be true
	groups   []*pgq.Node // GROUP BY; with DISTINCT, all that is selected
	having   []*pgq.Node
	// limited: the query has LIMIT, which its conditions say nothing of.
	limited bool
	order   []*pgq.SortBy // of which the first row counts
	// first: groups are those of DISTINCT ON, of which order says what row stands for each.
	first bool
	ties  bool // no unique key is in it: two rows that come first are an error
	sole  bool // several rows may fit, and must give the same value
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
	rel     *syntax.Relation
	looked  *looked
	order   []string // of outputs
	outputs map[string]output
}

// output is a column of a query in FROM.
type output struct {
	node       *pgq.Node
	aggregated bool
	number     bool // of a row in its group; node is whether there is an earlier one
}

// query is a WITH query, which only those after it see.
type query struct {
	name   string
	tree   *pgq.SelectStmt
	before []query
	names  []*pgq.Node // of its columns; none: their own
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
		if tree == nil || c.GetSearchClause() != nil || c.GetCycleClause() != nil {
			return nil, ofOthers("it has a WITH clause that changes data")
		}
		all = append(all, query{c.GetCtename(), tree, slices.Clone(all), c.GetAliascolnames()})
	}
	return all, nil
}

// with adds a query's own WITH queries to those in sight.
func (s *scope) with(w *pgq.WithClause) *reason {
	own, r := queriesOf(w)
	if r != nil {
		return r
	}
	around := s.queries
	s.queries = slices.Clone(around)
	for _, q := range own {
		q.before = append(slices.Clone(around), q.before...)
		s.queries = append(s.queries, q)
	}
	return nil
}

// within evaluates something in sight of a level.
func (s *scope) within(l *level, do func(inner *scope) *reason) *reason {
	inner := *s
	inner.level, inner.functions, inner.unders, inner.depth = l, nil, nil, s.depth+1
	r := do(&inner)
	s.functions = join(s.functions, inner.functions)
	s.unders = append(s.unders, inner.unders...)
	return r
}

// read lays out a level: FROM with its joins, then WHERE.
func (s *scope) read(l *level, from []*pgq.Node, where *pgq.Node) *reason {
	conds, r := s.openAll(l, from)
	if r != nil {
		return r
	}
	return s.filter(l, append(conds, conjuncts(where)...))
}

// openAll lays out FROM, and returns the conditions of its joins.
func (s *scope) openAll(l *level, from []*pgq.Node) (conds []*pgq.Node, r *reason) {
	for _, n := range from {
		if r := s.open(l, n, &conds); r != nil {
			return nil, r
		}
	}
	return conds, nil
}

// open adds one entry of FROM to a level; conditions of joins go to conds.
func (s *scope) open(l *level, n *pgq.Node, conds *[]*pgq.Node) *reason {
	if l.elements != nil {
		return ofOthers("it joins what a function returns")
	}
	switch x := n.GetNode().(type) {
	case *pgq.Node_RangeVar:
		return s.openTable(l, x.RangeVar)
	case *pgq.Node_JoinExpr:
		j := x.JoinExpr
		left, r := readJoin(j)
		if r != nil {
			return r
		}
		if j.GetLarg().GetRangeFunction() != nil {
			return ofOthers("it joins what a function returns")
		}
		if r := s.open(l, j.GetLarg(), conds); r != nil {
			return r
		}
		if left != nil {
			return s.openLeft(l, *left)
		}
		*conds = append(*conds, conjuncts(j.GetQuals())...)
		return s.open(l, j.GetRarg(), conds)
	case *pgq.Node_RangeSubselect:
		if x.RangeSubselect.GetLateral() {
			return ofOthers("it has LATERAL")
		}
		return s.openQuery(l, x.RangeSubselect.GetSubquery().GetSelectStmt(), x.RangeSubselect.GetAlias())
	case *pgq.Node_RangeFunction:
		return s.openElements(l, x.RangeFunction)
	}
	return ofOthers("it reads something else than tables")
}

func (s *scope) openTable(l *level, v *pgq.RangeVar) *reason {
	if v.GetSchemaname() == "" {
		for i := len(s.queries) - 1; i >= 0; i-- {
			if q := s.queries[i]; q.name == v.GetRelname() {
				inner := *s
				inner.queries = q.before
				alias := &pgq.Alias{Aliasname: q.name, Colnames: q.names}
				if a := v.GetAlias(); a != nil {
					alias.Aliasname = a.GetAliasname()
					if len(a.GetColnames()) > 0 && len(a.GetColnames()) < len(q.names) {
						return ofOthers("it renames some of the columns of a query")
					} else if len(a.GetColnames()) > 0 {
						alias.Colnames = a.GetColnames()
					}
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
	rel := s.mark.Relation(s.mark.Tables[ast.TableName(v)])
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
func (s *scope) lookable(rel *syntax.Relation, name string, family []*table) (*looked, *reason) {
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
	s.functions = join(s.functions, t.functions)
	return &looked{alias: s.in.ownAlias(), table: t, name: rel.Name}, nil
}

// openQuery adds a query in FROM: its tables and conditions become the level's,
// its columns names for expressions over them.
func (s *scope) openQuery(l *level, q *pgq.SelectStmt, alias *pgq.Alias) *reason {
	if r := lookupSelect(q); r != nil {
		return r
	}
	inner := &level{closed: true}
	it := &item{name: alias.GetAliasname(), outputs: map[string]output{}}
	r := s.within(inner, func(is *scope) *reason {
		if r := is.with(q.GetWithClause()); r != nil {
			return r
		}
		plain := is.asked(q)
		if r := is.read(inner, plain.GetFromClause(), plain.GetWhereClause()); r != nil {
			return r
		}
		if r := is.outputs(inner, plain, it); r != nil {
			return r
		}
		return it.renamed(alias.GetColnames())
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
	l.first, l.order, l.ties = inner.first, inner.order, inner.ties
	return nil
}

// renamed gives outputs the names that stand behind the query's own: x (a, b).
func (it *item) renamed(names []*pgq.Node) *reason {
	if len(names) > len(it.order) {
		return ofOthers("it names more columns than the query has")
	}
	outputs := it.outputs
	was := it.order
	it.order, it.outputs = nil, map[string]output{}
	for i, name := range was {
		if i < len(names) {
			it.add(names[i].GetString_().GetSval(), outputs[name])
		} else {
			it.add(name, outputs[name])
		}
	}
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

func cloneAll(list []*pgq.Node) []*pgq.Node {
	out := make([]*pgq.Node, len(list))
	for i, n := range list {
		out[i] = ast.Clone(n)
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
