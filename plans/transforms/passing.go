package transforms

import (
	"slices"

	pgq "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"

	"github.com/pgumbra/pgumbra/plans/syntax"
	"github.com/pgumbra/pgumbra/plans/syntax/ast"
)

// An enum that is renewed (renamed, created, USING, dropped) leaves no type
// behind that production or the shadow has: only its labels passed through it.
// A value of such a type is text here, checked for being one of the labels that
// the type had at that moment. Text does all that an enum does but order, and be
// an argument of functions: expressions that do either are not followed.

// passing reports whether a type is an enum that is not there while the shadow is
// built.
func (in *inference) passing(t syntax.Type) bool {
	if !t.User || t.Elem != 0 || len(t.Labels) == 0 || in.o.Type == nil {
		return false
	}
	_, there := in.o.Type(t.OID)
	return !there
}

// label is a value of a passing enum: what it is made of as text. Another text
// than a label fails as in place, with the same SQLSTATE.
func (in *inference) label(n *pgq.Node, t syntax.Type) (*pgq.Node, *reason) {
	if r := in.altered(t); r != nil {
		return nil, r
	}
	text, r := in.castTo(n, syntax.Type{Name: "text"})
	if r != nil || isNullNode(ast.Uncast(n)) {
		return text, r
	}
	if c := ast.Uncast(n).GetAConst().GetSval(); c != nil && slices.Contains(t.Labels, c.GetSval()) {
		return text, nil
	}
	listed := "("
	for i, l := range t.Labels {
		if i > 0 {
			listed += ", "
		}
		listed += syntax.Literal(l)
	}
	tree, r := in.parse("SELECT (SELECT CASE WHEN l.v IS NULL OR l.v IN " + listed + ") THEN l.v ELSE CAST(CAST(" +
		syntax.Literal("invalid input value for enum "+t.Name+": ") + " || l.v AS pg_catalog.int4) AS pg_catalog.text) END FROM (SELECT $1 AS v) AS l)")
	if r != nil {
		return nil, r
	}
	out, err := ast.Rewrite(ast.Target(tree), func(n *pgq.Node) (*pgq.Node, error) {
		if n.GetParamRef() != nil {
			return text, nil
		}
		return nil, nil
	})
	if err != nil {
		return nil, unsupported("%s", err.Error())
	}
	return out, nil
}

// ordersPassing refuses what text does otherwise than an enum.
func (s *scope) ordersPassing(n *pgq.Node) (r *reason) {
	ast.Visit(n, func(m proto.Message) bool {
		var operands []*pgq.Node
		switch m := m.(type) {
		case *pgq.FuncCall:
			operands = m.GetArgs()
		case *pgq.MinMaxExpr:
			operands = m.GetArgs()
		case *pgq.A_Expr:
			if name := ast.Last(ast.Strings(m.GetName())); name != "=" && name != "<>" && name != "IN" {
				operands = []*pgq.Node{m.GetLexpr(), m.GetRexpr()}
			}
		}
		for _, o := range operands {
			if t := s.passingIn(o); t != "" && r == nil {
				r = unsupported("type %s is not there while the shadow is built, and its values are more than compared and copied", t)
			}
		}
		return r == nil
	})
	return r
}

// passingIn names a passing enum of which an expression holds values.
func (s *scope) passingIn(n *pgq.Node) (name string) {
	ast.Visit(n, func(m proto.Message) bool {
		switch m := m.(type) {
		case *pgq.TypeCast:
			ref, ok := s.typeMeant(m.GetTypeName())
			switch {
			case ok && s.in.passing(ref):
				name = ref.Name
			case !ok: // what it makes of an enum is none
				return false
			}
		case *pgq.ColumnRef:
			if s.rel == nil {
				break
			}
			if c := s.rel.Column(ast.Last(ast.Strings(m.GetFields()))); c != nil && s.in.passing(c.Type) {
				name = c.Type.Name
			}
		}
		return name == ""
	})
	return name
}
