package syntax

import (
	"slices"
	"strings"

	pgq "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// names are what a statement speaks of, as quoted SQL text: what marks resolve.
type names struct {
	Tables, Functions, Types []string
}

func (n *names) add(m proto.Message) {
	visit(m, func(m proto.Message) bool {
		switch m := m.(type) {
		case *pgq.RangeVar:
			appendNew(&n.Tables, tableName(m))
		case *pgq.FuncCall:
			appendNew(&n.Functions, qualified(parts(m.GetFuncname())))
		case *pgq.TypeName:
			if name := typeKey(m); name != "" {
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

func tableName(r *pgq.RangeVar) string {
	if r.GetRelname() == "" {
		return ""
	}
	if r.GetSchemaname() == "" {
		return pg.Ident(r.GetRelname())
	}
	return pg.Name{Schema: r.GetSchemaname(), Name: r.GetRelname()}.Quoted()
}

// typeKey is a type's name without array bounds; "" for the system's own.
func typeKey(t *pgq.TypeName) string {
	p := parts(t.GetNames())
	if len(p) == 0 || len(p) == 2 && p[0] == "pg_catalog" || t.GetPctType() {
		return ""
	}
	return qualified(p)
}

func qualified(p []string) string {
	quoted := make([]string, len(p))
	for i, s := range p {
		quoted[i] = pg.Ident(s)
	}
	return strings.Join(quoted, ".")
}
