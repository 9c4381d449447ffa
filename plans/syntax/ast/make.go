// Package ast walks, compares and makes PostgreSQL's syntax trees, which package
// parser reads and writes. It knows trees alone: what they mean is asked elsewhere.
package ast

import pgq "github.com/pganalyze/pg_query_go/v6"

// Column is a column's bare name.
func Column(name string) *pgq.Node {
	return &pgq.Node{Node: &pgq.Node_ColumnRef{ColumnRef: &pgq.ColumnRef{Fields: []*pgq.Node{pgq.MakeStrNode(name)}}}}
}

// String is a text constant.
func String(s string) *pgq.Node { return pgq.MakeAConstStrNode(s, 0) }

// Null is NULL.
func Null() *pgq.Node {
	return &pgq.Node{Node: &pgq.Node_AConst{AConst: &pgq.A_Const{Isnull: true}}}
}

// Bool is true or false.
func Bool(b bool) *pgq.Node {
	return &pgq.Node{Node: &pgq.Node_AConst{AConst: &pgq.A_Const{Val: &pgq.A_Const_Boolval{Boolval: &pgq.Boolean{Boolval: b}}}}}
}

// Cast is n::t.
func Cast(n *pgq.Node, t *pgq.TypeName) *pgq.Node {
	return &pgq.Node{Node: &pgq.Node_TypeCast{TypeCast: &pgq.TypeCast{Arg: n, TypeName: t}}}
}

// Case is CASE WHEN when THEN then ELSE otherwise END.
func Case(when, then, otherwise *pgq.Node) *pgq.Node {
	return &pgq.Node{Node: &pgq.Node_CaseExpr{CaseExpr: &pgq.CaseExpr{Defresult: otherwise,
		Args: []*pgq.Node{{Node: &pgq.Node_CaseWhen{CaseWhen: &pgq.CaseWhen{Expr: when, Result: then}}}}}}}
}

// NotTrue is n IS NOT TRUE.
func NotTrue(n *pgq.Node) *pgq.Node {
	return &pgq.Node{Node: &pgq.Node_BooleanTest{BooleanTest: &pgq.BooleanTest{Arg: n, Booltesttype: pgq.BoolTestType_IS_NOT_TRUE}}}
}

// And joins conditions; nil where there are none.
func And(list []*pgq.Node) *pgq.Node {
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

// Target is the first expression of a SELECT list; nil where there is none.
func Target(tree *pgq.ParseResult) *pgq.Node {
	if len(tree.GetStmts()) == 0 || len(tree.GetStmts()[0].GetStmt().GetSelectStmt().GetTargetList()) == 0 {
		return nil
	}
	return tree.GetStmts()[0].GetStmt().GetSelectStmt().GetTargetList()[0].GetResTarget().GetVal()
}

// Uncast is what is cast, below all casts.
func Uncast(n *pgq.Node) *pgq.Node {
	for n.GetTypeCast() != nil {
		n = n.GetTypeCast().GetArg()
	}
	return n
}
