package transforms

import (
	"slices"

	pgq "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"

	"github.com/pgumbra/pgumbra/plans/syntax"
	"github.com/pgumbra/pgumbra/plans/syntax/ast"
)

// A query in FROM over one table, filtered, is that table with a condition: so a SELECT
// may take its rows from it.

// inlining puts tables in place of such queries.
type inlining struct {
	step    *step
	queries []query
	q       *pgq.SelectStmt // the SELECT around it, a copy
	many    bool            // it reads more than one thing
	done    bool
}

// inlined is a SELECT with tables in place of what it reads of queries over one table; nil:
// there is none that can be replaced.
func (s *step) inlined(q *pgq.SelectStmt, queries []query) *pgq.SelectStmt {
	in := &inlining{step: s, queries: queries, q: proto.Clone(q).(*pgq.SelectStmt)}
	in.many = len(q.GetFromClause()) != 1 || q.GetFromClause()[0].GetJoinExpr() != nil
	for i := range in.q.FromClause {
		if !in.leaf(&in.q.FromClause[i]) {
			return nil
		}
	}
	if !in.done {
		return nil
	}
	return in.q
}

// leaf replaces a query that gives a row to each of the result; false: that cannot be told.
func (in *inlining) leaf(n **pgq.Node) bool {
	if j := (*n).GetJoinExpr(); j != nil {
		if !in.leaf(&j.Larg) {
			return false
		}
		return j.GetJointype() != pgq.JoinType_JOIN_INNER || in.leaf(&j.Rarg)
	}
	name, tree := in.queryOf(*n)
	if tree == nil {
		return true
	}
	v := in.oneTable(tree)
	if v == nil {
		return true
	}
	inner := &filtered{name: name, rel: in.step.before.Relation(in.step.before.Tables[ast.TableName(v)]), was: called(v), step: in.step}
	if inner.rel == nil || !inner.read(tree) || !inner.fits(in.q, in.many) || !inner.into(in.q) {
		return false
	}
	table := proto.Clone(v).(*pgq.RangeVar)
	table.Alias = &pgq.Alias{Aliasname: name}
	*n = &pgq.Node{Node: &pgq.Node_RangeVar{RangeVar: table}}
	in.done = true
	return true
}

// queryOf is the query that an entry of FROM means, with the name that it goes by.
func (in *inlining) queryOf(n *pgq.Node) (string, *pgq.SelectStmt) {
	if sub := n.GetRangeSubselect(); sub != nil && !sub.GetLateral() && len(sub.GetAlias().GetColnames()) == 0 {
		return sub.GetAlias().GetAliasname(), sub.GetSubquery().GetSelectStmt()
	}
	v := n.GetRangeVar()
	if v == nil || v.GetSchemaname() != "" || len(v.GetAlias().GetColnames()) > 0 {
		return "", nil
	}
	for i := len(in.queries) - 1; i >= 0; i-- {
		if q := in.queries[i]; q.name == v.GetRelname() && len(q.names) == 0 {
			return called(v), q.tree
		}
	}
	return "", nil
}

// oneTable is the table that a query filters; nil: it is more than that.
func (in *inlining) oneTable(q *pgq.SelectStmt) *pgq.RangeVar {
	if plainSelect(q) != nil || q.GetWithClause() != nil || len(q.GetLockingClause()) > 0 || len(q.GetFromClause()) != 1 || holdsQuery(&pgq.Node{Node: &pgq.Node_SelectStmt{SelectStmt: q}}) {
		return nil
	}
	v := q.GetFromClause()[0].GetRangeVar()
	if v == nil || len(v.GetAlias().GetColnames()) > 0 || v.GetSchemaname() == "" && slices.ContainsFunc(in.queries, func(other query) bool { return other.name == v.GetRelname() }) {
		return nil
	}
	return v
}

// filtered is a query over one table, whose columns go by the query's name now.
type filtered struct {
	step    *step
	name    string
	was     string // the table's name in the query
	rel     *syntax.Relation
	order   []string // of outputs
	outputs map[string]*pgq.Node
	plain   bool // each output is the column of its name
	where   *pgq.Node
}

// read takes what the query gives, and its condition.
func (i *filtered) read(q *pgq.SelectStmt) bool {
	i.outputs, i.plain = map[string]*pgq.Node{}, true
	for _, n := range q.GetTargetList() {
		val := n.GetResTarget().GetVal()
		if fields := val.GetColumnRef().GetFields(); len(fields) > 0 && fields[len(fields)-1].GetAStar() != nil {
			for c := range i.rel.Columns {
				i.add(i.rel.Columns[c].Name, qualifiedNode(i.name, i.rel.Columns[c].Name))
			}
			continue
		}
		name := outputName(n.GetResTarget())
		node, ok := i.renamed(val)
		if _, twice := i.outputs[name]; !ok || twice {
			return false
		}
		i.plain = i.plain && slices.Equal(ast.Strings(node.GetColumnRef().GetFields()), []string{i.name, name})
		i.add(name, node)
	}
	ok := true
	if q.GetWhereClause() != nil {
		i.where, ok = i.renamed(q.GetWhereClause())
	}
	return ok
}

func (i *filtered) add(name string, node *pgq.Node) {
	i.order = append(i.order, name)
	i.outputs[name] = node
}

// renamed lets an expression of the query name the table as it is called outside.
func (i *filtered) renamed(n *pgq.Node) (*pgq.Node, bool) {
	ok := true
	out, err := ast.Rewrite(ast.Clone(n), func(n *pgq.Node) (*pgq.Node, error) {
		if call := n.GetFuncCall(); call != nil {
			list := i.step.functionsOf(call)
			ok = ok && !volatileNames[ast.Last(ast.Strings(call.GetFuncname()))] && !slices.ContainsFunc(list, func(f syntax.Function) bool { return f.Kind != "f" || f.Volatile })
			return nil, nil
		}
		ref := n.GetColumnRef()
		if ref == nil {
			return nil, nil
		}
		path := ast.Strings(ref.GetFields())
		if len(path) > 2 || len(path) == 2 && path[0] != i.was || i.rel.Column(ast.Last(path)) == nil {
			ok = false
			return n, nil
		}
		return qualifiedNode(i.name, ast.Last(path)), nil
	})
	return out, ok && err == nil
}

// outside are the expressions of a SELECT that may name what its FROM holds.
func outside(q *pgq.SelectStmt) []**pgq.Node {
	all := []**pgq.Node{&q.WhereClause, &q.HavingClause}
	for _, list := range [][]*pgq.Node{q.TargetList, q.GroupClause, q.SortClause, q.DistinctClause} {
		for k := range list {
			all = append(all, &list[k])
		}
	}
	for _, n := range q.FromClause {
		all = append(all, quals(n)...)
	}
	return all
}

func quals(n *pgq.Node) []**pgq.Node {
	j := n.GetJoinExpr()
	if j == nil {
		return nil
	}
	return append(append(quals(j.Larg), quals(j.Rarg)...), &j.Quals)
}

// fits: no name outside means something else once all of the table's columns are in sight.
func (i *filtered) fits(q *pgq.SelectStmt, many bool) bool {
	if !i.plain && (len(q.GetGroupClause()) > 0 || len(q.GetSortClause()) > 0 || len(q.GetDistinctClause()) > 0) {
		return false
	}
	fits := true
	for _, n := range outside(q) {
		if !i.plain && holdsQuery(*n) {
			return false
		}
		ast.Visit(*n, func(m proto.Message) bool {
			ref, ok := m.(*pgq.ColumnRef)
			if !ok {
				return fits
			}
			path := ast.Strings(ref.GetFields())
			switch {
			case slices.Equal(path, []string{i.name}), slices.Equal(path, []string{""}) && many: // a whole row; all there is
				fits = false
			case len(path) == 1 && path[0] != "" && i.outputs[path[0]] == nil && i.rel.Column(path[0]) != nil:
				fits = false
			}
			return false
		})
	}
	return fits
}

// into writes what the query gives in place of its names, and adds its condition.
func (i *filtered) into(q *pgq.SelectStmt) bool {
	for _, n := range outside(q) {
		out, err := ast.Rewrite(*n, i.meant)
		if err != nil {
			return false
		}
		*n = out
	}
	var list []*pgq.Node
	for _, n := range q.GetTargetList() {
		path := ast.Strings(n.GetResTarget().GetVal().GetColumnRef().GetFields())
		if !slices.Equal(path, []string{i.name, ""}) && !slices.Equal(path, []string{""}) {
			list = append(list, n)
			continue
		}
		for _, name := range i.order {
			list = append(list, &pgq.Node{Node: &pgq.Node_ResTarget{ResTarget: &pgq.ResTarget{Val: ast.Clone(i.outputs[name])}}})
		}
	}
	q.TargetList = list
	if i.where == nil {
		return true
	}
	all := []*pgq.Node{i.where}
	if q.WhereClause != nil {
		all = append(all, q.WhereClause)
	}
	q.WhereClause = ast.And(all)
	return true
}

// meant is what a name of the query's stands for.
func (i *filtered) meant(n *pgq.Node) (*pgq.Node, error) {
	path := ast.Strings(n.GetColumnRef().GetFields())
	if i.plain || n.GetColumnRef() == nil || len(path) > 2 || len(path) == 2 && path[0] != i.name {
		return nil, nil
	}
	if node := i.outputs[ast.Last(path)]; node != nil {
		return ast.Clone(node), nil
	}
	return nil, nil
}
