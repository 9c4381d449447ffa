package transforms

import (
	"strings"

	pgq "github.com/pganalyze/pg_query_go/v6"

	"github.com/pgumbra/pgumbra/plans/syntax/ast"
	"github.com/pgumbra/pgumbra/plans/syntax/parser"
)

// render is an expression as SQL text. The parser must read the same tree from
// it: the deparser is not trusted with parentheses.
func (in *inference) render(n *pgq.Node) (string, *reason) {
	tree, r := in.parse("SELECT 1")
	if r != nil {
		return "", r
	}
	tree.GetStmts()[0].GetStmt().GetSelectStmt().GetTargetList()[0].GetResTarget().Val = ast.Clone(n)
	text, err := parser.Deparse(tree)
	if err != nil {
		return "", in.failed(err)
	}
	again, r := in.parse(text)
	if r != nil {
		return "", r
	}
	if !ast.Same(ast.Target(again), n) {
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
		return ast.Bool((c == isNull) == (x.NullTest.GetNulltesttype() == pgq.NullTestType_IS_NULL))
	case *pgq.Node_BoolExpr:
		return foldBool(n, x.BoolExpr)
	}
	return n
}

func foldBool(n *pgq.Node, b *pgq.BoolExpr) *pgq.Node {
	if b.GetBoolop() == pgq.BoolExprType_NOT_EXPR {
		switch truth(fold(b.GetArgs()[0])) {
		case isTrue:
			return ast.Bool(false)
		case isFalse:
			return ast.Bool(true)
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
		return ast.Bool(neutral == isTrue)
	case 1:
		return left[0]
	}
	b.Args = left
	return n
}
