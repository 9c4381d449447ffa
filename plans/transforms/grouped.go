package transforms

import (
	"errors"
	"slices"

	pgq "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"

	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/syntax"
	"github.com/pgumbra/pgumbra/plans/syntax/ast"
)

// SELECT … GROUP BY t.id over a table and what is joined with it gives a row for each row
// of the table, if t.id holds one of its unique keys: each group is one of its rows with all
// its partners. An aggregate is a query of its own over the partners then, which is
// followed. So it is with SELECT DISTINCT of columns that hold a key.

// byKey is a query of that kind without its groups; the query itself where it is none.
func (s *step) byKey(q *pgq.SelectStmt, queries []query) *pgq.SelectStmt {
	groups := groupsOf(q)
	if len(groups) == 0 || q.GetOp() != pgq.SetOperation_SETOP_NONE || q.GetHavingClause() != nil || q.GetWindowClause() != nil || q.GetLimitCount() != nil || q.GetLimitOffset() != nil {
		return q
	}
	f, r := flatten(q.GetFromClause())
	if r != nil {
		return q
	}
	for i, leaf := range f.inner {
		row, r := s.rowOf(leaf, queries)
		if r != nil {
			continue
		}
		p := partners{row: row, distinct: len(q.GetDistinctClause()) > 0}
		p.shares(f.without(i))
		if !p.holdsKey(groups) || !p.join(f.without(i), q.GetWhereClause()) {
			continue
		}
		if plain := p.ungrouped(leaf, q); plain != nil {
			return plain
		}
	}
	return q
}

// groupsOf are the columns that a query groups by, or of which it takes distinct rows;
// none: it does neither, or both, or by more than columns.
func groupsOf(q *pgq.SelectStmt) (groups [][]string) {
	list := q.GetGroupClause()
	distinct := len(q.GetDistinctClause()) == 1 && q.GetDistinctClause()[0].GetNode() == nil
	switch {
	case distinct == (len(list) > 0) || len(q.GetDistinctClause()) > 0 && !distinct || q.GetGroupDistinct():
		return nil
	case distinct:
		for _, t := range q.GetTargetList() {
			if c := t.GetResTarget().GetVal().GetColumnRef(); c != nil {
				groups = append(groups, ast.Strings(c.GetFields()))
			}
		}
		return groups
	}
	for _, n := range list {
		if at := n.GetAConst().GetIval().GetIval(); at > 0 && int(at) <= len(q.GetTargetList()) {
			n = q.GetTargetList()[at-1].GetResTarget().GetVal()
		}
		if n.GetColumnRef() == nil {
			return nil
		}
		groups = append(groups, ast.Strings(n.GetColumnRef().GetFields()))
	}
	return groups
}

// partners are what a table's row is joined with.
type partners struct {
	row      *scope
	distinct bool            // the query asks for distinct rows
	shared   map[string]bool // columns that others have, too: by these names alone theirs may be meant
	unknown  bool            // what columns others have
	from     []*pgq.Node     // none: the row is alone
	conds    []*pgq.Node     // by which they are found
	where    []*pgq.Node     // of the row alone
	left     bool            // there may be none: LEFT JOIN of one table
}

// shares notes which names others have.
func (p *partners) shares(f joins) {
	p.shared = map[string]bool{}
	all := slices.Clone(f.inner)
	for _, j := range f.left {
		all = append(all, j.node)
	}
	for _, n := range all {
		rel := p.table(n)
		if rel == nil {
			p.unknown = true
			continue
		}
		for i := range rel.Columns {
			p.shared[rel.Columns[i].Name] = true
		}
	}
}

// table is that of an entry of FROM; nil: it is none.
func (p *partners) table(n *pgq.Node) *syntax.Relation {
	v := n.GetRangeVar()
	if v == nil || p.row.isQuery(v) || len(v.GetAlias().GetColnames()) > 0 {
		return nil
	}
	return p.row.mark.Relation(p.row.mark.Tables[ast.TableName(v)])
}

// holdsKey: the columns are all of the row's table, and those of a unique key of
// production's, as they are there, are among them.
func (p *partners) holdsKey(groups [][]string) bool {
	s := p.row
	held := map[string]bool{} // by production's names
	source := s.in.before.ByOID(s.tab.source)
	for _, path := range groups {
		if !p.own(path) {
			return false
		}
		c := s.rel.Column(ast.Last(path))
		v := s.tab.columns[c.Num]
		if v == nil || v.tainted != nil || v.volatile || v.generated || v.node == nil {
			continue
		}
		if fields := ast.Strings(v.node.GetColumnRef().GetFields()); len(fields) == 1 {
			if was, ok := source.ColumnNamed(fields[0]); ok && was.TypeOID == c.Type.OID {
				held[was.Name] = true
			}
		}
	}
	return slices.ContainsFunc(s.in.before.IndexesOf(s.tab.source), func(i *catalog.Index) bool {
		return i.Unique && i.Valid && !i.Partial && !i.Expression && !i.Exclusion && !slices.ContainsFunc(i.Keys, func(k catalog.IndexKey) bool {
			c, ok := source.Column(k.Num)
			return !ok || !c.NotNull || k.Equals != "OPERATOR(pg_catalog.=)" || k.Collation != c.Collation || !held[c.Name]
		})
	})
}

// own: a name means a column of the row.
func (p *partners) own(path []string) bool {
	if len(path) == 0 || !p.row.names(path[:len(path)-1]) || p.row.rel.Column(ast.Last(path)) == nil {
		return false
	}
	return len(path) > 1 || !p.unknown && !p.shared[path[0]]
}

// ownAlone: an expression over the row alone.
func (p *partners) ownAlone(n *pgq.Node) bool {
	alone := true
	ast.Visit(n, func(m proto.Message) bool {
		switch m := m.(type) {
		case *pgq.SubLink:
			alone = false
		case *pgq.ColumnRef:
			alone = alone && m.GetFields()[len(m.GetFields())-1].GetAStar() == nil && p.own(ast.Strings(m.GetFields()))
		}
		return alone
	})
	return alone
}

// join divides the joins and conditions of a query; false: they are of another form.
func (p *partners) join(f joins, where *pgq.Node) bool {
	p.from = f.inner
	for _, c := range append(slices.Clone(f.conds), conjuncts(where)...) {
		if p.ownAlone(c) {
			p.where = append(p.where, c)
		} else {
			p.conds = append(p.conds, c)
		}
	}
	switch {
	case len(f.left) == 0:
		return len(p.from) > 0 || len(p.conds) == 0
	case len(f.left) > 1 || len(p.from) > 0 || len(p.conds) > 0:
		return false
	}
	p.left, p.from, p.conds = true, []*pgq.Node{f.left[0].node}, f.left[0].conds
	return p.table(f.left[0].node) != nil
}

var errOtherForm = errors.New("of another form")

// ungrouped is the query as one over the table alone; nil: it cannot be said so.
func (p *partners) ungrouped(leaf *pgq.Node, q *pgq.SelectStmt) *pgq.SelectStmt {
	out := proto.Clone(q).(*pgq.SelectStmt)
	out.GroupClause, out.DistinctClause, out.SortClause = nil, nil, nil
	out.FromClause = []*pgq.Node{ast.Clone(leaf)}
	where := cloneAll(p.where)
	if len(p.from) > 0 && !p.left {
		where = append(where, p.query(pgq.SubLinkType_EXISTS_SUBLINK, nil))
	}
	out.WhereClause = ast.And(where)
	for _, t := range out.GetTargetList() {
		if v := t.GetResTarget().GetVal(); p.distinct && v.GetColumnRef() == nil && ast.Uncast(v).GetAConst() == nil {
			return nil // a value that is another one for each partner makes more rows
		}
		value, err := ast.Rewrite(t.GetResTarget().GetVal(), p.value)
		if err != nil {
			return nil
		}
		t.GetResTarget().Val = value
	}
	return out
}

// value replaces aggregates; what else is selected is of the row.
func (p *partners) value(n *pgq.Node) (*pgq.Node, error) {
	switch x := n.GetNode().(type) {
	case *pgq.Node_SubLink:
		return nil, errOtherForm
	case *pgq.Node_ColumnRef:
		if !p.ownAlone(n) {
			return nil, errOtherForm
		}
	case *pgq.Node_FuncCall:
		if !isAggregate(x.FuncCall) {
			return nil, nil
		}
		if len(p.from) == 0 || x.FuncCall.GetOver() != nil || p.left && !p.ofNothing(x.FuncCall) {
			return nil, errOtherForm
		}
		return p.query(pgq.SubLinkType_EXPR_SUBLINK, n), nil
	}
	return nil, nil
}

// ofNothing: an aggregate gives the same of no rows as of the one that LEFT JOIN puts in their
// place, in which all columns of the other table are NULL.
func (p *partners) ofNothing(c *pgq.FuncCall) bool {
	if c.GetAggStar() || c.GetAggFilter() != nil || len(c.GetArgs()) != 1 || c.GetArgs()[0].GetColumnRef() == nil {
		return false
	}
	fields := ast.Strings(c.GetArgs()[0].GetColumnRef().GetFields())
	v := p.from[0].GetRangeVar()
	other := p.table(p.from[0])
	switch len(fields) {
	case 1:
		return other.Column(fields[0]) != nil && p.row.rel.Column(fields[0]) == nil
	case 2:
		return fields[0] == calledIn(v) && other.Column(fields[1]) != nil
	}
	return false
}

// query is one over the partners: of a value, or whether there are any.
func (p *partners) query(kind pgq.SubLinkType, value *pgq.Node) *pgq.Node {
	q := &pgq.SelectStmt{FromClause: cloneAll(p.from), WhereClause: ast.And(cloneAll(p.conds)), Op: pgq.SetOperation_SETOP_NONE, LimitOption: pgq.LimitOption_LIMIT_OPTION_DEFAULT}
	if value != nil {
		q.TargetList = []*pgq.Node{{Node: &pgq.Node_ResTarget{ResTarget: &pgq.ResTarget{Val: ast.Clone(value)}}}}
	}
	return &pgq.Node{Node: &pgq.Node_SubLink{SubLink: &pgq.SubLink{SubLinkType: kind, Subselect: &pgq.Node{Node: &pgq.Node_SelectStmt{SelectStmt: q}}}}}
}
