package transforms

import (
	"slices"
	"strings"

	pgq "github.com/pganalyze/pg_query_go/v6"

	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/syntax/ast"
)

// one reports whether a level gives one row at the most for each row around it.
func (s *scope) one(l *level) bool {
	known := l.known()
	if l.elements != nil {
		return false
	}
	if len(l.groups) > 0 {
		return !slices.ContainsFunc(l.groups, func(g *pgq.Node) bool { return !s.fixed(l, g, known) })
	}
	for grown := true; grown; {
		grown = false
		for _, t := range l.tables {
			if !known[t.alias] && s.unique(l, t, known) {
				known[t.alias], grown = true, true
			}
		}
	}
	return !slices.ContainsFunc(l.tables, func(t *looked) bool { return !known[t.alias] })
}

// unique: comparisons fix all columns of a unique index of production's.
func (s *scope) unique(l *level, t *looked, known map[string]bool) bool {
	for _, i := range s.in.before.IndexesOf(t.table.source) {
		if !i.Unique || !i.Valid || i.Partial || i.Expression || i.Exclusion {
			continue
		}
		fixed := true
		for _, k := range i.Keys {
			c, ok := s.in.before.ByOID(t.table.source).Column(k.Num)
			ref := qualifiedNode(t.alias, c.Name)
			fixed = fixed && ok && k.Equals == "OPERATOR(pg_catalog.=)" && k.Collation == c.Collation && s.fixed(l, ref, known)
		}
		if fixed {
			return true
		}
	}
	return false
}

// fixed: a column of production's is compared with a value of its type, which is
// one for each row around the level.
func (s *scope) fixed(l *level, ref *pgq.Node, known map[string]bool) bool {
	mine, ok := s.columnOf(l, ref)
	if !ok {
		return false
	}
	for _, c := range l.conds {
		e := c.GetAExpr()
		if e == nil || e.GetKind() != pgq.A_Expr_Kind_AEXPR_OP || !slices.Equal(ast.Strings(e.GetName()), []string{"="}) {
			continue
		}
		for _, sides := range [][2]*pgq.Node{{e.GetLexpr(), e.GetRexpr()}, {e.GetRexpr(), e.GetLexpr()}} {
			own, other := sides[0], sides[1]
			if !ast.Same(widened(own, mine), ref) || slices.ContainsFunc(freeIn(other), func(a string) bool { return !known[a] }) {
				continue
			}
			if s.sameMeaning(l, mine, other) {
				return true
			}
		}
	}
	return false
}

// widened takes a cast off that keeps different integers different.
func widened(n *pgq.Node, c catalog.Column) *pgq.Node {
	if cast := n.GetTypeCast(); cast != nil && isInteger(c.Type) && isInteger(typeText(cast.GetTypeName())) {
		return cast.GetArg()
	}
	return n
}

// sameMeaning: the value is of the column's type, or a constant that becomes it:
// = is then the one of the column's index.
func (s *scope) sameMeaning(l *level, c catalog.Column, other *pgq.Node) bool {
	if k := other.GetAConst(); k != nil && !k.GetIsnull() {
		return k.GetSval() != nil || k.GetIval() != nil && isInteger(c.Type)
	}
	if x := other.GetSubLink(); x.GetSubLinkType() == pgq.SubLinkType_EXPR_SUBLINK && len(x.GetSubselect().GetSelectStmt().GetTargetList()) == 1 {
		return s.sameMeaning(l, c, x.GetSubselect().GetSelectStmt().GetTargetList()[0].GetResTarget().GetVal())
	}
	if cast := other.GetTypeCast(); cast != nil {
		to := typeText(cast.GetTypeName())
		return sameFamily(c.Type, to)
	}
	if isInteger(c.Type) && s.whole(l, other) {
		return true
	}
	if f := other.GetFuncCall(); len(f.GetFuncname()) == 1 && len(f.GetArgs()) == 1 && slices.Contains([]string{"lower", "upper", "btrim"}, ast.Last(ast.Strings(f.GetFuncname()))) {
		other = f.GetArgs()[0]
	}
	o, ok := s.columnOf(l, other)
	return ok && sameFamily(c.Type, o.Type) && (o.Collation == c.Collation || o.Collation == "" || c.Collation == "")
}

// whole: an integer, added up of integers.
func (s *scope) whole(l *level, n *pgq.Node) bool {
	e := n.GetAExpr()
	if e == nil {
		c, ok := s.columnOf(l, n)
		return ok && isInteger(c.Type) || n.GetAConst().GetIval() != nil
	}
	op := ast.Last(ast.Strings(e.GetName()))
	return e.GetKind() == pgq.A_Expr_Kind_AEXPR_OP && len(e.GetName()) == 1 && slices.Contains([]string{"+", "-", "*"}, op) &&
		s.whole(l, e.GetLexpr()) && s.whole(l, e.GetRexpr())
}

func sameFamily(a, b string) bool {
	a, b = plainType(a), plainType(b)
	texts := []string{"text", "character varying"}
	return a == b && a != "" || isInteger(a) && isInteger(b) || slices.Contains(texts, a) && slices.Contains(texts, b)
}

func plainType(text string) string {
	return strings.TrimSpace(modifier.ReplaceAllString(strings.TrimPrefix(text, "pg_catalog."), ""))
}

func isInteger(text string) bool {
	switch plainType(text) {
	case "smallint", "integer", "bigint", "int2", "int4", "int8":
		return true
	}
	return false
}

// typeText is a type's name of the system's, as format_type writes it.
func typeText(t *pgq.TypeName) string {
	if t.GetArrayBounds() != nil {
		return ""
	}
	switch name := ast.Last(ast.Strings(t.GetNames())); name {
	case "int2":
		return "smallint"
	case "int4":
		return "integer"
	case "int8":
		return "bigint"
	case "varchar":
		return "character varying"
	default:
		return name
	}
}

// columnOf is the column of production's that a reference of ours means.
func (s *scope) columnOf(l *level, n *pgq.Node) (catalog.Column, bool) {
	fields := ast.Strings(n.GetColumnRef().GetFields())
	switch {
	case len(fields) == 2 && s.tab != nil && fields[0] == s.in.base(s.tab.source):
		return s.in.before.ByOID(s.tab.source).ColumnNamed(fields[1])
	case len(fields) != 2:
		return catalog.Column{}, false
	}
	for o := l; o != nil; o = o.outer {
		for _, t := range o.tables {
			if t.alias == fields[0] {
				return s.in.before.ByOID(t.table.source).ColumnNamed(fields[1])
			}
		}
	}
	if inside := s.in.lookups[fields[0]]; inside != nil { // of a query inside
		return s.in.before.ByOID(inside.source).ColumnNamed(fields[1])
	}
	return catalog.Column{}, false
}
