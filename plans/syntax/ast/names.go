package ast

import (
	"slices"
	"strings"

	pgq "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// Names are what a statement speaks of, as quoted SQL text: what marks resolve.
type Names struct {
	Tables, Functions, Types []string
}

// Add takes in what a tree names, each name once.
func (n *Names) Add(m proto.Message) {
	Visit(m, func(m proto.Message) bool {
		switch m := m.(type) {
		case *pgq.RangeVar:
			appendNew(&n.Tables, TableName(m))
		case *pgq.FuncCall:
			appendNew(&n.Functions, Qualified(Strings(m.GetFuncname())))
		case *pgq.TypeName:
			if name := TypeName(m); name != "" {
				appendNew(&n.Types, name)
			}
		}
		return true
	})
}

func appendNew(list *[]string, name string) {
	if name != "" && !slices.Contains(*list, name) {
		*list = append(*list, name)
	}
}

// TableName is a table as the statement writes it, quoted: without a schema where none is
// written.
func TableName(r *pgq.RangeVar) string {
	if r.GetRelname() == "" {
		return ""
	}
	if r.GetSchemaname() == "" {
		return pg.Ident(r.GetRelname())
	}
	return pg.Name{Schema: r.GetSchemaname(), Name: r.GetRelname()}.Quoted()
}

// TypeName is a type's name without array bounds; "" for the system's own.
func TypeName(t *pgq.TypeName) string {
	p := Strings(t.GetNames())
	if len(p) == 0 || len(p) == 2 && p[0] == "pg_catalog" || t.GetPctType() {
		return ""
	}
	return Qualified(p)
}

// Qualified quotes the parts of a name.
func Qualified(p []string) string {
	quoted := make([]string, len(p))
	for i, s := range p {
		quoted[i] = pg.Ident(s)
	}
	return strings.Join(quoted, ".")
}

// SystemSchema reports whether a schema is not the user's.
func SystemSchema(schema string) bool {
	return schema == "information_schema" || strings.HasPrefix(schema, "pg_") && !strings.HasPrefix(schema, "pg_temp")
}
