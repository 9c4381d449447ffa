package transforms

import (
	"errors"
	"slices"

	pgq "github.com/pganalyze/pg_query_go/v6"

	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/syntax"
	"github.com/pgumbra/pgumbra/plans/syntax/ast"
)

// x IN (SELECT min(y) FROM t WHERE w GROUP BY g) asks for rows of t, fit for w, before which
// there is no other one of their group: x IN (SELECT a.y FROM t a WHERE w AND NOT EXISTS
// (SELECT FROM t b WHERE w AND b.g = a.g AND b.y < a.y)), which is followed. So are doubles
// removed, all but the first or the last of each group.

// The names by which such a query knows its table, twice.
const (
	leastName  = "pgumbra_least"
	beforeName = "pgumbra_before"
)

// leastOf is a query of the least or the greatest of each group.
type leastOf struct {
	scope    *scope
	q        *pgq.SelectStmt
	from     *pgq.RangeVar
	rel      *syntax.Relation
	grouped  []string // columns
	y        string   // min of it, or max
	greatest bool
}

// least is x IN (SELECT …) in the other form; x itself where it is none of that kind.
func (s *scope) least(x *pgq.SubLink) *pgq.SubLink {
	l := leastOf{scope: s, q: x.GetSubselect().GetSelectStmt()}
	if !l.isPlain() || !l.group() || !l.targets() {
		return x
	}
	q, err := l.query()
	if err != nil {
		return x
	}
	out := ast.Clone(&pgq.Node{Node: &pgq.Node_SubLink{SubLink: x}}).GetSubLink()
	out.Subselect = &pgq.Node{Node: &pgq.Node_SelectStmt{SelectStmt: q}}
	return out
}

// isPlain: groups of one table, filtered by what holds no query.
func (l *leastOf) isPlain() bool { return len(l.q.GetGroupClause()) > 0 && l.ofOne() }

// ofOne: of one table, filtered so.
func (l *leastOf) ofOne() bool {
	q := l.q
	if lookupSelect(q) != nil || len(q.GetFromClause()) != 1 || q.GetHavingClause() != nil ||
		len(q.GetDistinctClause()) > 0 || q.GetWithClause() != nil || holdsQuery(q.GetWhereClause()) {
		return false
	}
	l.from = q.GetFromClause()[0].GetRangeVar()
	if l.from == nil || l.scope.isQuery(l.from) || len(l.from.GetAlias().GetColnames()) > 0 {
		return false
	}
	l.rel = l.scope.mark.Relation(l.scope.mark.Tables[ast.TableName(l.from)])
	return l.rel != nil
}

// group reads GROUP BY: columns of the table, of types by whose = rows are grouped.
func (l *leastOf) group() bool {
	for _, n := range l.q.GetGroupClause() {
		if at := int(n.GetAConst().GetIval().GetIval()); at > 0 && at <= len(l.q.GetTargetList()) {
			n = l.q.GetTargetList()[at-1].GetResTarget().GetVal()
		}
		if !l.groupBy(n) {
			return false
		}
	}
	return true
}

// groupBy adds a column by which rows are grouped.
func (l *leastOf) groupBy(n *pgq.Node) bool {
	name, own := l.column(n)
	if !own {
		return false
	}
	c, ok := l.scope.copied(l.rel, name)
	l.grouped = append(l.grouped, name)
	return ok && l.rel.Column(name).Type.OID == c.TypeOID && (!l.rel.Column(name).Type.User || l.scope.in.isEnum(c.TypeOID))
}

// targets reads what is selected: columns of the group, and the least or the greatest of
// one whose equal values are the same.
func (l *leastOf) targets() bool {
	for _, t := range l.q.GetTargetList() {
		n := t.GetResTarget().GetVal()
		if name, own := l.column(n); own && slices.Contains(l.grouped, name) {
			continue
		}
		call := n.GetFuncCall()
		name := ast.Last(ast.Strings(call.GetFuncname()))
		if l.y != "" || name != "min" && name != "max" || len(call.GetArgs()) != 1 || call.GetAggDistinct() || call.GetAggFilter() != nil ||
			call.GetOver() != nil || call.GetAggOrder() != nil || anyOwn(l.scope.candidates(ast.Strings(call.GetFuncname()), 1)) {
			return false
		}
		y, ok := l.ordering(call.GetArgs()[0])
		if !ok {
			return false
		}
		l.y, l.greatest = y.Name, name == "max"
	}
	return l.y != ""
}

// orderedBy is a column by which rows of a group are compared, as it is called there.
type orderedBy struct {
	Name string
	was  catalog.Column
}

// ordering is a column whose equal values are the same.
func (l *leastOf) ordering(n *pgq.Node) (orderedBy, bool) {
	name, own := l.column(n)
	if !own {
		return orderedBy{}, false
	}
	c, ok := l.scope.copied(l.rel, name)
	return orderedBy{name, c}, ok && l.rel.Column(name).Type.OID == c.TypeOID && (exactType(c.Type, false) || isText(c))
}

// column is the name of the table's own that an expression means, as the query has it.
func (l *leastOf) column(n *pgq.Node) (name string, own bool) {
	fields := ast.Strings(n.GetColumnRef().GetFields())
	if len(fields) == 0 || l.rel.Column(ast.Last(fields)) == nil {
		return "", false
	}
	path := fields[:len(fields)-1]
	own = len(path) == 0 || len(path) == 1 && path[0] == calledIn(l.from) ||
		l.from.GetAlias() == nil && slices.Equal(path, []string{l.rel.Schema, l.rel.Name})
	return ast.Last(fields), own
}

// query is the other form.
func (l *leastOf) query() (*pgq.SelectStmt, error) {
	before, err := l.of(beforeName)
	if err != nil {
		return nil, err
	}
	out, err := l.of(leastName)
	if err != nil {
		return nil, err
	}
	conds := append(conjuncts(before.GetWhereClause()), l.sameGroup(leastName)...)
	op := map[bool]string{false: "<", true: ">"}[l.greatest]
	before.WhereClause = ast.And(append(conds, comparing(pgq.A_Expr_Kind_AEXPR_OP, op, qualifiedNode(beforeName, l.y), qualifiedNode(leastName, l.y))))
	out.WhereClause = ast.And(append(conjuncts(out.GetWhereClause()), notExists(before)))
	for _, t := range l.q.GetTargetList() {
		n := t.GetResTarget().GetVal()
		name, own := l.column(n)
		if !own {
			name = l.y
		}
		out.TargetList = append(out.TargetList, &pgq.Node{Node: &pgq.Node_ResTarget{ResTarget: &pgq.ResTarget{Val: qualifiedNode(leastName, name)}}})
	}
	return out, nil
}

// sameGroup: a row is of the group of another one.
func (l *leastOf) sameGroup(other string) (conds []*pgq.Node) {
	for _, g := range l.grouped {
		kind := pgq.A_Expr_Kind_AEXPR_OP
		if c, _ := l.scope.copied(l.rel, g); !c.NotNull {
			kind = pgq.A_Expr_Kind_AEXPR_NOT_DISTINCT // NULLs are a group of their own
		}
		conds = append(conds, comparing(kind, "=", qualifiedNode(beforeName, g), qualifiedNode(other, g)))
	}
	return conds
}

// of is the query's table with its condition, by another name.
func (l *leastOf) of(alias string) (*pgq.SelectStmt, error) {
	from := ast.Clone(&pgq.Node{Node: &pgq.Node_RangeVar{RangeVar: l.from}})
	from.GetRangeVar().Alias = &pgq.Alias{Aliasname: alias}
	where, err := ast.Rewrite(ast.Clone(l.q.GetWhereClause()), func(n *pgq.Node) (*pgq.Node, error) {
		if c := n.GetColumnRef(); c != nil {
			if c.GetFields()[len(c.GetFields())-1].GetAStar() != nil {
				return nil, errors.New("a whole row")
			}
			if name, own := l.column(n); own {
				return qualifiedNode(alias, name), nil
			}
		}
		return nil, nil
	})
	return &pgq.SelectStmt{FromClause: []*pgq.Node{from}, WhereClause: where, Op: pgq.SetOperation_SETOP_NONE, LimitOption: pgq.LimitOption_LIMIT_OPTION_DEFAULT}, err
}

func comparing(kind pgq.A_Expr_Kind, op string, a, b *pgq.Node) *pgq.Node {
	return &pgq.Node{Node: &pgq.Node_AExpr{AExpr: &pgq.A_Expr{Kind: kind, Name: []*pgq.Node{pgq.MakeStrNode(op)}, Lexpr: a, Rexpr: b}}}
}

// copied is production's column that one of a table's is copied from as it is.
func (s *scope) copied(rel *syntax.Relation, name string) (catalog.Column, bool) {
	t, column := s.in.tables[rel.OID], rel.Column(name)
	if t == nil || t.source == 0 || column == nil || t.columns[column.Num] == nil {
		return catalog.Column{}, false
	}
	value := t.columns[column.Num]
	fields := ast.Strings(value.node.GetColumnRef().GetFields())
	if value.tainted != nil || value.volatile || value.generated || len(fields) != 1 {
		return catalog.Column{}, false
	}
	return s.in.before.ByOID(t.source).ColumnNamed(fields[0])
}
