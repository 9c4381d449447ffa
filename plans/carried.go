package plans

import (
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// CarriedFrom names the source's table and its columns that columns of a table are
// filled with as they are, whatever the plan's direction; false: some are not. shadow
// is that table by its [Table.Shadow].
func (p *Plan) CarriedFrom(shadow pg.Name, columns []string) (table pg.Name, names []string, ok bool) {
	t := p.TableOf(shadow)
	if t == nil || t.Feed != Copied {
		return table, nil, false
	}
	src := &p.Sources[t.Source]
	for _, name := range columns {
		c := slices.IndexFunc(t.Columns, func(c Column) bool { return c.Shadow == name })
		if c < 0 {
			return table, nil, false
		}
		from := slices.IndexFunc(src.Columns, func(s SourceColumn) bool { return carries(s.Name, &t.Columns[c]) })
		if from < 0 {
			return table, nil, false
		}
		names = append(names, src.Columns[from].Name)
	}
	return src.Name, names, true
}

// carries: what is equal there is equal here.
func carries(name string, c *Column) bool {
	cast, found := strings.CutPrefix(c.Expression, pg.Ident(name)+"::")
	return c.Expression == pg.Ident(name) || found && slices.Contains([]string{"smallint", "integer", "bigint"}, cast)
}
