package syntax

import (
	"strings"

	pgq "github.com/pganalyze/pg_query_go/v6"
)

func columnNode(name string) *pgq.Node {
	return &pgq.Node{Node: &pgq.Node_ColumnRef{ColumnRef: &pgq.ColumnRef{Fields: []*pgq.Node{pgq.MakeStrNode(name)}}}}
}

func stringNode(s string) *pgq.Node { return pgq.MakeAConstStrNode(s, 0) }

func nullNode() *pgq.Node {
	return &pgq.Node{Node: &pgq.Node_AConst{AConst: &pgq.A_Const{Isnull: true}}}
}

func boolNode(b bool) *pgq.Node {
	return &pgq.Node{Node: &pgq.Node_AConst{AConst: &pgq.A_Const{Val: &pgq.A_Const_Boolval{Boolval: &pgq.Boolean{Boolval: b}}}}}
}

func castNode(n *pgq.Node, t *pgq.TypeName) *pgq.Node {
	return &pgq.Node{Node: &pgq.Node_TypeCast{TypeCast: &pgq.TypeCast{Arg: n, TypeName: t}}}
}

func caseNode(when, then, otherwise *pgq.Node) *pgq.Node {
	return &pgq.Node{Node: &pgq.Node_CaseExpr{CaseExpr: &pgq.CaseExpr{Defresult: otherwise,
		Args: []*pgq.Node{{Node: &pgq.Node_CaseWhen{CaseWhen: &pgq.CaseWhen{Expr: when, Result: then}}}}}}}
}

func notTrue(n *pgq.Node) *pgq.Node {
	return &pgq.Node{Node: &pgq.Node_BooleanTest{BooleanTest: &pgq.BooleanTest{Arg: n, Booltesttype: pgq.BoolTestType_IS_NOT_TRUE}}}
}

func and(list []*pgq.Node) *pgq.Node {
	switch len(list) {
	case 0:
		return nil
	case 1:
		return list[0]
	}
	var flat []*pgq.Node // as the parser makes it of a AND b AND c
	for _, n := range list {
		if b := n.GetBoolExpr(); b.GetBoolop() == pgq.BoolExprType_AND_EXPR {
			flat = append(flat, b.GetArgs()...)
		} else {
			flat = append(flat, n)
		}
	}
	return &pgq.Node{Node: &pgq.Node_BoolExpr{BoolExpr: &pgq.BoolExpr{Boolop: pgq.BoolExprType_AND_EXPR, Args: flat}}}
}

// target is the first expression of a SELECT list.
func target(tree *pgq.ParseResult) *pgq.Node {
	if len(tree.GetStmts()) == 0 || len(tree.GetStmts()[0].GetStmt().GetSelectStmt().GetTargetList()) == 0 {
		return nil
	}
	return tree.GetStmts()[0].GetStmt().GetSelectStmt().GetTargetList()[0].GetResTarget().GetVal()
}

// render is an expression as SQL text. The parser must read the same tree from
// it: the deparser is not trusted with parentheses.
func (in *inference) render(n *pgq.Node) (string, *reason) {
	tree, r := in.parse("SELECT 1")
	if r != nil {
		return "", r
	}
	tree.GetStmts()[0].GetStmt().GetSelectStmt().GetTargetList()[0].GetResTarget().Val = clone(n)
	text, err := deparse(tree)
	if err != nil {
		return "", in.failed(err)
	}
	again, r := in.parse(text)
	if r != nil {
		return "", r
	}
	if !sameTree(target(again), n) {
		return "", unsupported("it cannot be written as one expression (%s)", text)
	}
	return strings.TrimPrefix(text, "SELECT "), nil
}

// known is what is certain of a condition.
type known int

const (
	open known = iota
	isTrue
	isFalse
	isNull
)

func truth(n *pgq.Node) known {
	c := n.GetAConst()
	switch {
	case c == nil:
		return open
	case c.GetIsnull():
		return isNull
	case c.GetBoolval() == nil:
		return open
	case c.GetBoolval().GetBoolval():
		return isTrue
	}
	return isFalse
}

// constness of an operand: NULL, a value, or neither known.
func constness(n *pgq.Node) known {
	if cast := n.GetTypeCast(); cast != nil {
		return constness(cast.GetArg())
	}
	switch c := n.GetAConst(); {
	case c == nil:
		return open
	case c.GetIsnull():
		return isNull
	}
	return isTrue
}

// fold simplifies what the symbols already decide: `new IS NULL` for a column
// that was just added. Conditions only: NULL counts as itself.
func fold(n *pgq.Node) *pgq.Node {
	switch x := n.GetNode().(type) {
	case *pgq.Node_NullTest:
		c := constness(x.NullTest.GetArg())
		if c == open || x.NullTest.GetArgisrow() {
			return n
		}
		return boolNode((c == isNull) == (x.NullTest.GetNulltesttype() == pgq.NullTestType_IS_NULL))
	case *pgq.Node_BoolExpr:
		return foldBool(n, x.BoolExpr)
	}
	return n
}

func foldBool(n *pgq.Node, b *pgq.BoolExpr) *pgq.Node {
	if b.GetBoolop() == pgq.BoolExprType_NOT_EXPR {
		switch truth(fold(b.GetArgs()[0])) {
		case isTrue:
			return boolNode(false)
		case isFalse:
			return boolNode(true)
		}
		return n
	}
	decides, neutral := isFalse, isTrue
	if b.GetBoolop() == pgq.BoolExprType_OR_EXPR {
		decides, neutral = isTrue, isFalse
	}
	var left []*pgq.Node
	for _, a := range b.GetArgs() {
		folded := fold(a)
		switch truth(folded) {
		case decides:
			return folded
		case neutral:
		default:
			left = append(left, folded)
		}
	}
	switch len(left) {
	case 0:
		return boolNode(neutral == isTrue)
	case 1:
		return left[0]
	}
	b.Args = left
	return n
}
