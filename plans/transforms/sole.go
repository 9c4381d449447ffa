package transforms

import (
	"slices"
	"strings"

	pgq "github.com/pganalyze/pg_query_go/v6"

	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/syntax/ast"
)

// Several rows may fit where no unique index says otherwise, and which one an UPDATE …
// FROM takes, or ORDER BY … LIMIT 1 puts first, is then PostgreSQL's choice of that day.
// If all that fit give the same value it does not matter. That is no fact of the
// structure: whoever uses such an expression asks production's rows first
// ([OneMustFit]), and where it becomes untrue later PostgreSQL refuses the expression, with
// SQLSTATE 21000, instead of choosing.

// distinctly begins a subquery of which one value must come, however many rows give it.
const distinctly = "DISTINCT "

// OneMustFit reports whether an expression of ours is defined only while the rows that
// it finds give one value.
func OneMustFit(expression string) bool {
	return strings.Contains(expression, "SELECT "+distinctly) || strings.Contains(expression, " WITH TIES")
}

// alike: the value is a column's of whose type equal values are the same, so that
// DISTINCT counts what differs and nothing else.
func (s *scope) alike(l *level, value *pgq.Node) bool {
	if len(l.groups) > 0 || len(l.having) > 0 || s.aggregated {
		return false
	}
	if c, ok := s.columnOf(l, ast.Uncast(value)); ok && s.in.isEnum(c.TypeOID) {
		return true // by its labels, whatever type they are cast to
	}
	c, ok := s.columnOf(l, value)
	return ok && (exactType(c.Type, false) || isText(c))
}

// isText: a text whose collation is the system's, and so tells all spellings apart.
func isText(c catalog.Column) bool {
	return slices.Contains([]string{"text", "character varying"}, plainType(c.Type)) && strings.HasPrefix(c.Collation, "pg_catalog.")
}

func (in *inference) isEnum(oid uint32) bool {
	return slices.ContainsFunc(in.before.Types, func(t *catalog.Type) bool { return t.OID == oid && t.Kind == "e" })
}
