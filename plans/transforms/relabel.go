package transforms

import (
	"fmt"
	"strings"

	pgq "github.com/pganalyze/pg_query_go/v6"

	"github.com/pgumbra/pgumbra/plans/syntax"
	"github.com/pgumbra/pgumbra/plans/syntax/ast"
	"github.com/pgumbra/pgumbra/plans/syntax/parser"
)

// An enum keeps its values when a label is renamed, and production's rows still
// bear the old one. A column that is copied follows by the labels' oids. A text
// in an expression means the label of its moment, which no later reader knows:
// such expressions are not followed.

// relabelled lists the types whose labels some statement renames, by their own
// name alone: they may be renamed, and named without a schema.
func relabelled(facts []syntax.Fact) map[string]string {
	out := map[string]string{}
	for _, f := range facts {
		if f.Kind != syntax.Relabel {
			continue
		}
		if tree, err := parser.Parse(f.SQL); err == nil && len(tree.GetStmts()) == 1 {
			out[ast.Last(ast.Strings(tree.GetStmts()[0].GetStmt().GetAlterEnumStmt().GetTypeName()))] = where(f)
		}
	}
	return out
}

// altered is why an expression with values of a type cannot be followed.
func (in *inference) altered(t syntax.Type) *reason {
	if !t.User {
		return nil
	}
	bare := t.Name[strings.LastIndexByte(t.Name, '.')+1:]
	bare = strings.Trim(strings.TrimRight(modifier.ReplaceAllString(bare, ""), "[]"), `"`)
	at, renamed := in.relabelled[bare]
	if !renamed && (in.o.Altered == nil || !in.o.Altered(t.Base())) {
		return nil
	}
	if at != "" {
		at = " (" + at + ")"
	}
	return unsupported("the migrations alter the values of type %s%s, and a text means the label of its moment", t.Name, at)
}

// labelled is a value in a column: one that is computed, of a type whose labels
// are renamed, is not followed.
func (s *step) labelled(v *value, typ syntax.Type) *value {
	if v.tainted != nil || v.volatile || v.generated || !v.cast || isNullNode(v.node) {
		return v
	}
	if r := s.altered(typ); r != nil {
		return taintValue(typ, s.taintFor(r, where(s.fact), verb(s.node)))
	}
	return v
}

// naming is where the last statement stands that names all of these; empty: none.
func (in *inference) naming(names ...string) string { return Naming(in.o.Statements, names...) }

// Naming is file and line of the last statement that names all of some words;
// empty: none does.
func Naming(all []syntax.Place, names ...string) string {
	for i := len(all) - 1; i >= 0; i-- {
		words, every := wordSet(all[i].SQL), true
		for _, name := range names {
			every = every && words[strings.ToLower(name)]
		}
		if every {
			return fmt.Sprintf("%s:%d", all[i].File, all[i].Line)
		}
	}
	return ""
}

func isNullNode(n *pgq.Node) bool { return constness(n) == isNull }
